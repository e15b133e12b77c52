"""The HTTP server of the sinks `web` and `metrics`.

Every request passes the guard, a rate limiter and limits on connections; a sink adds its routes.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from time import monotonic

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeemo.errors import SinkError
from edgeemo.sinks.access import Guard, address

MAX_CONNECTIONS = 32
MAX_CONNECTIONS_PER_ADDRESS = 16
# time-out of a client for sending a request and for reading the response; it is checked at this interval, so a
# connection may last up to twice as long
IDLE_S = 5.0
REQUESTS_PER_S = 60.0
BURST = 120.0
CLOSE_S = 1.2
QUIET_S = 60.0  # minimum interval of log lines of one kind, because any client can cause them
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class HttpServer:
    """Serves an application's routes in its own thread.

    Args:
        kind: the sink, for messages.
        target: HOST:PORT, [HOST]:PORT or PORT; port 0: any free port.
        token_file: see `Guard`.
        add_routes: adds the sink's routes.
        public: paths of pages that need no token; they contain no secrets and ask for the token.

    Raises:
        ConfigError: the target is malformed, or it listens beyond this machine without a token.
        SinkError: the port is in use.
    """

    def __init__(
        self,
        kind: str,
        target: str,
        token_file: str,
        add_routes: Callable[[FastAPI], None],
        *,
        public: frozenset[str] = frozenset(),
    ) -> None:
        host, port = address(kind, target)
        guard = Guard(kind, host, token_file)
        application = _application(guard, public)
        add_routes(application)
        try:
            self._socket = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=16
            )
        except (OSError, OverflowError) as error:
            raise SinkError(
                f"cannot listen on {target} for sink {kind}: {getattr(error, 'strerror', None) or error}; "
                "choose another port"
            ) from error
        logger = logging.getLogger("uvicorn.error")
        if not any(isinstance(each, OncePerMinute) for each in logger.filters):
            logger.addFilter(OncePerMinute())
        self._server = uvicorn.Server(
            uvicorn.Config(
                application, loop="asyncio", http=_bounded_protocol(), ws="none", lifespan="off", access_log=False,
                log_config=None, log_level="warning", limit_concurrency=MAX_CONNECTIONS, timeout_keep_alive=5,
                timeout_graceful_shutdown=1, h11_max_incomplete_event_size=16384, server_header=False,
            )
        )  # fmt: skip
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name=f"edgeemo-{kind}", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(CLOSE_S)
        self._socket.close()


def _application(guard: Guard, public: frozenset[str]) -> FastAPI:
    application = FastAPI(title="edgeemo", docs_url=None, redoc_url=None, openapi_url=None)
    # separate buckets, so that unauthorised clients cannot block the others
    allowed_bucket, refused_bucket = _TokenBucket(), _TokenBucket()

    @application.middleware("http")
    async def check(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        allowed = (guard.wants_token and request.url.path in public) or guard.allows(
            request.headers.get("authorization", ""), request.headers.get("host", "")
        )
        if not (allowed_bucket if allowed else refused_bucket).take():
            response: Response = JSONResponse({"error": "too many requests"}, 429)
        elif not allowed:
            response = JSONResponse(
                {"error": "the token is missing or wrong"}, 401, headers={"WWW-Authenticate": "Bearer"}
            )
        else:
            response = await answer(request)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    return application


def _bounded_protocol() -> type[H11Protocol]:
    """The protocol of a server's connections, with deadlines and a limit per address.

    uvicorn has neither: connections that send nothing stay open and would use up `MAX_CONNECTIONS`.
    """
    open_by_host: Counter[str] = Counter()

    class Bounded(H11Protocol):
        _host = ""
        _answering: object = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._host = str((transport.get_extra_info("peername") or ("",))[0])
            open_by_host[self._host] += 1
            if open_by_host[self._host] > MAX_CONNECTIONS_PER_ADDRESS:
                transport.close()
                return
            self.loop.call_later(IDLE_S, self._check_deadline)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            open_by_host[self._host] -= 1
            if open_by_host[self._host] <= 0:
                del open_by_host[self._host]

        def _check_deadline(self) -> None:
            if self.transport.is_closing():
                return
            if self.cycle is None or (self.cycle.response_complete and self.timeout_keep_alive_task is None):
                self.transport.close()
                return
            if self.cycle is self._answering and not self.cycle.response_complete:
                self.transport.abort()
                return
            self._answering = self.cycle
            self.loop.call_later(IDLE_S, self._check_deadline)

    return Bounded


class OncePerMinute(logging.Filter):
    """Passes one log line of each kind per `QUIET_S`, with the number of suppressed lines."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = str(record.msg)[:80], monotonic()
        if len(self._kinds) > 100:
            self._kinds.clear()
        at, left_out = self._kinds.get(kind, (-QUIET_S, 0))
        if now - at < QUIET_S:
            self._kinds[kind] = at, left_out + 1
            return False
        if left_out:
            record.msg = f"{record.msg} (and {left_out} more since the last such line)"
        self._kinds[kind] = now, 0
        return True


class _TokenBucket:
    """Rate limiter: `REQUESTS_PER_S` on average, up to `BURST` at once."""

    def __init__(self) -> None:
        self._left = BURST
        self._at = monotonic()

    def take(self) -> bool:
        now = monotonic()
        self._left = min(BURST, self._left + (now - self._at) * REQUESTS_PER_S)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
