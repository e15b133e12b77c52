"""Input from outside is accepted or refused in one line; the fuzzers look for tracebacks and hangs."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeemo import toml
from edgeemo.cli import main
from edgeemo.config import Config, from_mapping, load_config
from edgeemo.errors import ConfigError, EdgeemoError
from edgeemo.recording import load
from edgeemo.report import page
from edgeemo.sinks.access import Guard, address, is_own_name
from edgeemo.values import LARGEST_NUMBER, expect_host, shortened, whole_number
from engines.export import cli as export_cli
from trainer import cli as train_cli

hypothesis = pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

# for a long run: EDGEEMO_FUZZ_EXAMPLES=100000 pytest tests/test_border.py -k fuzz --timeout 0
FUZZ = settings(
    max_examples=int(os.environ.get("EDGEEMO_FUZZ_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LONG = "n" * 300


@pytest.mark.parametrize(
    "content",
    [
        b"a." * 20000 + b"b = 1",
        b'"a" . ' * 8000 + b"b = 1",
        b"a = " + b"[" * 30000,
        b"a = " + b"{a=" * 15000,
        b"frames = " + b"9" * 5000,
        b"frames = " + b"9" * 400,
        b"frames = 0x" + b"f" * 50000,
        b"frames = 1e400",
        b"frames = nan",
        b'source = "a\\u0000b"',
        b'source = "' + b"x" * 9000 + b'"',
        b"\xff\xfe",
        b"#" + b"a" * 65000 + b"\nsource =",
    ],
)
def test_a_hostile_configuration_is_one_short_line(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "edge.toml").write_bytes(content)
    assert main(["run", "--config", str(tmp_path / "edge.toml")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("edgeemo: ")
    assert said.count("\n") == 1
    assert len(said) < 700


@pytest.mark.parametrize("name", ["huge_int", "nul_sink"])
def test_the_hostile_configurations_that_were_kept_are_refused(
    name: str, cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--config", str(cases / "hostile" / f"{name}.toml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("named", [LONG, "~nobody-of-this-name/x", "a\0b", "d/" * 3000, f"rtsp://{LONG}/", "9" * 5000])
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--source", "{}"),
        ("run", "--source", "demo", "--engine", "{}"),
        ("run", "--config", "{}"),
        ("run", "--source", "demo", "--sink", "jsonl:{}"),
        ("run", "--source", "demo", "--sink", "sqlite:{}"),
        ("run", "--source", "demo", "--sink", "web:{}:80"),
        ("run", "--source", "demo", "--sink", "web:127.0.0.1:{}"),
        ("run", "--source", "nothing", "--frames", "{}x"),
        ("report", "{}"),
        ("run", "{}"),
    ],
)
def test_odd_names_on_the_command_line_are_one_line(
    named: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGEEMO_TOKEN", raising=False)
    if named == "9" * 5000 and arguments[-1].startswith(("jsonl", "sqlite")):
        pytest.skip("a number is a name like any other there")
    try:
        code = main([each.format(named) for each in arguments])
    except SystemExit as end:
        code = int(str(end.code))
    said = capsys.readouterr().err
    assert code == 2
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_an_argument_that_a_command_does_not_know_points_to_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command, said in ((main, "edgeemo run"), (train_cli.main, "edgeemo-train fit")):
        with pytest.raises(SystemExit) as end:
            command(
                [said.split()[1], "--data", "x", "--sinks", "csv:a"] if command is not main else ["run", "clip.mp4"]
            )
        assert end.value.code == 2
        printed = capsys.readouterr().err
        assert printed.startswith(f"{said}: unrecognized arguments: ")
        assert printed.endswith(f"; see {said} --help\n")


def path_options(parser: argparse.ArgumentParser, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The start of a command line for each option or argument that takes a path."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from path_options(command, (*before, name))
        elif action.type is Path:
            yield (*before, *action.option_strings[:1])


COMMANDS = {
    "edgeemo-export": (export_cli.main, export_cli._parser),
    "edgeemo-train": (train_cli.main, train_cli._parser),
}


@pytest.mark.parametrize(
    ("command", "before"),
    [(name, before) for name, (_, parser) in COMMANDS.items() for before in path_options(parser())],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_odd_names_of_any_path_option_are_one_line(
    command: str, before: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for named in (LONG, "~nobody-of-this-name/x", "a\0b", "d/" * 3000):
        with pytest.raises(SystemExit) as end:
            COMMANDS[command][0]([*before, named])
        said = capsys.readouterr().err
        assert end.value.code == 2
        assert said.startswith(command)
        assert said.count("\n") == 1
        assert "the path" in said


@pytest.mark.parametrize("named", [LONG, "~nobody-of-this-name/x", "a\0b", "d/" * 3000, "\x1b[31mred"])
def test_odd_names_of_data_sets_are_one_line(named: str, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("ferplus", "folder", "fer2013", "wds"):
        for arguments in (["evaluate", "--engine", "hybrid_lite", "--data"], ["data", "info"]):
            assert train_cli.main([*arguments, f"{kind}:{named}"]) == 2
            printed = capsys.readouterr()
            said = printed.out + printed.err
            assert said.startswith(("edgeemo-train: ", "train: "))
            assert printed.err.count("\n") <= 1  # `data info` lists the faults of each split on standard output
            assert "\x1b" not in said


def test_a_file_that_the_system_refuses_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert export_cli.main(["--write-manifest", str(loop)]) == 2
    assert train_cli.main(["weights", str(loop / "best.pt"), "--output", str(tmp_path / "x.safetensors")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert "Traceback" not in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are Unix's")
@pytest.mark.parametrize(
    "arguments", ["weights {}.pt --output x.safetensors", "fit --config {}.toml", "fit --config {}.json"]
)
def test_the_trainer_waits_for_no_pipe(arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in ("pt", "toml", "json"):
        os.mkfifo(tmp_path / f"pipe.{suffix}")
    assert train_cli.main(arguments.format(tmp_path / "pipe").split()) == 2
    said = capsys.readouterr().err
    assert "not a regular file" in said
    assert said.count("\n") == 1


def test_a_configuration_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_bytes(b"\xef\xbb\xbfframes = 7\n")
    assert load_config(tmp_path / "edge.toml").frames == 7


def test_a_token_file_is_read_bounded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text('source = "demo"\nsinks = ["web:127.0.0.1:0"]\n[web]\ntoken_file = "/dev/zero"')
    assert main(["run", "--config", str(tmp_path / "edge.toml")]) == 2
    assert "not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "host", ["[::1].evil.example", "[::1", "::1]", "localhost.evil.example", "127.0.0.1.evil.example", "[x]", "a:b:c"]
)
def test_a_host_header_of_another_machine_is_not_our_own(host: str) -> None:
    assert not is_own_name(host)


@pytest.mark.parametrize("host", ["", "localhost", "localhost:80", "127.0.0.1:8080", "[::1]:80", "[::1]"])
def test_a_host_header_of_this_machine_is_our_own(host: str) -> None:
    assert is_own_name(host)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize(
    "command",
    [
        "edgeemo --version",
        "edgeemo --help",
        "edgeemo run --source demo --frames 2",
        "edgeemo run --help",
        "edgeemo engines --json",
        "edgeemo engines --help",
        "edgeemo service --help",
        "engines.export.cli --help",
        "trainer.cli --help",
        "trainer.cli fit --help",
        "trainer.cli models",
    ],
)
def test_a_full_standard_output_is_exit_code_4_in_one_line(command: str, buffered: bool) -> None:
    module, *arguments = command.split()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {} if buffered else {"PYTHONUNBUFFERED": "1"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; from {module.replace('edgeemo', 'edgeemo.cli')} import main; "
             "sys.exit(main())", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment,
        )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("\n") <= 3
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize(("source", "code"), [("demo", 4), ("nothing", 2)])
def test_a_full_standard_error_is_no_fault_of_ours(source: str, code: int) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgeemo", "run", "--source", source, "--frames", "2"],
            stdout=subprocess.PIPE, stderr=full, check=False,
        )  # fmt: skip
    assert done.returncode == code
    assert done.stdout.count(b"\n") == (2 if code == 4 else 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_is_exit_code_4_with_the_count(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", "--source", "demo", "--frames", "3", "--sink", "jsonl:/dev/full"]) == 4
    said = capsys.readouterr().err
    assert "did not arrive (cannot continue writing /dev/full: No space left on device" in said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"sources": [{"name": f"s{row}", "uri": "demo"} for row in range(65)]}, "the limit is 64"),
        ({"detect": {"max_faces": 257}}, "between 1 and 256"),
        ({"service": {"queue": 65537}}, "between 8 and 65536"),
        ({"mqtt": {"spool_mb": 1e7}}, "between 0.001 and 1e"),
    ],
)
def test_what_is_beyond_a_limit_of_the_configuration_is_refused(data: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_mapping(Config, data)


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), "x" * 500, ["y"] * 500, None])
def test_a_value_in_a_message_is_short(value: object) -> None:
    assert len(shortened(value)) < 80


def one_line(error: Exception) -> None:
    said = str(error)
    assert "\n" not in said
    assert len(said) < 3000


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from([*Config.__dataclass_fields__, "min_score", "user", "x"])


@FUZZ
@given(st.dictionaries(keys, values | st.dictionaries(keys, values, max_size=3), max_size=4))
def test_fuzz_configuration_is_taken_or_a_configuration_error(data: dict[str, object]) -> None:
    try:
        from_mapping(Config, data)
    except ConfigError as error:
        one_line(error)


@FUZZ
@given(st.binary(max_size=300) | st.text(alphabet="[]{}.=\"'\\\n#a1 -+:T_", max_size=300).map(str.encode))
def test_fuzz_toml_is_parsed_or_refused(content: bytes) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(toml.parse(content), dict)


@FUZZ
@given(st.text(max_size=40), st.text(max_size=40))
def test_fuzz_addresses_and_numbers(target: str, host: str) -> None:
    number = whole_number(target)
    assert number is None or 0 <= number <= LARGEST_NUMBER
    is_own_name(host)
    for check in (lambda: address("web", target), lambda: expect_host("x", host)):
        with contextlib.suppress(EdgeemoError):
            check()


@FUZZ
@given(
    st.lists(
        st.binary(max_size=60)
        | st.builds(
            lambda frame, time, faces: (
                repr({"frame": frame, "time": time, "origin": "x", "faces": faces})
                .replace("'", '"')
                .replace("None", "null")
                .encode()
            ),
            values,
            values,
            values,
        ),
        max_size=6,
    )
)
def test_fuzz_recordings_are_a_page_or_one_line(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "lines.jsonl"
    path.write_bytes(b"\n".join(lines))
    try:
        assert page([("x", [load(path)])]).startswith("<!doctype html>")
    except EdgeemoError as error:
        one_line(error)


@pytest.mark.parametrize(("mode", "told"), [(0o644, True), (0o600, False)])
def test_a_secret_that_everybody_can_read_is_told(
    mode: int, told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "token"
    path.write_text("t" * 20)
    path.chmod(mode)
    Guard("web", "127.0.0.1", str(path))
    assert ("chmod 600" in caplog.text) == told


def test_no_page_is_written_under_another_ending(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text('{"frame": 0, "time": 0, "origin": "x", "faces": []}\n')
    assert main(["report", str(lines), "--output", str(tmp_path / "x.pdf")]) == 2
    assert "suffix must be .html" in capsys.readouterr().err
    assert not (tmp_path / "x.pdf").exists()


@pytest.mark.parametrize("threads", ["0", "65", "100000", "9" * 5000])
def test_an_export_with_absurd_threads_is_refused(threads: str, capsys: pytest.CaptureFixture[str]) -> None:
    from engines.export.cli import main as export

    with pytest.raises(SystemExit) as end:
        export(["--bundle", "hybrid_lite", "--fp16", "--threads", threads])
    assert end.value.code == 2
    assert len(capsys.readouterr().err.splitlines()[-1]) < 200
