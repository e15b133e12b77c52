"""Unsent results of the sink `mqtt`: stored on disk, sent later, or taken over by another sink."""

from __future__ import annotations

import contextlib
import operator
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from fakes import result
from mqtt_listener import Listener, events
from servers import Broker, until

from edgeemo.cli import main
from edgeemo.config import Config, MqttConfig
from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.sinks.mqtt import MAX_INFLIGHT, MqttSink
from engines import LABELS


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
    # confirmed messages that this late listener missed do not count as lost
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


def test_a_spool_that_is_locked_while_the_broker_confirms_blocks_nothing_afterwards(
    tmp_path: Path, broker: Broker, opened: Callable[..., MqttSink]
) -> None:
    broker.kill()
    sink = opened(broker.port)
    sink._outbox._database.execute("PRAGMA busy_timeout = 20")
    for index in range(60):
        sink.write(result(0, index=index, origin="door"))
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        broker.start()
        until(lambda: sink._confirmed == MAX_INFLIGHT)
        threading.Event().wait(0.3)  # the sink tries to delete them
    until(lambda: not len(sink._outbox))
    assert (sink._confirmed, sink.lost) == (60, 0)


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
    assert "cannot be reached: Connection refused" in caplog.text
    listener = Listener(broker.port)
    config.write_text(text % (broker.port, 3))
    assert main(["run", "--config", str(config)]) == 0
    events = listener.of(f"edge/{clip.name}/results")
    assert [event["frame"] for event in events] == [0, 1, 2, 3, 4, 0, 1, 2]
    listener.close()


AWAY = "mqtt://localhost:1/"


class Moves:
    """Sinks of one configuration whose addresses change at each start, without sources and stages."""

    def __init__(self, folder: Path) -> None:
        self._owner = str(folder / "edge.toml")

    def start(self, *sinks: str, owner: str | None = None, frames: tuple[int, ...] = (), spool: str = "") -> None:
        """Open sinks, write results to each, wait until all deliverable results have arrived, and close the sinks."""
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
    # no result arrives twice, whichever sink is configured again
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
