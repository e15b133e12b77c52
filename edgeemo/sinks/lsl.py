"""The sink `lsl`: expressions as a signal and their changes as markers, for LabRecorder and experiment software.

Protocol and library: Kothe et al., "The Lab Streaming Layer", 2024; liblsl through pylsl. Channel metadata are XDF's
`desc/channels/channel/{label,unit,type}`.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from edgeemo.errors import ConfigError, SinkError
from edgeemo.sinks import SinkContext
from edgeemo.system.lsl import clock_offset, library
from edgeemo.types import Marker, Result, Sink
from engines.bundle import find_bundle
from engines.errors import EngineError
from engines.face_detector import largest

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
FACE_PRESENT = "face_present"
MARKER = "marker: "  # prefix that distinguishes a label from the name of an expression


class LslSink(Sink):
    """`lsl:NAME` opens two outlets, `NAME` of type Expression and `NAME-changes` of type Markers; with several sources
    two per source, `NAME-SOURCE` and `NAME-SOURCE-changes`.

    Expression: float32, one channel per class with its probability for the largest face (NaN without a face), and
    `face_present` (1 or 0). The rate is irregular (0): samples have the time of their frame. Markers: the shown
    expression whenever it changes, including `unsure` and `no face`; and `marker: LABEL` for every marker, with the
    time of the marker. A marker set in the window is sent at once, also during a pause.

    Samples of live frames have the capture time in LSL's clock. Samples of a file have the time of the first result in
    LSL's clock plus the media time passed since then.

    Raises:
        ConfigError: the name is not 1 to 64 letters, digits, - or _, or liblsl is missing.
    """

    takes_markers = True

    def __init__(self, target: str, context: SinkContext) -> None:
        if not NAME.fullmatch(target):
            raise ConfigError(f"sink lsl:{target} needs a name of 1 to 64 letters, digits, - or _")
        self._lsl = library("sink lsl")
        self._name = target
        self._labels = context.labels
        self._engine = context.config.engine, _engine_hash(context.config.engine)
        self._outlets: dict[str, _Outlets] = {}
        for source in context.sources or ("",):
            self._outlets[source] = self._open(source)

    def write(self, result: Result) -> None:
        outlets = self._outlets.get(result.frame.origin) or next(iter(self._outlets.values()))
        outlets.write(result)

    def take_marker(self, marker: Marker) -> None:
        next(iter(self._outlets.values())).take_marker(marker)  # the window has one source

    def close(self) -> None:
        self._outlets.clear()  # pylsl closes a stream when its outlet is garbage-collected

    def _open(self, source: str) -> _Outlets:
        name = f"{self._name}-{source}" if source else self._name
        channels = (*self._labels, FACE_PRESENT)
        signal = self._info(name, "Expression", len(channels), "float32")
        described = signal.desc().append_child("channels")
        for label in channels:
            channel = described.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", "probability")
            channel.append_child_value("type", "Expression")
        markers = self._info(f"{name}-changes", "Markers", 1, "string")
        try:
            return _Outlets(self._lsl, self._lsl.StreamOutlet(signal), self._lsl.StreamOutlet(markers))
        except RuntimeError as error:
            raise SinkError(f"cannot open the streams of lsl:{self._name}: {error}") from error

    def _info(self, name: str, kind: str, channels: int, form: str) -> Any:
        info = self._lsl.StreamInfo(name, kind, channels, self._lsl.IRREGULAR_RATE, form, f"edgeemo-{name}")
        engine = info.desc().append_child("engine")
        for key, value in zip(("name", "sha256"), self._engine, strict=True):
            engine.append_child_value(key, value)
        return info


class _Outlets:
    """The two streams of one source, and its clock."""

    def __init__(self, lsl: Any, signal: Any, markers: Any) -> None:
        self._lsl = lsl
        self._signal = signal
        self._markers = markers
        self._began: float | None = None  # LSL's time of media time 0 of a file
        self._zero: float | None = None  # LSL's time of media time 0, computed from the last result
        self._shown = ""

    def write(self, result: Result) -> None:
        stamp = self._stamp(result)
        self._zero = stamp - result.frame.time
        sample = np.full(len(result.labels) + 1, np.nan, np.float32)
        sample[-1] = 0
        shown = "no face"
        if len(result.faces):
            row = largest(result.faces.boxes)
            sample[:-1], sample[-1] = result.probabilities[row], 1
            shown = "unsure" if result.reasons(row) else result.emotions[row]
        self._signal.push_sample(sample.tolist(), stamp)
        if shown != self._shown:
            self._shown = shown
            self._markers.push_sample([shown], stamp)
        for marker in result.markers:
            self.take_marker(marker)

    def take_marker(self, marker: Marker) -> None:
        zero = self._zero if self._zero is not None else self._lsl.local_clock() - marker.time
        self._markers.push_sample([f"{MARKER}{marker.label}"], zero + marker.time)

    def _stamp(self, result: Result) -> float:
        frame = result.frame
        if frame.captured is not None:
            return frame.captured - clock_offset(self._lsl)
        if self._began is None:
            self._began = float(self._lsl.local_clock()) - frame.time
        return self._began + frame.time


def _engine_hash(name: str) -> str:
    """Hash of the engine's FP32 model; "" if unknown."""
    try:
        manifest = find_bundle(name).manifest
    except EngineError:
        return ""
    return manifest.source_sha256 if manifest is not None else ""
