"""Long videos in `edgeemo batch`: read in parts, whose rows are joined."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from fakes import result

pytest.importorskip("pyarrow")
import av
import pandas as pd
from test_batch import batch, rows

from edgeemo.batch.rows import RowWriter
from edgeemo.batch.seams import join_parts, same_faces
from edgeemo.batch.split import WARM_UP_S, VideoPart, split
from edgeemo.capture.file import VideoFile
from engines import LABELS


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory, demo_clip: Path) -> Path:
    """24.8 seconds of the demo's face, a key frame every 2 s, with B-frames."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-bf", "2", "-an", str(path)]
    subprocess.run(["ffmpeg", "-v", "error", "-stream_loop", "1", "-i", str(demo_clip), *encode], check=True)
    return path


def test_the_parts_of_a_long_file_have_its_frames_numbers_and_times(long_clip):
    whole = [(frame.index, frame.time, frame.image[::8, ::8].copy()) for frame in VideoFile(long_clip).frames()]
    parts = split(long_clip, 8.0)
    assert len(parts) == 4
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert parts[-1].end == len(whole)
    seen = []
    for part in parts:
        for frame in VideoPart(long_clip, part).frames():
            index, at, image = whole[frame.index]
            assert (frame.index, frame.time) == (index, at)
            assert (frame.image[::8, ::8] == image).all()
            if frame.index >= part.start:
                seen.append(frame.index)
        assert not part.start or whole[part.start][1] - part.key_time >= WARM_UP_S or part.key == 0
    assert seen == [index for index, *_ in whole]


@pytest.mark.parametrize("place", [50, 250])
def test_a_picture_that_is_lost_shifts_no_seam(place, long_clip, tmp_path):
    with av.open(str(long_clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    lost = next(packet for packet in packets[place:] if not packet.is_keyframe)
    data = bytearray(long_clip.read_bytes())
    data[lost.pos + 4] = 0x1F  # a type of NAL unit that decoders skip
    path = tmp_path / "lost.mp4"
    path.write_bytes(data)
    whole = [frame.time for frame in VideoFile(path).frames()]
    assert len(whole) == len(packets) - 1
    seen = []
    for part in split(path, 8.0):
        inside = [frame for frame in VideoPart(path, part).frames() if frame.index >= part.start]
        assert [frame.index for frame in inside] == list(range(part.start, part.start + len(inside)))
        seen += [frame.time for frame in inside]
    assert seen == whole


def test_a_split_file_has_the_rows_of_the_whole_away_from_its_seams(long_clip, tmp_path):
    every = ("--every", 0.2)
    assert batch(long_clip, "--output", tmp_path / "whole", "--split-minutes", 0, "--workers", 1, *every) == 0
    assert batch(long_clip, "--output", tmp_path / "parts", "--split-minutes", 8 / 60, *every) == 0
    whole, parts = rows(tmp_path / "whole"), rows(tmp_path / "parts")
    assert list(parts.frame) == list(whole.frame)
    assert (parts.time == whole.time).all()
    assert list(parts.face_id) == list(whole.face_id)  # one person, one id
    assert list(parts.person) == [f"Person {number}" for number in parts.face_id]
    boxes = ["x1", "y1", "x2", "y2"]
    near = np.abs(parts[boxes].to_numpy() - whole[boxes].to_numpy()).max(axis=1) <= 1
    seams = [part.start / 25 for part in split(long_clip, 8.0)[1:]]
    far = np.all([np.abs(whole.time - at) > 2 for at in seams], axis=0)
    assert near[far].mean() >= 0.99
    assert (parts.emotion.astype(str) == whole.emotion.astype(str))[far].mean() >= 0.99
    assert not list((tmp_path / "parts" / ".work" / "parts").iterdir())


def test_short_files_and_files_without_an_index_are_not_split(long_clip, tmp_path):
    assert split(long_clip, 60.0) == ()
    raw = tmp_path / "raw.h264"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(long_clip), "-c", "copy", str(raw)], check=True)
    assert split(raw, 5.0) == ()


def test_faces_on_both_sides_of_a_seam_are_paired_by_their_places():
    left, right = np.array([0.0, 0, 10, 10]), np.array([50.0, 0, 60, 10])
    before = {frame: {1: left, 2: right} for frame in range(5)}
    after = {frame: {1: right + 1, 2: left + 1, 3: left + 100} for frame in range(3, 8)}
    assert same_faces(before, after) == {1: 2, 2: 1}
    assert same_faces({}, after) == {}


@pytest.mark.parametrize("faces", [(1, 0), (0, 1), (0, 0), (1, 0, 1)])
def test_parts_without_a_face_are_joined_too(faces, tmp_path):
    about = {"size": 1, "modified_ns": 2, "frames": 10, "seconds": 0.4, "broken": "", "damaged": 0}
    parts = [tmp_path / f"{number}.parquet" for number in range(len(faces))]
    for number, (path, count) in enumerate(zip(parts, faces, strict=True)):
        with RowWriter(path, "a.mp4", "00", LABELS) as writer:
            for index in range(10 * number, 10 * number + 10):
                writer.add(result(count, index=index))
            writer.finish({**about, "start": 10 * number, "end": 10 * number + 10})
    whole = tmp_path / "whole.parquet"
    assert join_parts(parts, whole, "a.mp4", "00", lambda *done: about) == (10 * len(faces), "")
    found = pd.read_parquet(whole)
    assert found.frame.tolist() == [index for index in range(10 * len(faces)) if faces[index // 10]]
    assert set(found.person) <= {"Person 1", "Person 2"}
