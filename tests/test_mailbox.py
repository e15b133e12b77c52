from __future__ import annotations

import threading

import pytest

from edgeemo.mailbox import Closed, Mailbox


def test_an_item_is_taken_once() -> None:
    box: Mailbox[int] = Mailbox(newest_only=False)
    box.put(1, timeout=0)
    assert box.take(timeout=0) == 1
    with pytest.raises(TimeoutError):
        box.take(timeout=0.01)


def test_the_newest_item_replaces_an_untaken_one_and_the_drop_is_counted() -> None:
    box: Mailbox[int] = Mailbox(newest_only=True)
    for item in range(5):
        box.put(item, timeout=0)
    assert box.take(timeout=0) == 4
    assert box.dropped == 4


def test_without_newest_only_an_untaken_item_makes_the_writer_wait() -> None:
    box: Mailbox[int] = Mailbox(newest_only=False)
    box.put(1, timeout=0)
    with pytest.raises(TimeoutError):
        box.put(2, timeout=0.01)
    assert box.take(timeout=0) == 1
    assert box.dropped == 0


def test_a_larger_box_holds_items_in_order_and_then_makes_the_writer_wait() -> None:
    box: Mailbox[int] = Mailbox(newest_only=False, size=3)
    for item in range(3):
        box.put(item, timeout=0)
    with pytest.raises(TimeoutError):
        box.put(3, timeout=0.01)
    assert box.take(timeout=0) == 0
    box.put(3, timeout=0)
    assert [box.take(timeout=0) for _ in range(3)] == [1, 2, 3]
    assert box.dropped == 0


def test_every_item_arrives_in_order_between_two_threads() -> None:
    box: Mailbox[int] = Mailbox(newest_only=False)

    def write() -> None:
        for item in range(500):
            box.put(item, timeout=5)
        box.close()

    writer = threading.Thread(target=write)
    writer.start()
    taken = [box.take(timeout=5) for _ in range(500)]
    with pytest.raises(Closed):
        box.take(timeout=5)
    writer.join(5)
    assert taken == list(range(500))


def test_after_closing_the_last_item_can_still_be_taken() -> None:
    box: Mailbox[int] = Mailbox(newest_only=False)
    box.put(1, timeout=0)
    box.close()
    assert box.take(timeout=0) == 1
    with pytest.raises(Closed):
        box.take(timeout=0)


def test_nothing_can_be_put_after_closing() -> None:
    for newest_only in (False, True):
        box: Mailbox[int] = Mailbox(newest_only=newest_only)
        box.close()
        with pytest.raises(Closed):
            box.put(1, timeout=0)


def test_an_error_reaches_the_reader_after_the_last_item_and_again_when_asked_again() -> None:
    box: Mailbox[int] = Mailbox(newest_only=False)
    box.put(1, timeout=0)
    box.fail(ValueError("the source broke"))
    assert box.take(timeout=0) == 1
    for _ in range(2):
        with pytest.raises(ValueError, match="the source broke"):
            box.take(timeout=0)


@pytest.mark.parametrize("newest_only", [False, True])
def test_closing_wakes_a_waiting_reader(newest_only: bool) -> None:
    box: Mailbox[int] = Mailbox(newest_only=newest_only)
    threading.Timer(0.05, box.close).start()
    with pytest.raises(Closed):
        box.take(timeout=10)


def test_closing_wakes_a_waiting_writer() -> None:
    box: Mailbox[int] = Mailbox(newest_only=False)
    box.put(1, timeout=0)
    threading.Timer(0.05, box.close).start()
    with pytest.raises(Closed):
        box.put(2, timeout=10)
