"""Retained topics and unsent results of MQTT sinks that were removed from a configuration. Called by `edgeemo.run`.

A sink clears the topics of removed sources itself. The topics of a sink that was removed, or whose topic or broker
changed, must be cleared separately; so each sink is recorded in a ledger on disk, per configuration. With the ledger a
new sink also finds the unsent results of the sink that it replaces.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import sqlite3
import threading
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from edgeemo.config import Config, MqttConfig
from edgeemo.errors import EdgeemoError, SinkError
from edgeemo.sinks.outbox import Outbox
from edgeemo.system.paths import state_folder

log = logging.getLogger(__name__)

LEDGER = "mqtt-sinks.db"
RETRY_S = 5.0
ACKNOWLEDGE_S = 5.0  # time-out for the broker's confirmation
TALK_S = 0.05
SCHEMES = ("mqtt:", "mqtts:")


@dataclass(frozen=True)
class Announcer:
    """An MQTT sink that published retained topics.

    Attributes:
        sink: as it was configured.
        spool: the file that lists its retained topics.
        config: its settings, without the password; they name the file that has it.
    """

    sink: str
    spool: Path
    config: MqttConfig


class Ledger:
    """The announcers of one configuration. If the file cannot be written, a warning is logged.

    Args:
        owner: the configuration's path.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._path = state_folder() / LEDGER

    def add(self, announcer: Announcer) -> None:
        values = (self._owner, announcer.sink, str(announcer.spool), json.dumps(asdict(announcer.config)))
        self._execute("INSERT OR REPLACE INTO announcers VALUES (?, ?, ?, ?, 0)", values)

    def replaced(self, sink: str) -> None:
        """Record that another sink replaced it and took its unsent results."""
        self._execute("UPDATE announcers SET replaced = 1 WHERE owner = ? AND sink = ?", (self._owner, sink))

    def remove(self, sink: str) -> None:
        self._execute("DELETE FROM announcers WHERE owner = ? AND sink = ?", (self._owner, sink))

    def others(self, configured: Collection[str]) -> list[Announcer]:
        """The announcers that are no longer configured."""
        if not self._path.is_file():
            return []
        rows = self._execute("SELECT sink, spool, settings FROM announcers WHERE owner = ?", (self._owner,))
        found = []
        for sink, spool, settings in rows:
            if sink not in configured:
                with contextlib.suppress(ValueError, TypeError):  # written by a later version
                    found.append(Announcer(sink, Path(spool), MqttConfig(**json.loads(settings))))
        return found

    def knows(self, sink: str) -> bool:
        """Whether it was configured before and has not been replaced since."""
        if not self._path.is_file():
            return False
        query = "SELECT sink FROM announcers WHERE owner = ? AND sink = ? AND NOT replaced"
        return bool(self._execute(query, (self._owner, sink)))

    def _execute(self, statement: str, values: tuple[str, ...]) -> list[tuple[str, ...]]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._path, timeout=2, isolation_level=None)) as database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS announcers (owner TEXT, sink TEXT, spool TEXT, settings TEXT, "
                    "replaced INTEGER, PRIMARY KEY (owner, sink))"
                )
                return database.execute(statement, values).fetchall()
        except (OSError, sqlite3.Error) as error:
            log.warning("cannot use %s, which records the retained topics of MQTT sinks: %s", self._path, error)
            return []


class Withdrawal:
    """Clears, in a thread, the retained topics of sinks that are no longer configured.

    Args:
        owner: the configuration's path; empty: nothing is cleared.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._ledger = Ledger(owner)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, config: Config) -> None:
        """Start for a new configuration; restarts a withdrawal that is still running."""
        self.close()
        if not self._owner or not self._ledger.others(config.sinks):
            return
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(config, self._stop), name="edgeemo-mqtt-withdrawal", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop; the next run clears the rest."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(RETRY_S)
            self._thread = None

    def _run(self, config: Config, stop: threading.Event) -> None:
        told: set[str] = set()
        while not stop.is_set():
            pending = self._ledger.others(config.sinks)
            if not pending:
                return
            for announcer in pending:
                try:
                    left = withdraw(announcer, keep=kept_by(config, announcer), stop=stop)
                    self._ledger.remove(announcer.sink)
                    rest = f"; {left} results that it did not deliver stay in {announcer.spool}" if left else ""
                    log.warning("sink %s is no longer configured; removed its retained topics%s", announcer.sink, rest)
                except (EdgeemoError, OSError) as error:
                    if announcer.sink not in told:
                        told.add(announcer.sink)
                        log.warning(
                            "cannot remove the retained topics of sink %s yet: %s",
                            announcer.sink,
                            " ".join(str(error).split()),
                        )
            stop.wait(RETRY_S)


def kept_by(config: Config, announcer: Announcer) -> set[str]:
    """The retained topics of an announcer that a configured sink also publishes to the same broker."""
    kept: set[str] = set()
    for sink in config.sinks:
        if sink.startswith(SCHEMES) and _brokers(sink) & _brokers(announcer.sink):
            topic = _parts(sink)[2]
            kept.add(f"{topic}/status")
            for source in config.sources:
                kept.update(topics_of(topic, source.name, config.mqtt.discovery))
    return kept


def topics_of(topic: str, source: str, discovery: str) -> tuple[str, ...]:
    """The retained topics of a source: availability, state, and Home Assistant's two entries."""
    node = node_of(topic, source)
    entries = tuple(f"{discovery}/sensor/{node}/{name}/config" for name in ("emotion", "faces")) if discovery else ()
    return f"{topic}/{source}/availability", f"{topic}/{source}/state", *entries


def node_of(topic: str, source: str) -> str:
    """The identifier of a source in Home Assistant."""
    return "_".join(re.sub(r"[^A-Za-z0-9]+", "_", part) for part in ("edgeemo", topic, source))


def _parts(sink: str) -> tuple[str, int, str]:
    from edgeemo.sinks.mqtt_connection import address

    scheme, _, target = sink.partition(":")
    return address(scheme, target)


def _brokers(sink: str) -> set[tuple[str, int]]:
    """The addresses of a sink's host with its port; the host name if it cannot be resolved."""
    host, port, _ = _parts(sink)
    try:
        return {(str(found[4][0]), port) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return {(host, port)}


def withdraw(announcer: Announcer, *, keep: set[str], stop: threading.Event) -> int:
    """Clear the retained topics of a sink that is no longer configured.

    Args:
        keep: topics that other sinks publish; these are only removed from this sink's list.

    Returns:
        Number of its unsent results.

    Raises:
        EdgeemoError, OSError: the broker is unreachable or refuses; confirmed topics are cleared.
    """
    from paho.mqtt.enums import MQTTErrorCode

    from edgeemo.sinks.mqtt_connection import new_client, password_of, tls_of

    if not announcer.spool.is_file():
        return 0
    host, port, _ = _parts(announcer.sink)
    config = announcer.config
    outbox = Outbox(announcer.spool, int(config.spool_mb * 1e6), announcer.sink)
    try:
        for topic in outbox.retained & keep:
            outbox.forget(topic)
        if not outbox.retained:
            return len(outbox)
        tls = tls_of(config) if announcer.sink.startswith("mqtts:") else None
        client = new_client(config, password_of(config), tls)
        waiting: dict[int, str] = {}
        refusals: list[str] = []

        def connected(client: Any, data: Any, flags: Any, reason: Any, more: Any) -> None:
            if reason.is_failure:
                refusals.append(str(reason))
                return
            for topic in sorted(outbox.retained):
                waiting[client.publish(topic, b"", qos=1, retain=True).mid] = topic

        def published(client: Any, data: Any, mid: int, reason: Any, more: Any) -> None:
            topic = waiting.pop(mid, None)
            if topic is not None and not reason.is_failure:
                outbox.forget(topic)
            elif topic is not None:
                refusals.append(str(reason))

        client.on_connect, client.on_publish = connected, published
        client.connect(host, port, config.keepalive_s, clean_start=True)
        deadline = monotonic() + ACKNOWLEDGE_S
        while outbox.retained and not refusals and not stop.is_set() and monotonic() < deadline:
            if client.loop(timeout=TALK_S) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        client.disconnect()
        client.loop(timeout=TALK_S)
        if outbox.retained:
            raise SinkError(f"the broker {host}:{port} {f'refuses: {refusals[0]}' if refusals else 'does not answer'}")
        return len(outbox)
    finally:
        outbox.close()
