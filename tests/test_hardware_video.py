"""Videos decoded by GStreamer; elements that decode in software take the place of a Jetson's."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from servers import RtspServer
from sources import encode, read

from edgeemo.capture import hardware_video, open_source
from edgeemo.capture.gstreamer import has_element
from edgeemo.capture.hardware_video import AUTOMATIC, CHOICE, element_for
from edgeemo.cli import main
from edgeemo.config import Config
from edgeemo.doctor import CHECKS
from edgeemo.errors import SourceError
from edgeemo.run.open import open_runner
from edgeemo.types import Source

H264, H265 = "avdec_h264", "avdec_h265"


@pytest.fixture
def element(monkeypatch: pytest.MonkeyPatch) -> str:
    if not has_element(H264) or not has_element(H265):
        pytest.skip("no decoder (apt install gstreamer1.0-libav gstreamer1.0-plugins-bad)")
    monkeypatch.setenv(CHOICE, H264)
    return H264


def same_as_ffmpeg(path: str, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Both decoders give the same frames, times and shapes; colours differ by what their conversions round."""
    source = open_source(path)
    through_element, said = read(source)
    assert said == ""
    decoder = source.decoder
    with monkeypatch.context() as patch:
        patch.setenv(CHOICE, "ffmpeg")
        other = open_source(path)
        through_ffmpeg, _ = read(other)
        assert other.decoder == "FFmpeg"
    times = [frame.time for frame in through_ffmpeg]
    assert [frame.time for frame in through_element] == pytest.approx(times, abs=1e-6)
    for mine, theirs in zip(through_element, through_ffmpeg, strict=True):
        assert mine.image.shape == theirs.image.shape
        assert np.abs(mine.image.astype(int) - theirs.image).mean() < 4
    assert decoder != "FFmpeg"
    return source


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("container", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_every_frame_comes_at_the_time_that_ffmpeg_gives_it(
    element: str,
    ffmpeg: str,
    demo_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    codec: str,
    container: str,
) -> None:
    monkeypatch.setenv(CHOICE, H264 if codec == "libx264" else H265)
    quiet = ("-x265-params", "log-level=none") if codec == "libx265" else ()
    made = encode(
        ffmpeg,
        tmp_path,
        "-i",
        str(demo_clip),
        "-t",
        "1",
        "-s",
        "320x180",
        "-c:v",
        codec,
        "-preset",
        "veryfast",
        *quiet,
        container,
    )
    source = same_as_ffmpeg(str(made), monkeypatch)
    assert source.decoder == (H264 if codec == "libx264" else H265)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-i", "CLIP", "-c", "copy", "-t", "2", "-f", "h264", "raw.h264"],
        ["-ss", "1.3", "-i", "CLIP", "-c", "copy", "-t", "1", "hidden.mp4"],  # an edit list hides frames that count
        ["-i", "CLIP", "-c", "copy", "-t", "1", "-metadata:s:v", "rotate=90", "turned.mp4"],
        ["-i", "CLIP", "-t", "1", "-vf", "setsar=4/3", "oblong.mp4"],
    ],
    ids=lambda arguments: str(arguments[-1]),
)
def test_shape_and_hidden_frames_are_as_with_ffmpeg(
    element: str, ffmpeg: str, demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    made = encode(ffmpeg, tmp_path, *[str(demo_clip) if word == "CLIP" else word for word in arguments])
    same_as_ffmpeg(str(made), monkeypatch)


@pytest.mark.parametrize(
    "arguments", [["-c:v", "mpeg4", "other.avi"], ["-pix_fmt", "yuv444p", "-c:v", "libx264", "chroma.mp4"]]
)
def test_what_the_hardware_cannot_decode_is_ffmpegs(
    element: str, ffmpeg: str, demo_clip: Path, tmp_path: Path, arguments: list[str]
) -> None:
    source = open_source(str(encode(ffmpeg, tmp_path, "-i", str(demo_clip), "-t", "1", *arguments)))
    frames, said = read(source)
    assert (len(frames), said, source.decoder) == (25, "", "FFmpeg")


@pytest.mark.parametrize("name", ["no-such-element", "\udcff", "~nobody/x", "n" * 9000])
def test_an_odd_name_of_a_decoder_leaves_it_to_ffmpeg(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, name)
    assert element_for("h264") == ""


@pytest.mark.parametrize("broken", ["h264parse", "identity"])
def test_an_element_that_gives_no_picture_is_replaced_by_ffmpeg_with_a_warning(
    element: str, demo_clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    # both accept H.264, like a decoder without its driver; the first cannot be linked, the second fails when it runs
    monkeypatch.setenv(CHOICE, broken)
    source = open_source(str(demo_clip))
    frames, said = read(source)
    assert (len(frames), said, source.decoder) == (310, "", "FFmpeg")
    assert f"{broken} does not decode this video" in caplog.text


def test_a_truncated_video_says_where_it_breaks_off(element: str, ffmpeg: str, demo_clip: Path, tmp_path: Path) -> None:
    whole = encode(ffmpeg, tmp_path, "-i", str(demo_clip), "-c", "copy", "-t", "4", "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    source = open_source(str(tmp_path / "cut.mkv"))
    frames, said = read(source)
    assert 10 < len(frames) < 100
    assert f"cut.mkv is cut off after frame {len(frames)}" in said
    assert source.decoder == element


def test_a_damaged_place_is_passed_over(element: str, demo_clip: Path, tmp_path: Path) -> None:
    data = bytearray(demo_clip.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20000] = np.random.default_rng(0).bytes(20000)
    (tmp_path / "scratched.mp4").write_bytes(data)
    frames, said = read(open_source(str(tmp_path / "scratched.mp4")))
    assert said == ""
    assert 200 < len(frames) <= 310
    assert frames[-1].time == pytest.approx(12.36, abs=0.01)


def test_a_network_camera_is_decoded_by_the_element_and_a_lost_one_is_told(element: str) -> None:
    server = RtspServer()
    server.start()
    try:
        source = open_source(server.url)
        with closing(source.frames()) as frames:  # type: ignore[arg-type]
            taken = [next(frames) for _ in range(10)]
            assert source.decoder == element
            assert {frame.image.shape for frame in taken} == {(240, 320, 3)}
            server.kill()
            with pytest.raises(SourceError, match="ended after"):
                for _ in frames:
                    pass
    finally:
        server.kill()


def test_a_decoder_that_stops_ends_a_network_camera_so_that_it_is_opened_again(
    element: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware_video, "STUCK_S", 0.2)
    server = RtspServer()
    server.start()
    try:
        source = open_source(server.url)
        with closing(source.frames()) as frames:  # type: ignore[arg-type]
            next(frames)
            running = source._video._pipeline  # type: ignore[attr-defined]
            running._pipeline.set_state(running._gst.State.PAUSED)
            with pytest.raises(SourceError, match=f"ended after .* frames: {element} failed: no picture after"):
                list(frames)
    finally:
        server.kill()


def test_status_and_doctor_show_which_decoder_runs(
    element: str, demo_clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(Config(), source=str(demo_clip), frames=3)
    with open_runner(config) as runner:
        runner.run(threading.Event())
        assert [source.decoder for source in runner.status().sources] == [element]
    assert CHECKS["decoders"](config).detail.startswith(f"H.264: {element}; H.265: FFmpeg, on the CPU")
    monkeypatch.setenv(CHOICE, "ffmpeg")
    assert element_for("h264") == ""
    assert main(["doctor", "--json"]) in (0, 2)
    checks = {check["name"]: check["detail"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["decoders"].startswith("H.264: FFmpeg, on the CPU; H.265: FFmpeg, on the CPU")


@pytest.mark.skipif(has_element(AUTOMATIC), reason="this is a Jetson")
def test_without_the_jetsons_element_ffmpeg_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHOICE, raising=False)
    assert element_for("h264") == element_for("hevc") == ""


def test_a_header_that_only_ffmpeg_accepts_leaves_the_video_to_ffmpeg(
    ffmpeg: str, element: str, demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(ffmpeg, tmp_path, "-i", str(demo_clip), "-an", "-t", "1", "-c:v", "libx265", "a.mp4")
    data = bytearray(path.read_bytes())
    place = data.index(b"hvcC") + 4
    kinds, place = data[place + 22], place + 23
    for _ in range(kinds):  # arrays of parameter sets: type, number, and each with its length
        begin = place
        count, place = int.from_bytes(data[place + 1 : place + 3], "big"), place + 3
        for _ in range(count):
            place += 2 + int.from_bytes(data[place : place + 2], "big")
    data[begin] = 48  # a type that the standard leaves unspecified, instead of the encoder's settings
    path.write_bytes(data)
    monkeypatch.setenv(CHOICE, H265)
    source = open_source(str(path))
    frames, said = read(source)
    assert (len(frames), said, source.decoder) == (25, "", "FFmpeg")
