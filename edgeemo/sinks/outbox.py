"""Messages for a broker, stored on disk in order until the broker confirms them. Called by `mqtt`."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeemo.errors import SinkError

log = logging.getLogger(__name__)

BEFORE_FIRST = -(1 << 62)


@dataclass(frozen=True)
class Message:
    """One message; `key` identifies it in `done`, `topic` is relative to the sink's topic."""

    key: int
    topic: str
    payload: bytes


class Outbox:
    """A queue that survives a crash; may be used by several threads.

    `take` returns the next messages in order, `done` removes confirmed ones, and after `rewind` all unconfirmed
    messages are returned again.

    Args:
        path: the file; created if missing.
        limit_bytes: maximum payload; beyond it the oldest messages are dropped and counted.
        sink: the sink whose retained topics are used; several sinks may use a file one after the other.

    Raises:
        SinkError: the file cannot be used.

    Attributes:
        last_key: key of the newest message.
        retained: the topics with a retained message of this sink at the broker.
    """

    def __init__(self, path: Path, limit_bytes: int, sink: str) -> None:
        self.dropped = 0
        self._sink = sink
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._out: dict[int, int] = {}  # key -> size of messages taken and not confirmed
        self._taken_up_to = BEFORE_FIRST
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # each statement is a transaction, which takes about 20 microseconds with the write-ahead log
            self._database = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL)"
            )
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS announced (sink TEXT, topic TEXT, PRIMARY KEY (sink, topic))"
            )
            self.retained: set[str] = set()
            self._rows = self._bytes = self.last_key = 0
            self._count()
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's message contains the damaged name
            raise SinkError(f"cannot use {path} for unsent messages: {error}; choose another [mqtt] spool") from error

    def adopt(self, path: Path) -> int:
        """Move the messages of another, unused outbox and the sink's retained topics in it to this one.

        After a crash during the move, messages may be in both: each is delivered at least once.

        Returns:
            Number of messages.

        Raises:
            SinkError: one of the files cannot be used.
        """
        Outbox(path, self._limit, self._sink).close()  # creates missing tables and repairs the file
        with self._lock:
            try:
                self._database.execute("ATTACH ? AS other", (str(path),))
                try:
                    moved = self._database.execute(
                        "INSERT INTO main.outbox SELECT row_number() OVER (ORDER BY id) + ?, topic, payload "
                        "FROM other.outbox",
                        (self.last_key,),
                    ).rowcount
                    self._database.execute("DELETE FROM other.outbox")
                    for statement in (
                        "INSERT OR IGNORE INTO main.announced SELECT * FROM other.announced WHERE sink = ?",
                        "DELETE FROM other.announced WHERE sink = ?",
                    ):
                        self._database.execute(statement, (self._sink,))
                finally:
                    self._database.execute("DETACH other")
                self._count()
                self._drop_oldest()
            except sqlite3.Error as error:
                raise SinkError(f"cannot take over the messages that wait in {path}: {error}") from error
            return moved

    def __len__(self) -> int:
        return self._rows

    @property
    def out(self) -> int:
        """Number of messages taken and not confirmed."""
        return len(self._out)

    def append(self, topic: str, payload: bytes) -> None:
        with self._lock:
            try:
                self.last_key += 1
                self._database.execute("INSERT INTO outbox VALUES (?, ?, ?)", (self.last_key, topic, payload))
                self._rows, self._bytes = self._rows + 1, self._bytes + len(payload)
                self._drop_oldest()
            except sqlite3.Error as error:
                self.dropped += 1
                log.debug("the outbox cannot store a message: %s", error)

    def take(self, count: int) -> list[Message]:
        """Up to `count` messages not yet taken since the last `rewind`."""
        with self._lock:
            rows = self._database.execute(
                "SELECT id, topic, payload FROM outbox WHERE id > ? ORDER BY id LIMIT ?", (self._taken_up_to, count)
            ).fetchall()
            messages = [Message(*row) for row in rows]
            if messages:
                self._taken_up_to = messages[-1].key
            self._out |= {message.key: len(message.payload) for message in messages}
            return messages

    def done(self, keys: list[int]) -> bool:
        """Delete these messages, because the broker confirmed them.

        Returns:
            False if they cannot be deleted now (the disk is full or the file is locked): call it again with them.
        """
        with self._lock:
            try:
                self._delete([(key, self._out[key]) for key in keys if key in self._out])
                if not self._rows:
                    self._database.execute("PRAGMA incremental_vacuum").fetchall()
            except sqlite3.Error as error:
                log.debug("the outbox cannot delete messages: %s", error)
                return False
            return True

    def rewind(self) -> None:
        """Start again with the oldest message, for a new connection."""
        with self._lock:
            self._out.clear()
            self._taken_up_to = BEFORE_FIRST

    def remember(self, topic: str) -> None:
        """Record a topic with a retained message at the broker."""
        self._change_retained(topic, "INSERT OR IGNORE INTO announced VALUES (?, ?)", self.retained.add)

    def forget(self, topic: str) -> None:
        """Remove a topic from the record."""
        self._change_retained(topic, "DELETE FROM announced WHERE sink = ? AND topic = ?", self.retained.discard)

    def _change_retained(self, topic: str, statement: str, change: Callable[[str], None]) -> None:
        with self._lock:
            try:
                self._database.execute(statement, (self._sink, topic))
                change(topic)
            except sqlite3.Error as error:
                log.debug("the outbox cannot record %s: %s", topic, error)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _count(self) -> None:
        (count, size, last) = self._database.execute(
            "SELECT count(*), total(length(payload)), max(id) FROM outbox"
        ).fetchone()
        self._rows, self._bytes = int(count), int(size)
        # keys are never reused; SQLite would reuse one if the newest message is confirmed before an older one
        self.last_key = int(last or 0)
        announced = self._database.execute("SELECT topic FROM announced WHERE sink = ?", (self._sink,))
        self.retained = {topic for (topic,) in announced}

    def _drop_oldest(self) -> None:
        while self._bytes > self._limit and self._rows > 1:
            oldest = self._database.execute("SELECT id, length(payload) FROM outbox ORDER BY id LIMIT 1")
            self._delete([oldest.fetchone()])
            self.dropped += 1

    def _delete(self, rows: list[tuple[int, int]]) -> None:
        """Delete (key, bytes) rows, in one transaction."""
        self._database.execute(f"DELETE FROM outbox WHERE id IN ({', '.join(str(key) for key, _ in rows)})")
        for key, size in rows:
            self._rows, self._bytes = self._rows - 1, self._bytes - size
            self._out.pop(key, None)
