"""Locks between processes."""

import threading
from pathlib import Path

from engines.lock import hold_lock


def test_a_lock_is_held_by_one_and_another_one_can_wait_for_it(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", []

    def wait() -> None:
        with hold_lock(path, wait=True, required=False) as held:
            order.append(held)

    with hold_lock(path) as first, hold_lock(path) as second:
        assert (first, second) == (True, False)
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.3)
        assert not order
    waiting.join(5)
    assert order == [True]
