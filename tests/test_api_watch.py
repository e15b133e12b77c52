"""`edgeemo.watch` and `edgeemo.table`."""

from __future__ import annotations

import _thread
import gc
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import FakeClassifier, FakeDetector, FakeSmoother, FakeSource, FakeTracker, stable_id
from servers import PATIENCE_S, MjpegServer, until

import edgeemo
from edgeemo.api.watching import Sampling, watching
from edgeemo.config import Config, SourceConfig
from edgeemo.stages.pipeline import Pipeline
from edgeemo.types import U8, Frame

FRAMES = 24
Rows = list[dict[str, Any]]


def captures() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("edgeemo", "capture"))]


def pipeline(_: ExitStack | None = None) -> Pipeline:
    return Pipeline(FakeDetector(1), FakeTracker(), FakeClassifier(), FakeSmoother())


def over(source: Any, **options: Any) -> Iterator[edgeemo.Result]:
    """Call `watching` with fake stages."""
    known: dict[str, Any] = {
        "sampling": Sampling(), "config": Config(), "sinks": (), "folder": None, "progress": False,
        "on_progress": None, "resources": ExitStack(),
    }  # fmt: skip
    return watching(source, pipeline, **known | options)


def test_a_file_gives_what_the_command_writes(
    recogniser: edgeemo.Recogniser, clip: Path, written: tuple[Rows, str]
) -> None:
    results = recogniser.watch(clip)
    assert iter(results) is results
    events = [result.to_dict() for result in results]
    assert len(events) == FRAMES
    assert events == written[0]
    assert captures() == []


def test_sinks_record_on_the_side(
    recogniser: edgeemo.Recogniser, clip: Path, written: tuple[Rows, str], tmp_path: Path
) -> None:
    jsonl, csv, video = tmp_path / "a.jsonl", tmp_path / "a.csv", tmp_path / "a.mp4"
    sinks = [f"jsonl:{jsonl}", f"csv:{csv}", f"video:{video}"]
    assert sum(1 for _ in recogniser.watch(clip, sinks=sinks)) == FRAMES
    assert sum(1 for _ in recogniser.watch(clip, sinks=f"jsonl:{tmp_path / 'single.jsonl'}")) == FRAMES
    assert (tmp_path / "single.jsonl").read_text() == jsonl.read_text()
    assert [json.loads(line) for line in jsonl.read_text().splitlines()] == written[0]
    assert csv.read_text() == written[1]
    assert sum(1 for _ in recogniser.watch(video)) == FRAMES


def test_leaving_the_loop_releases_the_source_and_completes_the_sinks(
    recogniser: edgeemo.Recogniser, clip: Path, written: tuple[Rows, str], tmp_path: Path
) -> None:
    jsonl = tmp_path / "a.jsonl"
    for result in recogniser.watch(clip, sinks=[f"jsonl:{jsonl}"]):
        if result.index == 4:
            break
    gc.collect()
    assert captures() == []
    assert [json.loads(line) for line in jsonl.read_text().splitlines()] == written[0][:5]


def test_an_error_in_the_loop_releases_the_source() -> None:
    source = FakeSource(1000)
    with pytest.raises(ZeroDivisionError):
        [1 / (result.index - 3) for result in over(source)]
    gc.collect()
    assert source.released
    assert captures() == []


def test_nothing_is_opened_before_the_first_result(recogniser: edgeemo.Recogniser, clip: Path, tmp_path: Path) -> None:
    results = recogniser.watch(clip, sinks=[f"jsonl:{tmp_path / 'a.jsonl'}"])
    assert captures() == []
    assert not (tmp_path / "a.jsonl").exists()
    results.close()


def test_frames_are_not_kept_alive(recogniser: edgeemo.Recogniser, clip: Path) -> None:
    frames = [weakref.ref(result.frame) for result in recogniser.watch(clip)]
    gc.collect()
    assert sum(frame() is not None for frame in frames) <= 1


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, [index / 25 for index in range(25)]),
        ({"every": 0.2}, [0, 0.2, 0.4, 0.6, 0.8]),
        ({"every": 0.25}, [0, 0.28, 0.52, 0.76]),
        ({"every": 0.01}, [index / 25 for index in range(25)]),
        ({"start": 0.8}, [0.8, 0.84, 0.88, 0.92, 0.96]),
        ({"start": 0.81, "every": 0.1}, [0.84, 0.92]),
        ({"end": 0.12}, [0, 0.04, 0.08]),
        ({"start": 0.2, "end": 0.6, "every": 0.2}, [0.2, 0.4]),
        ({"start": 5}, []),
    ],
)
def test_a_part_of_the_frames_by_media_time(options: dict[str, float], times: list[float]) -> None:
    source = FakeSource(25)
    assert [result.time for result in over(source, sampling=Sampling(**options))] == pytest.approx(times)
    assert source.released


def test_a_live_source_drops_what_nobody_took_and_a_file_does_not() -> None:
    def slowly(results: Iterator[edgeemo.Result]) -> list[int]:
        indices = []
        for result in results:
            indices.append(result.index)
            time.sleep(0.005)
        return indices

    assert slowly(over(FakeSource(60))) == list(range(60))
    live = slowly(over(FakeSource(500, live=True)))
    assert live == sorted(set(live))
    assert len(live) < 500
    assert live[-1] == 499


def test_an_error_of_the_source_comes_after_its_frames(recogniser: edgeemo.Recogniser) -> None:
    results = over(FakeSource(5, error=edgeemo.SourceError("clip.mp4 is cut off after frame 5")))
    assert [next(results).index for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(edgeemo.SourceError, match="is cut off"):
        next(results)


def test_videos_and_pictures_may_be_recognised_side_by_side(
    recogniser: edgeemo.Recogniser, clip: Path, written: tuple[Rows, str], pictures_of_clip: list[U8]
) -> None:
    picture = recogniser.recognise(pictures_of_clip[0]).to_dict()
    for one, other in itertools.zip_longest(recogniser.watch(clip), recogniser.watch(clip)):
        assert one.to_dict() == other.to_dict() == written[0][one.index]
        if one.index % 8 == 0:
            assert recogniser.recognise(pictures_of_clip[0]).to_dict() == picture


def test_a_stream_gives_its_newest_frame_and_is_released(
    recogniser: edgeemo.Recogniser, pictures_of_clip: list[U8]
) -> None:
    done, jpeg = cv2.imencode(".jpg", pictures_of_clip[0])
    assert done
    camera = MjpegServer(jpeg.tobytes(), fps=50)
    camera.start()
    try:
        results = recogniser.watch(camera.url)
        seen = []
        for result in results:
            seen.append((result.index, len(result)))
            time.sleep(0.1)
            if len(seen) >= 3 and (result.index >= len(seen) or len(seen) == 50):
                break
        results.close()
    finally:
        camera.kill()
    indices = [index for index, _ in seen]
    assert indices == sorted(set(indices))
    assert indices[-1] >= len(indices), "frames in between were dropped"
    assert {faces for _, faces in seen} == {1}
    assert captures() == []


def test_an_interrupt_ends_a_watch_that_waits_for_frames() -> None:
    class Silent(FakeSource):
        def frames(self) -> Iterator[Frame]:
            try:
                yield from FakeSource(1).frames()
                while not stop.wait(0.05):
                    pass
            finally:
                self.released = True

    stop = threading.Event()
    source = Silent(live=True)
    results = over(source)
    next(results)

    def wait_and_be_interrupted() -> None:
        threading.Timer(0.2, _thread.interrupt_main).start()
        next(results)

    with pytest.raises(KeyboardInterrupt):
        wait_and_be_interrupted()
    stop.set()
    until(lambda: source.released)


def test_what_is_left_open_is_closed_quietly_at_the_end_of_the_process(tmp_path: Path) -> None:
    code = (
        "import sys, edgeemo\n"
        "kept = edgeemo.watch('demo', sinks=['jsonl:kept.jsonl'])\n"
        "next(kept); next(kept)\n"
        "own = edgeemo.Recogniser('baseline64')\n"
        "other = own.watch('demo'); next(other)\n"
        "sys.exit(3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(edgeemo.__file__).parents[1])},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, "")
    assert len((tmp_path / "kept.jsonl").read_text().splitlines()) == 2


def test_a_generator_belongs_to_one_thread_at_a_time() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Waiting(FakeSource):
        def frames(self) -> Iterator[Frame]:
            entered.set()
            leave.wait(PATIENCE_S)
            yield from super().frames()

    results = over(Waiting(3))
    thread = threading.Thread(target=lambda: next(results))
    thread.start()
    assert entered.wait(PATIENCE_S)
    with pytest.raises(ValueError, match="already executing"):
        next(results)
    leave.set()
    thread.join()
    assert len(list(results)) == 2


def test_closing_the_recogniser_ends_a_watch_with_a_clear_error(clip: Path) -> None:
    with edgeemo.Recogniser() as recogniser:
        results = recogniser.watch(clip)
        next(results)
    with pytest.raises(RuntimeError, match="closed"):
        list(results)
    assert captures() == []


def _list(images: list[U8], clip: Path) -> Any:
    return images


def _generator(images: list[U8], clip: Path) -> Any:
    return (image for image in images)


def _array(images: list[U8], clip: Path) -> Any:
    return np.stack(images)


def _one_buffer(images: list[U8], clip: Path) -> Any:
    buffer = images[0].copy()
    for image in images:
        buffer[:] = image
        yield buffer


def _tensor(images: list[U8], clip: Path) -> Any:
    torch = pytest.importorskip("torch")
    return torch.from_numpy(np.stack(images)[..., ::-1].copy()).permute(0, 3, 1, 2)


def _pil(images: list[U8], clip: Path) -> Any:
    module = pytest.importorskip("PIL.Image")
    return [module.fromarray(image[:, :, ::-1]) for image in images]


@pytest.mark.parametrize("make", [_list, _generator, _array, _one_buffer, _tensor, _pil])
def test_frames_that_somebody_else_makes(
    make: Callable[[list[U8], Path], Any], recogniser: edgeemo.Recogniser, pictures_of_clip: list[U8], clip: Path
) -> None:
    images = pictures_of_clip[:6]
    right = [result.to_dict() for result in recogniser.watch(images)]
    assert [event["time"] for event in right] == [0, 0.04, 0.08, 0.12, 0.16, 0.2]
    assert [len(event["faces"]) for event in right] == [1] * 6
    colour: Any = "rgb" if make is _tensor else None
    assert [result.to_dict() for result in recogniser.watch(make(images, clip), color=colour)] == right


def test_frames_of_pyav_keep_their_time(recogniser: edgeemo.Recogniser, demo_clip: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(demo_clip)) as container:
        frames = itertools.islice(container.decode(video=0), 3, 8)
        times = [result.time for result in recogniser.watch(frames)]
        rate = float(container.streams.video[0].average_rate)
    assert times == pytest.approx([index / rate for index in range(5)], abs=1e-3)


def test_frames_of_decord(recogniser: edgeemo.Recogniser, clip: Path, written: tuple[Rows, str]) -> None:
    decord = pytest.importorskip("decord")
    faces = [len(result) for result in recogniser.watch(decord.VideoReader(str(clip)))]
    assert faces == [len(event["faces"]) for event in written[0]]


@pytest.mark.parametrize("kind", ["str", "path", "file", "bytes", "bytesio", "uri"])
def test_files_in_every_form(kind: str, recogniser: edgeemo.Recogniser, clip: Path, written: tuple[Rows, str]) -> None:
    with ExitStack() as stack:
        given: Any = {
            "str": lambda: str(clip),
            "path": lambda: clip,
            "file": lambda: stack.enter_context(clip.open("rb")),
            "bytes": clip.read_bytes,
            "bytesio": lambda: io.BytesIO(clip.read_bytes()),
            "uri": clip.as_uri,
        }[kind]()
        results = list(itertools.islice(recogniser.watch(given), 3))
    assert [result.to_dict()["faces"] for result in results] == [event["faces"] for event in written[0][:3]]
    assert results[0].path is None


def test_a_folder_of_pictures(recogniser: edgeemo.Recogniser, pictures_of_clip: list[U8], tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (10, 9):
        cv2.imwrite(str(folder / f"face{number}.png"), pictures_of_clip[0])
    results = list(recogniser.watch(folder))
    assert [result.path for result in results] == [folder / "face9.png", folder / "face10.png"]
    assert [face.id for result in results for face in result] == [1, 1]
    with pytest.raises(edgeemo.SinkError, match="the picture itself"):
        results[0].save(folder / "face9.png")
    (result,) = recogniser.watch(folder / "face9.png")
    assert result.path == folder / "face9.png"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("none.mp4", "there is no file"),
        (Path("none.mp4"), "there is no file"),
        ("", "empty"),
        ("ftp://host/clip.mp4", "not a kind of source"),
        (np.zeros((4, 5, 3), np.uint8), "edgeemo.recognise"),
        (cv2.VideoCapture(), "VideoCapture"),
        (io.StringIO("text"), "rb"),
        (None, "not a source"),
        (1.5, "not a source"),
        (True, "not a source"),
    ],
    ids=stable_id,
)
def test_what_is_no_source_is_refused_when_watch_is_called(
    source: Any, said: str, recogniser: edgeemo.Recogniser
) -> None:
    with pytest.raises(edgeemo.SourceError, match=said) as caught:
        recogniser.watch(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (["a.jpg", "b.jpg"], "edgeemo.recognise"),
        ([np.zeros((4, 5, 2), np.uint8)], "shape"),
        (b"no video", "video"),
        (io.BytesIO(b""), "empty"),
    ],
)
def test_what_turns_out_to_be_no_video_is_refused(source: Any, said: str, recogniser: edgeemo.Recogniser) -> None:
    with pytest.raises(edgeemo.SourceError, match=said):
        list(recogniser.watch(source))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"every": -1}, edgeemo.ConfigError),
        ({"every": float("nan")}, edgeemo.ConfigError),
        ({"start": 10, "end": 10}, edgeemo.ConfigError),
        ({"fps": 0}, edgeemo.SourceError),
        ({"color": "gbr"}, edgeemo.SourceError),
        ({"sinks": ["nosuch:x"]}, edgeemo.ConfigError),
        ({"sinks": "nosuch:x"}, edgeemo.ConfigError),
        ({"sinks": ["jsonl:a", "csv:a"]}, edgeemo.ConfigError),
    ],
)
def test_options_that_are_wrong_are_refused_when_watch_is_called(
    options: dict[str, Any], error: type[Exception], recogniser: edgeemo.Recogniser, clip: Path
) -> None:
    with pytest.raises(error):
        recogniser.watch(clip, **options)


def test_a_sink_never_replaces_the_source(recogniser: edgeemo.Recogniser, clip: Path) -> None:
    before = clip.read_bytes()
    for source in (clip, clip.as_uri(), f"{clip}#stream=0"):
        with pytest.raises(edgeemo.ConfigError, match="overwrite the source"):
            recogniser.watch(source, sinks=[f"video:{clip}"])
    assert clip.read_bytes() == before


def test_the_sources_of_a_configuration_are_ignored(clip: Path) -> None:
    config = Config(sources=(SourceConfig("door", "0"),))
    with edgeemo.Recogniser(config=config) as recogniser, closing(recogniser.watch(clip)) as results:
        assert next(results).frame.origin == clip.name


def test_progress_is_told_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    list(over(FakeSource(5), on_progress=lambda done, total: told.append((done, total))))
    assert told == [(number, None) for number in range(1, 6)]
    assert capsys.readouterr().err == ""
    list(over(FakeSource(5), progress=True))
    assert "clip.mp4" in capsys.readouterr().err


def test_how_many_frames_there_are_is_known_of_lists_files_and_folders(
    recogniser: edgeemo.Recogniser, pictures_of_clip: list[U8], clip: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), pictures_of_clip[0])
    totals: dict[str, int | None] = {}
    sources: dict[str, Any] = {
        "list": pictures_of_clip[:2],
        "generator": (image for image in pictures_of_clip[:2]),
        "file": clip,
        "folder": tmp_path,
    }
    for name, source in sources.items():
        for _ in recogniser.watch(source, on_progress=lambda done, total, name=name: totals.update({name: total})):  # type: ignore[misc]
            pass
    assert totals == {"list": 2, "generator": None, "file": FRAMES, "folder": 1}


def test_a_live_source_is_collected_up_to_an_end_only() -> None:
    with pytest.raises(edgeemo.ConfigError, match="end=60"):
        list(over(FakeSource(5, live=True), whole=True))
    assert list(over(FakeSource(5, live=True), whole=True, sampling=Sampling(end=1)))


def test_the_functions_are_the_methods(clip: Path, written: tuple[Rows, str]) -> None:
    assert [result.to_dict() for result in edgeemo.watch(clip, end=0.2)] == written[0][:5]
    pytest.importorskip("pyarrow")
    assert edgeemo.table(clip, end=0.2, to="pyarrow")["frame"].to_pylist() == [0, 1, 2, 3, 4]


def test_given_frames_go_on_where_their_times_do_not() -> None:
    class Stamped:
        def __init__(self, time: float | None) -> None:
            self.time = time

        def to_ndarray(self, **options: Any) -> U8:
            return np.zeros((4, 5, 3), np.uint8)

    from edgeemo.api.sources import GivenFrames

    stamps = [2.0, 2.1, 2.1, 1.0, 2.5]
    frames = GivenFrames([Stamped(stamp) for stamp in stamps], fps=10, colour=None)
    assert [frame.time for frame in frames.frames()] == pytest.approx([0, 0.1, 0.2, 0.3, 0.5])
    assert isinstance(next(frames.frames()), Frame)


def test_a_sink_that_fails_ends_the_loop_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(edgeemo.SinkError, match="folder"):
        next(over(FakeSource(5), sinks=[f"jsonl:{tmp_path / 'folder'}"]))
    if Path("/dev/full").exists():
        source = FakeSource(1000)
        with pytest.raises(edgeemo.SinkError, match="No space left"):
            list(over(source, sinks=["csv:/dev/full"]))
        assert source.released
    assert captures() == []


def test_a_file_waits_for_a_slow_sink_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    from fakes import FakeSink

    class SlowSink(FakeSink):
        def write(self, result: Any) -> None:
            time.sleep(0.002)
            super().write(result)

    sink = SlowSink()
    monkeypatch.setattr("edgeemo.api.watching.open_sink", lambda text, context: sink)
    assert len(list(over(FakeSource(60), sinks=["slow"]))) == 60
    assert sink.frames == list(range(60))
