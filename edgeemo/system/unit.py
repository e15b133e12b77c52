"""The systemd unit of the service, hardened. Called by `edgeemo service`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgeemo.errors import ServiceError
from engines.files import atomic_write

MARK = "# Written by: edgeemo service install"  # first line of every unit that edgeemo writes
UNITS = Path("/etc/systemd/system")
NVARGUS = "nvargus-daemon.service"
LIMIT_S = 60
# how to keep a program running on the other systems, by sys.platform
INSTEAD = {
    "win32": 'on Windows, make a task in Task Scheduler, trigger "At startup", that runs: edgeemo run --config FILE',
    "darwin": "on macOS, write a LaunchAgent (man launchd.plist) with KeepAlive that runs: edgeemo run --config FILE",
}
# device nodes of NVIDIA's drivers (on a Jetson also for memory, video decoder and encoder); last row: of libcamera
DEVICE_NODES = (
    *("nvidia*", "nvidia-caps/*", "nvmap", "nvhost*", "nvgpu*", "nvgpu/*", "nvgpu/*/*"),
    *("host1x-fence", "v4l2-nv*", "nvsciipc"),
    *("media*", "dma_heap/*"),
)


@dataclass(frozen=True)
class Unit:
    """The options of `edgeemo service install`.

    Attributes:
        config_file: the configuration, with `[[sources]]`.
        name: unit name without ".service".
        user: runs the service; created if it does not exist.
        memory: memory limit in systemd's notation.
        csi: the machine has the daemon for CSI cameras.
        outputs: files that the sinks write.
    """

    config_file: Path
    name: str = "edgeemo"
    user: str = "edgeemo"
    memory: str = "2G"
    csi: bool = False
    outputs: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for what, value in (("name", self.name), ("user", self.user)):
            if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,30}", value):
                raise ServiceError(f"--{what} {value!r}: use at most 31 lower-case letters, digits, - and _")
        if not re.fullmatch(r"[1-9]\d{0,6}[MG]", self.memory):
            raise ServiceError(f"--memory {self.memory!r}: write a number and M or G, for example 2G")

    def text(self) -> str:
        """The unit file."""
        after = ["network-online.target", *([NVARGUS] if self.csi else [])]
        lines = [
            MARK,
            "[Unit]",
            "Description=edgeemo: facial expressions in video",
            "Wants=" + " ".join(after),
            "After=" + " ".join(after),
            "# retry for ever: a camera or broker may be unreachable for a long time",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            *self._process(),
            "",
            *self._sandbox(),
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
        return "\n".join(lines)

    def _command(self) -> list[str]:
        python = Path(sys.executable)
        script = python.with_name("edgeemo")
        # -I: do not import packages from the working directory
        program = [str(script)] if script.is_file() else [str(python), "-I", "-m", "edgeemo"]
        return [*program, "run", "--quiet", "--config", str(self.config_file)]

    def _process(self) -> list[str]:
        """User, command, restart policy and resource limits."""
        return [
            "Type=notify",
            "NotifyAccess=main",
            "ExecStart=" + " ".join(_quoted(word) for word in self._command()),
            "# kill is built into the shell; small images lack /bin/kill",
            "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'",
            "Restart=on-failure",
            "RestartSec=2",
            "# 130: ended by SIGTERM, as asked",
            "SuccessExitStatus=130",
            "# 3, 4: every source has ended; the service would read the same files again, for ever",
            "RestartPreventExitStatus=3 4",
            "TimeoutStartSec=5min",
            "TimeoutStopSec=10",
            "WatchdogSec=30",
            f"User={self.user}",
            *(f"SupplementaryGroups={group}" for group in _groups(("video", "render"))),
            f"StateDirectory={self.name}",
            "StateDirectoryMode=0750",
            f"WorkingDirectory=%S/{self.name}",
            f"Environment=HOME=%S/{self.name}",
            "UMask=0027",
            "# the limit counts the process that builds a TensorRT plan; if only that is killed, the service continues",
            f"MemoryMax={self.memory}",
            "OOMPolicy=continue",
            "TasksMax=256",
            "LimitNOFILE=4096",
        ]

    def _sandbox(self) -> list[str]:
        folders = sorted({str(file.parent) for file in self.outputs if file.is_absolute() and not _is_device(file)})
        needed = (sys.executable, str(self.config_file), *folders)
        in_home = any(path.startswith(("/home/", "/root/")) for path in needed)
        return [
            "NoNewPrivileges=yes",
            "CapabilityBoundingSet=",
            "AmbientCapabilities=",
            "ProtectSystem=strict",
            f"ProtectHome={'read-only' if in_home else 'yes'}",
            *(f"ReadWritePaths={_quoted(folder)}" for folder in folders),
            # the socket of the camera daemon is in /tmp
            f"PrivateTmp={'no' if self.csi else 'yes'}",
            "ProtectProc=invisible",
            "ProtectHostname=yes",
            "ProtectKernelTunables=yes",
            "ProtectKernelModules=yes",
            "ProtectKernelLogs=yes",
            "ProtectControlGroups=yes",
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
            "RestrictNamespaces=yes",
            "RestrictRealtime=yes",
            "RestrictSUIDSGID=yes",
            "LockPersonality=yes",
            "KeyringMode=private",
            "RemoveIPC=yes",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
            "SystemCallErrorNumber=EPERM",
            "DevicePolicy=closed",
            *(f"DeviceAllow={node} rw" for node in devices()),
        ]


def install(unit: Unit, *, folder: Path = UNITS) -> list[str]:
    """Write the unit, create its user, start it now and at every boot.

    Returns:
        What was done, one line per step.

    Raises:
        ServiceError: not root, no systemd, the service's user cannot read the program or the configuration, or a
            command of systemd failed.
    """
    _expect_systemd()
    if not _is_root():
        raise ServiceError("only root can install a service; run it again with sudo")
    path = folder / f"{unit.name}.service"
    expect_own_unit(path)
    done = []
    if not _user_exists(unit.user):
        _run("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", unit.user)
        done.append(f"created the user {unit.user}")
    if let_read(unit.config_file, unit.user):
        done.append(f"let {unit.user} read {unit.config_file}")
    for needed in (Path(sys.executable), Path(sys.executable).resolve(), unit.config_file.absolute()):
        if closed := first_closed(needed, unit.user):
            raise ServiceError(
                f"the user {unit.user} may not enter {closed}, which has {needed.name}: "
                "put edgeemo and the configuration elsewhere (for example /opt, /etc), or give another --user"
            )
    try:
        atomic_write(path, unit.text(), durable=True)
    except OSError as error:
        raise ServiceError(f"cannot write {path}: {error.strerror or error}") from error
    done.append(f"wrote {path}")
    _run("systemctl", "daemon-reload")
    _run("systemctl", "enable", "--now", f"{unit.name}.service")
    done.append(f"started {unit.name}; its log: journalctl -u {unit.name} -f")
    return done


def expect_own_unit(path: Path) -> None:
    """Raise ServiceError if a unit exists that edgeemo has not written, such as sshd's."""
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(MARK):
        raise ServiceError(f"{path} was not written by edgeemo service install; choose another --name")


def uninstall(name: str, *, folder: Path = UNITS) -> list[str]:
    """Stop the service and remove its unit; keep its results and its user.

    Raises:
        ServiceError: as `install`, or there is no such unit.
    """
    _expect_systemd()
    path = folder / f"{name}.service"
    if not path.is_file():
        raise ServiceError(f"there is no {path}; nothing to remove")
    expect_own_unit(path)
    if not _is_root():
        raise ServiceError("only root can remove a service; run it again with sudo")
    _run("systemctl", "disable", "--now", f"{name}.service")
    path.unlink()
    _run("systemctl", "daemon-reload")
    return [f"removed {path}", f"kept its results in /var/lib/{name} and its user"]


def state(name: str) -> dict[str, str]:
    """The service's state as systemd reports it.

    Raises:
        ServiceError: there is no systemd, or it does not respond.
    """
    _expect_systemd()
    wanted = ("LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID", "NRestarts", "MemoryCurrent",
              "ActiveEnterTimestamp", "Result")  # fmt: skip
    said = _run("systemctl", "show", f"{name}.service", "--property=" + ",".join(wanted))
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def has_csi() -> bool:
    """Whether this machine has the daemon that CSI cameras need."""
    folders = (UNITS, Path("/lib/systemd/system"), Path("/usr/lib/systemd/system"))
    return any((folder / NVARGUS).exists() for folder in folders)


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _expect_systemd() -> None:
    instead = INSTEAD.get(sys.platform)
    if instead:
        raise ServiceError(f"`edgeemo service` needs systemd on Linux; {instead}")
    if not Path("/run/systemd/system").is_dir() or shutil.which("systemctl") is None:
        raise ServiceError("systemd is not running; --print shows the unit, edgeemo run --config FILE runs without it")


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise ServiceError(f"{' '.join(command)} failed: {said or f'exit code {done.returncode}'}")
    return done.stdout


def _quoted(word: str) -> str:
    """A word of a command, quoted for a unit, where systemd expands % and $."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[^\s\"'\\;]+", escaped) else f'"{escaped}"'


def _user_exists(name: str) -> bool:
    if sys.platform == "win32":
        return False
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def let_read(file: Path, user: str) -> bool:
    """Let one user, but nobody else, read a configuration (it may contain passwords of cameras).

    Returns:
        Whether permissions had to be changed.
    """
    if sys.platform == "win32":
        return False
    import pwd

    entry, there = pwd.getpwnam(user), file.stat()
    if there.st_mode & 0o004 or there.st_uid == entry.pw_uid:
        return False
    if there.st_gid == entry.pw_gid and there.st_mode & 0o040:
        return False
    os.chown(file, -1, entry.pw_gid)
    file.chmod(there.st_mode & 0o777 | 0o040)
    return True


def first_closed(path: Path, user: str) -> Path | None:
    """The topmost folder above a file that a user may not enter, or the file if he may not read it; None if neither."""
    if sys.platform == "win32":
        return None
    import pwd

    group = pwd.getpwnam(user).pw_gid
    for part in (*reversed(path.parents), path):
        test = ["test", "-r" if part == path else "-x", part]
        if subprocess.run(test, user=user, group=group, extra_groups=[], check=False).returncode:
            return part
    return None


def _groups(names: tuple[str, ...]) -> list[str]:
    """The groups that exist on this machine; systemd refuses a unit with an unknown group."""
    there: list[str] = []
    if sys.platform == "win32":
        return there
    import grp

    for name in names:
        try:
            grp.getgrnam(name)
        except KeyError:
            continue
        there.append(name)
    return there


def _is_device(file: Path) -> bool:
    return str(file).startswith("/dev/")


def devices(root: Path = Path("/")) -> list[str]:
    """The devices that the service may open: cameras and displays by class, nodes of other drivers by path.

    Drivers name their device classes differently: `nvidia-frontend` became `nvidia` with driver 550, and a Jetson's
    nvmap, nvhost and nvgpu have separate classes. The nodes are listed when the unit is written, so install the service
    again after a new JetPack.
    """
    nodes = {path for pattern in DEVICE_NODES for path in (root / "dev").glob(pattern) if not path.is_dir()}
    return ["char-video4linux", "char-drm", *sorted(f"/{path.relative_to(root)}" for path in nodes)]
