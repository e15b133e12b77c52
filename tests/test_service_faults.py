"""Real faults of a long run: full disks, kill -9, damaged engines, signals."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import make_bundle, result, sink_worker
from servers import Broker, MjpegServer, edgeemo, free_port, remove, until

from engines.manifest import write_manifest

DEATHS = 100
LIMIT_S = 60


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    # not "engines", because the program is started in this folder and would import it as the package
    folder = tmp_path / "bundles"
    make_bundle(folder / "tiny")
    write_manifest(folder / "tiny")
    return folder


@pytest.fixture
def started(tmp_path: Path, engines: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []

    def start(text: str, **environment: str) -> subprocess.Popen[str]:
        path = tmp_path / "edge.toml"
        path.write_text(f'engine = "tiny"\n{text}')
        running.append(
            edgeemo(
                "run", "--config", path, folder=tmp_path, environment={"EDGEEMO_ENGINES": str(engines), **environment}
            )
        )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def source(name: str, uri: object, *more: str) -> str:
    return "\n".join(["", "[[sources]]", f'name = "{name}"', f'uri = "{uri}"', *more, ""])


def lines(path: Path) -> list[dict[str, object]]:
    """The complete lines of a growing file."""
    if not path.exists():
        return []
    return [json.loads(text) for text in path.read_text().split("\n")[:-1]]


def origins(path: Path) -> set[object]:
    return {event["origin"] for event in lines(path)}


def test_sigterm_ends_it_with_everything_written_even_while_sources_hang(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # accepts connections and sends nothing
        process = started(
            'sinks = ["jsonl:a.jsonl", "sqlite:a.db"]\n'
            + source("clip", "demo", "loop = true", "paced = true")
            + source("mute", f"http://127.0.0.1:{mute.getsockname()[1]}/x")
            + source("refused", f"rtsp://127.0.0.1:{free_port()}/x")
        )
        until(lambda: len(lines(tmp_path / "a.jsonl")) > 20, "results")
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 130
    written = lines(tmp_path / "a.jsonl")
    database = sqlite3.connect(tmp_path / "a.db")
    assert database.execute("SELECT count(*) FROM frames").fetchone() == (len(written),)
    database.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert "Traceback" not in errors
    assert "3 sources" in errors


def test_systemd_hears_of_readiness_and_of_every_beat(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inlet:
        inlet.bind(str(tmp_path / "notify"))
        inlet.settimeout(LIMIT_S)
        process = started(
            'sinks = ["jsonl:a.jsonl"]\n' + source("clip", "demo", "loop = true", "paced = true"),
            NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="1000000",
        )  # fmt: skip
        assert [inlet.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        process.send_signal(signal.SIGHUP)
        heard = []
        while b"READY=1" not in heard:
            heard.append(inlet.recv(100))
        assert any(each.startswith(b"RELOADING=1") for each in heard)
        process.send_signal(signal.SIGTERM)
        while heard[-1] != b"STOPPING=1":
            heard.append(inlet.recv(100))
        assert process.wait(LIMIT_S) == 130


def test_standard_output_gets_results_after_a_reload_if_no_sink_is_configured(
    started: Callable[..., subprocess.Popen[str]],
) -> None:
    process = started(source("clip", "demo", "loop = true", "paced = true"))
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.send_signal(signal.SIGHUP)
    until(lambda: json.loads(process.stdout.readline())["frame"] > 60, "results")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130


def test_a_damaged_engine_is_refused_while_the_old_one_goes_on(
    tmp_path: Path, engines: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    model = engines / "tiny" / "model.onnx"
    good = model.read_bytes()
    clip = source("clip", "demo", "loop = true", "paced = true")
    process = started('sinks = ["jsonl:a.jsonl"]\n' + clip)
    until(lambda: lines(tmp_path / "a.jsonl"), "results")
    model.write_bytes(os.urandom(5000))
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    assert "the old one stays in use" in process.stderr.readline()
    before = len(lines(tmp_path / "a.jsonl"))
    until(lambda: len(lines(tmp_path / "a.jsonl")) > before + 10, "results")
    model.write_bytes(good)
    (tmp_path / "edge.toml").write_text(f'engine = "tiny"\nsinks = ["jsonl:b.jsonl"]\n{clip}')
    process.send_signal(signal.SIGHUP)
    until(lambda: lines(tmp_path / "b.jsonl"), "results in the other file")
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 130
    model.write_bytes(b"nothing")
    process = started('sinks = ["jsonl:a.jsonl"]\n' + clip)
    assert process.wait(LIMIT_S) == 2
    assert process.stderr is not None
    assert process.stderr.read().count("\n") == 1


def test_sources_of_8k_and_of_garbage_disturb_no_other(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "8k.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (7680, 4320))
    for level in (40, 80, 120):
        writer.write(np.full((4320, 7680, 3), level, np.uint8))
    writer.release()
    noise = MjpegServer(b"")
    noise.garbage = True
    noise.start()
    process = started(
        'sinks = ["jsonl:a.jsonl"]\n'
        + source("large", "8k.avi", "loop = true", "paced = true")
        + source("clip", "demo", "loop = true", "paced = true")
        + source("noise", noise.url)
    )
    try:
        until(lambda: {"large", "clip"} <= origins(tmp_path / "a.jsonl"), "results of both", LIMIT_S)
        before = len(lines(tmp_path / "a.jsonl"))
        until(lambda: len(lines(tmp_path / "a.jsonl")) > before + 30, "more results", LIMIT_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 130
    finally:
        noise.kill()


def test_broker_and_camera_go_and_come_back_under_the_whole_program(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    picture = cv2.imencode(".jpg", np.full((120, 160, 3), 127, np.uint8))[1].tobytes()
    camera, broker = MjpegServer(picture, fps=15), Broker(tmp_path / "broker")
    camera.start()
    broker.start()
    process = started(
        f'sinks = ["jsonl:a.jsonl", "mqtt://127.0.0.1:{broker.port}/edge"]\n[mqtt]\nspool = "spool.db"\n'
        + source("camera", camera.url)
    )
    try:
        until(lambda: len(lines(tmp_path / "a.jsonl")) > 10, "results")
        for server in (camera, broker):
            server.kill()
        before = len(lines(tmp_path / "a.jsonl"))
        time.sleep(1)
        camera.start()
        until(lambda: len(lines(tmp_path / "a.jsonl")) > before + 10, "results again")
        broker.start()
        spool = tmp_path / "spool.db"

        def waits() -> int:
            database = sqlite3.connect(spool)
            try:
                return int(database.execute("SELECT count(*) FROM outbox").fetchone()[0])
            finally:
                database.close()

        until(lambda: waits() == 0, "an empty outbox")
        frames = [event["frame"] for event in lines(tmp_path / "a.jsonl")]
        assert frames == sorted(set(frames))
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 130
    finally:
        camera.kill()
        broker.kill()


def has_frames(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return bool(database.execute("SELECT count(*) FROM frames").fetchone()[0])
    except sqlite3.OperationalError:  # the database has no tables yet
        return False


def test_renamed_files_and_a_folder_that_goes_away_under_the_whole_program(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    names = ("a.jsonl", "a.csv", "a.db")
    sinks = ", ".join(f'"{kind}:out/{name}"' for kind, name in zip(("jsonl", "csv", "sqlite"), names, strict=True))
    process = started(f"sinks = [{sinks}]\n" + source("clip", "demo", "loop = true", "paced = true"))

    def grow() -> None:
        until(lambda: all((folder / name).exists() and (folder / name).stat().st_size for name in names), "files")
        # wait for results, because the database file exists before its first result
        until(lambda: has_frames(folder / "a.db"), "frames in the database")

    grow()
    # logrotate's order: rename, then the signal
    for name in names:
        (folder / name).rename(folder / f"{name}.1")
    process.send_signal(signal.SIGHUP)
    grow()
    remove(folder)
    assert process.stderr is not None
    until(lambda: "cannot be created again" in process.stderr.readline(), "a line about it")
    folder.mkdir()
    grow()
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 130
    said = process.stderr.read()
    assert "Traceback" not in said
    assert all(f"sink {kind}:out/a" in said for kind in ("jsonl", "csv", "sqlite")), said
    assert said.count("did not arrive") == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=600k", "edgeemo-test", folder], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("kind", ["jsonl", "sqlite"])
def test_a_full_disk_is_waited_for_and_what_was_written_is_whole(small_disk: Path, kind: str) -> None:
    path = small_disk / f"out.{kind}"
    sink = sink_worker(f"{kind}:{path}", size=64)
    number = 0

    def feed() -> None:
        nonlocal number
        for _ in range(5):
            sink.offer(result(2, index=number, origin="door"))
            number += 1

    def stored() -> list[int]:
        if kind == "jsonl":
            return [int(str(event["frame"])) for event in lines(path)]
        database = sqlite3.connect(path)
        try:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return [frame for (frame,) in database.execute("SELECT frame FROM frames ORDER BY run, frame")]
        finally:
            database.close()

    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    until(lambda: (feed(), sink.status().error)[1], "a full disk", LIMIT_S)
    kept = stored()
    assert kept
    ballast.unlink()
    repaired = number
    until(lambda: (feed(), not sink.status().error)[1], "recovery", LIMIT_S)
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        feed()
        time.sleep(0.05)
    assert sink.close(10)
    whole = stored()
    assert whole[: len(kept)] == kept
    assert whole == sorted(set(whole))
    assert whole[-1] > repaired
    assert sink.status().dropped > 0


def test_a_hundred_sudden_deaths_lose_no_more_than_the_last_second(tmp_path: Path) -> None:
    rng = random.Random(7)
    writers = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("dying_writer.py"))], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert writers.stdin is not None
    assert writers.stdout is not None

    def born(folder: Path) -> int:
        print(folder, file=writers.stdin, flush=True)
        return int(writers.stdout.readline())

    def die(life: tuple[Path, int, float]) -> None:
        folder, process, seconds = life
        until(lambda: len(lines(folder / "out.jsonl")) > known[folder], "a first line", LIMIT_S)
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{process}").exists(), "the end of a process", LIMIT_S)
        examine(folder)

    def examine(folder: Path) -> None:
        written = lines(folder / "out.jsonl")
        database = sqlite3.connect(folder / "out.db")
        try:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            run, last = database.execute("SELECT max(run), max(wall) FROM frames").fetchone()
            stored = [
                frame for (frame,) in database.execute("SELECT frame FROM frames WHERE run = ? ORDER BY frame", (run,))
            ]
        finally:
            database.close()
        if last is None:
            return
        assert stored == list(range(len(stored)))
        newest = written[-1]["wall"]
        first_of_life = [event["wall"] for event in written if event["frame"] == 0][-1]
        assert isinstance(newest, float)
        assert isinstance(first_of_life, float)
        # one batch per second, and time for writing it on a busy machine
        assert newest - max(last, first_of_life) < 2.5

    folders = [tmp_path / f"life{number}" for number in range(20)]
    for folder in folders:
        folder.mkdir()
    with writers, ThreadPoolExecutor(len(folders)) as pool:
        for _ in range(DEATHS // len(folders)):
            known = {folder: len(lines(folder / "out.jsonl")) for folder in folders}
            list(pool.map(die, [(folder, born(folder), rng.uniform(0, 2)) for folder in folders]))
        writers.stdin.close()
