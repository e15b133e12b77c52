"""The sink `web`: a live page with status, a chart of expressions, and optionally pictures."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from pathlib import Path
from time import monotonic, time
from typing import Any

import cv2
import numpy as np
from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, JSONResponse

from edgeemo.palette import DARK_CLASSES, LIGHT_CLASSES, OTHER
from edgeemo.sinks import SinkContext
from edgeemo.sinks.http import HttpServer
from edgeemo.sinks.metrics import Metrics
from edgeemo.types import Result, Sink
from engines.spec import Emotion

log = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("page.html")
OVERLAY = Path(__file__).with_name("overlay.html")
HISTORY_S = 120
PICTURE_S = 0.2  # interval of new pictures of one source
PICTURE_PX = 640
FACES_S = 2.0  # how long the overlay shows the last faces of a source without new frames


class WebSink(Sink):
    """`web:HOST:PORT`: the page at /, its data at /api/status, pictures at /api/picture/SOURCE.

    /overlay is a transparent page with the faces of one source, to be put over its picture; it requests
    /api/faces/SOURCE.
    """

    def __init__(self, target: str, context: SinkContext) -> None:
        config = context.config.web
        self.pictures = config.preview
        self._context = context
        self._lock = threading.Lock()
        self._history: dict[str, _History] = {}
        self._newest: dict[str, tuple[float, Result]] = {}
        self._encoded: dict[str, tuple[int, float, bytes]] = {}
        self._metrics = Metrics(context)
        self._server = HttpServer(
            "web", target, config.token_file, self._add_routes, public=frozenset({"/", "/overlay"})
        )

    @property
    def port(self) -> int:
        return self._server.port

    def write(self, result: Result) -> None:
        self._metrics.observe(result)
        origin = result.frame.origin
        with self._lock:
            if origin not in self._history and len(self._history) >= 64:
                return
            self._history.setdefault(origin, _History()).add(result)
            self._newest[origin] = monotonic(), result

    def close(self) -> None:
        self._server.close()

    def figures(self) -> dict[str, Any]:
        """The response of /api/status."""
        with self._lock:
            history = {
                source: {"faces": _shown(self._newest[source][1]), "seconds": each.seconds()}
                for source, each in self._history.items()
            }
        status = self._context.status
        return {
            "now": time(),
            "labels": [_label(each) for each in map(Emotion.of, self._context.labels)],
            "preview": self.pictures,
            "status": status().to_mapping() if status is not None else None,
            "history": history,
        }

    def picture(self, source: str) -> bytes | None:
        """The newest frame of a source with its overlay, as JPEG."""
        with self._lock:
            _, result = self._newest.get(source, (0.0, None))
            done = self._encoded.get(source)
        if result is None:
            return None
        now = monotonic()
        if done is not None and (done[0] == result.frame.index or now - done[1] < PICTURE_S):
            return done[2]
        image = self._context.draw(result)
        height, width = image.shape[:2]
        if width > PICTURE_PX:
            size = (PICTURE_PX, max(1, round(height * PICTURE_PX / width)))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        written, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 75])
        if not written:
            return None
        content = data.tobytes()
        with self._lock:
            self._encoded[source] = (result.frame.index, now, content)
        return content

    def faces(self, source: str) -> list[dict[str, Any]] | None:
        """The response of /api/faces/SOURCE; None if there is no such source. An empty name means the first source.

        Boxes are left, top, width and height as fractions of the picture.
        """
        with self._lock:
            at, result = self._newest.get(source or next(iter(self._newest), ""), (0.0, None))
        if result is None:
            return None
        if monotonic() - at > FACES_S:
            return []
        height, width = result.frame.image.shape[:2]
        found = _shown(result)
        for row, face in enumerate(found):
            x1, y1, x2, y2 = result.faces.boxes[row].tolist()
            emotion = Emotion.of(face.pop("emotion"))
            face |= {
                "box": [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height],
                "name": emotion.display,
                "colour": emotion.colour,
                "unsure": bool(result.reasons(row)),
            }
        return found

    def _add_routes(self, application: FastAPI) -> None:
        self._metrics.add_routes(application)

        @application.get("/")
        def page() -> HTMLResponse:
            return HTMLResponse(PAGE.read_text(encoding="utf-8"))

        @application.get("/overlay")
        def overlay() -> HTMLResponse:
            return HTMLResponse(OVERLAY.read_text(encoding="utf-8"))

        @application.get("/api/faces")
        @application.get("/api/faces/{source}")
        def faces(source: str = "") -> JSONResponse:
            found = self.faces(source)
            return JSONResponse({"error": "there is no such source"}, 404) if found is None else JSONResponse(found)

        @application.get("/api/status")
        def figures() -> Response:
            # in ASCII, because names and errors may hold the bytes of a file name that is not UTF-8
            return Response(json.dumps(self.figures(), allow_nan=False), media_type="application/json")

        @application.get("/api/picture/{source}")
        def picture(source: str) -> Response:
            content = self.picture(source) if self.pictures else None
            if content is None:
                return JSONResponse({"error": "there is no picture; set [web] preview = true to enable pictures"}, 404)
            return Response(content, media_type="image/jpeg")


class _History:
    """Mean probabilities per second of the recent past."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, Any, int]] = deque(maxlen=HISTORY_S)

    def add(self, result: Result) -> None:
        second = int(time())
        if not len(result.faces):
            return
        total, count = result.probabilities.sum(axis=0, dtype=np.float64), len(result.faces)
        if self._seconds and self._seconds[-1][0] == second:
            _, before, so_far = self._seconds.pop()
            total, count = total + before, count + so_far
        self._seconds.append((second, total, count))

    def seconds(self) -> list[list[Any]]:
        return [
            [second, [round(each, 3) for each in (total / count).tolist()]] for second, total, count in self._seconds
        ]


def _label(emotion: Emotion) -> dict[str, str]:
    """A class as the page shows it; classes that are not expressions are "Other".

    `colour` suits dark backgrounds, `light` light ones."""
    key, display = (emotion.label, emotion.display) if emotion.is_expression else (OTHER, OTHER.capitalize())
    return {"name": emotion.label, "display": display, "colour": DARK_CLASSES[key], "light": LIGHT_CLASSES[key]}


def _shown(result: Result) -> list[dict[str, Any]]:
    """The faces with the expression shown."""
    return [
        {
            "id": int(result.faces.ids[row]),
            "emotion": emotion,
            "confidence": round(result.confidence(row), 3),
            "unsure": bool(result.reasons(row)),
        }
        for row, emotion in enumerate(result.emotions)
    ]
