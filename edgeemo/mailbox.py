"""A small queue that passes items between two threads: the only primitive for this in edgeemo."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The other side closed the mailbox: no more items will come, or no one will take them."""


class Mailbox(Generic[T]):
    """Passes items from one thread to another, in order.

    With `newest_only`, `put` replaces an item that was not taken and counts the drop (live sources, the window);
    `merge` (old, new) returns the new item with data of the old one that must be kept. Without `newest_only`, `put`
    waits until fewer than `size` items are queued (files: every frame is needed). An exception given to `fail` is
    raised in the reader after the items put before it.
    """

    def __init__(self, *, newest_only: bool, size: int = 1, merge: Callable[[T, T], T] = lambda old, new: new) -> None:
        self._newest_only = newest_only
        self._merge = merge
        self._size = size
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._error: BaseException | None = None
        self._closed = False
        self.dropped = 0

    def put(self, item: T, *, timeout: float) -> None:
        """Add an item.

        Raises:
            Closed: the reader closed the mailbox.
            TimeoutError: no earlier item was taken within `timeout` seconds (never with `newest_only`).
        """
        with self._changed:
            if not self._newest_only and not self._changed.wait_for(self._has_room, timeout):
                raise TimeoutError(f"the item was not taken within {timeout} s")
            if self._closed:
                raise Closed
            if self._newest_only and self._items:
                self.dropped += 1
                item = self._merge(self._items.pop(), item)
            self._items.append(item)
            self._changed.notify_all()

    def take(self, *, timeout: float) -> T:
        """Wait for the next item and take it.

        Raises:
            Closed: the writer has finished and its last item was taken.
            TimeoutError: no item came within `timeout` seconds.
            BaseException: the exception that the writer gave to `fail`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._closed, timeout):
                raise TimeoutError(f"no item came within {timeout} s")
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            raise Closed

    def fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = error
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._closed or len(self._items) < self._size
