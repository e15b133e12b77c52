"""MQTT messages stored on disk, and the ledger of retained topics, without a broker."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from edgeemo.config import Config, MqttConfig, SourceConfig
from edgeemo.sinks.announcements import Announcer, Ledger, kept_by
from edgeemo.sinks.outbox import Outbox


def test_the_outbox_keeps_the_order_whatever_happens(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.db", 10**6, "s")

    def put(*numbers: int) -> None:
        for number in numbers:
            box.append("t", str(number).encode())

    def taken(count: int) -> tuple[list[int], list[int]]:
        got = box.take(count)
        return [message.key for message in got], [int(message.payload) for message in got]

    put(1, 2)
    box.rewind()
    assert taken(1)[1] == [1]
    put(3)
    box.rewind()
    put(4)
    box.rewind()
    keys, numbers = taken(3)
    assert numbers == [1, 2, 3]
    box.done(keys)
    put(5)
    keys, numbers = taken(9)
    assert numbers == [4, 5]
    box.done(keys)
    put(6, 7)
    keys, numbers = taken(1)
    assert numbers == [6]
    box.close()
    again = Outbox(tmp_path / "box.db", 10**6, "s")
    again.rewind()
    assert [int(message.payload) for message in again.take(9)] == [6, 7]
    again.close()


def test_a_message_that_arrives_before_an_older_one_hides_no_later_one(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.db", 10**6, "s")
    box.append("t", b"1")
    box.append("t", b"2")
    first, second = box.take(2)
    box.done([second.key])
    box.append("t", b"3")
    assert [message.payload for message in box.take(9)] == [b"3"]
    box.rewind()
    assert [message.payload for message in box.take(9)] == [b"1", b"3"]
    box.done([first.key])
    assert len(box) == 1
    box.close()


def test_the_outbox_is_bounded_and_drops_the_oldest(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.db", 1000, "s")
    for number in range(300):
        box.append("t", b"%03d" % number + bytes(7))
    assert box.dropped == 200
    assert len(box) == 100
    box.rewind()
    assert int(box.take(1)[0].payload[:3]) == 200
    box.close()


def texts(box: Outbox, count: int = 99) -> list[bytes]:
    return [message.payload for message in box.take(count)]


def test_a_message_larger_than_the_limit_waits_until_a_newer_one_comes(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.db", 10, "s")
    box.append("t", b"larger than the limit")
    assert (len(box), box.dropped) == (1, 0)
    box.append("t", b"new")
    assert (len(box), box.dropped, texts(box)) == (1, 1, [b"new"])
    box.close()


def test_the_limit_counts_what_an_earlier_run_left(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.db", 10, "s")
    box.append("t", b"12345")
    box.append("t", b"6789")
    box.close()
    box = Outbox(tmp_path / "box.db", 10, "s")
    assert (len(box), box.last_key) == (2, 2)
    box.append("t", b"0")
    assert box.dropped == 0
    box.append("t", b"x")
    assert (box.dropped, texts(box)) == (1, [b"6789", b"0", b"x"])
    box.close()


def test_a_message_is_out_until_it_has_arrived_or_was_dropped(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.db", 4, "s")
    for text in (b"1", b"2", b"3"):
        box.append("t", text)
    first, second = box.take(2)
    assert box.out == 2
    box.done([first.key, 99])
    assert (box.out, len(box)) == (1, 2)
    box.append("t", b"four")
    assert (box.out, box.dropped) == (0, 2)
    box.done([second.key])
    assert (len(box), texts(box)) == (1, [b"four"])
    box.rewind()
    assert box.out == 0
    box.close()


def test_a_message_that_cannot_be_kept_is_counted(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.db", 10, "s")
    box.close()
    box.append("t", b"x")
    assert (box.dropped, len(box)) == (1, 0)


def test_what_waits_in_another_file_comes_behind_what_waits_here(tmp_path: Path) -> None:
    box, other = Outbox(tmp_path / "box.db", 12, "s"), Outbox(tmp_path / "other.db", 99, "s")
    box.append("t", b"here")
    for text in (b"there 1", b"there 2"):
        other.append("t", text)
    other.remember("s/status")
    other.close()
    assert box.adopt(tmp_path / "other.db") == 2
    assert (box.dropped, texts(box)) == (2, [b"there 2"])
    assert box.retained == {"s/status"}
    box.append("t", b"new")
    assert texts(box) == [b"new"]
    assert box.adopt(tmp_path / "other.db") == 0
    box.close()


def test_retained_topics_are_remembered_for_each_sink_until_they_are_cleared(tmp_path: Path) -> None:
    one, two = (Outbox(tmp_path / "box.db", 10, sink) for sink in ("one", "two"))
    for topic in ("a", "b", "a"):
        one.remember(topic)
    two.remember("a")
    one.forget("a")
    for box, left in ((one, {"b"}), (two, {"a"})):
        assert box.retained == left
        box.close()
    again = Outbox(tmp_path / "box.db", 10, "one")
    assert again.retained == {"b"}
    again.close()


LEDGER_SINK = "mqtt://localhost:1/a"


@pytest.fixture
def announcer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Announcer:
    """A sink for a ledger whose folder does not exist yet."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state" / "edgeemo"))
    return Announcer(LEDGER_SINK, tmp_path / "spool.db", MqttConfig(user="anna"))


def test_a_ledger_names_the_sinks_of_its_configuration_that_are_gone(announcer: Announcer) -> None:
    assert Ledger("a.toml").others(()) == []
    Ledger("a.toml").add(announcer)
    Ledger("a.toml").add(announcer)
    assert Ledger("a.toml").others(()) == [announcer]
    assert Ledger("a.toml").others((LEDGER_SINK,)) == []
    assert Ledger("b.toml").others(()) == []
    Ledger("b.toml").remove(LEDGER_SINK)
    assert Ledger("a.toml").others(()) == [announcer]
    Ledger("a.toml").remove(LEDGER_SINK)
    assert Ledger("a.toml").others(()) == []


def test_a_ledger_knows_a_sink_until_another_one_has_replaced_it(announcer: Announcer) -> None:
    ledger = Ledger("a.toml")
    assert not ledger.knows(LEDGER_SINK)
    ledger.add(announcer)
    assert ledger.knows(LEDGER_SINK)
    assert not ledger.knows("mqtt://localhost:1/b")
    assert not Ledger("b.toml").knows(LEDGER_SINK)
    ledger.replaced(LEDGER_SINK)
    assert not ledger.knows(LEDGER_SINK)
    assert ledger.others(()) == [announcer]
    ledger.add(announcer)
    assert ledger.knows(LEDGER_SINK)


def test_a_ledger_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file"))
    Ledger("a.toml").add(Announcer(LEDGER_SINK, tmp_path / "spool.db", MqttConfig()))
    assert "mqtt-sinks.db, which records" in caplog.text


def test_topics_that_a_configured_sink_has_with_the_same_broker_are_kept(announcer: Announcer) -> None:
    sinks = ("csv:out.csv", "mqtt://127.0.0.1:1/home", "mqtt://127.0.0.1:2/port", "mqtt://192.0.2.1:1/host")
    config = Config(sinks=sinks, sources=(SourceConfig("door", "0"),), mqtt=MqttConfig(discovery="ha"))
    assert kept_by(config, announcer) == {
        "home/status",
        "home/door/availability",
        "home/door/state",
        "ha/sensor/edgeemo_home_door/emotion/config",
        "ha/sensor/edgeemo_home_door/faces/config",
    }
    assert kept_by(Config(sinks=sinks[2:]), announcer) == set()


def test_confirmed_messages_are_deleted_later_if_the_file_is_locked(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.db", 1000, "s")
    for text in (b"1", b"2"):
        box.append("t", text)
    keys = [message.key for message in box.take(2)]
    box._database.execute("PRAGMA busy_timeout = 10")
    with contextlib.closing(sqlite3.connect(tmp_path / "box.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert not box.done(keys)
        assert (box.out, len(box)) == (2, 2)
    assert box.done(keys)
    assert (box.out, len(box)) == (0, 0)
    box.close()
