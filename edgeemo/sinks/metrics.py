"""The sink `metrics`: metrics for Prometheus, also served by `web`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from edgeemo.sinks import SinkContext
from edgeemo.sinks.http import HttpServer
from edgeemo.types import Result, Sink, State, Status
from edgeemo.values import as_utf8
from engines.installation import installed_version

log = logging.getLogger(__name__)

CONTENT = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0)
THERMAL = Path("/sys/class/thermal")


class Metrics:
    """Collects the metrics and serves them at /metrics; /health reports whether every source is live or has ended."""

    def __init__(self, context: SinkContext) -> None:
        self._status = context.status
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._stages = Histogram(
            "edgeemo_stage_seconds", "Time each stage took for a frame.", ["stage"],
            registry=self._registry, buckets=BUCKETS_S,
        )  # fmt: skip
        self._shown = Counter(
            "edgeemo_emotions", "How often each expression was shown.", ["source", "emotion"], registry=self._registry
        )
        self._registry.register(_Figures(context))

    def observe(self, result: Result) -> None:
        for stage, taken_ms in result.timings.items():
            self._stages.labels(stage).observe(taken_ms / 1e3)
        # each picture of a folder has its own origin, so the number of series would grow without limit
        origin = as_utf8(result.frame.origin) if not result.frame.still else ""
        for emotion in result.emotions:
            self._shown.labels(origin, emotion).inc()

    def add_routes(self, application: FastAPI) -> None:
        @application.get("/metrics")
        def metrics() -> Response:
            return Response(generate_latest(self._registry), media_type=CONTENT)

        @application.get("/health")
        def health() -> Response:
            sources = self._status().sources if self._status is not None else ()
            if all(source.state in (State.LIVE, State.ENDED) for source in sources):
                return PlainTextResponse("ok\n")
            return PlainTextResponse("a source is not live\n", 503)


class MetricsSink(Sink):
    """`metrics:HOST:PORT`: /metrics and /health without the page of `web`."""

    def __init__(self, target: str, context: SinkContext) -> None:
        self._metrics = Metrics(context)
        self._server = HttpServer("metrics", target, context.config.metrics.token_file, self._metrics.add_routes)

    @property
    def port(self) -> int:
        return self._server.port

    def write(self, result: Result) -> None:
        self._metrics.observe(result)

    def close(self) -> None:
        self._server.close()


class _Figures(Collector):
    """Metrics that are computed on each request."""

    def __init__(self, context: SinkContext) -> None:
        self._status = context.status

    def collect(self) -> Iterable[Metric]:
        if self._status is not None:
            yield from _of_status(self._status())
        heat = GaugeMetricFamily("edgeemo_temperature_celsius", "Temperature of the machine.", labels=["zone"])
        for zone, degrees in temperatures().items():
            heat.add_metric([zone], degrees)
        yield heat
        yield from _of_jetson()


def _of_status(status: Status) -> Iterator[Metric]:
    info = GaugeMetricFamily("edgeemo_info", "Version and engine.", labels=["version", "engine"])
    info.add_metric([installed_version(), status.engine], 1)
    yield info
    yield GaugeMetricFamily("edgeemo_uptime_seconds", "Time since the service started.", value=status.uptime_s)
    opened = GaugeMetricFamily("edgeemo_source_info", "How a source is read.", labels=["source", "decoder"])
    state = GaugeMetricFamily("edgeemo_source_state", "1 for the current state.", labels=["source", "state"])
    gauges = {
        "camera_fps": GaugeMetricFamily("edgeemo_camera_fps", "Frames per second from the source.", labels=["source"]),
        "process_fps": GaugeMetricFamily("edgeemo_process_fps", "Frames per second recognised.", labels=["source"]),
        "faces": GaugeMetricFamily("edgeemo_faces", "Faces in the newest frame.", labels=["source"]),
    }
    counters = {
        "captured": CounterMetricFamily(
            "edgeemo_frames_captured", "Frames delivered by the source.", labels=["source"]
        ),
        "processed": CounterMetricFamily("edgeemo_frames_processed", "Frames recognised.", labels=["source"]),
        "dropped": CounterMetricFamily("edgeemo_frames_dropped", "Frames not processed.", labels=["source"]),
        "damaged": CounterMetricFamily("edgeemo_frames_damaged", "Frames with decoding errors.", labels=["source"]),
        "connects": CounterMetricFamily("edgeemo_source_connects", "Times the source was opened.", labels=["source"]),
    }
    for source in status.sources:
        shown = as_utf8(source.name)
        opened.add_metric([shown, source.decoder], 1)
        for each in State:
            state.add_metric([shown, each.value], float(source.state is each))
        for name, gauge in gauges.items():
            gauge.add_metric([shown], float(getattr(source, name)))
        for name, counter in counters.items():
            counter.add_metric([shown], float(getattr(source, name)))
    yield opened
    yield state
    yield from gauges.values()
    yield from counters.values()
    written = CounterMetricFamily("edgeemo_sink_written", "Results written by a sink.", labels=["sink"])
    dropped = CounterMetricFamily("edgeemo_sink_dropped", "Results lost by a sink.", labels=["sink"])
    waiting = GaugeMetricFamily("edgeemo_sink_waiting", "Results in a sink's queue.", labels=["sink"])
    up = GaugeMetricFamily("edgeemo_sink_up", "Whether a sink can be written to.", labels=["sink"])
    for sink in status.sinks:
        shown = as_utf8(sink.name)
        written.add_metric([shown], sink.written)
        dropped.add_metric([shown], sink.dropped)
        waiting.add_metric([shown], sink.waiting)
        up.add_metric([shown], float(not sink.error))
    yield from (written, dropped, waiting, up)


def temperatures(folder: Path = THERMAL) -> dict[str, float]:
    """Temperature in degrees Celsius per thermal zone of the kernel."""
    found = {}
    for zone in sorted(folder.glob("thermal_zone*")):
        try:
            name = (zone / "type").read_text(encoding="utf-8").strip() or zone.name
            found[name if name not in found else f"{name} {zone.name}"] = int((zone / "temp").read_text()) / 1000
        except (OSError, ValueError):  # disabled zones cannot be read
            continue
    return found


class _Jetson:
    """Figures of jetson-stats, if it is installed and its service runs; opened once."""

    def __init__(self) -> None:
        self._jtop: Any = None
        self._tried = False

    def figures(self) -> dict[str, float]:
        if not self._tried:
            self._tried = True
            try:
                from jtop import jtop

                opened = jtop(interval=2)
                opened.start()
                self._jtop = opened
            except Exception as error:  # its exception classes differ between versions
                log.debug("no jetson-stats: %s", error)
        if self._jtop is None:
            return {}
        try:
            return {name: float(value) for name, value in self._jtop.stats.items() if isinstance(value, int | float)}
        except Exception as error:
            log.debug("jetson-stats: %s", error)
            return {}


_JETSON = _Jetson()


def _of_jetson() -> Iterator[Metric]:
    figures = _JETSON.figures()
    if figures:
        family = GaugeMetricFamily("edgeemo_jetson", "Figures of jetson-stats.", labels=["name"])
        for name, value in figures.items():
            family.add_metric([name], value)
        yield family
