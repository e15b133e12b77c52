"""Messages on their way to a broker: in memory while it answers, on disk while it doesn't, always in order."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from pathlib import Path

from edgeemo.errors import SinkError

log = logging.getLogger(__name__)

IN_MEMORY = 256  # messages that may wait there while the broker answers


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        row: its row on disk; None while it is only in memory.
    """

    topic: str
    payload: bytes
    row: int | None = None


class Outbox:
    """A queue that survives a crash, save for what waited in memory while the broker answered.

    Messages leave it in the order they came: `take` hands out the next ones, `done` says that one has arrived, and
    after `broken` all that were handed out and have not arrived come again.

    Args:
        path: the file; made if it isn't there.
        limit_bytes: of payload on disk; beyond it the oldest messages are dropped and counted.

    Raises:
        SinkError: the file cannot be used.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.dropped = 0
        self._limit = limit_bytes
        self._lock = threading.RLock()
        self._memory: deque[Message] = deque()
        self._out: OrderedDict[int, Message] = OrderedDict()
        self._next_key = 0
        self._read_up_to: int | None = None
        self._connected = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL)"
            )
            count, size = self._database.execute("SELECT count(*), total(length(payload)) FROM outbox").fetchone()
        except (OSError, sqlite3.Error) as error:
            raise SinkError(
                f"cannot use {path} for messages that wait: {error}; choose another [mqtt] spool"
            ) from error
        self._rows, self._bytes = int(count), int(size)

    def __len__(self) -> int:
        with self._lock:
            on_disk = self._rows
            return on_disk + len(self._memory) + sum(message.row is None for message in self._out.values())

    def append(self, topic: str, payload: bytes) -> None:
        with self._lock:
            message = Message(topic, payload)
            if self._connected and not self._rows and len(self._memory) < IN_MEMORY:
                self._memory.append(message)
                return
            self._store([*self._memory, message])
            self._memory.clear()

    def connected(self) -> None:
        """The broker answers: begin with the oldest."""
        with self._lock:
            self._connected = True
            self._read_up_to = None

    def broken(self) -> None:
        """The broker is gone: keep on disk all that has not arrived."""
        with self._lock:
            self._connected = False
            unsure = [message for message in self._out.values() if message.row is None]
            self._out.clear()
            self._store(unsure, in_front=True)
            self._store(list(self._memory))
            self._memory.clear()

    def take(self, count: int) -> list[tuple[int, Message]]:
        """Up to so many messages with a key each, for `done`."""
        with self._lock:
            taken: list[Message] = []
            if self._rows:
                after = self._read_up_to
                rows = self._database.execute(
                    "SELECT id, topic, payload FROM outbox WHERE ? IS NULL OR id > ? ORDER BY id LIMIT ?",
                    (after, after, count),
                ).fetchall()
                taken = [Message(topic, payload, row) for row, topic, payload in rows]
                if rows:
                    self._read_up_to = rows[-1][0]
            else:
                while self._memory and len(taken) < count:
                    taken.append(self._memory.popleft())
            keyed = []
            for message in taken:
                self._next_key += 1
                self._out[self._next_key] = message
                keyed.append((self._next_key, message))
            return keyed

    def done(self, keys: list[int]) -> None:
        """These have arrived."""
        with self._lock:
            arrived = [message for key in keys if (message := self._out.pop(key, None)) is not None]
            on_disk = [message for message in arrived if message.row is not None]
            if on_disk:
                self._delete(on_disk)

    @property
    def out(self) -> int:
        """Handed out and not arrived."""
        with self._lock:
            return len(self._out)

    def close(self) -> None:
        with self._lock:
            self.broken()
            self._database.close()

    def _store(self, messages: list[Message], *, in_front: bool = False) -> None:
        if not messages:
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            (first, last) = self._database.execute("SELECT min(id), max(id) FROM outbox").fetchone()
            start = (first or 0) - len(messages) if in_front else (0 if last is None else last) + 1
            self._database.executemany(
                "INSERT INTO outbox VALUES (?, ?, ?)",
                [(start + place, message.topic, message.payload) for place, message in enumerate(messages)],
            )
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            self.dropped += len(messages)
            log.debug("the outbox takes nothing: %s", error)
            return
        self._rows += len(messages)
        self._bytes += sum(len(message.payload) for message in messages)
        self._bound()

    def _bound(self) -> None:
        while self._bytes > self._limit and self._rows > 1:
            rows = self._database.execute("SELECT id, topic, payload FROM outbox ORDER BY id LIMIT 64").fetchall()
            oldest: list[Message] = []
            freed = 0
            for row, topic, payload in rows:
                if self._bytes - freed <= self._limit or len(oldest) == self._rows - 1:
                    break
                oldest.append(Message(topic, payload, row))
                freed += len(payload)
            gone = {message.row for message in oldest}
            self._out = OrderedDict((key, each) for key, each in self._out.items() if each.row not in gone)
            self.dropped += len(oldest)
            self._delete(oldest)

    def _delete(self, messages: list[Message]) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("DELETE FROM outbox WHERE id = ?", [(message.row,) for message in messages])
            self._database.execute("COMMIT")
            self._rows -= len(messages)
            self._bytes -= sum(len(message.payload) for message in messages)
            if not self._rows:
                self._read_up_to = None
                self._database.execute("PRAGMA incremental_vacuum").fetchall()
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            log.debug("the outbox forgets nothing: %s", error)
