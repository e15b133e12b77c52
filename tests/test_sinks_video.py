from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from queue import Queue
from urllib.parse import unquote

import av
import numpy as np
import pytest
from browser import find_chromium
from fakes import frame, result
from servers import serving
from sources import encode

from edgeemo.capture import open_source
from edgeemo.cli import main
from edgeemo.config import Config
from edgeemo.errors import SinkError, SourceError
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.sinks.video import fitted
from edgeemo.types import U8, Faces, Result
from engines import LABELS


def with_a_bar(result: Result) -> U8:
    picture = result.frame.image.copy()
    picture[: picture.shape[0] // 4] = (0, 0, 255)
    return picture


CONTEXT = SinkContext(LABELS, draw=with_a_bar)


def read(path: Path) -> tuple[list[U8], list[float]]:
    """The pictures of a video and their times in seconds."""
    pictures, times = [], []
    with av.open(str(path)) as container:
        for decoded in container.decode(video=0):
            pictures.append(decoded.to_ndarray(format="bgr24"))
            times.append(float(decoded.time))
    return pictures, times


def empty(index: int, time: float, *, height: int = 64, width: int = 128) -> Result:
    whole = frame(index, time=time)
    image = np.full((height, width, 3), 40 + index * 5, np.uint8)
    none = np.zeros((0, len(LABELS)), np.float32)
    return Result(type(whole)(image, index, time, "clip.mp4"), Faces.none(), none, none, LABELS, ())


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.avi", "out.webm", "out.mov", "OUT.MP4"])
def test_the_overlay_is_burnt_in_at_the_times_of_the_source(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sink = open_sink(f"video:{path}", CONTEXT)
    wanted = [index / 12 for index in range(10)] + [3.0, 3.05]
    for index, time in enumerate(wanted):
        sink.write(result(1, index=index, time=time + 7))
    sink.close()
    pictures, times = read(path)
    assert times == pytest.approx(wanted, abs=1.1e-3)
    assert pictures[3].shape == (64, 128, 3)
    assert pictures[3][4:12, :, 2].mean() > 200
    assert pictures[3][40:, :, 2].mean() < 80


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("rate", [1, 10, 24, 30, 60, 239.76])
def test_a_constant_rate_stays_constant(tmp_path: Path, name: str, rate: float) -> None:
    path = tmp_path / name
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in range(20):
        sink.write(empty(index, index / rate))
    sink.close()
    pictures, times = read(path)
    assert times == pytest.approx([index / rate for index in range(20)], abs=1.1e-3)
    assert [float(picture[40:].mean()) for picture in pictures] == pytest.approx([40 + 5 * n for n in range(20)], abs=5)
    with av.open(str(path)) as container:
        assert container.duration / 1e6 == pytest.approx(20 / rate, abs=0.02)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_very_short_video_is_written_too(tmp_path: Path, count: int) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in range(count):
        sink.write(empty(index, index / 30))
    sink.close()
    sink.close()
    assert len(read(path)[0] if count else []) == count


PROGRAM = """
import resource, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from fakes import result
from edgeemo.cli import main
from edgeemo.config import Config
from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext, open_sink

noise = np.random.default_rng(0).integers(0, 255, (30, 64, 128, 3), np.uint8)
sink = open_sink("video:" + sys.argv[2], SinkContext((), draw=lambda result: noise[result.frame.index % 30]))
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    for index in range(300):
        sink.write(result(0, index=index, time=index / 25))
    sink.close()
except SinkError as error:
    print(error)
"""


def test_a_video_whose_end_found_no_room_is_an_error_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(tmp_path / "out.mp4")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "could not be finished (File too large)" in done.stdout
    assert done.stdout.count("\n") == 1


def test_pictures_of_other_and_odd_sizes_fit_into_the_first_ones(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(f"video:{path}", CONTEXT)
    for index, (height, width) in enumerate([(65, 127), (65, 127), (1, 1), (300, 20), (10, 900), (65, 127)]):
        sink.write(empty(index, float(index), height=height, width=width))
    sink.close()
    pictures, _ = read(path)
    assert [picture.shape for picture in pictures] == [(64, 126, 3)] * 6


def test_a_name_that_is_no_video_is_refused_and_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"must end in \.mp4"):
        open_sink(f"video:{tmp_path}/out.txt", CONTEXT)
    assert list(tmp_path.iterdir()) == []


def test_an_mp4_is_what_browsers_play(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in range(3):
        sink.write(empty(index, index / 30))
    sink.close()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_without_x264_a_video_is_vp9(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    path = tmp_path / name
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in range(8):
        sink.write(empty(index, index / 8))
    sink.close()
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name in ("vp9", "libvpx-vp9")
    assert read(path)[1] == pytest.approx([index / 8 for index in range(8)], abs=1.1e-3)


PAGE = """<body><video id=v muted autoplay src="NAME"></video><script>
const tell = words => fetch("/told?" + encodeURIComponent(words));
v.onended = () => tell([v.videoWidth, v.videoHeight, v.currentTime.toFixed(2)].join(" "));
v.onerror = () => tell("error " + v.error.message);
</script></body>"""


@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_chromium_plays_the_video_to_its_end(tmp_path: Path, name: str) -> None:
    browser = find_chromium()
    sink = open_sink(f"video:{tmp_path / name}", CONTEXT)
    for index in range(8):
        sink.write(empty(index, index / 8))
    sink.close()
    (tmp_path / "page.html").write_text(PAGE.replace("NAME", name))
    told: Queue[str] = Queue()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/told?"):
                told.put(unquote(self.path.partition("?")[2]))
            super().do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    with serving(partial(Handler, directory=str(tmp_path))) as port:
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio",
            "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={tmp_path}/profile",
            "--remote-debugging-port=0", f"http://127.0.0.1:{port}/page.html",
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as running:
            try:
                assert told.get(timeout=60) == "128 64 1.00"
            finally:
                running.terminate()


def test_a_slow_start_keeps_every_frame_at_its_time(cases: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    assert main(["run", "--source", str(cases / "slowstart.mp4"), "--sink", f"video:{path}", "--quiet"]) == 0
    _, times = read(path)
    _, wanted = read(cases / "slowstart.mp4")
    assert times == pytest.approx(wanted, abs=1e-3)
    assert (len(times), times[-1]) == (80, pytest.approx(7.46, abs=0.01))


@pytest.mark.parametrize(
    ("codec", "name", "copied"),
    [("aac", "out.mp4", True), ("aac", "out.mkv", True), ("libopus", "out.webm", True), ("aac", "out.webm", False)],
)
def test_the_sound_of_the_source_is_copied(
    ffmpeg: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, codec: str, name: str, copied: bool
) -> None:
    source = tmp_path / "source.mkv"
    lavfi = ["-f", "lavfi", "-i", "testsrc=s=64x48:d=2:r=10", "-f", "lavfi", "-i", "sine=d=2", "-shortest"]
    subprocess.run([ffmpeg, "-v", "error", *lavfi, "-c:v", "libx264", "-c:a", codec, str(source)], check=True)
    path = tmp_path / name
    sink = open_sink(f"video:{path}", replace(CONTEXT, config=Config(source=str(source))))
    for index in range(20):
        sink.write(empty(index, index / 10))
    sink.close()
    with av.open(str(path)) as made, av.open(str(source)) as original:
        assert made.duration == pytest.approx(original.duration, abs=60_000)
        assert bool(made.streams.audio) is copied
        assert copied or "cannot be copied into .webm" in caplog.text
        if copied:
            sounds = [[bytes(packet) for packet in each.demux(audio=0) if packet.size] for each in (made, original)]
            # the encoder's silence before the first frame is omitted
            begin = sounds[1].index(sounds[0][0])
            assert sounds[0] == sounds[1][begin : begin + len(sounds[0])]
            assert len(sounds[1]) - len(sounds[0]) <= 3


def test_a_fitted_picture_is_whole_and_centred() -> None:
    canvas = fitted(np.full((50, 100, 3), 200, np.uint8), (100, 100))
    assert canvas.shape == (100, 100, 3)
    assert canvas[25:75].min() == 200
    assert canvas[:25].max() == canvas[75:].max() == 0
    tall = fitted(np.full((100, 50, 3), 200, np.uint8), (100, 100))
    assert tall[:, 25:75].min() == 200
    assert tall[:, :25].max() == tall[:, 75:].max() == 0


@pytest.mark.parametrize("odd", [(64, 128), (65, 128), (64, 129), (65, 129)])
def test_an_odd_picture_loses_its_last_row_and_column_and_is_not_resampled(odd: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (*odd, 3), np.uint8)
    np.testing.assert_array_equal(fitted(picture, (128, 64)), picture[:64, :128])


@pytest.mark.parametrize(
    ("name", "full"), [("out.mp4", False), ("out.mkv", False), ("out.webm", False), ("out.avi", True)]
)
def test_colours_are_those_of_the_picture_and_their_range_is_in_the_file(tmp_path: Path, name: str, full: bool) -> None:
    colours = np.array([[0, 0, 0], [255, 255, 255], [200, 40, 40], [40, 200, 40]], np.uint8)
    picture = colours.repeat(32, axis=0)[None].repeat(64, axis=0)
    sink = open_sink(f"video:{tmp_path / name}", SinkContext(LABELS, draw=lambda each: picture))
    for index in range(3):
        sink.write(empty(index, index / 10))
    sink.close()
    with av.open(str(tmp_path / name)) as container:
        assert (container.streams.video[0].codec_context.color_range == 2) is full
    shown = read(tmp_path / name)[0][-1]
    for column, colour in enumerate(colours.tolist()):
        np.testing.assert_allclose(shown[32, column * 32 + 16], colour, atol=8)


def test_a_disk_that_is_nearly_full_ends_the_video_with_what_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in range(3):
        sink.write(empty(index, index / 10))
    monkeypatch.setattr("edgeemo.sinks.video.SPARE_BYTES", 1 << 60)
    sink._checked = -10.0  # type: ignore[attr-defined]
    with pytest.raises(SinkError, match="the disk is full; earlier frames are kept"):
        sink.write(empty(3, 0.3))
    assert len(read(path)[0]) == 3
    sink.close()
    assert sink.lost == 0


@pytest.mark.parametrize(("name", "gap"), [("a.avi", 250.0), ("a.mp4", 90_000.0), ("a.mov", 90_000.0), ("a.mkv", 9e5)])
def test_a_gap_longer_than_the_container_can_store_repeats_the_picture(tmp_path: Path, name: str, gap: float) -> None:
    sink = open_sink(f"video:{tmp_path / name}", CONTEXT)
    given = [0.0, 1.0, 1.0 + gap, 2.0 + gap]
    for index, time in enumerate(given):
        sink.write(empty(40 * (index > 1), time))
    sink.close()
    pictures, times = read(tmp_path / name)
    assert [time for time, picture in zip(times, pictures, strict=True) if picture[50, 50].max() > 100] == given[2:]
    assert times[:2] == given[:2]
    assert max(np.diff(times)) <= max(gap, 1)


def test_a_long_avi_finds_room_for_its_index_on_a_disk_that_fills(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "edgeemo-test", str(tmp_path)]
    if not hasattr(os, "geteuid") or os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        sink = open_sink(f"video:{tmp_path}/a.avi", CONTEXT)
        written = 0
        with pytest.raises(SinkError, match="earlier frames are kept"):  # noqa: PT012
            for index in range(5000):
                sink._checked = -10.0  # type: ignore[attr-defined]
                sink.write(empty(index % 30, 1.0 * index, height=32, width=32))
                written += 1
        sink.close()
        assert sink.lost == 0
        assert len(read(tmp_path / "a.avi")[0]) == written > 300
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_service_that_continues_after_a_full_disk_keeps_the_earlier_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.mp4"
    context = replace(CONTEXT, lasting=True)
    for number in range(3):
        sink = open_sink(f"video:{path}", context)
        for index in range(3 + number):
            sink.write(empty(index, index / 10))
        with monkeypatch.context() as full:
            full.setattr("edgeemo.sinks.video.SPARE_BYTES", 1 << 60)
            sink._checked = -10.0  # type: ignore[attr-defined]
            with pytest.raises(SinkError, match="earlier frames are kept"):
                sink.write(empty(9, 0.9))
        sink.close()
    assert {each.name: len(read(each)[0]) for each in tmp_path.iterdir()} == {
        "out.1.mp4": 3, "out.2.mp4": 4, "out.mp4": 5,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.avi"])
def test_what_a_crash_left_of_a_video_is_known_as_ours(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    writer = (
        "import os, sys; import numpy as np; sys.path[:0] = sys.argv[2:]\n"
        "from test_sinks_video import CONTEXT, empty; from edgeemo.sinks import open_sink\n"
        "sink = open_sink('video:' + sys.argv[1], CONTEXT)\n"
        "noise = np.random.default_rng(0)\n"
        "for index in range(12):\n"
        "    each = empty(index, index / 10, height=256, width=256)\n"
        "    each.frame.image[:] = noise.integers(0, 255, each.frame.image.shape, np.uint8)\n"
        "    sink.write(each)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", writer, str(path), *sys.path], check=False)
    assert path.stat().st_size > 10_000
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in range(3):
        sink.write(empty(index, index / 10))
    sink.close()
    assert len(read(path)[0]) == 3


def test_the_pictures_of_a_video_that_is_deleted_are_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeemo.sinks.presence.CHECK_S", 0.0)
    path = tmp_path / "out.avi"
    sink = open_sink(f"video:{path}", CONTEXT)
    for index in range(3):
        sink.write(empty(index, index / 10))
    assert sink.lost == 0
    path.unlink()
    with pytest.raises(SinkError, match="deleted"):
        sink.write(empty(3, 0.3))
    sink.close()
    assert sink.lost == 3


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts the open files of a process as Linux shows them")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.avi"])
def test_a_video_that_is_closed_leaves_no_file_open(tmp_path: Path, name: str) -> None:
    def open_files() -> set[Path]:
        return {target for each in Path("/proc/self/fd").iterdir() if tmp_path in (target := each.resolve()).parents}

    sink = open_sink(f"video:{tmp_path / name}", CONTEXT)
    for index in range(3):
        sink.write(empty(index, index / 10))
    assert open_files()
    sink.close()
    assert open_files() == set()


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_a_service_keeps_no_index_of_a_video_in_memory(tmp_path: Path, name: str) -> None:
    """An ordinary MP4 has its index in memory: 73 bytes per picture, 2.8 GB in a month with 15 per second."""
    path = tmp_path / name
    sink = open_sink(f"video:{path}", replace(CONTEXT, lasting=True))
    for index in range(120):
        sink.write(empty(index % 40, index / 4))
    crashed = tmp_path / f"crashed{path.suffix}"
    crashed.write_bytes(path.read_bytes())
    times, seconds = read(crashed)[1], len(read(crashed)[1]) / 4
    assert 20 <= seconds < 30  # all but the last ten seconds
    sink.close()
    assert read(path)[1] == pytest.approx([index / 4 for index in range(120)])
    assert times == read(path)[1][: len(times)]
    frames = list(open_source(str(path)).frames())
    assert (len(frames), frames[-1].time) == (120, 29.75)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_service_keeps_the_video_before_a_failed_write(tmp_path: Path, name: str) -> None:
    """Here a limit of the file's size; a quota and a failing disk do the same."""
    writer = (
        "import resource, sys; sys.path[:0] = sys.argv[2:]; import numpy as np\n"
        "from test_sinks_video import CONTEXT, empty; from edgeemo.sinks import open_sink\n"
        "from edgeemo.errors import SinkError; from dataclasses import replace\n"
        "noise = np.random.default_rng(0).integers(0, 255, (64, 128, 3), np.uint8)\n"
        "context = replace(CONTEXT, lasting=True, draw=lambda result: np.roll(noise, result.frame.index))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "for _ in range(2):\n"
        "    sink = open_sink('video:' + sys.argv[1], context)\n"
        "    try:\n"
        "        for index in range(400):\n"
        "            sink.write(empty(index % 40, index / 5))\n"
        "        sys.exit('the file was not limited')\n"
        "    except SinkError as error:\n"
        "        assert 'earlier frames are kept' in str(error), error\n"
        "    try:\n"
        "        sink.close()\n"
        "    except SinkError:\n"
        "        pass\n"
        "    assert sink.lost == 0\n"
    )
    path = tmp_path / name
    done = subprocess.run([sys.executable, "-c", writer, str(path), *sys.path], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    for each in (path, path.with_name(f"out.1{path.suffix}")):
        assert len(read_part(each)) >= 20


def read_part(path: Path) -> list[float]:
    """The times of the pictures before the place where a video is cut off."""
    times = []
    with contextlib.suppress(SourceError):
        for each in open_source(str(path)).frames():
            times.append(each.time)
    return times


def test_damaged_sound_costs_no_picture(
    ffmpeg: str, demo_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lavfi = ["-f", "lavfi", "-i", "testsrc=s=64x48:d=2:r=10", "-f", "lavfi", "-i", "sine=d=2", "-shortest"]
    data = bytearray(encode(ffmpeg, tmp_path, *lavfi, "-c:v", "mpeg2video", "-c:a", "aac", "a.ts").read_bytes())
    noise = np.random.default_rng(1)
    for place in noise.integers(len(data) // 4, len(data), 200):
        data[place] = noise.integers(256)
    (tmp_path / "a.ts").write_bytes(data)
    sink = open_sink(f"video:{tmp_path}/out.mp4", replace(CONTEXT, config=Config(source=f"{tmp_path}/a.ts")))
    for index in range(20):
        sink.write(empty(index, index / 10))
    sink.close()
    assert len(read(tmp_path / "out.mp4")[0]) == 20
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert sum(packet.size > 0 for packet in made.demux(audio=0)) > 10
    assert [each.getMessage().partition(" is ")[2] for each in caplog.records] == [
        "damaged (Invalid data found when processing input) and copied only in part"
    ]
