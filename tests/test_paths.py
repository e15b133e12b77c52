from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeemo.system.paths import data_folder, state_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")


def test_folders_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert data_folder() == tmp_path / "data" / "edgeemo"
    assert state_folder() == tmp_path / "state" / "edgeemo"


def test_without_the_environment_they_are_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".local/share/edgeemo"
    assert state_folder() == tmp_path / ".local/state/edgeemo"


def test_a_service_keeps_its_state_where_systemd_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edgeemo:/var/lib/other")
    assert state_folder() == Path("/var/lib/edgeemo")
