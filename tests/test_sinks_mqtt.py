from __future__ import annotations

import json
import operator
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from fakes import result
from paho.mqtt.enums import CallbackAPIVersion
from servers import Broker, until

from edgeemo.cli import main
from edgeemo.config import Config, MqttConfig, SourceConfig
from edgeemo.errors import ConfigError, SinkError
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.sinks.announcements import Ledger, Withdrawal
from edgeemo.sinks.mqtt import MAX_INFLIGHT, MqttSink
from edgeemo.types import Sink, SourceStatus, State, Status
from engines import LABELS


class Listener:
    """A client that keeps all it hears."""

    def __init__(self, port: int, *, user: str = "", password: str = "") -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if user:
            self._client.username_pw_set(user, password)
        self._client.on_message = lambda client, data, message: self.heard.append((message.topic, message.payload))
        self._client.on_connect = lambda client, *rest: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *rest: self._ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def of(self, topic: str) -> list[Any]:
        return [json.loads(payload) for name, payload in list(self.heard) if name == topic]

    def text(self, topic: str) -> list[str]:
        return [payload.decode() for name, payload in list(self.heard) if name == topic]

    def publish(self, topic: str) -> None:
        self._client.publish(topic, b"x", qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., MqttSink]]:
    sinks: list[MqttSink] = []

    def make(
        port: int, status: Callable[[], Status] | None = None, *, lasting: bool = True, **options: Any
    ) -> MqttSink:
        config = MqttConfig(**{"spool": str(tmp_path / "spool.db"), **options})
        context = SinkContext(
            LABELS, draw=lambda each: each.frame.image, config=Config(mqtt=config), status=status, lasting=lasting
        )
        scheme = "mqtts" if config.ca_file else "mqtt"
        sink = open_sink(f"{scheme}://localhost:{port}/home/edge", context)
        assert isinstance(sink, MqttSink)
        sinks.append(sink)
        return sink

    yield make
    for sink in sinks:
        sink.close()


def events(listener: Listener) -> list[int]:
    return [event["frame"] for event in listener.of("home/edge/door/results")]


def test_results_arrive_in_order_with_and_without_faces(broker: Broker, opened: Callable[..., MqttSink]) -> None:
    listener = Listener(broker.port)
    sink = opened(broker.port)
    for index in range(50):
        sink.write(result(index % 3, index=index, origin="door"))
    until(lambda: len(events(listener)) == 50)
    assert events(listener) == list(range(50))
    whole = listener.of("home/edge/door/results")
    assert [len(event["faces"]) for event in whole[:4]] == [0, 1, 2, 0]
    assert set(whole[1]["faces"][0]["probabilities"]) == set(LABELS)
    state = {"emotion": "happiness", "confidence": 0.9, "faces": 1}
    until(lambda: listener.of("home/edge/door/state")[-1:] == [state])
    listener.close()


def test_an_orderly_end_and_a_sudden_one_both_leave_offline(
    broker: Broker, opened: Callable[..., MqttSink], tmp_path: Path
) -> None:
    listener = Listener(broker.port)
    sink = opened(broker.port)
    until(lambda: listener.text("home/edge/status") == ["online"])
    sink.close()
    until(lambda: listener.text("home/edge/status") == ["online", "offline"])
    code = (
        "import time\nfrom edgeemo.sinks import SinkContext, open_sink\nfrom edgeemo.config import Config, MqttConfig\n"
        f"config = Config(mqtt=MqttConfig(spool={str(tmp_path / 'other.db')!r}))\n"
        f"open_sink('mqtt://localhost:{broker.port}/home/edge', SinkContext((), draw=None, config=config))\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    until(lambda: listener.text("home/edge/status")[2:] == ["online"])
    process.kill()
    process.wait()
    until(lambda: listener.text("home/edge/status")[3:] == ["offline"])
    listener.close()


def test_a_broker_that_confirms_nothing_learns_that_the_sink_has_ended(
    opened: Callable[..., MqttSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orderly end takes the last will back, so `offline` must get out although the results before it wait."""
    monkeypatch.setattr("edgeemo.sinks.mqtt.FLUSH_S", 0.05)
    heard = bytearray()

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            heard.extend(connection.recv(65536))
            connection.sendall(bytes([0x20, 3, 0, 0, 0]))  # CONNACK: accepted, no properties
            while data := connection.recv(65536):
                heard.extend(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        sink = opened(server.getsockname()[1])
        for index in range(2 * MAX_INFLIGHT):
            sink.write(result(0, index=index, origin="door"))
        until(lambda: heard.count(b"/door/results") == MAX_INFLIGHT)
        sink.close()
        until(lambda: heard.rfind(b"offline") > heard.rfind(b"/door/results"))


def test_home_assistant_finds_each_source(broker: Broker, opened: Callable[..., MqttSink]) -> None:
    states = {"door": State.LIVE, "yard": State.BACK_OFF}
    listener = Listener(broker.port)
    opened(broker.port, lambda: Status(sources=tuple(SourceStatus(name, state) for name, state in states.items())))
    topic = "homeassistant/sensor/edgeemo_home_edge_door/emotion/config"
    until(lambda: listener.of(topic) and listener.text("home/edge/yard/availability"))
    found = listener.of(topic)[0]
    assert found["state_topic"] == "home/edge/door/state"
    assert found["availability"] == [{"topic": "home/edge/status"}, {"topic": "home/edge/door/availability"}]
    assert found["availability_mode"] == "all"
    assert found["device_class"] == "enum"
    assert set(found["options"]) == set(LABELS)
    assert found["unique_id"].startswith("edgeemo_home_edge_door")
    until(lambda: listener.of("homeassistant/sensor/edgeemo_home_edge_yard/faces/config"))
    assert listener.text("home/edge/door/availability") == ["online"]
    assert listener.text("home/edge/yard/availability") == ["offline"]
    states["yard"] = State.LIVE
    until(lambda: listener.text("home/edge/yard/availability") == ["offline", "online"])
    listener.close()


def test_what_comes_while_the_broker_is_away_arrives_in_order_after_it_is_back(
    broker: Broker, opened: Callable[..., MqttSink]
) -> None:
    listener = Listener(broker.port)
    sink = opened(broker.port)
    for index in range(20):
        sink.write(result(1, index=index, origin="door"))
    until(lambda: len(events(listener)) == 20)
    listener.close()
    broker.kill()
    until(lambda: sink.fault)
    for index in range(20, 420):
        sink.write(result(1, index=index, origin="door"))
    broker.start()
    listener = Listener(broker.port)
    for index in range(420, 440):
        sink.write(result(1, index=index, origin="door"))
    until(lambda: events(listener)[-1:] == [439])
    got = events(listener)
    # messages that the broker confirmed and this late listener missed are not its loss
    assert got == list(range(got[0], 440))
    assert got[0] <= 420
    assert sink.lost == 0
    assert sink.fault == ""
    listener.close()


def test_what_waits_survives_the_end_of_the_process(broker: Broker, opened: Callable[..., MqttSink]) -> None:
    broker.kill()
    sink = opened(broker.port)
    for index in range(30):
        sink.write(result(0, index=index, origin="door"))
    sink.close()
    broker.start()
    listener = Listener(broker.port)
    opened(broker.port)
    until(lambda: len(events(listener)) == 30)
    assert events(listener) == list(range(30))
    listener.close()


def test_results_may_be_thinned_out(broker: Broker, opened: Callable[..., MqttSink]) -> None:
    listener = Listener(broker.port)
    sink = opened(broker.port, interval_s=3600)
    for index in range(10):
        sink.write(result(1, index=index, origin="door"))
        sink.write(result(1, index=index, origin="a/+b"))
    until(lambda: listener.of("home/edge/a__b/results"))
    assert events(listener) == [0]
    listener.close()


def test_a_password_is_needed_and_never_shown(tmp_path: Path, opened: Callable[..., MqttSink]) -> None:
    if shutil.which("mosquitto_passwd") is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    done = subprocess.run(["mosquitto_passwd", "-b", str(passwords), "edge", "secret-word"], capture_output=True)
    if done.returncode:
        pytest.skip("mosquitto_passwd does not work here")
    broker = Broker(tmp_path / "closed", anonymous=False, extra=f"password_file {passwords}")
    broker.start()
    try:
        (tmp_path / "word").write_text("wrong-word\n")
        sink = opened(broker.port, user="edge", password_file=str(tmp_path / "word"))
        until(lambda: "refuses" in sink.fault)
        assert "word" not in sink.fault.replace("password_file", "")
        sink.close()
        (tmp_path / "word").write_text("secret-word\n")
        listener = Listener(broker.port, user="edge", password="secret-word")
        opened(broker.port, user="edge", password_file=str(tmp_path / "word")).write(result(origin="door"))
        until(lambda: events(listener) == [0])
        listener.close()
    finally:
        broker.kill()


def test_tls_checks_who_the_broker_is(tmp_path: Path, opened: Callable[..., MqttSink]) -> None:
    def certificate(name: str) -> tuple[Path, Path]:
        certificate, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                   "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "3650",
                   "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl is not installed")
        return certificate, key

    (mine, key), (other, _) = certificate("mine"), certificate("other")
    broker = Broker(tmp_path / "tls", extra=f"certfile {mine}\nkeyfile {key}")
    broker.start()
    try:
        wrong = opened(broker.port, ca_file=str(other))
        until(lambda: "cannot be reached" in wrong.fault)
        wrong.close()
        right = opened(broker.port, ca_file=str(mine))
        until(lambda: right.fault == "")
    finally:
        broker.kill()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mqtt://h", "lacks a topic"),
        ("mqtt:///t", "lacks a host"),
        ("mqtt://h:port/t", "the port or the host is not valid"),
        ("mqtt://h:0/t", "the port must not be 0"),
        ("mqtt://h/a/#", "write mqtt://HOST:PORT/TOPIC"),
        ("mqtts://u:secret@h/t", "put them under"),
    ],
)
def test_a_mistake_in_the_address_is_told_at_once_without_secrets(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        open_sink(text, SinkContext(LABELS, draw=lambda each: each.frame.image))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("password", ["x" * 70_000, "\udcff"])
def test_a_password_that_mqtt_cannot_carry_is_told_at_once(
    password: str, opened: Callable[..., MqttSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEEMO_MQTT_PASSWORD", password)
    with pytest.raises(ConfigError, match="EDGEEMO_MQTT_PASSWORD must be UTF-8"):
        opened(1)


def test_files_that_cannot_be_read_are_told_at_once(tmp_path: Path, opened: Callable[..., MqttSink]) -> None:
    with pytest.raises(ConfigError, match="cannot read the broker's password"):
        opened(1, password_file=str(tmp_path / "none"))
    with pytest.raises(SinkError, match="cannot use the certificates"):
        opened(1, ca_file=str(tmp_path / "none"))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SinkError, match="not a regular file"):
            opened(1, ca_file=str(tmp_path / "pipe"))
    with pytest.raises(SinkError, match="spool"):
        opened(1, spool=str(tmp_path))


def test_results_count_as_kept_until_the_broker_has_confirmed_them(
    tmp_path: Path, opened: Callable[..., MqttSink], caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(tmp_path / "late")
    sink = opened(broker.port)
    for index in range(3):
        sink.write(result(origin="door", index=index))
    assert sink.kept == 3
    until(lambda: "cannot be reached" in sink.fault)
    broker.start()
    try:
        until(lambda: sink.kept == 0)
        assert sink.lost == 0
        sink.close()
    finally:
        broker.kill()
    said = [record.message for record in caplog.records if record.name == "edgeemo.sinks.mqtt"]
    assert sum("cannot be reached" in line for line in said) == 1
    assert sum("accepts results again" in line for line in said) == 1


def test_a_run_without_a_broker_ends_with_code_4_and_the_next_one_delivers_to_the_broker_that_it_names(
    broker: Broker,
    tmp_path: Path,
    clip: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    config = tmp_path / "edge.toml"
    text = f'source = "{clip}"\nsinks = ["mqtt://127.0.0.1:%d/edge"]\nframes = %d\n'
    config.write_text(text % (Broker(tmp_path / "never").port, 5))
    with monkeypatch.context() as hurried:
        hurried.setattr("edgeemo.sinks.mqtt.ACKNOWLEDGE_S", 0.2)
        assert main(["run", "--config", str(config)]) == 4
    assert "5 results kept on disk" in capsys.readouterr().err
    assert "cannot be reached" in caplog.text
    listener = Listener(broker.port)
    config.write_text(text % (broker.port, 3))
    assert main(["run", "--config", str(config)]) == 0
    events = listener.of(f"edge/{clip.name}/results")
    assert [event["frame"] for event in events] == [0, 1, 2, 3, 4, 0, 1, 2]
    listener.close()


def test_refused_credentials_end_a_single_run_with_code_2(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Broker(tmp_path / "closed", anonymous=False)
    broker.start()
    try:
        config = tmp_path / "edge.toml"
        config.write_text(
            f'source = "{clip}"\nsinks = ["mqtt://127.0.0.1:{broker.port}/edge"]\nframes = 2\n'
            f'[mqtt]\nuser = "nobody"\nspool = "{tmp_path / "s.db"}"\n'
        )
        assert main(["run", "--config", str(config), "--quiet"]) == 2
        assert "refuses" in capsys.readouterr().err
    finally:
        broker.kill()


@pytest.mark.parametrize(
    ("options", "topic", "says"),
    [
        ({"discovery": "a/#"}, "edge", r"discovery: the topic 'a/#' contains"),
        ({"discovery": "a+"}, "edge", "discovery"),
        ({"user": "a\0b"}, "edge", "user"),
        ({}, "t" * 61_000, "more than 60000 bytes"),
        ({}, "a/" * 200 + "b", "190 levels"),
        ({}, "$SYS/x", "starts with"),
    ],
)
def test_settings_that_break_mqtts_rules_are_refused(
    options: dict[str, str], topic: str, says: str, tmp_path: Path
) -> None:
    config = Config(mqtt=MqttConfig(spool=str(tmp_path / "spool.db"), **options))
    with pytest.raises(ConfigError, match=says) as error:
        open_sink(f"mqtt://localhost:1/{topic}", SinkContext(LABELS, draw=lambda each: each.frame.image, config=config))
    assert len(str(error.value)) < 400


def test_what_a_source_left_with_the_broker_is_cleared_when_it_is_gone(
    broker: Broker, opened: Callable[..., MqttSink]
) -> None:
    def status(*names: str) -> Callable[[], Status]:
        return lambda: Status(sources=tuple(SourceStatus(name, State.LIVE) for name in names))

    before = opened(broker.port, status("door", "gate"))
    for source in ("door", "gate"):
        before.write(result(1, origin=source))
    until(lambda: len(retained(broker)) == 9)  # the status; of each source availability, state and two of discovery
    before.close()
    opened(broker.port, status("door"))
    until(lambda: not any("gate" in topic for topic in retained(broker)))
    left = retained(broker)
    assert left["home/edge/door/availability"] == "online"
    assert left["home/edge/status"] == "online"
    assert len(left) == 5


def retained(broker: Broker) -> dict[str, str]:
    """Topic -> what a client that comes now is given at once."""
    listener = Listener(broker.port)
    # sent behind what the broker has kept, so it arrives last
    listener.publish("end/of/retained")
    until(lambda: listener.text("end/of/retained"))
    listener.close()
    return {
        topic: payload.decode()
        for topic, payload in listener.heard
        if payload and topic.startswith("home") and not topic.endswith("results")
    }


@pytest.mark.parametrize("restarted", [False, True])
def test_what_a_sink_left_with_the_broker_is_cleared_when_it_is_gone_or_has_another_topic(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr("edgeemo.sinks.announcements.RETRY_S", 0.2)
    owner = str(tmp_path / "edge.toml")
    first, other, moved = (f"mqtt://localhost:{broker.port}/home/{name}" for name in ("edge", "other", "moved"))

    def configuration(*sinks: str) -> Config:
        return Config(sources=(SourceConfig("door", "demo"),), sinks=sinks)

    def start(text: str) -> Sink:
        context = SinkContext(
            LABELS,
            draw=lambda each: each.frame.image,
            config=configuration(),
            status=lambda: Status(sources=(SourceStatus("door", State.LIVE),)),
            lasting=True,
            owner=owner,
        )
        sink = open_sink(text, context)
        sink.write(result(1, origin="door"))
        return sink

    sinks = [start(first), start(other)]
    until(lambda: len(retained(broker)) == 10, "both sinks' topics")
    for sink in sinks:
        sink.close()
    if restarted:
        # the broker is away when the service begins
        broker.kill()
    withdrawal = Withdrawal(owner)
    withdrawal.begin(configuration(other, moved))
    if restarted:
        broker.start()
    running = [start(other), start(moved)]
    try:
        until(lambda: not any(topic.startswith("home/edge/") for topic in retained(broker)), "the first to be cleared")
        until(lambda: len(retained(broker)) == 10, "the others to stay")
        until(lambda: not Ledger(owner).others((other, moved)), "an empty ledger")
        # the same broker and topic under another address is taken over
        for sink in running:
            sink.close()
        running.clear()
        again = other.replace("localhost", "127.0.0.1")
        running.append(start(again))
        withdrawal.begin(configuration(again))
        until(lambda: not any(topic.startswith("home/moved/") for topic in retained(broker)), "the other to be cleared")
        until(lambda: not Ledger(owner).others((again,)), "an empty ledger")
        assert len(retained(broker)) == 5
    finally:
        withdrawal.close()
        for sink in running:
            sink.close()


AWAY = "mqtt://localhost:1/"


class Moves:
    """Sinks of one configuration whose addresses change from start to start; nothing runs but the sinks."""

    def __init__(self, folder: Path) -> None:
        self._owner = str(folder / "edge.toml")

    def start(self, *sinks: str, owner: str | None = None, frames: tuple[int, ...] = (), spool: str = "") -> None:
        """Open these sinks, write results to each, wait until all that can arrive has, and close them."""
        config = Config(sinks=sinks, mqtt=MqttConfig(spool=spool))
        owner = self._owner if owner is None else owner
        context = SinkContext(LABELS, draw=lambda each: each.frame.image, config=config, lasting=True, owner=owner)
        opened = [open_sink(text, context) for text in sinks]
        for sink in opened:
            for index in frames:
                sink.write(result(1, index=index, origin="door"))
        for text, sink in zip(sinks, opened, strict=True):
            assert isinstance(sink, MqttSink)
            if not text.startswith(AWAY):
                until(partial(operator.not_, sink._outbox), f"the end of {text}")
            sink.close()


@pytest.fixture
def moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Moves:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return Moves(tmp_path)


@pytest.mark.parametrize("spool", ["", "named.db"])
def test_what_waits_goes_once_to_the_broker_that_is_configured_now(
    broker: Broker, moves: Moves, tmp_path: Path, spool: str, caplog: pytest.LogCaptureFixture
) -> None:
    spool = spool and str(tmp_path / spool)
    listener = Listener(broker.port)
    away, here = f"{AWAY}home/edge", f"mqtt://localhost:{broker.port}/new/place"
    moves.start(away, frames=(0, 1, 2), spool=spool)
    moves.start(away, frames=(3,), spool=spool)
    moves.start(here, frames=(4, 5), spool=spool)
    got = [event["frame"] for event in listener.of("new/place/door/results")]
    assert got == list(range(6))
    # nothing comes twice, whichever of them is configured again
    moves.start(here, spool=spool)
    moves.start(away, frames=(6,), spool=spool)
    moves.start(here, spool=spool)
    assert [event["frame"] for event in listener.of("new/place/door/results")] == list(range(7))
    assert not any("home/edge/door/results" in topic for topic, _ in listener.heard)
    assert (f"4 unsent results for {away} now go to {here}" in caplog.text) == (not spool)
    listener.close()


def test_what_waits_for_a_sink_beside_others_goes_to_the_one_that_replaces_it(broker: Broker, moves: Moves) -> None:
    listener = Listener(broker.port)
    away = f"{AWAY}home/edge"
    beside, fresh = (f"mqtt://localhost:{broker.port}/{name}" for name in ("beside", "fresh"))
    moves.start(away, beside, frames=(0, 1))
    moves.start(beside, frames=(2,))
    moves.start(beside, fresh, frames=(3,))
    assert [event["frame"] for event in listener.of("beside/door/results")] == [0, 1, 2, 3]
    assert [event["frame"] for event in listener.of("fresh/door/results")] == [0, 1, 3]
    listener.close()


def test_without_a_configuration_what_waits_is_kept_for_its_broker(tmp_path: Path, moves: Moves) -> None:
    first, second = Broker(tmp_path / "first"), Broker(tmp_path / "second")
    to_first, to_second = (f"mqtt://localhost:{each.port}/edge" for each in (first, second))
    opened = Moves(tmp_path)
    second.start()
    listener = Listener(second.port)
    try:
        config = Config(sinks=(to_first,))
        sink = open_sink(to_first, SinkContext(LABELS, draw=lambda each: each.frame.image, config=config, lasting=True))
        sink.write(result(1, index=0, origin="door"))
        sink.close()
        opened.start(to_second, owner="", frames=(1,))
        assert [event["frame"] for event in listener.of("edge/door/results")] == [1]
        first.start()
        other = Listener(first.port)
        opened.start(to_first, owner="", frames=(2,))
        assert [event["frame"] for event in other.of("edge/door/results")] == [0, 2]
        other.close()
    finally:
        listener.close()
        first.kill()
        second.kill()


def test_a_spool_is_used_by_one_run_at_a_time(tmp_path: Path, opened: Callable[..., MqttSink]) -> None:
    first = opened(1)
    first.write(result(0, index=0))
    with pytest.raises(SinkError, match="is used by another run or sink; choose another"):
        opened(2)
    first.close()
    opened(2)


def test_a_damaged_spool_of_an_earlier_broker_keeps_nobody_from_starting(
    broker: Broker, moves: Moves, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moves.start(f"{AWAY}edge", frames=(0,))
    (spool,) = (tmp_path / "state").glob("mqtt-*[0-9a-f].db")
    for file in spool.parent.glob(f"{spool.name}*"):
        file.unlink()
    spool.write_bytes(b"no database" * 400)
    listener = Listener(broker.port)
    moves.start(f"mqtt://localhost:{broker.port}/edge", frames=(1,))
    assert [event["frame"] for event in listener.of("edge/door/results")] == [1]
    assert f"cannot use {spool}" in caplog.text
    listener.close()
