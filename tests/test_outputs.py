"""Outputs never destroy other files: the same rules for every command and sink."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import result

from edgeemo.cli import main
from edgeemo.errors import SinkError
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.system.outputs import OUTPUTS, check_output
from engines import LABELS
from engines.terminal import printable

CONTEXT = SinkContext(LABELS, draw=lambda each: each.frame.image)
NAMES = {"jsonl": "a.jsonl", "csv": "a.csv", "sqlite": "a.db", "video": "a.mp4"}


def write(kind: str, path: Path | str) -> None:
    sink = open_sink(f"{kind}:{path}", CONTEXT)
    for index in range(3):
        sink.write(result(1, index=index))
    sink.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "a.jsonl"
    write("jsonl", path)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.db", "a.mp4", "a.mkv", "a.webm", "a.avi", "a.mov"])
def test_what_a_sink_has_written_it_may_write_again(tmp_path: Path, name: str) -> None:
    kind = next((kind for kind, each in NAMES.items() if Path(each).suffix == Path(name).suffix), "video")
    write(kind, tmp_path / name)
    write(kind, tmp_path / name)


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("there", ["photograph", "configuration", "video", *NAMES])
def test_another_file_is_never_replaced(tmp_path: Path, demo_clip: Path, kind: str, there: str) -> None:
    if there == kind:
        return
    path = tmp_path / f"target{Path(NAMES[kind]).suffix}"
    if there == "photograph":
        path.write_bytes(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    elif there == "configuration":
        path.write_text('source = "demo"\n')
    elif there == "video":
        shutil.copy(demo_clip, path)
    else:
        write(there, tmp_path / NAMES[there])
        shutil.copy(tmp_path / NAMES[there], path)
    before = path.read_bytes()
    with pytest.raises(SinkError, match="--overwrite") as refused:
        write(kind, path)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before


def test_an_empty_file_may_be_written_and_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    write("jsonl", tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").read_text().count("\n") == 3


def test_an_input_is_not_written_even_where_overwriting_is_asked_for(tmp_path: Path) -> None:
    photograph = tmp_path / "a.jpg"
    photograph.write_bytes(b"\xff\xd8 a photograph \xff\xd9")
    for inputs in ([photograph], [tmp_path]):
        with pytest.raises(SinkError, match="is read by the same command"):
            check_output(photograph, "jsonl", inputs=inputs, overwrite=True)
    assert check_output(photograph, "jsonl", inputs=["0", "rtsp://cam/1"], overwrite=True) == photograph
    assert check_output(tmp_path / "new.jsonl", "jsonl", inputs=[tmp_path]) == tmp_path / "new.jsonl"


def test_a_sink_over_a_picture_of_the_source_folder_is_refused(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (pictures / "Face1.jpg").read_bytes()
    for more in ([], ["--overwrite"]):
        arguments = ["run", "--source", str(pictures), "--sink", f"jsonl:{pictures}/Face1.jpg", *more]
        assert main(arguments) == 2
    assert (pictures / "Face1.jpg").read_bytes() == before
    assert capsys.readouterr().err.count("\n") == 2


def test_a_service_does_not_write_over_its_own_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(f'sinks = ["jsonl:{config}"]\n[[sources]]\nname = "a"\nuri = "demo"\n')
    before = config.read_text()
    for more in ([], ["--overwrite"]):
        assert main(["run", "--config", str(config), *more]) == 2
        assert "would overwrite the configuration" in capsys.readouterr().err
    assert config.read_text() == before


@pytest.mark.parametrize("output", ["itself", "another", "link", "pipe", "socket", "device", "folder"])
def test_a_report_replaces_only_reports(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    mine, other = tmp_path / "mine.jsonl", tmp_path / "other.jsonl"
    shutil.copy(recorded, mine)
    shutil.copy(recorded, other)
    target = {"itself": mine, "another": other, "device": Path("/dev/full")}.get(output, tmp_path / output)
    if output == "link":
        target.symlink_to(other)
    elif output == "pipe":
        os.mkfifo(target)
    elif output == "folder":
        target.mkdir()
    elif output == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(target))
    kind = stat.S_IFMT(target.lstat().st_mode)
    for more in [[], ["--overwrite"]] if output != "another" and output != "link" else [[]]:
        assert main(["report", str(mine), "--output", str(target), *more]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert stat.S_IFMT(target.lstat().st_mode) == kind
    assert mine.read_bytes() == other.read_bytes() == recorded.read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--engine", "hybrid_lite", "--data", "fer2013:IN,seed=1", "--predictions", "OUT"],
        ["evaluate", "--engine", "hybrid_lite", "--data", "fer2013:x", "--by", "IN:column", "--predictions", "OUT"],
        ["data", "groups", "fer2013:IN", "--output", "OUT"],
        ["data", "crops", "fer2013:x", "--spec", "IN", "--output", "OUT"],
        ["average", "IN", "IN", "--output", "OUT"],
        ["saliency", "IN", "--data", "fer2013:x", "--output", "OUT"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_the_trainer_writes_over_no_input_and_no_other_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    pytest.importorskip("torch")
    from trainer.cli import main as train

    data, other = tmp_path / "data.csv", tmp_path / "other.csv"
    data.write_text("emotion,pixels,Usage\n")
    other.write_text("dear,reader\n")
    for output, reason in ((data, "is read by the same command"), (other, "choose another path, or delete it")):
        words = [word.replace("IN", str(data)).replace("OUT", str(output)) for word in arguments]
        assert train(words) == 2
        said = capsys.readouterr().err
        assert reason in said
        assert said.count("\n") == 1
    assert (data.read_text(), other.read_text()) == ("emotion,pixels,Usage\n", "dear,reader\n")


def test_a_device_report_replaces_only_device_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.json", "a.html"):
        (tmp_path / name).write_text("mine")
        assert main(["doctor", "--device-report", str(tmp_path / "a")]) == 2
        assert "is not a device report of edgeemo" in capsys.readouterr().err
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_a_report_may_be_written_again(recorded: Path, tmp_path: Path) -> None:
    for name in ("a.html", "a.csv", "x" * 250 + ".csv"):
        for _ in range(2):
            assert main(["report", str(recorded), "--output", str(tmp_path / name)]) == 0
        assert (tmp_path / name).stat().st_size > 100


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("name", ["n" * 300 + ".mp4", "missing/a.mp4", "/dev/null/a.mp4", "nul\0.mp4", "folder.mp4"])
def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(SinkError) as refused:
        open_sink(f"{kind}:{tmp_path / name}", CONTEXT)
    assert "\n" not in str(refused.value)


UNPRIVILEGED = """
import ctypes, sys
# without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH permissions hold for root, too
libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert libc.capget(header, sets) == 0
sets[0] &= ~0b110
assert libc.capset(header, sets) == 0
from edgeemo.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="permissions and capabilities as in Linux")
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--source", "CLOSED/a.mp4"],
        ["run", "--source", "CLOSED"],
        *(["run", "--source", "demo", "--sink", f"{kind}:CLOSED/{name}"] for kind, name in NAMES.items()),
        ["report", "CLOSED/a.jsonl"],
        ["report", "OPEN/a.jsonl", "--output", "CLOSED/a.html"],
        ["run", "--config", "CLOSED/a.toml"],
    ],
    ids=" ".join,
)
def test_a_folder_without_search_permission_is_told_in_one_line(
    tmp_path: Path, recorded: Path, arguments: list[str]
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "a.jpg").touch()
    (tmp_path / "closed").chmod(0o600)
    shutil.copy(recorded, tmp_path / "a.jsonl")
    words = [word.replace("CLOSED", f"{tmp_path}/closed").replace("OPEN", str(tmp_path)) for word in arguments]
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Permission denied" in done.stderr


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgeemo", "run", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_pipe_that_nobody_reads_can_be_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with start("--source", "demo", "--sink", f"jsonl:{tmp_path}/pipe", "-v") as running:
        assert running.stderr is not None
        while "waits for its reader" not in (line := running.stderr.readline()):
            assert line, "it ended before it waited"
        running.send_signal(signal.SIGTERM)
        said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert said.startswith(f"edgeemo: {tmp_path}/pipe has no reader\n")
    assert "did not arrive" in said
    assert "keeps running" not in said


def test_a_pipe_gives_its_reader_everything(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with start("--source", "demo", "--frames", "5", "--sink", f"jsonl:{tmp_path}/pipe") as running:
        time.sleep(0.5)
        with (tmp_path / "pipe").open() as pipe:
            lines = pipe.read().splitlines()
        assert running.wait(60) == 0
    assert len(lines) == 5


def test_a_pipe_whose_reader_stands_still_can_be_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    arguments = ("--source", "demo?loop", "--sink", f"jsonl:{tmp_path}/pipe")
    with start(*arguments) as running, (tmp_path / "pipe").open() as pipe:
        pipe.readline()
        time.sleep(1.5)
        running.send_signal(signal.SIGTERM)
        said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "keeps running" not in said


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_pipe_whose_reader_stands_still_is_given_up_when_the_run_ends(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    sink = open_sink(f"{kind}:{tmp_path}/pipe", CONTEXT)
    sink.stop_waiting()
    fill = [result(8, index=index) for index in range(100)]
    with pytest.raises(SinkError, match=re.escape(f"the reader of {tmp_path}/pipe does not read")):
        _ = [sink.write(each) for each in fill]  # type: ignore[func-returns-value]
    os.set_blocking(reader, True)
    taken = os.read(reader, 1 << 20).splitlines()
    assert len(taken) > 5  # the pipe has received as much as fits into it
    sink.close()
    os.close(reader)


# standard output


def test_terminal_escapes_and_other_bytes_are_written_out() -> None:
    assert printable("plain ä 名\t") == "plain ä 名\t"
    assert printable("a\x1b]0;owned\x07b\x9b\u202ec\udcff\r\n") == r"a\x1b]0;owned\x07b\x9b\u202ec\xff\x0d\x0a"


def test_a_name_with_terminal_escapes_never_reaches_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"{tmp_path}/a\x1b[31m.mp4"
    assert main(["run", "--source", name]) == 2
    Path(name).write_bytes(b"no video")
    assert main(["run", "--source", name]) == 2
    assert main(["run", "--source", "demo", "--sink", f"jsonl:{name}/x"]) == 2
    assert main(["report", name]) == 2
    said = capfd.readouterr()
    assert "\x1b" not in said.out + said.err
    assert said.err.count("\n") == 4


def test_names_that_are_not_utf_8_can_be_written(tmp_path: Path, demo_clip: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(folder)
    for kind, name in NAMES.items():
        path = folder + "/" + os.fsdecode(b"\xe9") + name
        write(kind, path)
        assert os.path.getsize(path) > 100
    source = folder + "/" + os.fsdecode(b"\xe9.mp4")
    shutil.copy(demo_clip, source)
    assert main(["bench", "--source", source, "--frames", "12"]) == 0


def test_every_kind_of_output_has_a_name() -> None:
    assert set(NAMES) < set(OUTPUTS)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts the open files of a process as Linux shows them")
@pytest.mark.parametrize("kind", ["jsonl", "csv", "sqlite"])
@pytest.mark.parametrize("renamed", [False, True])
def test_a_sink_that_is_closed_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, renamed: bool
) -> None:
    monkeypatch.setattr("edgeemo.sinks.presence.CHECK_S", 0.0)
    path = tmp_path / f"out.{kind}"

    def open_files() -> set[str]:
        return {link for each in Path("/proc/self/fd").iterdir() if str(tmp_path) in (link := os.path.realpath(each))}

    sink = open_sink(f"{kind}:{path}", CONTEXT)
    sink.write(result(1))
    assert open_files()
    if renamed:
        path.rename(tmp_path / "old")
        sink.write(result(1, index=1))
    sink.close()
    assert open_files() == set()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts the open files of a process as Linux shows them")
@pytest.mark.parametrize("kind", ["jsonl", "csv", "sqlite"])
def test_a_sink_that_is_refused_leaves_no_file_open(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"out.{kind}"
    context = SinkContext(LABELS, draw=lambda each: each.frame.image, lasting=True)

    def open_files() -> list[str]:
        return [link for each in Path("/proc/self/fd").iterdir() if str(tmp_path) in (link := os.path.realpath(each))]

    if kind == "sqlite":
        path.write_bytes(b"SQLite format 3\0" + bytes(2000))
        before = []
        other = None
    else:
        other = open_sink(f"{kind}:{path}", context)
        before = open_files()
    with pytest.raises(SinkError, match="choose another path"):
        open_sink(f"{kind}:{path}", context)
    assert open_files() == before
    if other is not None:
        other.close()
