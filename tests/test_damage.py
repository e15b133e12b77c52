"""Damage is counted for every codec that reports it, and appears in every output."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import make_bundle, result

from edgeemo.batch.split import VideoPart, split
from edgeemo.capture import open_source
from edgeemo.capture.damage import Damage, nal_types
from edgeemo.capture.gstreamer import has_element
from edgeemo.capture.hardware_video import CHOICE
from edgeemo.cli import main
from edgeemo.errors import SourceError
from edgeemo.recording import load
from edgeemo.recording.folder import SessionFolder, SessionInfo
from edgeemo.recording.recorder import Recorder
from edgeemo.report import page
from edgeemo.stages.quality import QualityJudge
from edgeemo.types import Frame
from engines import LABELS

av = pytest.importorskip("av")

FRAMES = 40


def encoded(path: Path, codec: str, **options: str) -> Path:
    """A clip of noise that moves over a gradient, so that damage to any packet has an effect."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 255, (48, 48, 3), np.uint8)
    base = np.add.outer(np.arange(120), np.arange(160)).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(FRAMES):
            picture = np.roll(base, 3 * number, axis=1)
            picture[30:78, number : number + 48] = noise
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        container.mux(stream.encode(None))
    return path


def scratch(path: Path, places: int = 40) -> Path:
    """A copy with single bits flipped outside the container's header and index."""
    rng = np.random.default_rng(1)
    data = bytearray(path.read_bytes())
    for place in rng.integers(len(data) // 5, len(data) * 4 // 5, places).tolist():
        data[place] ^= 1 << int(rng.integers(8))
    copy = path.with_name(f"scratched{path.suffix}")
    copy.write_bytes(data)
    return copy


CODECS = [
    ("libx264", ".mkv", {}),
    ("libx264", ".ts", {"bf": "0"}),
    ("libx265", ".mkv", {"x265-params": "log-level=none"}),
    ("mpeg4", ".avi", {}),
    ("mpeg2video", ".ts", {}),
]


@pytest.mark.parametrize(("codec", "suffix", "options"), CODECS)
def test_pictures_that_were_lost_or_have_errors_are_counted(
    codec: str, suffix: str, options: dict[str, str], tmp_path: Path
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV has no {codec}")
    clip = encoded(tmp_path / f"clip{suffix}", codec, **options)
    assert [frame.damage for frame in open_source(str(clip)).frames()] == [0] * FRAMES
    given, damage, broken = 0, 0, ""
    try:
        for frame in open_source(str(scratch(clip))).frames():
            given += 1
            damage += frame.damage
    except SourceError as error:
        broken = str(error)
    assert damage or broken
    assert damage >= FRAMES - given or broken


def spoil_end(clip: Path, packets: int) -> Path:
    """A copy with noise in the last packets, after their first 12 bytes."""
    with av.open(str(clip)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(clip.read_bytes())
    for place, size in places[-packets:]:
        data[place + 12 : place + size] = np.random.default_rng(packets).bytes(size - 12)
    copy = clip.with_name(f"spoilt{clip.suffix}")
    copy.write_bytes(data)
    return copy


@pytest.fixture(scope="module")
def hevc(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """HEVC clips with three key frames."""
    if "libx265" not in av.codecs_available:
        pytest.skip("PyAV has no libx265")
    folder = tmp_path_factory.mktemp("hevc")
    options = {"x265-params": "log-level=none:keyint=15:min-keyint=15:scenecut=0"}
    clips: dict[str, Path] = {}

    def clip(suffix: str) -> Path:
        if suffix not in clips:
            clips[suffix] = encoded(folder / f"clip{suffix}", "libx265", **options)
        return clips[suffix]

    return clip


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_joint_of_two_recordings_is_not_damage(codec: str, tmp_path: Path) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV has no {codec}")
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    recording = encoded(tmp_path / "one.ts", codec, **options).read_bytes()
    (tmp_path / "joined.ts").write_bytes(recording * 3)
    frames = list(open_source(str(tmp_path / "joined.ts")).frames())
    assert [frame.damage for frame in frames] == [0] * (3 * FRAMES)


def test_pictures_lost_before_a_joint_are_counted() -> None:
    damage = Damage("h264")
    for pts, answered in ((5, 5), (6, None), (7, None), (0, 6), (1, 0), (2, 1)):  # 7 is lost; then times restart
        packet = av.Packet(b"\0\0\0\1\x65data")
        packet.pts = packet.dts = pts
        damage.sent(packet)
        if answered is not None:
            damage.given(SimpleNamespace(pts=answered, is_corrupt=False, interlaced_frame=False))
    assert damage.take() == 1
    assert damage.end() == 1  # 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".hevc"])
@pytest.mark.parametrize("packets", [2, 5])
def test_pictures_lost_at_the_end_are_counted_with_the_last_frame(
    suffix: str, packets: int, hevc: Callable[[str], Path]
) -> None:
    frames = []
    with contextlib.suppress(SourceError):  # many lost pictures mean that the file is cut off
        for frame in open_source(str(spoil_end(hevc(suffix), packets))).frames():
            frames.append(frame)
    lost = FRAMES - len(frames)
    assert lost
    assert [frame.damage for frame in frames] == [0] * (len(frames) - 1) + [lost]


def test_a_file_that_plays_at_its_own_speed_tells_of_pictures_lost_at_its_end(hevc: Callable[[str], Path]) -> None:
    frames = list(open_source(str(spoil_end(hevc(".mkv"), 2)), paced=True).frames())
    assert [frame.damage for frame in frames][-2:] == [0, 2]
    assert frames[-1].index == FRAMES - 3


def test_a_hardware_decoder_tells_of_pictures_lost_at_the_end(
    hevc: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_element("avdec_h265"):
        pytest.skip("no decoder (apt install gstreamer1.0-libav gstreamer1.0-plugins-bad)")
    monkeypatch.setenv(CHOICE, "avdec_h265")
    source = open_source(str(spoil_end(hevc(".mkv"), 2)))
    frames = list(source.frames())
    assert source.decoder == "avdec_h265"
    assert sum(frame.damage for frame in frames) == FRAMES - len(frames) == frames[-1].damage
    whole = list(open_source(str(hevc(".mkv"))).frames())
    assert [frame.damage for frame in whole] == [0] * FRAMES


def test_a_part_of_a_long_file_tells_of_pictures_lost_at_its_end(hevc: Callable[[str], Path]) -> None:
    clip = hevc(".mkv")
    (*_, last) = split(clip, 0.7)
    assert last.number
    frames = list(VideoPart(spoil_end(clip, 2), last).frames())
    assert frames[-1].damage == last.end - 1 - frames[-1].index == 2


@pytest.mark.parametrize(("first", "lost"), [(b"\x26\1", 2), (b"\x2a\1", 0)])  # IDR, CRA
def test_only_a_stream_with_a_fresh_start_is_said_to_lack_pictures_at_its_end(first: bytes, lost: int) -> None:
    damage = Damage("hevc")
    for unit in (first, b"\2\1", b"\2\1"):  # a CRA picture may be followed by some that need what came before it
        damage.sent(av.Packet(b"\0\0\0\1" + unit + b"data"))
    damage.given(SimpleNamespace(pts=None, is_corrupt=False, interlaced_frame=False))
    assert damage.end() == lost


def test_packets_that_hold_no_picture_are_not_damage() -> None:
    assert nal_types(b"\0\0\0\1\x67ab\0\0\1\x65abc", "h264") == [7, 5]
    assert nal_types(b"\0\0\0\2\x40\1\0\0\0\3\x26\1a", "hevc") == [32, 19]
    assert nal_types(b"\0\0\0\7\x40\1", "hevc") == []
    damage = Damage("h264")
    picture = SimpleNamespace(pts=0, is_corrupt=False, interlaced_frame=False)
    for pts, data in enumerate((b"\x65a", b"\x0a", b"\x06abc", b"\x41a")):  # IDR, end of sequence, SEI, slice
        packet = av.Packet(len(data).to_bytes(4, "big") + data)
        packet.pts = pts
        damage.sent(packet)
    damage.given(picture)
    assert damage.end() == 1


def test_the_clips_of_the_project_have_no_damage(demo_clip: Path, cases: Path) -> None:
    for clip in (
        demo_clip,
        *(cases / name for name in ("upright.mp4", "resturn.ts", "raw12fps.h264", "slowstart.mp4")),
    ):
        assert not any(frame.damage for frame in open_source(str(clip)).frames())


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, demo_clip: Path) -> tuple[Path, str]:
    """Outputs and messages of a run on the damaged demo clip."""
    folder = tmp_path_factory.mktemp("damage")
    make_bundle(folder / "tiny")
    data = bytearray(demo_clip.read_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(len(data) // 20, len(data) * 9 // 10, 400).tolist():
        data[place] ^= 1 << int(rng.integers(8))
    (folder / "scratched.mp4").write_bytes(data)
    sinks = [f"--sink={kind}:{folder}/out.{kind}" for kind in ("jsonl", "sqlite", "csv")]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        assert main(["run", "--source", f"{folder}/scratched.mp4", "--engine", f"{folder}/tiny", *sinks]) == 0
    return folder, said.getvalue()


def test_the_summary_line_and_the_results_tell_of_damage(results: tuple[Path, str]) -> None:
    folder, said = results
    events = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    damage = sum(event.get("damage", 0) for event in events)
    assert damage > 50
    assert f", {damage} pictures damaged" in said.splitlines()[-1]
    database = sqlite3.connect(folder / "out.sqlite")
    assert database.execute("SELECT sum(damage), count(damage) FROM frames").fetchone() == (
        damage,
        sum("damage" in event for event in events),
    )
    database.close()


@pytest.mark.parametrize("kind", ["jsonl", "sqlite"])
def test_the_report_tells_of_damage(results: tuple[Path, str], kind: str) -> None:
    recording = load(results[0] / f"out.{kind}")
    (note,) = recording.missing
    assert "pictures of the source, lost or decoded with errors (the first at 0:0" in note
    assert note in page([("x", [recording])])


def test_a_session_tells_of_damage_once(tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path, SessionInfo("s", "clip.mp4", "tiny", LABELS))
    recorder = Recorder(folder, LABELS)
    for number in range(3):
        each = result(1, index=number)
        recorder.write(replace(each, frame=replace(each.frame, damage=number)))
    recorder.close()
    expected = ("3 pictures of the source, lost or decoded with errors (the first at 0:00.0)",)
    assert folder.read().missing == expected
    assert load(folder.path).missing == expected


@pytest.mark.parametrize("faces", [0, 1, 3])
def test_faces_of_a_damaged_picture_are_unsure(faces: int) -> None:
    shown = result(faces)
    for damage in (0, 2):
        frame = Frame(shown.frame.image, 0, 0.0, "x", damage=damage)
        doubts = QualityJudge().judge(frame, shown.faces, [0.9] * faces).doubts
        assert [bool(each and each[0].code == "damaged_picture") for each in doubts] == [damage > 0] * faces
