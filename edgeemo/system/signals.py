"""Signals that end a process cleanly. Used by the headless run and by the window."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_on_signals(stop: threading.Event, *, reload: threading.Event | None = None) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP set `stop`; a second signal raises KeyboardInterrupt.

    In other threads than the main thread it has no effect.

    Args:
        reload: SIGHUP sets this instead of `stop`, each time.

    A signal that the parent process set to ignored (nohup) stays ignored.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        if reload is not None and number == getattr(signal, "SIGHUP", None):
            reload.set()
            return
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
