from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import result
from mqtt_listener import Listener, events, retained
from servers import Broker, until

from edgeemo.sinks.mqtt import MAX_INFLIGHT, MqttSink
from edgeemo.types import SourceStatus, State, Status
from engines import LABELS


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
    """A clean disconnect discards the last will, so `offline` must be sent although earlier results are unconfirmed."""
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


def test_pictures_of_a_folder_do_not_each_leave_a_retained_topic(
    broker: Broker, opened: Callable[..., MqttSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeemo.sinks.mqtt.STATE_S", 0.0)
    listener = Listener(broker.port)
    sink = opened(broker.port)
    for index in range(30):
        picture = result(1, index=index, origin=f"{index}.jpg")
        sink.write(replace(picture, frame=replace(picture.frame, still=True)))
    until(lambda: listener.of("home/edge/29.jpg/results"))
    sink.close()
    assert set(retained(broker)) == {"home/edge/status"}
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
