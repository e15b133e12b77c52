"""A small live page: status, a chart of expressions, and pictures where they are allowed."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic, time
from typing import Any

import cv2
import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeemo.config import WebConfig, expect_range
from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext
from edgeemo.sinks.access import Guard, address
from edgeemo.types import Result, Sink
from engines.spec import Emotion

log = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("page.html")
HISTORY_S = 120
AT_ONCE = 32  # connections
PATIENCE_S = 5.0  # with one that asks for nothing
REQUESTS_A_SECOND = 60.0
BURST = 120.0
PICTURE_S = 0.2  # between two new pictures of one source
PICTURE_PX = 640
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class WebSink(Sink):
    """`web:HOST:PORT`: the page at /, its figures at /api/status, pictures at /api/picture/SOURCE."""

    def __init__(self, target: str, context: SinkContext) -> None:
        config: WebConfig = context.config.web
        host, port = address("web", target)
        guard = Guard("web", host, config.token_file)
        self.pictures = config.preview
        self._context = context
        self._lock = threading.Lock()
        self._history: dict[str, _History] = {}
        self._newest: dict[str, Result] = {}
        self._encoded: dict[str, tuple[int, float, bytes]] = {}
        expect_range("port", port, 0, 65535)
        try:
            self._socket = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=16
            )
        except (OSError, OverflowError) as error:
            raise SinkError(
                f"cannot listen on {target} for the page: {getattr(error, 'strerror', None) or error}; "
                "choose another port"
            ) from error
        self._server = uvicorn.Server(
            uvicorn.Config(
                _application(self, guard), loop="asyncio", http=_Impatient, ws="none", lifespan="off", access_log=False,
                log_config=None, log_level="warning", limit_concurrency=AT_ONCE, timeout_keep_alive=5,
                timeout_graceful_shutdown=1, h11_max_incomplete_event_size=16384, server_header=False,
            )
        )  # fmt: skip
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="edgeemo-web", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def write(self, result: Result) -> None:
        origin = result.frame.origin
        with self._lock:
            if origin not in self._history and len(self._history) >= 64:
                return
            self._history.setdefault(origin, _History()).add(result)
            if self.pictures:
                self._newest[origin] = result

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(1.2)
        self._socket.close()

    def figures(self) -> dict[str, Any]:
        """What /api/status answers."""
        with self._lock:
            history = {source: each.to_mapping() for source, each in self._history.items()}
        status = self._context.status
        return {
            "now": time(),
            "labels": [
                {"name": each.label, "display": each.display, "colour": each.colour}
                for each in map(Emotion.of, self._context.labels)
            ],
            "preview": self.pictures,
            "status": status().to_mapping() if status is not None else None,
            "history": history,
        }

    def picture(self, source: str) -> bytes | None:
        """The newest frame of a source with its overlay, as JPEG."""
        with self._lock:
            result = self._newest.get(source)
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


class _History:
    """The mean of the probabilities over each second of late, and what is shown now."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, Any, int]] = deque(maxlen=HISTORY_S)
        self._faces: list[dict[str, Any]] = []

    def add(self, result: Result) -> None:
        second = int(time())
        self._faces = [
            {"id": int(result.faces.ids[row]), "emotion": emotion, "confidence": round(result.confidence(row), 3)}
            for row, emotion in enumerate(result.emotions)
        ]
        if not len(result.faces):
            return
        total, count = result.probabilities.sum(axis=0, dtype=np.float64), len(result.faces)
        if self._seconds and self._seconds[-1][0] == second:
            _, before, so_far = self._seconds.pop()
            total, count = total + before, count + so_far
        self._seconds.append((second, total, count))

    def to_mapping(self) -> dict[str, Any]:
        return {
            "faces": self._faces,
            "seconds": [
                [second, [round(each, 3) for each in (total / count).tolist()]]
                for second, total, count in self._seconds
            ],
        }


class _Impatient(H11Protocol):
    """Closes connections that do not come to a request; uvicorn would wait for them, and has room for so many only."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(PATIENCE_S, self._expect_request)

    def _expect_request(self) -> None:
        if self.transport.is_closing():
            return
        waits = self.cycle is None or (self.cycle.response_complete and self.timeout_keep_alive_task is None)
        if waits:
            self.transport.close()
        else:
            self.loop.call_later(PATIENCE_S, self._expect_request)


class _Bucket:
    """So many requests a second, more for a moment."""

    def __init__(self) -> None:
        self._left = BURST
        self._at = monotonic()

    def take(self) -> bool:
        now = monotonic()
        self._left = min(BURST, self._left + (now - self._at) * REQUESTS_A_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _application(sink: WebSink, guard: Guard) -> FastAPI:
    application = FastAPI(title="edgeemo", docs_url=None, redoc_url=None, openapi_url=None)
    # apart, so that strangers cannot use up what is meant for others
    bucket, strangers = _Bucket(), _Bucket()

    @application.middleware("http")
    async def checked(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        # the page itself holds nothing secret, and asks for the token
        welcome = (guard.wants_token and request.url.path == "/") or guard.allows(
            request.headers.get("authorization", ""), request.headers.get("host", "")
        )
        if not (bucket if welcome else strangers).take():
            response: Response = JSONResponse({"error": "too many requests"}, 429)
        elif not welcome:
            response = JSONResponse({"error": "the token is missing or wrong"}, 401)
        else:
            response = await answer(request)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    @application.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    @application.get("/api/status")
    def figures() -> JSONResponse:
        return JSONResponse(sink.figures())

    @application.get("/api/picture/{source}")
    def picture(source: str) -> Response:
        content = sink.picture(source) if sink.pictures else None
        if content is None:
            return JSONResponse({"error": "there is no picture; pictures are off unless [web] preview = true"}, 404)
        return Response(content, media_type="image/jpeg")

    return application
