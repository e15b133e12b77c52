"""The sinks `mqtt` and `mqtts`: results to an MQTT 5 broker, with Home Assistant's discovery."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeemo.config import MqttConfig
from edgeemo.errors import ConfigError, SinkError
from edgeemo.sinks import SinkContext
from edgeemo.sinks.announcements import Announcer, Ledger, node_of, topics_of
from edgeemo.sinks.event import event
from edgeemo.sinks.mqtt_connection import address, expect_settings, new_client, password_of, tls_of
from edgeemo.sinks.outbox import Outbox
from edgeemo.system.faults import FaultLog
from edgeemo.system.paths import state_folder
from edgeemo.types import Result, Sink, State
from edgeemo.values import as_utf8
from engines.files import user_path
from engines.installation import installed_version
from engines.lock import hold_lock
from engines.spec import LABELS

log = logging.getLogger(__name__)

MAX_INFLIGHT = 20  # unconfirmed messages in flight
RETRY_S = 1.0
TALK_S = 0.05  # interval for checking for new messages while the broker is silent
STATE_S = 1.0  # interval of messages about the state of a source
FLUSH_S = 1.0  # time at the end for the broker to confirm messages in flight
ACKNOWLEDGE_S = 5.0  # time at the end of a single run for all confirmations, also if the broker is unreachable
REFUSED = (0x86, 0x87, 0x8C)  # CONNACK, MQTT 5.0 section 3.2.2.2: bad user or password, not authorised, bad method


class MqttSink(Sink):
    """`mqtt://HOST:PORT/TOPIC`. Below TOPIC it publishes

    - `status`: online or offline (retained; offline by last will when the process dies),
    - `SOURCE/availability`: online while the source is live (retained),
    - `SOURCE/state`: expression, confidence and number of faces, at most once per second, if changed (retained),
    - `SOURCE/results`: the events, in order, each at least once.

    An unreachable broker is not an error: results are stored in a file of limited size and sent in order later. A
    single run waits up to `ACKNOWLEDGE_S` for the last confirmations; `kept` counts what remains in the file.

    Unsent results of a sink that this one replaces in the same configuration (another broker or topic), and those in a
    file named by `[mqtt] spool`, are taken over and go to the currently configured broker and topic.

    Retained topics are listed in the same file. The sink clears those of removed sources; `edgeemo.sinks.announcements`
    clears those of removed sinks.

    Raises:
        SinkError: the file cannot be used, or another run uses it.
        ConfigError: a setting violates MQTT's rules; from `tick` and `close` of a single run: the broker refuses the
            user or password.
    """

    tls = False

    def __init__(self, target: str, context: SinkContext) -> None:
        scheme = "mqtts" if self.tls else "mqtt"
        config: MqttConfig = context.config.mqtt
        self._host, self._port, self._topic = address(scheme, target)
        expect_settings(config)
        self._config = config
        self._password = password_of(config)
        self._tls = tls_of(config) if self.tls else None
        self._context = context
        spool = _spool(config, f"{scheme}:{target}")
        self._resources = ExitStack()
        self._outbox = self._opened(Announcer(f"{scheme}:{target}", spool.absolute(), config))
        self._sent: dict[str, float] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._announced: set[str] = set()
        self._retained: dict[str, bytes] = {}  # retained topic -> payload at the broker
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._inflight: dict[int, int] = {}  # paho's message id -> key in the outbox
        self._clearing: dict[int, str] = {}  # paho's message id -> retained topic being cleared
        self._arrived: list[int] = []
        self._fault = "not connected yet"
        again = f"sink mqtt: the broker {self._host}:{self._port} accepts results again"
        self._faults = FaultLog(log, "sink mqtt", again)
        self._refusal: ConfigError | None = None
        self._first_key = self._outbox.last_key + 1
        self._taken = self._confirmed = self._rejected = 0
        self._accepted = False
        self._thread = threading.Thread(target=self._run, name="edgeemo-mqtt", daemon=True)
        self._thread.start()

    def _opened(self, ours: Announcer) -> Outbox:
        """The outbox, with the unsent results of sinks that this one replaces in the same configuration."""
        with ExitStack() as undo:
            if not undo.enter_context(_locked(ours.spool)):
                raise SinkError(f"{ours.spool} is used by another run or sink; choose another [mqtt] spool or topic")
            outbox = Outbox(ours.spool, int(self._config.spool_mb * 1e6), ours.sink)
            undo.callback(outbox.close)
            if self._context.owner:
                ledger = Ledger(self._context.owner)
                self._take_over(outbox, ours, ledger)
                ledger.add(ours)
            self._resources = undo.pop_all()
        return outbox

    def _take_over(self, outbox: Outbox, ours: Announcer, ledger: Ledger) -> None:
        """Take over the unsent results of replaced sinks, and of this sink's former file."""
        known = ledger.knows(ours.sink)
        for other in ledger.others(set(self._context.config.sinks) - {ours.sink}):
            if other.sink != ours.sink and known:
                continue  # this sink ran beside the other one and delivered the same results itself
            try:
                if other.spool != ours.spool and other.spool.is_file():
                    with _locked(other.spool) as free:
                        if not free:
                            continue
                        if moved := outbox.adopt(other.spool):
                            log.warning("%d unsent results for %s now go to %s", moved, other.sink, ours.sink)
            except SinkError as error:
                log.warning("%s", error)
                continue
            ledger.replaced(other.sink)

    @property
    def lost(self) -> int:
        """Number of results dropped because the spool was full, or rejected by the broker."""
        return self._outbox.dropped + self._rejected

    @property
    def kept(self) -> int:
        return max(0, self._taken - self._confirmed - self.lost)

    @property
    def fault(self) -> str:
        return self._fault

    def tick(self) -> None:
        if self._refusal is not None and not self._context.lasting:
            raise self._refusal

    def write(self, result: Result) -> None:
        source = _topic_segment(result.frame.origin)
        faces = result.faces
        state: dict[str, Any] = {"emotion": "no_face", "confidence": None, "faces": len(faces)}
        if len(faces):
            sizes = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(axis=1)
            row = int(sizes.argmax())
            state |= {"emotion": result.emotions[row], "confidence": round(result.confidence(row), 2)}
        # each picture of a folder has its own origin, so the number of retained topics would grow without limit
        if not result.frame.still:
            with self._lock:
                self._states[source] = state
        now = monotonic()
        if self._config.interval_s:
            if now - self._sent.get(source, -1e9) < self._config.interval_s:
                return
            self._sent[source] = now
        payload = json.dumps(event(result), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._taken += 1
        self._outbox.append(f"{source}/results", payload.encode())

    def close(self) -> None:
        deadline = monotonic() + (0.0 if self._context.lasting else ACKNOWLEDGE_S)
        while len(self._outbox) and self._refusal is None and monotonic() < deadline:
            self._stop.wait(TALK_S)
        self._stop.set()
        self._thread.join(FLUSH_S + 0.4)
        self._resources.close()
        self._faults.check(now=True)
        self.tick()

    def _note(self, fault: str, trace: Exception | None = None) -> None:
        """Store the current fault, and log its beginning and its end."""
        self._fault = fault
        if fault:
            self._faults.begin(f"{fault}; storing results on disk", trace=trace)
        else:
            self._faults.end()

    def _run(self) -> None:
        while not self._stop.is_set():
            client = self._client()
            try:
                client.connect(self._host, self._port, self._config.keepalive_s, clean_start=True)
                self._serve(client)
            except (OSError, ValueError) as error:  # paho raises ValueError for an invalid host
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                self._note(f"the broker {self._host}:{self._port} cannot be reached: {why}")
            except Exception as error:
                self._note(f"the connection to the broker {self._host}:{self._port} failed: {error}", error)
            finally:
                self._accepted = False
                self._inflight.clear()
                self._clearing.clear()
                self._outbox.rewind()
            self._stop.wait(RETRY_S)

    def _client(self) -> paho.Client:
        """A new client for each connection: an old one would repeat messages that the outbox repeats, too."""
        client = new_client(self._config, self._password, self._tls)
        client.max_inflight_messages_set(4 * MAX_INFLIGHT)
        client.will_set(f"{self._topic}/status", b"offline", qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        return client

    def _serve(self, client: paho.Client) -> None:
        """Send until the connection or the service ends."""
        self._retained.clear()
        self._announced.clear()
        told = 0.0
        ending: float | None = None
        while client.loop(timeout=TALK_S) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if not self._accepted:
                if self._stop.is_set():
                    return
                continue
            self._faults.check()
            if self._arrived and self._outbox.done(self._arrived):
                self._arrived = []
            now = monotonic()
            if now - told >= STATE_S and ending is None:
                told = now
                self._publish_state(client)
            for message in self._outbox.take(MAX_INFLIGHT - self._outbox.out):
                # earlier versions stored complete topics
                topic = "/".join((self._topic, *message.topic.split("/")[-2:]))
                self._inflight[client.publish(topic, message.payload, qos=1).mid] = message.key
            if self._stop.is_set():
                ending = ending or now + FLUSH_S
                if now >= ending or not len(self._outbox):
                    break
        if ending is not None:
            client.publish(f"{self._topic}/status", b"offline", qos=1, retain=True)
            client.loop(timeout=TALK_S)
            # a clean disconnect, so that the last will is not sent
            client.disconnect()
            client.loop(timeout=TALK_S)
        elif self._accepted:
            self._note(f"the broker {self._host}:{self._port} closed the connection")

    def _on_connect(
        self, client: paho.Client, data: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            said = f"the broker {self._host}:{self._port} refuses: {reason}; check [mqtt] user and password_file"
            if reason.value in REFUSED:
                self._refusal = ConfigError(said)
            self._note(said)
            return
        self._refusal = None
        self._note("")
        self._accepted = True
        self._outbox.rewind()

    def _on_publish(
        self, client: paho.Client, data: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        cleared = self._clearing.pop(mid, None)
        if cleared is not None and not reason.is_failure:
            self._outbox.forget(cleared)
        key = self._inflight.pop(mid, None)
        if key is None:
            return
        # refused messages count as done, because they would be refused again
        self._arrived.append(key)
        if reason.is_failure:
            self._rejected += key >= self._first_key
            self._note(f"the broker {self._host}:{self._port} refuses messages to {self._topic}: {reason}")
        else:
            self._confirmed += key >= self._first_key

    def _publish_state(self, client: paho.Client) -> None:
        """Publish the retained topics: availability and the newest state."""
        self._publish_retained(client, f"{self._topic}/status", b"online")
        with self._lock:
            states = dict(self._states)
        alive = dict.fromkeys(states, True)
        if self._context.status is not None:
            alive = {_topic_segment(each.name): each.state is State.LIVE for each in self._context.status().sources}
        for source, is_alive in alive.items():
            self._publish_retained(
                client, f"{self._topic}/{source}/availability", b"online" if is_alive else b"offline"
            )
            if self._config.discovery and source not in self._announced:
                self._announced.add(source)
                for topic, payload in self._discovery(source):
                    self._publish_retained(client, topic, json.dumps(payload, ensure_ascii=False).encode())
        for source, state in states.items():
            self._publish_retained(client, f"{self._topic}/{source}/state", json.dumps(state).encode())
        if self._context.status is not None and alive:
            self._clear_orphans(client, {*alive, *states})

    def _clear_orphans(self, client: paho.Client, sources: set[str]) -> None:
        """Clear retained topics of sources that an earlier run or configuration had."""
        ours = tuple(f"{self._topic}/{source}/" for source in sources)
        going = set(self._clearing.values())
        for topic in self._outbox.retained - self._retained.keys() - going:
            if not topic.startswith(ours):
                self._clearing[client.publish(topic, b"", qos=1, retain=True).mid] = topic

    def _publish_retained(self, client: paho.Client, topic: str, payload: bytes) -> None:
        if self._retained.get(topic) != payload:
            self._retained[topic] = payload
            self._outbox.remember(topic)
            client.publish(topic, payload, qos=1, retain=True)

    def _discovery(self, source: str) -> list[tuple[str, dict[str, Any]]]:
        """Topics and payloads for https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery"""
        node = node_of(self._topic, source)
        *_, emotion, faces = topics_of(self._topic, source, self._config.discovery)
        shared: dict[str, Any] = {
            "state_topic": f"{self._topic}/{source}/state",
            "availability": [
                {"topic": f"{self._topic}/status"},
                {"topic": f"{self._topic}/{source}/availability"},
            ],
            "availability_mode": "all",
            "device": {
                "identifiers": [node],
                "name": f"edgeemo {source}",
                "manufacturer": "edgeemo",
                "model": "facial expressions",
                "sw_version": installed_version() or "0",
            },
        }
        return [
            (
                emotion,
                shared
                | {
                    "name": "Expression",
                    "unique_id": f"{node}_emotion",
                    "device_class": "enum",
                    "options": list(dict.fromkeys((*LABELS, "no_face"))),
                    "value_template": "{{ value_json.emotion }}",
                    "json_attributes_topic": f"{self._topic}/{source}/state",
                    "icon": "mdi:emoticon-outline",
                },
            ),
            (
                faces,
                shared
                | {
                    "name": "Faces",
                    "unique_id": f"{node}_faces",
                    "state_class": "measurement",
                    "value_template": "{{ value_json.faces }}",
                    "icon": "mdi:account-multiple",
                },
            ),
        ]


class MqttTlsSink(MqttSink):
    """`mqtts://HOST:PORT/TOPIC`: the same over TLS; the broker's certificate is always checked."""

    tls = True


def _spool(config: MqttConfig, sink: str) -> Path:
    if config.spool:
        return user_path(config.spool)
    return state_folder() / f"mqtt-{sha256(sink.encode()).hexdigest()[:12]}.db"


@contextmanager
def _locked(spool: Path) -> Iterator[bool]:
    with ExitStack() as stack:
        try:
            spool.parent.mkdir(parents=True, exist_ok=True)
            free = stack.enter_context(hold_lock(spool.with_name(f"{spool.name}.lock")))
        except OSError as error:
            raise SinkError(f"cannot use {spool}: {error.strerror or error}; choose another [mqtt] spool") from error
        yield free


def _topic_segment(text: str) -> str:
    """A text as one topic level."""
    return re.sub(r"[/+#\x00]", "_", as_utf8(text)) or "_"
