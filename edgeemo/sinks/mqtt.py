"""Results to an MQTT 5 broker, with Home Assistant's discovery."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import ssl
import threading
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeemo.config import MqttConfig
from edgeemo.errors import ConfigError, SinkError
from edgeemo.sinks import SinkContext
from edgeemo.sinks.event import event
from edgeemo.sinks.outbox import Outbox
from edgeemo.system.paths import state_folder
from edgeemo.types import Result, Sink, State
from engines.spec import LABELS

log = logging.getLogger(__name__)

PASSWORD_VARIABLE = "EDGEEMO_MQTT_PASSWORD"
MAX_INFLIGHT = 20  # messages that the broker has not confirmed
RETRY_S = 1.0
TALK_S = 0.05  # how soon a new message is noticed while the broker is silent
STATE_S = 1.0  # between two messages about the state of a source
FLUSH_S = 1.0  # for the broker to confirm what is on the way when it ends


class MqttSink(Sink):
    """`mqtt://HOST:PORT/TOPIC`. Under TOPIC it publishes

    - `status`: online or offline (retained; offline by last will when the process dies),
    - `SOURCE/availability`: online while the source is live (retained),
    - `SOURCE/state`: expression, confidence and number of faces, at most once a second, when it changes (retained),
    - `SOURCE/results`: the events, in order, each at least once.

    A broker that is away is no error: results wait in a file, bounded, and are sent in order when it is back.
    """

    tls = False
    fault = "not connected yet"

    def __init__(self, target: str, context: SinkContext) -> None:
        scheme = "mqtts" if self.tls else "mqtt"
        config: MqttConfig = context.config.mqtt
        self._host, self._port, self._topic = _address(scheme, target, 8883 if self.tls else 1883)
        self._config = config
        self._password = _password(config)
        self._tls = _tls(config) if self.tls else None
        self._context = context
        self._outbox = Outbox(_spool(config, f"{scheme}:{target}"), int(config.spool_mb * 1e6))
        self._sent: dict[str, float] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._announced: set[str] = set()
        self._retained: dict[str, bytes] = {}  # retained topic -> what the broker has
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._inflight: dict[int, int] = {}  # paho's number -> the outbox's key
        self._arrived: list[int] = []
        self._accepted = False
        self._thread = threading.Thread(target=self._run, name="edgeemo-mqtt", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Results dropped because too much had to wait."""
        return self._outbox.dropped

    def write(self, result: Result) -> None:
        source = _topic_segment(result.frame.origin)
        faces = result.faces
        state: dict[str, Any] = {"emotion": "no_face", "confidence": None, "faces": len(faces)}
        if len(faces):
            sizes = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(axis=1)
            row = int(sizes.argmax())
            state |= {"emotion": result.emotions[row], "confidence": round(result.confidence(row), 2)}
        with self._lock:
            self._states[source] = state
        now = monotonic()
        if self._config.interval_s and now - self._sent.get(source, -1e9) < self._config.interval_s:
            return
        self._sent[source] = now
        payload = json.dumps(event(result), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._outbox.append(f"{self._topic}/{source}/results", payload.encode())

    def close(self) -> None:
        self._stop.set()
        self._thread.join(FLUSH_S + 0.4)
        self._outbox.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            client = self._client()
            try:
                client.connect(self._host, self._port, self._config.keepalive_s, clean_start=True)
                self._serve(client)
            except (OSError, ValueError) as error:  # ValueError: paho's word for an impossible host
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                self.fault = f"the broker {self._host}:{self._port} cannot be reached: {why}"
            except Exception:
                log.exception("the connection to the broker failed")
            finally:
                self._accepted = False
                self._inflight.clear()
                self._outbox.rewind()
            self._stop.wait(RETRY_S)

    def _client(self) -> paho.Client:
        """A new one for each connection: an old one would repeat what the outbox repeats."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            f"edgeemo-{secrets.token_hex(6)}",
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = 3.0
        client.max_inflight_messages_set(4 * MAX_INFLIGHT)
        client.will_set(f"{self._topic}/status", b"offline", qos=1, retain=True)
        if self._config.user:
            client.username_pw_set(self._config.user, self._password or None)
        if self._tls is not None:
            client.tls_set_context(self._tls)
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
            if self._arrived:
                self._outbox.done(self._arrived)
                self._arrived = []
            now = monotonic()
            if now - told >= STATE_S and ending is None:
                told = now
                self._publish_state(client)
            for message in self._outbox.take(MAX_INFLIGHT - self._outbox.out):
                self._inflight[client.publish(message.topic, message.payload, qos=1).mid] = message.key
            if self._stop.is_set():
                ending = ending or now + FLUSH_S
                if now >= ending or not len(self._outbox):
                    break
        if ending is not None:
            client.publish(f"{self._topic}/status", b"offline", qos=1, retain=True)
            client.loop(timeout=TALK_S)
            # an orderly goodbye: the last will is not needed
            client.disconnect()
            client.loop(timeout=TALK_S)
        elif self._accepted:
            self.fault = f"the broker {self._host}:{self._port} has gone"

    def _on_connect(
        self, client: paho.Client, data: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self.fault = f"the broker {self._host}:{self._port} refuses: {reason}; check [mqtt] user and password_file"
            return
        self.fault = ""
        self._accepted = True
        self._outbox.rewind()

    def _on_publish(
        self, client: paho.Client, data: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        key = self._inflight.pop(mid, None)
        if key is not None:
            # refused messages are not repeated either: they would be refused again
            self._arrived.append(key)

    def _publish_state(self, client: paho.Client) -> None:
        """What the broker keeps: who is there, and the newest state."""
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

    def _publish_retained(self, client: paho.Client, topic: str, payload: bytes) -> None:
        if self._retained.get(topic) != payload:
            self._retained[topic] = payload
            client.publish(topic, payload, qos=1, retain=True)

    def _discovery(self, source: str) -> list[tuple[str, dict[str, Any]]]:
        """https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery"""
        node = f"edgeemo_{_identifier(self._topic)}_{_identifier(source)}"
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
                "sw_version": _version(),
            },
        }
        return [
            (
                f"{self._config.discovery}/sensor/{node}/emotion/config",
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
                f"{self._config.discovery}/sensor/{node}/faces/config",
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


def _address(scheme: str, target: str, port: int) -> tuple[str, int, str]:
    form = f"write {scheme}://HOST:PORT/TOPIC"
    try:
        parts = urlsplit(f"{scheme}:{target}")
        port = parts.port or port
    except ValueError as error:
        raise ConfigError(f"sink {scheme}: the port is not a number; {form}") from error
    if parts.username is not None or parts.password is not None:
        # addresses are shown in messages and in the list of processes
        raise ConfigError(f"sink {scheme}: user and password do not belong in the address; put them under [mqtt]")
    topic = parts.path.strip("/")
    if not parts.hostname or not topic:
        raise ConfigError(f"sink {scheme}:{target} lacks {'a topic' if parts.hostname else 'a host'}; {form}")
    if re.search(r"[+#?\x00]", target):
        raise ConfigError(f"sink {scheme}:{target}: a topic to publish to has no +, # or ?; {form}")
    return parts.hostname, port, topic


def _password(config: MqttConfig) -> str:
    if not config.password_file:
        return os.environ.get(PASSWORD_VARIABLE, "")
    try:
        return Path(config.password_file).expanduser().read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read the broker's password from {config.password_file}: {why}") from error


def _tls(config: MqttConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
        if config.cert_file:
            context.load_cert_chain(config.cert_file, config.key_file or None)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(name for name in (config.ca_file, config.cert_file, config.key_file) if name)
        raise SinkError(f"cannot use the certificates {files}: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _spool(config: MqttConfig, sink: str) -> Path:
    if config.spool:
        return Path(config.spool).expanduser()
    return state_folder() / f"mqtt-{sha256(sink.encode()).hexdigest()[:12]}.db"


def _topic_segment(text: str) -> str:
    """A text as one level of a topic."""
    return re.sub(r"[/+#\x00]", "_", text) or "_"


def _identifier(text: str) -> str:
    """A text as Home Assistant's identifiers are written."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text)


def _version() -> str:
    try:
        return metadata.version("edgeemo")
    except metadata.PackageNotFoundError:
        return "0"
