"""Detect whether the path of an output still leads to its open file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgeemo.errors import SinkError
from edgeemo.sinks.presence import CHECK_S, Presence, reopening


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "out.csv"
    made.write_text("x")
    return made


def test_a_file_under_its_name_has_not_moved(path: Path) -> None:
    presence = Presence(path)
    path.write_text("longer")
    assert not presence.has_moved(now=True)
    assert not presence.is_deleted()
    presence.close()
    presence.close()


@pytest.mark.parametrize("again", [False, True])
def test_a_renamed_file_has_moved_and_is_not_deleted(path: Path, again: bool) -> None:
    presence = Presence(path)
    path.rename(path.with_name("old"))
    if again:
        path.write_text("another file of the same name")
    assert presence.has_moved(now=True)
    assert not presence.is_deleted()
    presence.close()


def test_a_deleted_file_has_moved(path: Path) -> None:
    presence = Presence(path)
    path.unlink()
    assert presence.has_moved(now=True)
    assert presence.is_deleted()
    presence.close()


def test_it_is_looked_at_now_and_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("edgeemo.sinks.presence.time.monotonic", lambda: now)
    presence = Presence(path)
    path.unlink()
    now += CHECK_S * 0.9
    assert not presence.has_moved()
    now += CHECK_S * 0.2
    assert presence.has_moved()
    assert not presence.has_moved()
    now += CHECK_S * 1.1
    assert presence.has_moved()
    presence.close()


@pytest.mark.parametrize(
    "error", [SinkError("No space left on device"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))]
)
def test_what_cannot_be_reopening_says_why(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    why = "^out.csv was moved or deleted and .* again: No space left on device$"
    with pytest.raises(SinkError, match=why), reopening("out.csv"):
        raise error
    assert caplog.text == ""
    with reopening("out.csv"):
        pass
    assert "out.csv was renamed or deleted; " in caplog.text
