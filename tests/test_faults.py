"""The log of faults of what is retried for ever."""

from __future__ import annotations

import logging

import pytest

from edgeemo.system import faults
from edgeemo.system.faults import FaultLog


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(faults, "monotonic", lambda: now[0])
    return now


def test_a_fault_that_returns_after_each_attempt_is_logged_once_and_its_end_when_it_lasts(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    log = FaultLog(logging.getLogger("test"), "sink a", "sink a works again")
    for attempt in range(100):
        log.begin(f"no space left (attempt {attempt})")
        log.end()
        clock[0] += 1.0
        log.check()
    log.begin("no such folder")
    log.end()
    assert caplog.messages == ["sink a: no space left (attempt 0)", "sink a: no such folder"]
    clock[0] += faults.STEADY_S
    log.check()
    log.check()
    assert caplog.messages[2:] == ["sink a works again"]
    log.begin("no space left")
    assert caplog.messages[3:] == ["sink a: no space left"]


def test_nothing_is_logged_without_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    log = FaultLog(logging.getLogger("test"), "sink a", "sink a works again")
    log.end()
    log.check(now=True)
    log.begin("gone")
    log.check(now=True)
    assert caplog.messages == ["sink a: gone"]


def test_a_traceback_is_logged_with_the_first_fault_of_its_kind(caplog: pytest.LogCaptureFixture) -> None:
    log = FaultLog(logging.getLogger("test"), "sink a", "sink a works again")
    for _ in range(2):
        log.begin("broken", trace=RuntimeError("broken"))
    assert [str(each.exc_info[1]) for each in caplog.records if each.exc_info] == ["broken"]
