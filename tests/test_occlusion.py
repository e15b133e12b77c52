"""Saliency maps of an engine, and their overlay in the window."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from fakes import make_bundle, result
from onnx import TensorProto, helper
from pytestqt.qtbot import QtBot
from windows import Studio, Windows, shows

from edgeemo.config import Config
from edgeemo.ui.saliency_overlay import SIDE, Heat
from edgeemo.ui.video import VideoView
from engines import LABELS, Engine, ModelSpec
from engines.layout import SALIENCY
from engines.model_file import sha256_of
from engines.parity import ParityRecord
from engines.preprocess import F32, U8, square
from engines.saliency import GRID, occlusion


class Eye:
    """A backend whose output is the brightness of one corner of the face."""

    description = "eye"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def infer(self, faces: F32) -> F32:
        self.calls.append(len(faces))
        seen = faces[:, 0, :8, :8].mean(axis=(1, 2)) / 255
        return np.stack([seen, 1 - seen], axis=1).astype(np.float32)

    def close(self) -> None:
        pass


def face() -> U8:
    picture = np.full((48, 48, 1), 60, np.uint8)
    picture[:8, :8] = 250
    return picture


def test_the_part_that_was_looked_at_is_found_in_one_call() -> None:
    backend = Eye()
    engine = Engine(ModelSpec("eye", labels=("neutral", "anger"), size=48), backend)
    before = face()
    heat = occlusion(engine, before, 0)
    assert backend.calls == [GRID * GRID + 1]
    assert heat.shape == (GRID, GRID)
    assert heat[0, 0] == 1
    assert heat[3:, 3:].max() == 0
    assert (before == face()).all()


def test_where_nothing_matters_the_map_is_empty() -> None:
    engine = Engine(ModelSpec("eye", labels=("neutral", "anger"), size=48), Eye())
    assert occlusion(engine, np.full((48, 48, 1), 90, np.uint8), 0).max() == 0


def test_the_square_of_a_crop_turns_with_the_eyes() -> None:
    spec = ModelSpec("x")
    box = np.array([10, 20, 50, 60], np.float32)
    level = np.array([[20, 30], [40, 30], [0, 0], [0, 0], [0, 0], [0, 0]], np.float32)
    x, y, side, angle = square(box, level, spec)
    assert (x, y, side, angle) == pytest.approx((30, 40 - 0.08 * 40, 1.14 * 40, 0))
    upright = np.array([[30, 30], [30, 50], [0, 0], [0, 0], [0, 0], [0, 0]], np.float32)
    x, y, _, angle = square(box, upright, spec)
    assert angle == pytest.approx(np.pi / 2)
    assert (x, y) == pytest.approx((30 + 0.08 * 40, 40))


def test_the_overlay_comes_goes_and_leaves_no_thread(
    qtbot: QtBot,
    make: Windows,
    tmp_path: Path,
) -> None:
    import threading

    engine = make_bundle(tmp_path / "tiny")
    before = set(threading.enumerate())
    window = make(Config(source="clip.mp4", engine=str(engine)))
    shows(qtbot, window)
    window.menus.saliency_action.trigger()
    qtbot.waitUntil(lambda: window.video.heat is not None)
    heat = window.video.heat
    assert heat is not None
    assert (heat.person, heat.emotion) == (1, "happiness")
    assert not window.video.grab().isNull()
    window.menus.saliency_action.trigger()
    assert window.video.heat is None
    assert not window.saliency.active
    window.menus.saliency_action.trigger()
    window.close()
    assert [thread.name for thread in threading.enumerate() if thread not in before] == []


def with_maps(folder: Path) -> Path:
    """Give a bundle class-activation maps: the picture itself, for every class."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["faces", "weights"], ["maps"])],
        "maps",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 1, 16, 16])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", len(LABELS), 16, 16])],
        [helper.make_tensor("weights", TensorProto.FLOAT, [len(LABELS), 1, 1, 1], [1.0] * len(LABELS))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (folder / SALIENCY).write_bytes(model.SerializeToString())
    onnx.checker.check_model(model)
    ParityRecord(sha256_of(folder / "model.onnx"), saliency=sha256_of(folder / SALIENCY)).save(folder)
    return folder


def test_the_maps_of_a_bundle_are_shown_whatever_backend_runs_the_engine(
    qtbot: QtBot, make: Windows, tmp_path: Path
) -> None:
    # occlusion would need the INT8 model, which is missing
    window = make(Config(source="clip.mp4", engine=str(with_maps(make_bundle(tmp_path / "tiny"))), backend="onnx:int8"))
    shows(qtbot, window)
    window.menus.saliency_action.trigger()
    qtbot.waitUntil(lambda: window.video.heat is not None)
    heat = window.video.heat
    assert heat is not None
    assert heat.pixels[:, :, 3].max() > 150


def test_maps_that_were_exchanged_are_told_and_the_entry_is_off(qtbot: QtBot, make: Windows, tmp_path: Path) -> None:
    folder = with_maps(make_bundle(tmp_path / "tiny"))
    (folder / SALIENCY).write_bytes(b"something else")
    window = make(Config(source="clip.mp4", engine=str(folder)))
    shows(qtbot, window)
    window.menus.saliency_action.trigger()
    qtbot.waitUntil(lambda: "was changed after the bundle was made" in window.banner.text)
    assert not window.menus.saliency_action.isChecked()


def test_without_a_face_nothing_is_asked(qtbot: QtBot, make: Windows, studio: Studio, tmp_path: Path) -> None:
    studio.faces = 0
    window = make(Config(source="clip.mp4", engine=str(make_bundle(tmp_path / "tiny"))))
    shows(qtbot, window)
    window.menus.saliency_action.trigger()
    qtbot.wait(300)
    assert window.video.heat is None


def test_the_map_of_a_picture_is_not_painted_over_the_next_one(qtbot: QtBot) -> None:
    view = VideoView()
    qtbot.addWidget(view)
    pixels = np.full((SIDE, SIDE, 4), 255, np.uint8)
    heat = Heat(1, ModelSpec("eye", labels=("neutral", "anger"), size=48), pixels, "neutral", frame=0)

    def changes(index: int) -> bool:
        shown = result(index=index)
        view.show_result(replace(shown, frame=replace(shown.frame, still=True)))
        view.show_heat(None)
        before = view.grab().toImage()
        view.show_heat(heat)
        return bool(view.grab().toImage() != before)

    assert changes(0)
    assert not changes(1)


def test_an_engine_that_cannot_be_opened_is_told_and_the_entry_is_off(qtbot: QtBot, make: Windows) -> None:
    window = make(Config(source="clip.mp4", engine="gone"))
    shows(qtbot, window)
    window.menus.saliency_action.trigger()
    qtbot.waitUntil(lambda: "gone" in window.banner.text)
    assert not window.menus.saliency_action.isChecked()
