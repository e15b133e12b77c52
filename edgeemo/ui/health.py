"""How the machine does: milliseconds a stage, dropped frames, the engine that really runs, temperature and power."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

from edgeemo.ui.player import Counters
from edgeemo.ui.theme import named

STAGES = {
    "detect": "Find faces",
    "track": "Follow them",
    "classify": "Engine",
    "smooth": "Smooth",
    "sink": "Record and sinks",
}
THERMAL = Path("/sys/class/thermal")
HWMON = Path("/sys/class/hwmon")
UNKNOWN = "not known on this machine"


class Paints:
    """Milliseconds that the window needed to show each of its last pictures."""

    def __init__(self) -> None:
        self._taken: deque[float] = deque(maxlen=300)

    def add(self, milliseconds: float) -> None:
        self._taken.append(milliseconds)

    def p95(self) -> float:
        return float(np.percentile(self._taken, 95)) if self._taken else 0.0


class HealthDialog(QDialog):
    """Stays open beside the window; `show_stats` fills it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Health")
        self.setMinimumWidth(560)
        self.values: dict[str, QLabel] = {}
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(24)
        self._grid.setColumnStretch(1, 1)
        for name in ("Engine", "Frames per second", "Latency", "Frames", "Dropped", "Faces"):
            self._row(name)
        for name in STAGES.values():
            self._row(f"  {name}" if name != "Engine" else "  Engine, all faces")
        for name in ("Window", "Temperature", "Power", "Load"):
            self._row(name)
        layout = QVBoxLayout(self)
        layout.addLayout(self._grid)
        layout.addStretch()

    def show_stats(self, stats: Counters | None, engine: str, paints: Paints, *, where: Path = Path("/")) -> None:
        """Show the newest figures.

        Args:
            stats: of what plays; None while nothing does.
            engine: what really runs.
            where: root of the file system that temperature and power are read from.
        """
        stats = stats or Counters()
        self._set("Engine", engine or "none runs")
        self._set("Frames per second", f"{stats.fps:.1f}")
        self._set("Latency", f"{stats.latency_ms:.1f} ms from a frame's arrival to its result")
        self._set("Frames", str(stats.frames))
        share = stats.dropped / max(stats.frames + stats.dropped, 1)
        self._set("Dropped", f"{stats.dropped} ({share * 100:.0f} %)" if stats.dropped else "0")
        self._set("Faces", str(stats.faces))
        for stage, name in STAGES.items():
            key = f"  {name}" if name != "Engine" else "  Engine, all faces"
            self._set(key, f"{stats.timings.get(stage, 0.0):.2f} ms per frame")
        self._set("Window", f"{paints.p95():.1f} ms per picture (95 %)")
        degrees = temperatures(where)
        self._set("Temperature", ", ".join(f"{name} {value:.0f} °C" for name, value in degrees[:3]) or UNKNOWN)
        watts = power(where)
        self._set("Power", f"{watts:.1f} W" if watts is not None else UNKNOWN)
        self._set("Load", load(where) or UNKNOWN)

    def _row(self, name: str) -> None:
        row = self._grid.rowCount()
        value = QLabel()
        value.setWordWrap(True)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._grid.addWidget(named(QLabel(name), "muted"), row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(value, row, 1)
        self.values[name] = value

    def _set(self, name: str, text: str) -> None:
        if self.values[name].text() != text:
            self.values[name].setText(text)


def temperatures(root: Path = Path("/")) -> list[tuple[str, float]]:
    """The machine's sensors in degrees Celsius, hottest first."""
    found = []
    for zone in sorted((root / THERMAL.relative_to("/")).glob("thermal_zone*")):
        value = _number(zone / "temp")
        if value is not None and -40e3 < value < 150e3 and value:
            found.append((_text(zone / "type") or zone.name, value / 1e3))
    return sorted(found, key=lambda item: -item[1])


def power(root: Path = Path("/")) -> float | None:
    """Watts that the board draws where a sensor measures it (a Jetson's INA3221, a laptop's battery)."""
    total = 0.0
    for monitor in (root / HWMON.relative_to("/")).glob("hwmon*"):
        if direct := _number(monitor / "power1_input"):
            total += direct / 1e6
            continue
        # the first rail of a Jetson's is all that comes in: millivolts and milliamperes
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
    """How many processes wanted a core on average over the last minute."""
    words = _text(root / "proc/loadavg").split()
    return f"{words[0]} (one minute)" if words else ""


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
