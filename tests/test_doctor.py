from __future__ import annotations

import socket
from pathlib import Path

import pytest
from fakes import make_bundle

from edgeemo.cli import main
from edgeemo.config import Config
from edgeemo.doctor import CHECKS, Check, display_fault, examine


@pytest.fixture
def engine(tmp_path: Path) -> str:
    return str(make_bundle(tmp_path / "tiny"))


def by_name(config: Config) -> dict[str, Check]:
    return {check.name: check for check in examine(config)}


def test_a_machine_that_can_run_the_main_job_has_no_fault(engine: str) -> None:
    found = by_name(Config(engine=engine))
    assert list(found) == list(CHECKS)
    assert {name: check.detail for name, check in found.items() if check.status == "fault"} == {}
    assert "ms per face" in found["engine"].detail
    assert "ONNX Runtime" in found["engine"].detail
    assert "25 frames of the demo clip" in found["main job"].detail


def test_an_engine_that_is_not_there_is_a_fault_with_its_mend() -> None:
    found = by_name(Config(engine="no_such_engine"))
    assert found["engine"].status == found["main job"].status == "fault"
    assert "no engine named 'no_such_engine'" in found["engine"].detail
    assert found["engine"].fix


def test_everything_but_ok_says_what_to_do(engine: str) -> None:
    assert all(check.fix for check in examine(Config(engine=engine)) if check.status != "ok")


def test_every_finding_is_one_line(engine: str) -> None:
    assert all("\n" not in check.detail + check.fix for check in examine(Config(engine=engine, backend="nonsense")))


def test_a_fault_is_printed_with_its_mend_and_gives_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--engine", "no_such_engine"]) == 2
    shown = capsys.readouterr().out
    assert "fault    engine" in shown
    assert "-> see edgeemo engines for the available ones" in shown
    assert shown.endswith("edgeemo cannot run here: fix the faults listed above.\n")


linux_only = pytest.mark.skipif("not __import__('sys').platform.startswith('linux')", reason="displays of Linux")


@linux_only
@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        ({}, "there is no display"),
        ({"DISPLAY": ""}, "there is no display"),
        ({"DISPLAY": ":8731"}, "the display :8731 cannot be reached"),
        ({"DISPLAY": "nonsense"}, "the display nonsense cannot be reached"),
        ({"DISPLAY": "localhost:59000.0"}, "the display localhost:59000.0 cannot be reached"),
        ({"WAYLAND_DISPLAY": "wayland-8731", "XDG_RUNTIME_DIR": "/nowhere"}, "does not exist"),
    ],
)
def test_a_display_that_cannot_be_reached_is_seen_before_qt_ends_the_process(
    environment: dict[str, str], fault: str
) -> None:
    assert fault in display_fault(environment)


def test_a_platform_chosen_by_hand_is_trusted() -> None:
    assert display_fault({"QT_QPA_PLATFORM": "offscreen"}) == ""


@linux_only
def test_a_wayland_display_is_found_by_its_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "wayland-0"))
        assert display_fault({"WAYLAND_DISPLAY": "wayland-0", "XDG_RUNTIME_DIR": str(tmp_path)}) == ""
