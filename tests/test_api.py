"""`edgeemo.recognise`, `Recogniser`, `Result` and `Face`."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

import edgeemo
from edgeemo import types
from edgeemo.cli import main
from edgeemo.errors import EdgeemoError
from engines.errors import BundleNotFound

ROOT = Path(__file__).resolve().parents[1]
U8 = types.U8


@pytest.fixture(scope="module")
def picture(demo_clip: Path) -> U8:
    """(H, W, 3) BGR with one face."""
    capture = cv2.VideoCapture(str(demo_clip))
    done, image = capture.read()
    capture.release()
    assert done
    return np.asarray(image, np.uint8)


@pytest.fixture(scope="module")
def result(recogniser: edgeemo.Recogniser, picture: U8) -> edgeemo.Result:
    return recogniser.recognise(picture)


def test_the_public_names() -> None:
    assert set(edgeemo.__all__) == {
        "ConfigError",
        "EdgeemoError",
        "EngineError",
        "Face",
        "Recogniser",
        "Result",
        "SinkError",
        "SourceError",
        "__version__",
        "recognise",
        "table",
        "watch",
    }
    assert set(edgeemo.__all__) <= set(dir(edgeemo))
    for name in edgeemo.__all__:
        assert getattr(edgeemo, name) is getattr(edgeemo, name)
    with pytest.raises(AttributeError, match="recognize"):
        _ = edgeemo.recognize


def test_every_public_error_has_one_root() -> None:
    for name in edgeemo.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(edgeemo, name), edgeemo.EdgeemoError)
    assert issubclass(BundleNotFound, edgeemo.EngineError)


def test_importing_the_package_loads_no_library() -> None:
    code = (
        "import sys, edgeemo; print(sorted({'numpy', 'cv2', 'onnxruntime', 'msgspec', 'mediapipe'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_types_are_marked_as_complete() -> None:
    assert (ROOT / "edgeemo" / "py.typed").is_file()


def test_one_picture_gives_a_sequence_of_faces(result: edgeemo.Result, picture: U8) -> None:
    assert len(result) == 1
    assert result
    face = result[0]
    assert [each == face for each in result] == [True]
    assert result[-1] == face
    assert result[0:5] == [face]
    with pytest.raises(IndexError):
        result[1]
    assert face.id == 1
    assert face.emotion in face.probabilities
    assert face.confidence == face.probabilities[face.emotion]
    assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-4)
    x1, y1, x2, y2 = face.box
    x, y = face.keypoints["nose"]
    assert x1 < x < x2
    assert y1 < y < y2
    assert face.keypoints["right_eye"][0] < face.keypoints["left_eye"][0]
    assert face.doubts == ()
    assert np.array_equal(result.frame.image, picture)
    assert (result.index, result.time, result.path) == (0, 0.0, None)


def test_a_picture_without_a_face_gives_an_empty_result(recogniser: edgeemo.Recogniser) -> None:
    result = recogniser.recognise(np.full((48, 64, 3), 90, np.uint8))
    assert len(result) == 0
    assert not result
    assert list(result) == []
    assert repr(result) == "Result(picture: 0 faces)"
    assert result.plot().shape == (48, 64, 3)
    assert result.to_dict()["faces"] == []
    assert "0 faces" in result._repr_html_()


def test_the_result_is_independent_of_the_array_it_was_given(recogniser: edgeemo.Recogniser, picture: U8) -> None:
    mine = picture.copy()
    result = recogniser.recognise(mine)
    mine[:] = 0
    assert np.array_equal(result.frame.image, picture)


def test_a_face_can_be_cut_out(result: edgeemo.Result, picture: U8) -> None:
    x1, y1, x2, y2 = (round(edge) for edge in result[0].box)
    crop = result[0].crop()
    assert np.array_equal(crop, picture[y1:y2, x1:x2])
    crop[:] = 0
    assert result.frame.image.any()
    assert result[0].crop(margin=0.5).shape[1] == pytest.approx(2 * (x2 - x1), abs=2)
    assert result[0].crop(margin=99).shape == picture.shape


def test_a_crop_of_a_box_outside_the_frame_is_not_empty(result: edgeemo.Result) -> None:
    from dataclasses import replace

    height, width = result.frame.image.shape[:2]
    for box in ((-50.0, -50.0, -10.0, -10.0), (width + 5.0, height + 5.0, width + 9.0, height + 9.0)):
        assert replace(result[0], box=box).crop().size > 0


def test_it_says_what_it_is_in_one_line(result: edgeemo.Result) -> None:
    assert repr(result).startswith("Result(picture: 1 face: ")
    assert "\n" not in repr(result) + repr(result[0])
    assert repr(result[0]).startswith("Face(id=1, ")


def test_it_is_drawn_and_saved(result: edgeemo.Result, tmp_path: Path) -> None:
    drawn = result.plot()
    assert drawn.shape == result.frame.image.shape
    assert not np.array_equal(drawn, result.frame.image)
    assert np.array_equal(result.plot(color="rgb"), drawn[:, :, ::-1])
    path = result.save(tmp_path / "overlay.png")
    assert np.array_equal(cv2.imread(str(path)), drawn)


def test_saving_refuses_other_endings_and_folders_that_do_not_exist(result: edgeemo.Result, tmp_path: Path) -> None:
    with pytest.raises(edgeemo.SinkError, match=r"\.png"):
        result.save(tmp_path / "overlay.mp4")
    with pytest.raises(edgeemo.SinkError, match=r"\.png"):
        result.save(tmp_path / "overlay")
    with pytest.raises(edgeemo.SinkError, match="cannot write"):
        result.save(tmp_path / "none" / "overlay.png")


def test_a_picture_is_never_replaced_by_its_overlay(
    recogniser: edgeemo.Recogniser, picture: U8, tmp_path: Path
) -> None:
    path, link = tmp_path / "photo.png", tmp_path / "link.png"
    cv2.imwrite(str(path), picture)
    link.symlink_to(path)
    before = path.read_bytes()
    result = recogniser.recognise(path)
    assert result.path == path
    for target in (path, link, str(path)):
        with pytest.raises(edgeemo.SinkError, match="the picture itself"):
            result.save(target)
    assert path.read_bytes() == before


def test_a_notebook_shows_the_picture(result: edgeemo.Result) -> None:
    image = cv2.imdecode(np.frombuffer(result._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape[1] <= 320
    page = result._repr_html_()
    assert "data:image/jpeg;base64," in page
    assert "1 face" in page


def test_json_is_what_the_command_writes(picture: U8, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), picture)
    written = tmp_path / "results.jsonl"
    assert main(["run", "--source", str(path), "--sink", f"jsonl:{written}"]) == 0
    mine = edgeemo.recognise(path)
    assert json.loads(written.read_text()) == json.loads(mine.to_json()) == mine.to_dict()


def test_several_pictures_give_a_generator(recogniser: edgeemo.Recogniser, picture: U8) -> None:
    taken = []

    def pictures() -> Iterator[U8]:
        for number in range(3):
            taken.append(number)
            yield picture

    results = recogniser.recognise(pictures())
    assert taken == []
    assert next(results).index == 0
    assert taken == [0]
    assert [result.index for result in results] == [1, 2]
    assert [len(result) for result in recogniser.recognise([picture, picture])] == [1, 1]
    assert list(recogniser.recognise([])) == []


def test_pictures_do_not_influence_each_other(recogniser: edgeemo.Recogniser, picture: U8) -> None:
    moved = np.roll(picture, 12, axis=1)
    alone = recogniser.recognise(picture)
    assert [result.to_dict()["faces"] for result in recogniser.recognise([moved, picture, moved])][1] == (
        alone.to_dict()["faces"]
    )


def test_the_models_of_the_function_are_loaded_once(picture: U8) -> None:
    from edgeemo import api

    edgeemo.recognise(picture)
    kept = api._recogniser
    edgeemo.recognise(picture)
    assert api._recogniser is kept


def test_a_closed_recogniser_says_so(picture: U8) -> None:
    recogniser = edgeemo.Recogniser()
    results = recogniser.recognise([picture])
    recogniser.close()
    recogniser.close()
    assert repr(recogniser) == "Recogniser(closed)"
    with pytest.raises(RuntimeError, match="closed"):
        recogniser.recognise(picture)
    with pytest.raises(RuntimeError, match="closed"):
        next(results)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"engine": "nosuch"}, edgeemo.EngineError),
        ({"engine": Path("nosuch")}, edgeemo.EngineError),
        ({"backend": "nosuch"}, edgeemo.EngineError),
        ({"threads": 0}, edgeemo.ConfigError),
        ({"config": "nosuch.toml"}, edgeemo.ConfigError),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(options: dict[str, object], error: type[EdgeemoError]) -> None:
    with pytest.raises(error) as caught:
        edgeemo.Recogniser(**options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_configuration_file_counts(tmp_path: Path, picture: U8) -> None:
    path = tmp_path / "edge.toml"
    path.write_text("engine = 'baseline64'\n[quality]\nmin_face_px = 4000\n", encoding="utf-8")
    with edgeemo.Recogniser(config=path) as recogniser:
        assert "baseline64" in recogniser.description
        assert recogniser.config.quality.min_face_px == 4000
        (doubt,) = recogniser.recognise(picture)[0].doubts
        assert (doubt.code, doubt.value) == ("small_face", pytest.approx(146, abs=3))
        assert doubt == "face 146 px"
    with edgeemo.Recogniser("hybrid_lite", config=path) as recogniser:
        assert "hybrid_lite" in recogniser.description


def test_threads_may_share_one(recogniser: edgeemo.Recogniser, picture: U8, result: edgeemo.Result) -> None:
    blank = np.full_like(picture, 90)
    with ThreadPoolExecutor(4) as threads:
        given = [picture, blank] * 8
        found = list(threads.map(recogniser.recognise, given))
    for number, each in enumerate(found):
        assert each.to_dict()["faces"] == ([] if number % 2 else result.to_dict()["faces"])


def test_it_works_inside_an_event_loop(recogniser: edgeemo.Recogniser, picture: U8) -> None:
    async def cell() -> int:
        return len(recogniser.recognise(picture)) + len(await asyncio.to_thread(recogniser.recognise, picture))

    assert asyncio.run(cell()) == 2


def test_pickling_loads_the_models_again(recogniser: edgeemo.Recogniser, picture: U8) -> None:
    again = pickle.loads(pickle.dumps(recogniser))
    try:
        assert again.config == recogniser.config
        result = pickle.loads(pickle.dumps(again.recognise(picture)))
        assert result.to_dict() == recogniser.recognise(picture).to_dict()
        assert pickle.loads(pickle.dumps(result[0])) == result[0]
    finally:
        again.close()


def _faces(work: tuple[edgeemo.Recogniser, U8]) -> list[dict[str, object]]:
    return list(work[0].recognise(work[1]).to_dict()["faces"])


def _faces_of_parent(picture: U8) -> list[dict[str, object]]:
    assert _of_parent is not None
    return list(_of_parent.recognise(picture).to_dict()["faces"])


_of_parent: edgeemo.Recogniser | None = None


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_it_works_in_worker_processes(
    method: str, recogniser: edgeemo.Recogniser, picture: U8, result: edgeemo.Result
) -> None:
    global _of_parent
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"{method} does not exist here")
    _of_parent = recogniser
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = [pool.apply_async(_faces, ((recogniser, picture),)).get(120)]
        if method == "fork":
            found.append(pool.apply_async(_faces_of_parent, (picture,)).get(120))
    assert found == [result.to_dict()["faces"]] * len(found)


def test_a_fork_while_another_thread_recognises_does_not_hang(
    recogniser: edgeemo.Recogniser, picture: U8, result: edgeemo.Result
) -> None:
    global _of_parent
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("fork does not exist here")
    _of_parent = recogniser
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            recogniser.recognise(picture)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply_async(_faces_of_parent, (picture,)).get(120) == result.to_dict()["faces"]
    finally:
        stop.set()
        thread.join(10)


def test_a_client_passes_strict_type_checking(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    client = tmp_path / "client.py"
    client.write_text(
        """\
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing

import edgeemo

result: edgeemo.Result = edgeemo.recognise("photo.jpg")
again: edgeemo.Result = edgeemo.recognise(np.zeros((4, 4, 3), np.uint8), color="rgb")
several: Iterator[edgeemo.Result] = edgeemo.recognise([Path("a.jpg"), Path("b.jpg")])
face: edgeemo.Face = result[0]
name: str = face.emotion
x1, y1, x2, y2 = face.box
middle: float = (x1 + x2) / 2
faces: list[edgeemo.Face] = result[:2]
number: int = len(result) + result.index
with edgeemo.Recogniser("hybrid_lite", backend="auto") as recogniser:
    for each in recogniser.recognise(["a.jpg"]):
        value: float = each[0].probabilities["happiness"]
        picture: Path = each.save("overlay.png")
    for frame in recogniser.watch("clip.mp4", every=0.2, sinks=["csv:faces.csv"]):
        seconds: float = frame.time
for frame in edgeemo.watch(0, on_progress=lambda done, total: None):
    cut: np.typing.NDArray[np.uint8] = frame[0].crop(margin=0.2)
    code: str = frame[0].doubts[0].code
edgeemo.watch([np.zeros((4, 4, 3), np.uint8)], fps=30).close()
rows = edgeemo.table(["a.mp4", Path("b.mp4")], to="polars", columns="fex")
try:
    edgeemo.recognise(b"")
except edgeemo.SourceError as error:
    text: str = str(error)
wrong: int = edgeemo.recognise("a.jpg")  # type: ignore[assignment]
edgeemo.recognize("a.jpg")  # type: ignore[attr-defined]
edgeemo.recognise("a.jpg", color="gbr")  # type: ignore[call-overload]
edgeemo.table("a.mp4", to="dask")  # type: ignore[arg-type]
""",
        encoding="utf-8",
    )
    # strict also reports an ignored error that does not occur
    report, _, code = api.run(["--strict", "--config-file", str(ROOT / "pyproject.toml"), str(client)])
    assert code == 0, report


def test_results_are_not_kept_alive(recogniser: edgeemo.Recogniser, picture: U8) -> None:
    import weakref

    frames = [weakref.ref(result.frame) for result in recogniser.recognise([picture] * 3)]
    recogniser.recognise(picture)
    gc.collect()
    assert sum(frame() is not None for frame in frames) <= 1
