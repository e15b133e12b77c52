"""The HTTP sinks: metrics and the page."""

from __future__ import annotations

import http.client
import itertools
import json
import logging
import re
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browser import find_chromium
from fakes import probabilities, result
from servers import until

from edgeemo.config import Config, MetricsConfig, WebConfig
from edgeemo.errors import ConfigError, SinkError
from edgeemo.report.colours import contrast
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.sinks import http as sink_http
from edgeemo.sinks.http import BURST, REQUESTS_PER_S, OncePerMinute, _TokenBucket
from edgeemo.sinks.metrics import MetricsSink, temperatures
from edgeemo.sinks.web import PICTURE_S, WebSink
from edgeemo.types import SinkStatus, SourceStatus, State, Status
from engines import LABELS

TOKEN = "correct-horse-battery"
STATUS = Status(
    "hybrid_lite, fake",
    1.0,
    75.0,
    (
        SourceStatus(
            "door",
            State.LIVE,
            captured=12,
            processed=10,
            dropped=2,
            camera_fps=15,
            process_fps=14.5,
            faces=1,
            damaged=3,
            decoder="nvv4l2decoder",
        ),
        SourceStatus("yard", State.BACK_OFF, error="<b>no camera</b>"),
    ),
    (SinkStatus("jsonl:a", 10), SinkStatus("mqtt://h/t", 3, 7, 5, "the broker has gone")),
)


def context(**options: Any) -> SinkContext:
    return SinkContext(LABELS, draw=lambda each: each.frame.image, config=Config(**options), status=lambda: STATUS)


def get(port: int, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content.decode("latin-1"), {name.lower(): value for name, value in answer.getheaders()}


@pytest.fixture
def token(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return str(path)


@pytest.fixture
def metrics() -> Iterator[MetricsSink]:
    sink = MetricsSink("127.0.0.1:0", context())
    yield sink
    sink.close()


@pytest.fixture
def page() -> Iterator[WebSink]:
    sink = WebSink("127.0.0.1:0", context())
    yield sink
    sink.close()


def test_figures_of_sources_sinks_and_stages(metrics: MetricsSink) -> None:
    for count in (0, 2):
        metrics.write(result(count, origin="door"))
    code, text, headers = get(metrics.port, "/metrics")
    assert code == 200
    assert headers["content-type"].startswith("text/plain; version=")
    for line in (
        'edgeemo_frames_dropped_total{source="door"} 2.0',
        'edgeemo_frames_damaged_total{source="door"} 3.0',
        'edgeemo_camera_fps{source="door"} 15.0',
        'edgeemo_process_fps{source="door"} 14.5',
        'edgeemo_source_info{decoder="nvv4l2decoder",source="door"} 1.0',
        'edgeemo_source_state{source="yard",state="back-off"} 1.0',
        'edgeemo_sink_dropped_total{sink="mqtt://h/t"} 7.0',
        'edgeemo_sink_up{sink="mqtt://h/t"} 0.0',
        'edgeemo_stage_seconds_count{stage="detect"} 2.0',
        'edgeemo_stage_seconds_bucket{le="0.003",stage="detect"} 2.0',
        'edgeemo_emotions_total{emotion="happiness",source="door"} 2.0',
    ):
        assert line in text.splitlines()
    assert "process_resident_memory_bytes" in text
    assert re.search(r'edgeemo_info\{engine="hybrid_lite, fake",version="[^"]+"\} 1.0', text)


def test_metrics_are_as_prometheus_reads_them(metrics: MetricsSink) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name for family in text_string_to_metric_families(get(metrics.port, "/metrics")[1])}
    assert {"edgeemo_info", "edgeemo_stage_seconds", "edgeemo_frames_captured"} <= families


def test_health_says_whether_every_source_is_live(metrics: MetricsSink) -> None:
    assert get(metrics.port, "/health")[0] == 503
    assert get(metrics.port, "/other")[0] == 404


def test_temperatures_are_read_from_the_kernel(tmp_path: Path) -> None:
    for number, (kind, value) in enumerate((("CPU-therm", "48500"), ("GPU-therm", "off"), ("CPU-therm", "50000"))):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(value)
    assert temperatures(tmp_path) == {"CPU-therm": 48.5, "CPU-therm thermal_zone2": 50.0}


@pytest.mark.parametrize("kind", ["metrics", "web"])
def test_beyond_this_machine_a_token_is_required(kind: str, token: str) -> None:
    with pytest.raises(ConfigError, match="open to the network"):
        open_sink(f"{kind}:0.0.0.0:0", context())
    config = MetricsConfig(token_file=token) if kind == "metrics" else WebConfig(token_file=token)
    sink: Any = open_sink(f"{kind}:0.0.0.0:0", context(**{kind: config}))
    path = "/metrics" if kind == "metrics" else "/api/status"
    try:
        assert get(sink.port, path)[0] == 401
        assert get(sink.port, path, Authorization=f"Bearer {TOKEN[:-1]}")[0] == 401
        assert get(sink.port, path, Authorization=TOKEN)[0] == 401
        assert get(sink.port, path, Authorization=f"Bearer {TOKEN}")[0] == 200
        assert get(sink.port, path, Authorization=f"Bearer {TOKEN}", Host="my.name:80")[0] == 200
        assert get(sink.port, f"{path}?token={TOKEN}")[0] == 401
    finally:
        sink.close()


@pytest.mark.parametrize("kind", ["metrics", "web"])
def test_a_foreign_page_that_points_here_gets_nothing(kind: str, metrics: MetricsSink, page: WebSink) -> None:
    port, path = (metrics.port, "/metrics") if kind == "metrics" else (page.port, "/api/status")
    assert get(port, path, Host="evil.example")[0] == 401
    assert get(port, path, Host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize("kind", ["metrics", "web"])
def test_a_port_that_is_taken_is_a_mistake_in_one_line(kind: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SinkError, match="choose another port") as caught,
    ):
        open_sink(f"{kind}:127.0.0.1:{taken.getsockname()[1]}", context())
    assert "\n" not in str(caught.value)


def test_many_connections_that_say_nothing_do_not_end_it(metrics: MetricsSink, page: WebSink) -> None:
    for port, path in ((metrics.port, "/metrics"), (page.port, "/api/status")):
        silent = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(40)]
        for each in silent:
            each.close()

        def answered(port: int = port, path: str = path) -> bool:
            with suppress(OSError, http.client.HTTPException):
                return get(port, path)[0] == 200
            return False

        until(answered)


def test_a_connection_that_asks_for_nothing_is_closed(
    page: WebSink, metrics: MetricsSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeemo.sinks.http.IDLE_S", 0.3)
    silent = [socket.create_connection(("127.0.0.1", sink.port), 30) for sink in (page, metrics)]
    for each in silent:
        each.sendall(b"GET / HTTP/1.1\r\nHo")
    for each in silent:
        assert each.recv(100) == b""
        each.close()


def test_one_address_cannot_take_all_connections(page: WebSink, metrics: MetricsSink) -> None:
    for sink, path in ((page, "/api/status"), (metrics, "/metrics")):
        silent = [socket.create_connection(("127.0.0.1", sink.port), 5) for _ in range(40)]
        other = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=10, source_address=("127.0.0.2", 0))
        other.request("GET", path)
        assert other.getresponse().status == 200
        other.close()
        for each in silent:
            each.close()


def test_the_page_serves_the_metrics_too(page: WebSink) -> None:
    page.write(result(2, origin="door"))
    code, text, _ = get(page.port, "/metrics")
    assert code == 200
    assert 'edgeemo_emotions_total{emotion="happiness",source="door"} 2.0' in text.splitlines()
    assert get(page.port, "/health")[0] == 503


def test_pictures_of_a_folder_do_not_each_get_a_series(metrics: MetricsSink) -> None:
    for number in range(50):
        shown = result(1, origin=f"{number}.jpg")
        metrics.write(replace(shown, frame=replace(shown.frame, still=True)))
    assert get(metrics.port, "/metrics")[1].count("edgeemo_emotions_total{") == 1


def flood(port: int, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Status codes of requests sent from several threads until one is refused."""
    monkeypatch.setattr(sink_http, "REQUESTS_PER_S", 1.0)  # a busy machine may not send 60 per second
    codes: set[int] = set()

    def ask(number: int) -> None:
        if 429 not in codes:
            codes.add(get(port, "/api/status")[0])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(5000)))
    return codes


def test_strangers_do_not_use_up_what_is_meant_for_others(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = WebSink("127.0.0.1:0", context(web=WebConfig(token_file=token)))
    try:
        assert flood(sink.port, monkeypatch) == {401, 429}
        assert get(sink.port, "/api/status", Authorization=f"Bearer {TOKEN}")[0] == 200
    finally:
        sink.close()


def test_too_many_and_too_large_requests_are_turned_away(page: WebSink, monkeypatch: pytest.MonkeyPatch) -> None:
    assert flood(page.port, monkeypatch) == {200, 429}
    with suppress(OSError, http.client.HTTPException):
        assert get(page.port, "/" + "x" * 100_000)[0] in (400, 404, 414, 429, 431)


def test_the_status_holds_what_the_page_shows(page: WebSink) -> None:
    page.write(result(0, origin="door"))
    page.write(result(2, origin="door"))
    code, text, headers = get(page.port, "/api/status")
    figures = json.loads(text)
    assert code == 200
    assert [label["name"] for label in figures["labels"]] == list(LABELS)
    assert len({label["display"] for label in figures["labels"]}) == 9  # eight expressions, and other
    for label in figures["labels"]:
        assert contrast(label["colour"], "#1d232a") >= 3
        assert contrast(label["light"], "#ffffff") >= 3
    assert figures["status"]["sources"][0]["state"] == "live"
    assert [face["emotion"] for face in figures["history"]["door"]["faces"]] == ["happiness"] * 2
    assert figures["history"]["door"]["seconds"][-1][1][1] == pytest.approx(0.9)
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_pictures_are_off_unless_asked_for(page: WebSink) -> None:
    page.write(result(1, origin="door"))
    assert not page.pictures
    assert get(page.port, "/api/picture/door")[0] == 404
    sink = WebSink("127.0.0.1:0", context(web=WebConfig(preview=True)))
    try:
        assert sink.pictures
        assert get(sink.port, "/api/picture/door")[0] == 404
        sink.write(result(1, origin="door"))
        code, content, headers = get(sink.port, "/api/picture/door")
        assert (code, headers["content-type"]) == (200, "image/jpeg")
        image = cv2.imdecode(np.frombuffer(content.encode("latin-1"), np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (64, 128, 3)
        for path in ("/api/picture/..%2f..%2fetc%2fpasswd", "/etc/passwd", "/docs", "/openapi.json"):
            assert get(sink.port, path)[0] == 404
    finally:
        sink.close()


def shown_in_a_browser(port: int, folder: Path, path: str = "/") -> str:
    browser = find_chromium()
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder}",
         "--virtual-time-budget=3000", "--dump-dom", f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "</html>" in done.stdout, done.stderr[-2000:]
    return done.stdout


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    sink = WebSink("127.0.0.1:0", context(web=WebConfig(preview=True)))
    try:
        for index in range(3):
            sink.write(result(1, index=index, origin="door"))
        page = shown_in_a_browser(sink.port, tmp_path)
    finally:
        sink.close()
    assert "hybrid_lite, fake" in page
    assert "Happiness 90 %" in page
    assert "15.0 fps in, 14.5 recognised, 2 of 12 dropped" in page
    assert '<span class="state back-off">back-off</span>' in page
    assert "&lt;b&gt;no camera&lt;/b&gt;" in page
    assert "the broker has gone" in page
    assert 'src="blob:' in page
    assert re.search(r'id="login"[^>]*hidden', page)


def test_the_overlay_lies_over_the_picture_of_its_source(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeemo.sinks.web.FACES_S", 600.0)  # the browser may be slow
    sink = WebSink("127.0.0.1:0", context(web=WebConfig(token_file=token)))
    try:
        assert get(sink.port, "/api/faces/door")[0] == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert get(sink.port, "/api/faces", **bearer)[0] == 404
        sink.write(result(1, origin="hall"))
        sink.write(result(2, origin="door"))
        (face, _) = json.loads(get(sink.port, "/api/faces/door", **bearer)[1])
        shown = result(2, origin="door")
        height, width = shown.frame.image.shape[:2]
        x1, y1, x2, y2 = shown.faces.boxes[0].tolist()
        assert face["box"] == pytest.approx([x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height])
        assert len(json.loads(get(sink.port, "/api/faces", **bearer)[1])) == 1
        page = shown_in_a_browser(sink.port, tmp_path / "one", f"/overlay?source=door#token={TOKEN}")
        refused = shown_in_a_browser(sink.port, tmp_path / "two", "/overlay?source=door")
    finally:
        sink.close()
    assert page.count("Happiness 90 %") == 2
    places = [float(each) for each in re.findall(r'style="left: ([\d.]+)%', page)]
    assert places == pytest.approx([edge / width * 100 for edge in shown.faces.boxes[:, 0].tolist()], abs=0.01)
    assert "background: transparent" in page
    assert "Happiness" not in refused.partition("<body>")[2].partition("<script>")[0]
    assert "end the address with #token=" in refused.partition("<body>")[2].partition("<script>")[0]


def test_the_overlay_forgets_the_faces_of_a_source_that_stands_still(
    page: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.write(result(1, origin="door"))
    assert page.faces("door")
    monkeypatch.setattr("edgeemo.sinks.web.FACES_S", 0.0)
    assert page.faces("door") == []


def test_the_page_asks_for_the_token_and_shows_nothing_before(tmp_path: Path, token: str) -> None:
    sink = WebSink("127.0.0.1:0", context(web=WebConfig(token_file=token)))
    try:
        sink.write(result(1, origin="door"))
        page = shown_in_a_browser(sink.port, tmp_path / "browser")
    finally:
        sink.close()
    assert re.search(r'<section class="wide" id="login">', page)
    assert "door" not in page
    assert TOKEN not in page


def test_strangers_cannot_fill_the_log(metrics: MetricsSink, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(12):
        with socket.create_connection(("127.0.0.1", metrics.port), timeout=10) as stranger:
            stranger.sendall(b"no request\r\n\r\n")
            assert b"400" in stranger.recv(1000)
    assert sum("Invalid HTTP request" in record.message for record in caplog.records) <= 1


def test_the_lines_that_are_left_out_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = OncePerMinute()
    records = [logging.LogRecord("x", logging.WARNING, "", 0, "refused", None, None) for _ in range(5)]
    assert [limit.filter(record) for record in records[:4]] == [True, False, False, False]
    monkeypatch.setattr("edgeemo.sinks.http.QUIET_S", 0.0)
    assert limit.filter(records[4])
    assert records[4].getMessage() == "refused (and 3 more since the last such line)"


def test_requests_are_limited_on_average_with_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 50.0
    monkeypatch.setattr("edgeemo.sinks.http.monotonic", lambda: now)
    bucket = _TokenBucket()

    def taken() -> int:
        return next(count for count in itertools.count() if not bucket.take())

    assert taken() == BURST
    now += 0.5
    assert taken() == REQUESTS_PER_S / 2
    now += 3600
    assert taken() == BURST


def test_the_history_has_the_mean_of_each_second_with_faces(page: WebSink, monkeypatch: pytest.MonkeyPatch) -> None:
    sad = replace(result(1, origin="door"), probabilities=probabilities(1, best=2))
    for second, shown in ((10.2, result(2, origin="door")), (10.9, sad), (11.5, result(0, origin="door")), (12, sad)):
        monkeypatch.setattr("edgeemo.sinks.web.time", lambda second=second: second)
        page.write(shown)
    history = page.figures()["history"]["door"]["seconds"]
    assert [(second, values[1:3]) for second, values in history] == [(10, [0.603, 0.307]), (12, [0.01, 0.9])]


def test_the_history_is_of_so_many_sources_and_seconds(page: WebSink, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(70):
        page.write(result(1, origin=f"{index}.jpg"))
    page.write(result(2, origin="3.jpg"))
    assert len(page.figures()["history"]) == 64
    faces = page.figures()["history"]["3.jpg"]["faces"]
    assert len(faces) == 2
    assert {face["unsure"] for face in faces} == {False}
    assert page.faces("69.jpg") is None
    for second in range(200):
        monkeypatch.setattr("edgeemo.sinks.web.time", lambda second=second: second)
        page.write(result(1, origin="0.jpg"))
    assert [second for second, _ in page.figures()["history"]["0.jpg"]["seconds"]] == list(range(80, 200))


def test_a_picture_is_small_and_drawn_once_for_a_frame_and_not_too_often(
    page: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def size() -> tuple[int, ...]:
        picture = page.picture("door")
        assert picture is not None
        return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).shape

    now = 9.0
    monkeypatch.setattr("edgeemo.sinks.web.monotonic", lambda: now)
    assert page.picture("door") is None
    page.write(result(1, origin="door", size=400))
    assert size() == (320, 640, 3)
    page.write(result(1, index=1, origin="door", size=200))
    assert size() == (320, 640, 3)
    now += PICTURE_S * 1.1
    assert size() == (200, 400, 3)
    now += PICTURE_S * 1.1
    first = page.picture("door")
    assert page.picture("door") is first


def test_names_that_are_not_utf_8_are_served() -> None:
    source = SourceStatus("c\udcff.mp4", State.LIVE, error="\udcff")
    status = Status(sources=(source,), sinks=(SinkStatus("csv:\udcff"),))
    sink = WebSink("127.0.0.1:0", replace(context(), status=lambda: status))
    try:
        sink.write(result(1, origin="c\udcff.mp4"))
        code, text, _ = get(sink.port, "/metrics")
        assert code == 200
        assert 'edgeemo_emotions_total{emotion="happiness",source="c?.mp4"} 1.0' in text.splitlines()
        assert 'edgeemo_source_connects_total{source="c?.mp4"} 0.0' in text.splitlines()
        assert 'edgeemo_sink_up{sink="csv:?"} 1.0' in text.splitlines()
        code, text, _ = get(sink.port, "/api/status")
        assert code == 200
        assert json.loads(text)["status"]["sources"][0]["name"] in json.loads(text)["history"]
    finally:
        sink.close()
