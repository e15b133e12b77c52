"""The dialog Health: milliseconds per stage, dropped frames, engine in use, temperature, power. Opened by `dialogs`."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QDialog, QGridLayout, QVBoxLayout, QWidget

from edgeemo.ui.labels import Label
from edgeemo.ui.language import tr, translatable
from edgeemo.ui.player import Counters
from edgeemo.ui.theme import named
from edgeemo.ui.words import number, percent

STAGES = {
    "detect": translatable("Find faces"),
    "track": translatable("Follow them"),
    "classify": translatable("Engine, all faces"),
    "smooth": translatable("Smooth"),
    "sink": translatable("Record and sinks"),
}
THERMAL = Path("/sys/class/thermal")
HWMON = Path("/sys/class/hwmon")
ROWS = (
    translatable("Engine"),
    translatable("Frames per second"),
    translatable("Latency"),
    translatable("To the result"),
    translatable("Frames"),
    translatable("Dropped"),
    translatable("Faces"),
    *STAGES.values(),
    translatable("Window"),
    translatable("Temperature"),
    translatable("Power"),
    translatable("Load"),
)
INDENTED = ("To the result", *STAGES.values())


class Paints:
    """Milliseconds that showing the latest pictures took."""

    def __init__(self) -> None:
        self._taken: deque[float] = deque(maxlen=300)
        self._delays: deque[float] = deque(maxlen=120)

    def add(self, milliseconds: float, delay_ms: float | None = None) -> None:
        """Record that a picture was painted.

        Args:
            milliseconds: time to paint a picture.
            delay_ms: time from the capture of its frame; None if the frame was painted before.
        """
        self._taken.append(milliseconds)
        if delay_ms is not None:
            self._delays.append(delay_ms)

    def forget_delays(self) -> None:
        """Forget the delays, which belong to another source."""
        self._delays.clear()

    def p95(self) -> float:
        """95th percentile of the time to paint a picture, in milliseconds; 0 before the first one."""
        return float(np.percentile(self._taken, 95)) if self._taken else 0.0

    def delay(self, percentile: float = 50) -> float | None:
        """A percentile of the milliseconds from the capture of a frame to the screen; None before the first one."""
        return float(np.percentile(self._delays, percentile)) if self._delays else None


class HealthDialog(QDialog):
    """Stays open beside the window; `show_stats` fills it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Health"))
        self.setMinimumWidth(560)
        self.values: dict[str, Label] = {}
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(24)
        self._grid.setColumnStretch(1, 1)
        for name in ROWS:
            self._row(name, f"  {tr(name)}" if name in INDENTED else tr(name))
        layout = QVBoxLayout(self)
        layout.addLayout(self._grid)
        layout.addStretch()

    def show_stats(self, stats: Counters | None, engine: str, paints: Paints, *, where: Path = Path("/")) -> None:
        """Show the newest figures.

        Args:
            stats: counters of the run; None if nothing plays.
            engine: description of the engine in use.
            where: root of the file system for temperature and power.
        """
        stats = stats or Counters()
        self._set("Engine", engine or tr("none runs"))
        self._set("Frames per second", number(stats.fps, 1))
        self._set("Latency", _to_screen(paints))
        self._set("To the result", tr("{ms} ms of it", ms=number(stats.latency_ms, 1)))
        self._set("Frames", str(stats.frames))
        share = stats.dropped / max(stats.frames + stats.dropped, 1)
        self._set("Dropped", f"{stats.dropped} ({percent(share)})" if stats.dropped else "0")
        self._set("Faces", str(stats.faces))
        for stage, name in STAGES.items():
            self._set(name, tr("{ms} ms per frame", ms=number(stats.timings.get(stage, 0.0), 2)))
        self._set("Window", tr("{ms} ms per picture (95 %)", ms=number(paints.p95(), 1)))
        unknown, degrees = tr("not known on this machine"), temperatures(where)
        self._set("Temperature", ", ".join(f"{name} {value:.0f} °C" for name, value in degrees[:3]) or unknown)
        watts, processes = power(where), load(where)
        self._set("Power", f"{number(watts, 1)} W" if watts is not None else unknown)
        self._set(
            "Load", tr("{processes} (one minute)", processes=number(float(processes), 1)) if processes else unknown
        )

    def _row(self, name: str, words: str) -> None:
        row = self._grid.rowCount()
        value = Label()
        value.setWordWrap(True)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._grid.addWidget(named(Label(words), "muted"), row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(value, row, 1)
        self.values[name] = value

    def _set(self, name: str, text: str) -> None:
        if self.values[name].text() != text:
            self.values[name].setText(text)


def _to_screen(paints: Paints) -> str:
    median, late = paints.delay(), paints.delay(95)
    if median is None or late is None:
        return "-"
    return tr(
        "{ms} ms from a frame's capture to the screen (95 %: {late} ms)", ms=number(median, 1), late=number(late, 1)
    )


def temperatures(root: Path = Path("/")) -> list[tuple[str, float]]:
    """The machine's temperature sensors in degrees Celsius, hottest first."""
    found = []
    for zone in sorted((root / THERMAL.relative_to("/")).glob("thermal_zone*")):
        value = _number(zone / "temp")
        if value is not None and -40e3 < value < 150e3 and value:
            found.append((_text(zone / "type") or zone.name, value / 1e3))
    return sorted(found, key=lambda item: -item[1])


def power(root: Path = Path("/")) -> float | None:
    """Power consumption in watts, if a sensor measures it (a Jetson's INA3221, a laptop's battery)."""
    total = 0.0
    for monitor in (root / HWMON.relative_to("/")).glob("hwmon*"):
        if direct := _number(monitor / "power1_input"):
            total += direct / 1e6
            continue
        # the first rail of a Jetson is the total input, in millivolts and milliamperes
        volts, amperes = _number(monitor / "in1_input"), _number(monitor / "curr1_input")
        if volts and amperes and _text(monitor / "name") == "ina3221":
            total += volts * amperes / 1e6
    if total:
        return total
    for battery in (root / "sys/class/power_supply").glob("BAT*"):
        if (drawn := _number(battery / "power_now")) and _text(battery / "status") == "Discharging":
            return drawn / 1e6
    return None


def load(root: Path = Path("/")) -> str:
    """The load average of the last minute."""
    words = _text(root / "proc/loadavg").split()
    return words[0] if words else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None
