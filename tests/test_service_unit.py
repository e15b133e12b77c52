from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeemo.errors import ServiceError
from edgeemo.system.sd_notify import Notifier
from edgeemo.system.unit import Unit, devices, expect_own_unit, first_closed, let_read, state, uninstall

OUTPUTS = (Path("/srv/edge/a.jsonl"),)


@contextmanager
def systemd(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inlet:
        inlet.bind("\0" + address[1:] if address.startswith("@") else address)
        inlet.settimeout(5)
        yield inlet


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_and_its_watchdog_fed(tmp_path: Path, abstract: bool) -> None:
    address = f"@edgeemo-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with systemd(address) as inlet:
        notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "40000"})
        notifier.tell("READY=1")
        notifier.feed()
        notifier.feed()
        assert inlet.recv(100) == b"READY=1"
        assert inlet.recv(100) == b"WATCHDOG=1"
        inlet.settimeout(0)
        with pytest.raises(BlockingIOError):
            inlet.recv(100)


def test_a_watchdog_of_another_process_is_not_fed(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with systemd(address) as inlet:
        Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}).feed()
        inlet.settimeout(0)
        with pytest.raises(BlockingIOError):
            inlet.recv(100)


def test_without_systemd_nothing_is_told() -> None:
    notifier = Notifier({})
    notifier.tell("READY=1")
    notifier.feed()
    Notifier({"NOTIFY_SOCKET": "/no/such/socket"}).tell("READY=1")


def test_the_unit_restarts_is_watched_and_ends_cleanly() -> None:
    lines = Unit(Path("/etc/edgeemo/edge.toml"), outputs=OUTPUTS).text().splitlines()
    for line in (
        "Type=notify", "WatchdogSec=30", "Restart=on-failure", "SuccessExitStatus=130", "User=edgeemo", "MemoryMax=2G",
        "RestartPreventExitStatus=3 4",
        "StartLimitIntervalSec=0", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=",
        "ReadWritePaths=/srv/edge", "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'", "PrivateTmp=yes",
    ):  # fmt: skip
        assert line in lines


def test_on_a_jetson_it_waits_for_the_camera_daemon_and_sees_its_socket() -> None:
    lines = Unit(Path("/etc/edgeemo/edge.toml"), csi=True, outputs=OUTPUTS).text().splitlines()
    assert "After=network-online.target nvargus-daemon.service" in lines
    assert "PrivateTmp=no" in lines
    assert "DevicePolicy=closed" in lines


def test_the_nodes_of_nvidias_drivers_are_allowed_by_path(tmp_path: Path) -> None:
    there = ("dev/nvidia0", "dev/nvidiactl", "dev/nvmap", "dev/nvhost-ctrl-gpu", "dev/nvgpu/igpu0/ctrl", "dev/sda")
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert devices(tmp_path) == [
        "char-video4linux",
        "char-drm",
        "/dev/nvgpu/igpu0/ctrl",
        "/dev/nvhost-ctrl-gpu",
        "/dev/nvidia0",
        "/dev/nvidiactl",
        "/dev/nvmap",
    ]


def test_a_build_that_runs_out_of_memory_does_not_end_the_service() -> None:
    lines = Unit(Path("/etc/edgeemo/edge.toml")).text().splitlines()
    assert "OOMPolicy=continue" in lines
    assert "MemoryMax=2G" in lines


def test_words_that_systemd_would_expand_are_quoted() -> None:
    text = Unit(Path("/etc/my edge/100%.toml"), outputs=OUTPUTS).text()
    assert '--config "/etc/my edge/100%%.toml"' in text


@pytest.mark.parametrize("csi", [False, True])
def test_systemd_accepts_the_unit_and_finds_it_hardened(tmp_path: Path, csi: bool) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "edgeemo.service"
    path.write_text(Unit(tmp_path / "edge.toml", csi=csi, outputs=OUTPUTS).text())
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "edgeemo.service" in line and "nvargus" not in line]
    assert complaints == []
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=40", path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unrecognized option" in done.stderr or "Unknown" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a unit offline")
    assert done.returncode == 0, done.stdout[-500:]


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"name": "../x"}, "--name"), ({"user": "Root"}, "--user"), ({"memory": "lots"}, "--memory")],
)
def test_names_that_do_not_belong_into_a_unit_are_mistakes(changes: dict[str, str], says: str) -> None:
    with pytest.raises(ServiceError, match=says):
        Unit(Path("/etc/edgeemo/edge.toml"), **changes)


def test_the_unit_of_another_program_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    path = tmp_path / "sshd.service"
    expect_own_unit(path)
    path.write_text(Unit(Path("/etc/edge.toml"), outputs=OUTPUTS).text())
    expect_own_unit(path)
    path.write_text("[Unit]\nDescription=OpenSSH server\n")
    with pytest.raises(ServiceError, match="was not written by edgeemo"):
        expect_own_unit(path)


def test_without_systemd_it_says_what_to_do_instead(tmp_path: Path) -> None:
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd runs here")
    for action in (lambda: state("edgeemo"), lambda: uninstall("edgeemo", folder=tmp_path)):
        with pytest.raises(ServiceError, match="systemd is not running"):
            action()


def test_a_configuration_is_opened_to_the_services_user_and_to_nobody_else(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file to another group")
    path = tmp_path / "edge.toml"
    path.write_text("")
    path.chmod(0o600)
    assert let_read(path, "nobody")
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.stat().st_gid == pwd.getpwnam("nobody").pw_gid
    assert not let_read(path, "nobody")
    path.chmod(0o604)
    assert not let_read(path, "daemon")


def test_a_folder_that_the_services_user_may_not_enter_is_found() -> None:
    if os.geteuid():
        pytest.skip("only root can look as another user")
    with tempfile.TemporaryDirectory() as name:
        inner, file = Path(name) / "inner", Path(name) / "inner" / "edge.toml"
        inner.mkdir(0o755)
        file.touch(0o644)
        assert first_closed(file, "nobody") == Path(name)  # 0700
        Path(name).chmod(0o755)
        assert first_closed(file, "nobody") is None
        inner.chmod(0o750)
        assert first_closed(file, "nobody") == inner
        inner.chmod(0o755)
        file.chmod(0o600)
        assert first_closed(file, "nobody") == file
