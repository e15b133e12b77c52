"""Saliency maps for the selected face, once or twice per second in a separate thread. Made by `window`.

If the bundle has a file for class-activation maps, a map needs one forward pass. Otherwise parts of the face are
occluded in turn, which needs a second engine and about fifty classified faces per map.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic

import cv2
import numpy as np
from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from edgeemo.config import Config
from edgeemo.mailbox import Closed, Mailbox
from edgeemo.types import F32, U8, Result
from engines import Engine, EngineError, ModelSpec, find_bundle
from engines.errors import ModelError
from engines.preprocess import crop
from engines.saliency import class_activation, occlusion, open_maps

log = logging.getLogger(__name__)

EVERY_S = 0.5  # minimum interval of maps
SHARE = 0.15  # maximum share of the time that is spent on maps
TICK_MS = 60
SIDE = 96  # side of the heat map in pixels

HeatOf = Callable[[U8, int], F32]  # (S, S, C) face and class index -> (h, w) in 0..1


@dataclass(frozen=True, eq=False)
class Heat:
    """The saliency map of one face.

    Attributes:
        person: track id of the face.
        spec: its crop settings determine the square of the frame that the map covers.
        pixels: (SIDE, SIDE, 4) BGRA, premultiplied, transparent at low saliency.
        emotion: the label that the map explains.
        frame: index of the frame that the map was computed from.
    """

    person: int
    spec: ModelSpec
    pixels: U8
    emotion: str
    frame: int


class Saliency(QObject):
    """Computes maps for one face at a time; opens an engine on first use.

    Signals:
        arrived: a Heat.
        failed: an exception; no more maps are computed.
    """

    arrived = pyqtSignal(object)
    failed = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work: Mailbox[tuple[Result, int]] | None = None
        self._done: Mailbox[Heat] | None = None
        self._threads: list[threading.Thread] = []
        self._due = 0.0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._collect)

    @property
    def active(self) -> bool:
        return self._work is not None

    def start(self, config: Config) -> None:
        """Open the engine of a configuration."""
        self.stop()
        work: Mailbox[tuple[Result, int]] = Mailbox(newest_only=True)
        done: Mailbox[Heat] = Mailbox(newest_only=True)
        self._work, self._done = work, done
        thread = threading.Thread(target=_run, args=(config, work, done), name="edgeemo-saliency", daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()
        self._timer.start(TICK_MS)

    def stop(self) -> None:
        """Compute no more maps; does not wait for the thread, which may still open its engine."""
        self._timer.stop()
        if self._work is not None:
            self._work.close()
        self._work = self._done = None

    def close(self, timeout: float = 1.0) -> None:
        """As `stop`, and wait for the threads, because the window is closing."""
        self.stop()
        deadline = monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))

    def offer(self, result: Result, person: int | None) -> None:
        """Offer a new result; it is used if a map is due and the person is in it."""
        now = monotonic()
        rows = [row for row, number in enumerate(result.faces.ids.tolist()) if number == person]
        if self._work is None or now < self._due or not rows:
            return
        self._due = now + EVERY_S
        with contextlib.suppress(Closed):
            self._work.put((result, rows[0]), timeout=0)

    def _collect(self) -> None:
        if self._done is None:
            return
        try:
            self.arrived.emit(self._done.take(timeout=0))
        except TimeoutError:
            pass
        except Closed:
            self.stop()
        except Exception as error:
            self.stop()
            self.failed.emit(error)


def _run(config: Config, work: Mailbox[tuple[Result, int]], done: Mailbox[Heat]) -> None:
    try:
        with ExitStack() as opened:
            spec, heat_of = _open(config, opened)
            while True:
                try:
                    result, row = work.take(timeout=1)
                except TimeoutError:
                    continue
                began = monotonic()
                heat = _look(spec, heat_of, result, row)
                if heat is not None:
                    done.put(heat, timeout=0)
                # call a slow engine less often, so that the video is not delayed
                work_s = monotonic() - began
                _wait(work, work_s / SHARE - work_s - EVERY_S)
    except Closed:
        done.close()
    except EngineError as error:
        done.fail(error)
    except Exception as error:
        log.exception("saliency broke")
        done.fail(error)


def _wait(work: Mailbox[tuple[Result, int]], seconds: float) -> None:
    end = monotonic() + seconds
    while (left := end - monotonic()) > 0:
        try:
            # results that arrive meanwhile are dropped; a closed mailbox still ends the wait
            work.take(timeout=min(left, 0.2))
        except TimeoutError:
            continue


def _open(config: Config, opened: ExitStack) -> tuple[ModelSpec, HeatOf]:
    bundle = find_bundle(config.engine, allow_modified=config.allow_modified)
    maps = open_maps(bundle)
    if maps is not None:
        opened.callback(maps.close)
        return bundle.spec, lambda face, column: class_activation(maps, bundle.spec, face, column)
    modified = config.allow_modified
    try:
        engine = Engine.open(config.engine, backend=config.backend, threads=1, allow_modified=modified, exact=True)
    except ModelError:  # there is no TensorRT plan, and the window's own engine builds it
        engine = Engine.open(config.engine, threads=1, allow_modified=modified)
    opened.enter_context(engine)
    return engine.spec, lambda face, column: occlusion(engine, face, column)


def _look(spec: ModelSpec, heat_of: HeatOf, result: Result, row: int) -> Heat | None:
    label = result.emotions[row]
    if label not in spec.labels:
        return None
    faces = result.faces
    face = crop(result.frame.image, faces.boxes[row], faces.keypoints[row], spec)
    heat = heat_of(face, spec.labels.index(label))
    return Heat(int(faces.ids[row]), spec, _coloured(heat), label, result.frame.index)


def _coloured(heat: F32) -> U8:
    large = np.clip(cv2.resize(heat, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), 0, 1)
    colours = cv2.applyColorMap((255 * large).astype(np.uint8), cv2.COLORMAP_INFERNO).astype(np.float32)
    alpha = 0.75 * np.sqrt(large)[:, :, None]
    return np.ascontiguousarray(np.concatenate([colours * alpha, 255 * alpha], axis=2).astype(np.uint8))
