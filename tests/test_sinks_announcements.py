"""Retained topics of removed sources and sinks are cleared."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import result
from mqtt_listener import retained
from servers import Broker, until

from edgeemo.config import Config, MqttConfig, SourceConfig
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.sinks.announcements import Announcer, Ledger, Withdrawal
from edgeemo.sinks.mqtt import MqttSink
from edgeemo.sinks.outbox import Outbox
from edgeemo.types import Sink, SourceStatus, State, Status
from engines import LABELS


def test_what_a_source_left_with_the_broker_is_cleared_when_it_is_gone(
    broker: Broker, opened: Callable[..., MqttSink]
) -> None:
    def status(*names: str) -> Callable[[], Status]:
        return lambda: Status(sources=tuple(SourceStatus(name, State.LIVE) for name in names))

    before = opened(broker.port, status("door", "gate"))
    for source in ("door", "gate"):
        before.write(result(1, origin=source))
    until(lambda: len(retained(broker)) == 9)  # the status, and per source availability, state and two discovery topics
    before.close()
    opened(broker.port, status("door"))
    until(lambda: not any("gate" in topic for topic in retained(broker)))
    left = retained(broker)
    assert left["home/edge/door/availability"] == "online"
    assert left["home/edge/status"] == "online"
    assert len(left) == 5


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
        # the broker is not running when the service starts
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
        # the same broker and topic under another host name is taken over
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


def test_a_withdrawal_that_waits_for_its_broker_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr("edgeemo.sinks.announcements.RETRY_S", 30.0)
    Ledger("edge.toml").add(Announcer("mqtt://127.0.0.1:1/home", tmp_path / "spool.db", MqttConfig()))
    Outbox(tmp_path / "spool.db", 1000, "mqtt://127.0.0.1:1/home").remember("home/status")
    withdrawal = Withdrawal("edge.toml")
    withdrawal.begin(Config())
    assert any(each.name == "edgeemo-mqtt-withdrawal" for each in threading.enumerate())
    withdrawal.close()
    assert not any(each.name == "edgeemo-mqtt-withdrawal" for each in threading.enumerate())
    withdrawal.close()
