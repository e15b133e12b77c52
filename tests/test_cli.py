"""The command line, in real processes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import make_bundle

from engines import LABELS
from engines.manifest import write_manifest
from engines.standard import told

LIMIT_S = 120


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with three engines: one valid, one whose spec does not fit its graph, one damaged."""
    folder = tmp_path_factory.mktemp("engines")
    make_bundle(folder / "tiny")
    make_bundle(folder / "misfit", outputs=5)
    make_bundle(folder / "damaged")
    (folder / "damaged" / "model.onnx").write_bytes(b"nothing of the kind")
    for name in ("tiny", "misfit", "damaged"):
        write_manifest(folder / name)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures of noise at 20 frames per second, without a face."""
    path = tmp_path_factory.mktemp("clips") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (160, 120))
    rng = np.random.default_rng(0)
    for _ in range(40):
        writer.write(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    writer.release()
    return path


@pytest.fixture
def command(engines: Path, tmp_path: Path) -> Iterator[Command]:
    command = Command(engines, tmp_path)
    yield command
    for process in command.running:
        process.kill()
        process.wait()


class Command:
    def __init__(self, engines: Path, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []
        self.environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
        } | {"EDGEEMO_ENGINES": str(engines)}

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgeemo", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )
        self.running.append(process)
        return process

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=LIMIT_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def mistake(self, *arguments: object) -> str:
        """The line on standard error of a run that must end with exit code 2."""
        done = self(*arguments)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("edgeemo")
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr


def events(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_results_stream_to_standard_output_and_nothing_else_does(command: Command) -> None:
    done = command("run", "--source", "demo", "--engine", "tiny", "--frames", 12)
    assert done.returncode == 0, done.stderr
    got = events(done.stdout)
    assert [event["frame"] for event in got] == list(range(12))
    faces = got[-1]["faces"]
    assert isinstance(faces, list)
    assert list(faces[0]["probabilities"]) == list(LABELS)
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("edgeemo: 12 frames, 12 faces,")


def test_every_kind_of_sink_at_once(command: Command, clip: Path) -> None:
    sinks = [f"--sink={text}" for text in ("jsonl:a.jsonl", "csv:a.csv", "sqlite:a.db", "video:a.mp4", "jsonl:-")]
    done = command("run", "--source", clip, "--engine", "tiny", "--quiet", *sinks)
    assert (done.returncode, done.stderr) == (0, "")
    folder = command.folder
    assert (folder / "a.jsonl").read_text() == done.stdout
    assert len(events(done.stdout)) == 40
    assert (folder / "a.csv").read_text().startswith("origin,frame,time,face_id,person,x1")
    database = sqlite3.connect(folder / "a.db")
    assert database.execute("SELECT count(*) FROM frames").fetchone() == (40,)
    database.close()
    capture = cv2.VideoCapture(str(folder / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 40
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(20)
    capture.release()


def test_a_closed_pipe_ends_it_quietly(command: Command, clip: Path) -> None:
    process = command.start("run", "--source", "demo", "--engine", "tiny", "--sink", "jsonl:-", "--sink", "csv:a.csv")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.stdout.close()
    assert process.wait(LIMIT_S) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("redirection", "code", "shown"),
    [(">&-", 2, "edgeemo: standard output is closed; give the sink a path\n"), ("2>&-", 0, "")],
)
def test_a_closed_descriptor_is_not_mistaken_for_another_file(
    command: Command, redirection: str, code: int, shown: str
) -> None:
    line = f"{sys.executable} -m edgeemo run --source demo --engine tiny --frames 2 --sink csv:a.csv --sink jsonl:-"
    done = subprocess.run(
        ["sh", "-c", f"{line} {redirection}"],
        capture_output=True, text=True, check=False, timeout=LIMIT_S, env=command.environment, cwd=command.folder,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, shown)
    assert len(events(done.stdout)) == (0 if code else 2)
    assert "{" not in (command.folder / "a.csv").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_with_everything_written(command: Command, number: signal.Signals) -> None:
    path = command.folder / "a.jsonl"
    (command.folder / "slow.toml").write_text("[capture]\nloop = true\n")
    process = command.start(
        "run", "--config", "slow.toml", "--source", "demo", "--engine", "tiny", "--sink", f"jsonl:{path}",
        "--sink", "video:a.mp4",
    )  # fmt: skip
    deadline = time.monotonic() + LIMIT_S
    while not path.exists() or path.read_text().count("\n") < 20:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(LIMIT_S) == 130
    assert process.stderr is not None
    assert "frames per second" in process.stderr.read()
    written = events(path.read_text())
    assert [event["frame"] for event in written] == list(range(len(written)))
    capture = cv2.VideoCapture(str(command.folder / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) >= len(written) - 2
    capture.release()


def test_without_a_display_the_app_says_so_and_runs_the_demo_clip_headless(command: Command) -> None:
    done = command("--engine", "tiny")
    assert done.returncode == 0, done.stderr
    first, *rest = done.stderr.splitlines()
    assert first.startswith("edgeemo: no window: ")
    assert "running the demo clip headless instead" in first
    assert len(rest) == 1
    got = events(done.stdout)
    assert len(got) > 50
    assert all(event["faces"] for event in got)


def test_without_a_display_the_app_runs_a_configuration_of_several_sources_headless(command: Command) -> None:
    (command.folder / "edge.toml").write_text('frames = 3\n[[sources]]\nname = "a"\nuri = "demo"\n')
    done = command("--engine", "tiny", "--config", "edge.toml")
    assert done.returncode == 0, done.stderr
    assert "running the configuration headless instead" in done.stderr
    assert {event["origin"] for event in events(done.stdout)} == {"a"}


def test_a_missing_source_leaves_what_a_sink_held_alone(command: Command) -> None:
    (command.folder / "a.jsonl").write_text("precious\n")
    assert "nothing.mp4" in command.mistake(
        "run", "--source", "nothing.mp4", "--engine", "tiny", "--sink", "jsonl:a.jsonl"
    )
    assert (command.folder / "a.jsonl").read_text() == "precious\n"


def test_a_source_that_may_not_be_read(command: Command, clip: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = command.folder / "closed.avi"
    path.write_bytes(clip.read_bytes())
    path.chmod(0)
    assert "closed.avi" in command.mistake("run", "--source", path, "--engine", "tiny")


def test_a_file_that_is_no_video(command: Command) -> None:
    (command.folder / "letter.mp4").write_text("Dear reader, " * 1000)
    assert "letter.mp4" in command.mistake("run", "--source", "letter.mp4", "--engine", "tiny")


def test_a_truncated_video_keeps_its_results_up_to_the_break(command: Command, clip: Path) -> None:
    whole = clip.read_bytes()
    (command.folder / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    line = command.mistake("run", "--source", "cut.avi", "--engine", "tiny", "--sink", "jsonl:a.jsonl")
    assert "cut.avi" in line
    kept = events((command.folder / "a.jsonl").read_text())
    assert 15 <= len(kept) < 40


def test_an_empty_folder(command: Command) -> None:
    (command.folder / "pictures").mkdir()
    assert "pictures" in command.mistake("run", "--source", "pictures", "--engine", "tiny")


def test_a_picture_of_one_pixel_and_one_of_an_odd_size_do_not_crash(command: Command) -> None:
    folder = command.folder / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(folder / "b.png"), np.zeros((33, 77), np.uint8))
    done = command("run", "--source", folder, "--engine", "tiny", "--sink", "jsonl:-", "--sink", "video:a.mp4")
    assert done.returncode == 0, done.stderr
    assert [(event["origin"], event["faces"]) for event in events(done.stdout)] == [("a.png", []), ("b.png", [])]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--engine", "tiny"], "no source: give --source"),
        (["run", "--source", "demo", "--engine", "hybrid_light"], "there are: damaged, misfit, tiny"),
        (["run", "--source", "demo", "--engine", "./no/such"], "no engine folder at ./no/such"),
        (["run", "--source", "demo", "--engine", "misfit"], "lists 11 labels, its graph has 5 outputs"),
        (["run", "--source", "demo", "--engine", "damaged"], "cannot load"),
        (["run", "--source", "demo", "--engine", "tiny", "--backend", "onxx"], "known backends are onnx"),
        (["run", "--source", "demo", "--engine", "tiny", "--sink", "jsonl:no/such/a.jsonl"], "does not exist"),
        (["run", "--source", "demo", "--engine", "tiny", "--sink", "jsn:a"], "unknown sink"),
        (["run", "--source", "demo", "--engine", "tiny", "--sink", "mqtt://h"], "lacks a topic"),
        (["run", "--source", "demo", "--sink", "csv:a", "--sink", "jsonl:./a"], "write to the same place"),
        (["run", "--source", "0", "--source", "1"], "several sources need a configuration"),
        (["--source", "0", "--source", "1"], "several sources need a configuration"),
        (["run", "--source", "demo", "--frames", "none"], "must be a positive integer"),
        (["run", "--nonsense"], "see edgeemo"),
        (["nonsense"], "invalid choice"),
        (["bench"], "give --source"),
        (["run", "--config", "missing.toml"], "cannot read the configuration missing.toml"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command: Command, arguments: list[str], message: str) -> None:
    assert message in command.mistake(*arguments)


def test_an_unknown_configuration_key_names_the_nearest(command: Command) -> None:
    (command.folder / "my.toml").write_text("[detect]\nconfirm_scor = 0.5\n")
    line = command.mistake("run", "--source", "demo", "--config", "my.toml")
    assert "unknown key detect.confirm_scor; did you mean detect.confirm_score?" in line


@pytest.mark.parametrize("form", ["{}", "{}#stream=0", "file://{}", "FILE://localhost{}#stream=0"])
def test_a_sink_may_not_overwrite_the_source(command: Command, clip: Path, form: str) -> None:
    path = command.folder / "mine.avi"
    path.write_bytes(clip.read_bytes())
    source = form.format(path)
    line = command.mistake("run", "--source", source, "--engine", "tiny", "--overwrite", "--sink", "video:./mine.avi")
    assert "would overwrite the source" in line
    assert path.read_bytes() == clip.read_bytes()


def test_the_command_line_overrides_the_file(command: Command, clip: Path) -> None:
    (command.folder / "my.toml").write_text(
        f'source = "{clip}"\nengine = "missing"\nframes = 30\nsinks = ["csv:b.csv"]\n'
    )
    done = command("run", "--config", "my.toml", "--engine", "tiny", "--frames", "3", "--sink", "jsonl:-")
    assert done.returncode == 0, done.stderr
    assert len(events(done.stdout)) == 3
    assert not (command.folder / "b.csv").exists()


def test_help_and_version_load_nothing_heavy(command: Command) -> None:
    for option in ("--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "edgeemo", option],
            capture_output=True, text=True, check=True, env=command.environment, timeout=LIMIT_S,
        )  # fmt: skip
        assert "edgeemo" in done.stdout
        loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
        assert not loaded & {"numpy", "cv2", "mediapipe", "onnxruntime", "PyQt6", "torch", "engines.bundle"}


def test_engines_are_listed_with_their_faults(command: Command) -> None:
    listed = {item["name"]: item for item in json.loads(command("engines", "--json").stdout)}
    assert listed["tiny"]["labels"] == list(LABELS)


def test_doctor_finds_no_fault(command: Command) -> None:
    done = command("doctor", "--engine", "tiny", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert found["ok"] is True


def test_bench_prints_figures(command: Command, clip: Path) -> None:
    done = command("bench", "--source", clip, "--engine", "tiny", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    figures = json.loads(done.stdout)
    assert figures["stages"]["total"]["p50"] > 0


@pytest.mark.parametrize("table", ["mqtt", "web", "metrics"])
def test_the_options_of_sinks_hold_for_a_single_source_too(command: Command, table: str) -> None:
    key = {"mqtt": "password_file"}.get(table, "token_file")
    (command.folder / "my.toml").write_text(f'[{table}]\n{key} = "/nonexistent/secret"\n')
    sink = "mqtt://127.0.0.1:1/edge" if table == "mqtt" else f"{table}:127.0.0.1:0"
    line = command.mistake("run", "--source", "demo", "--frames", 3, "--config", "my.toml", "--sink", sink)
    assert "/nonexistent/secret" in line


def test_a_certificate_that_cannot_be_read_is_a_mistake_in_a_single_run_too(command: Command) -> None:
    (command.folder / "my.toml").write_text('[mqtt]\nca_file = "/nonexistent/ca.pem"\n')
    sink = "mqtts://127.0.0.1:1/edge"
    assert "/nonexistent/ca.pem" in command.mistake(
        "run", "--source", "demo", "--frames", 3, "--config", "my.toml", "--sink", sink
    )


def test_files_of_json_lines_rotate_in_a_single_run_too(command: Command) -> None:
    (command.folder / "my.toml").write_text("[jsonl]\nrotate_mb = 0.001\nkeep = 2\n")
    done = command(
        "run", "--source", "demo", "--engine", "tiny", "--frames", 12, "--config", "my.toml", "--sink", "jsonl:a.jsonl"
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in command.folder.glob("a.jsonl*")) == ["a.jsonl", "a.jsonl.1", "a.jsonl.2"]
    assert all(path.stat().st_size <= 1000 for path in command.folder.glob("a.jsonl*"))


def test_a_sink_that_would_overwrite_one_of_several_sources_is_refused(command: Command, clip: Path) -> None:
    before = clip.read_bytes()
    (command.folder / "my.toml").write_text(f'sinks = ["jsonl:{clip}"]\n[[sources]]\nname = "a"\nuri = "{clip}"\n')
    assert "would overwrite the source" in command.mistake("run", "--config", "my.toml")
    assert clip.read_bytes() == before


SHORT_OF_MEMORY = """
import resource, sys
from edgeemo.cli import main
assert main(["run", "--source", "demo", "--frames", "2", "--sink", "jsonl:/dev/null", "--quiet"]) == 0
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
sys.exit(main(["run", "--source", sys.argv[1], "--sink", "jsonl:/dev/null"]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory limits and /proc as in Linux")
def test_a_lack_of_memory_is_one_sentence(ffmpeg: str, tmp_path: Path) -> None:
    large = ["-f", "lavfi", "-i", "testsrc=s=7680x4320:d=0.4:r=25", "-c:v", "libx264", "-preset", "ultrafast"]
    subprocess.run([ffmpeg, "-v", "error", "-nostdin", *large, "large.mp4"], cwd=tmp_path, check=True)
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, "large.mp4"],
        cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("edgeemo: not enough memory (")


def test_a_lack_of_memory_is_known_in_the_words_of_each_library() -> None:
    errors: list[Exception] = [RuntimeError("can't start new thread"), RuntimeError("std::bad_alloc")]
    for fill in (
        lambda: np.zeros(1 << 60, np.uint8),
        lambda: cv2.resize(np.zeros((2, 2), np.uint8), (1 << 24, 1 << 24)),
    ):
        with pytest.raises((MemoryError, cv2.error)) as caught:
            fill()
        errors.append(caught.value)
    for error in errors:
        assert told(error).startswith("not enough memory (")
        assert "\n" not in told(error)
    for error in (RuntimeError("bad allocator state"), ValueError("memory"), OSError(2, "No such file", "x")):
        assert told(error) == ""
    assert told(PermissionError(13, "Permission denied", "a\x1b")) == (
        r"cannot use a\x1b: Permission denied; check the path and its permissions"
    )
