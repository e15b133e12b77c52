"""The command `edgeemo`. Light until a command runs: heavy modules are imported by the command that needs them."""

from __future__ import annotations

import argparse
import contextlib
import errno
import faulthandler
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

from edgeemo.config import POLICY_ALIASES, Config, load_config
from edgeemo.errors import ConfigError, EdgeemoError
from edgeemo.system.terminal import printable

DONE, FAULT, MISTAKE, INTERRUPTED = 0, 1, 2, 130
PATH_FAULTS = (
    errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EROFS, errno.ENOSPC,
    errno.EDQUOT,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 done, 2 the user's mistake (one line on standard error), 130 interrupted, 1 a fault of ours.
    """
    _occupy_standard_descriptors()
    arguments = _parser().parse_args(argv)
    verbose: int = arguments.verbose
    logging.basicConfig(
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)],
        format="edgeemo: %(message)s",
        handlers=[_StandardError()],
    )
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        with _native_noise_muted() if not verbose else contextlib.nullcontext():
            return command(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # standard output's reader has gone; the interpreter would complain when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if isinstance(error, EdgeemoError) or _is_about_a_file(error):
            if verbose > 1:
                traceback.print_exc()
            print(f"edgeemo: {_one_line(error)}", file=sys.stderr)
            return MISTAKE
        traceback.print_exc()
        print("edgeemo: this is a fault of edgeemo's, please report it with the lines above", file=sys.stderr)
        return FAULT


def _is_about_a_file(error: Exception) -> bool:
    """Whether the system refuses a path that the user named: no permission, a name too long, a read-only disk."""
    return isinstance(error, OSError) and error.filename is not None and error.errno in PATH_FAULTS


def _app(arguments: argparse.Namespace) -> int:
    from edgeemo.doctor import display_fault, qt_fault

    config = _config(arguments)
    fault = qt_fault() or display_fault(os.environ)
    if not fault:
        try:
            from edgeemo.ui import app
        except ImportError as error:
            fault = f"the window's libraries cannot be loaded ({_one_line(error)})"
        else:
            given = bool(vars(arguments).get("engine"))
            return int(app.run(config, engine_given=given))
    from edgeemo.run import headless

    config = replace(config, source=config.source or "demo")
    shown = "the demo clip" if config.source == "demo" else config.source
    print(f"edgeemo: no window: {fault}; running {shown} headless instead", file=sys.stderr)
    return headless.run(config)


def _run(arguments: argparse.Namespace) -> int:
    from edgeemo.run import headless

    def load() -> Config:
        config = _config(arguments)
        _expect_unread(config, arguments)
        return config

    return headless.run(load(), load, quiet=arguments.quiet)


def _expect_unread(config: Config, arguments: argparse.Namespace) -> None:
    """A sink must not be the file that the configuration comes from."""
    from edgeemo.sinks import file_of

    named = vars(arguments).get("config")
    for text in config.sinks if named else ():
        file = file_of(text)
        same = False
        with contextlib.suppress(OSError, ValueError):
            same = file is not None and os.path.samefile(file, str(named))
        if same:
            raise ConfigError(f"sink {text!r} would overwrite the configuration {named}; choose another path")


def _service(arguments: argparse.Namespace) -> int:
    from edgeemo.sinks import file_of
    from edgeemo.system import unit

    if arguments.action == "status":
        found = unit.state(arguments.name)
        for name, value in found.items():
            print(f"{name:<22} {value}")
        return DONE if found.get("ActiveState") == "active" else FAULT
    if arguments.action == "uninstall":
        done = unit.uninstall(arguments.name)
    else:
        if arguments.config is None:
            raise ConfigError("say --config with the file that the service shall run with")
        path = Path(arguments.config).expanduser().absolute()
        config = load_config(path)
        if not config.sources:
            raise ConfigError(f"{path} names no [[sources]]; a service needs at least one")
        outputs = tuple(file for text in config.sinks if (file := file_of(text)) is not None)
        wanted = unit.Unit(path, arguments.name, arguments.user, arguments.memory, csi=unit.has_csi(), outputs=outputs)
        if arguments.print:
            print(wanted.text(), end="")
            return DONE
        done = unit.install(wanted)
    for line in done:
        print(line)
    return DONE


def _doctor(arguments: argparse.Namespace) -> int:
    from edgeemo.doctor import examine

    if arguments.device_report:
        from edgeemo.device_report import write_report

        for file in write_report(_config(arguments), Path(arguments.device_report).expanduser()):
            print(f"wrote {file}")
        return DONE
    checks = []
    for check in examine(_config(arguments)):
        checks.append(check)
        if not arguments.json:
            print(f"{check.status:<8} {check.name:<12} {check.detail}", flush=True)
            if check.fix:
                print(f"{'':<21} -> {check.fix}", flush=True)
    healthy = all(check.status != "fault" for check in checks)
    if arguments.json:
        print(json.dumps({"ok": healthy, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        print("edgeemo can run here." if healthy else "edgeemo cannot run here: fix the faults above.")
    return DONE if healthy else MISTAKE


def _bench(arguments: argparse.Namespace) -> int:
    from edgeemo.bench import measure

    done = measure(_config(arguments))
    if arguments.json:
        print(json.dumps(done.to_mapping(), indent=2))
        return DONE
    print(f"{done.source}: {done.width}x{done.height}, {done.frames} frames, {done.faces} faces")
    print(f"{done.engine}; {done.cpus} CPUs")
    print(f"\n{'ms per frame':<12}{'p50':>9}{'p95':>9}{'p99':>9}")
    for stage, taken in done.stages.items():
        print(f"{stage:<12}{taken.p50:>9.2f}{taken.p95:>9.2f}{taken.p99:>9.2f}")
    print(f"\n{done.fps:.1f} frames per second end to end (median of {', '.join(map(str, done.runs))})")
    print(f"{done.peak_memory_mb:.0f} MiB of memory at most")
    return DONE


def _batch(arguments: argparse.Namespace) -> int:
    from edgeemo.batch.command import Options, run

    given = vars(arguments)
    chosen = {name: given[name] for name in Options.__dataclass_fields__ if name not in ("paths", "output")}
    return run(_config(arguments), Options(tuple(arguments.paths), arguments.output, **chosen))


def _report(arguments: argparse.Namespace) -> int:
    from edgeemo.recording import load
    from edgeemo.recording.export import ENDINGS, export
    from edgeemo.report import write_report
    from edgeemo.system.outputs import check_output

    first = [load(target) for target in arguments.sessions]
    second = [load(target) for target in arguments.against or ()]
    chosen = Path(arguments.output).expanduser() if arguments.output else _report_path(first[0].path)
    kind = {".csv": "csv", ".parquet": "parquet", ".eaf": "elan"}.get(chosen.suffix.lower(), "report")
    inputs = [each.path for each in (*first, *second)]
    output = check_output(chosen, kind, inputs=inputs, overwrite=arguments.overwrite)
    if output.suffix.lower() in ENDINGS:
        if arguments.against:
            raise EdgeemoError(f"{output}: rows have no groups; leave out --against, or name a page that ends in .html")
        what = "annotations" if kind == "elan" else "rows"
        print(f"{export(first, output, bom=arguments.bom)} {what} written to {printable(str(output))}")
        return DONE
    groups = [(" + ".join(each.name for each in first), first)]
    if second:
        groups.append((" + ".join(each.name for each in second), second))
    print(printable(str(write_report(groups, output))))
    return DONE


def _report_path(session: Path) -> Path:
    return session / "report.html" if session.is_dir() else session.with_suffix(".html")


def _engines(arguments: argparse.Namespace) -> int:
    from engines import EngineError, bundle_names, find_bundle
    from engines.backends.autoselect import benchmark, best
    from engines.bundle import ZOO, user_folder

    found: list[dict[str, Any]] = []
    for name in bundle_names():
        try:
            bundle = find_bundle(name)
        except EngineError as error:
            found.append({"name": name, "fault": _one_line(error)})
            continue
        origin = "shipped" if bundle.folder.parent == ZOO else "yours"
        ways = benchmark(bundle, threads=arguments.threads, force=arguments.force)
        found.append(
            {
                "name": name,
                "origin": origin,
                "folder": str(bundle.folder),
                "bytes": bundle.model.stat().st_size,
                "sizes": bundle.sizes(),
                "accuracy": asdict(bundle.accuracy) if bundle.accuracy is not None else None,
                "input": f"{bundle.spec.size}x{bundle.spec.size} {bundle.spec.colour}",
                "labels": list(bundle.spec.labels),
                "precisions": list(bundle.precisions()),
                "auto": best(ways).choice,
                "ways": [asdict(way) for way in ways],
            }
        )
    if arguments.json:
        print(json.dumps(found, indent=2))
        return DONE
    if not found:
        print(f"no engines: neither in {ZOO} nor in {user_folder()}")
    for item in found:
        if "fault" in item:
            print(f"{item['name']}: broken: {item['fault']}")
            continue
        sizes = ", ".join(f"{precision} {size / 1e6:.1f} MB" for precision, size in item["sizes"].items())
        print(f"{item['name']}: {item['origin']}, {item['input']}, {sizes}")
        print(f"    {item['folder']}")
        print(f"    {', '.join(item['labels'])}")
        if (scored := item["accuracy"]) is not None:
            interval = f"95 % interval {scored['low']:.2%} to {scored['high']:.2%}"
            print(f"    accuracy {scored['accuracy']:.2%} ({interval}), {scored['faces']} faces of {scored['data']}")
        told: set[tuple[str, str]] = set()
        for way in item["ways"]:
            choice = f"{way['backend']}:{way['precision']}"
            if way["milliseconds"] is not None:
                state = "" if way["passed"] else "no parity report on this backend"
                mark = "*" if choice == item["auto"] else " "
                print(f"  {mark} {choice:16} {way['milliseconds']:6.2f} ms per face   {state}".rstrip())
                continue
            reason = (way["backend"], way["fault"] or "not measured")
            if reason not in told:
                told.add(reason)
                print(f"    {': '.join(reason)}")
    if any("fault" not in item for item in found):
        print("* what --backend auto takes; other precisions: edgeemo-export --help")
    return DONE


def _config(arguments: argparse.Namespace) -> Config:
    """The file, if one is named, overridden by the command line."""
    given = vars(arguments)
    config = load_config(Path(given["config"])) if given.get("config") else Config()
    if given.get("source"):
        config = replace(config, sources=())
    changes: dict[str, Any] = {
        name: given[name]
        for name in ("source", "engine", "backend", "threads", "frames")
        if given.get(name) is not None
    }
    for name in ("overwrite", "allow_modified"):
        if given.get(name):
            changes[name] = True
    if given.get("sink"):
        changes["sinks"] = tuple(given["sink"])
    if given.get("policy"):
        changes["detect"] = replace(config.detect, policy=given["policy"])
    return replace(config, **changes)


def _occupy_standard_descriptors() -> None:
    """A standard descriptor that was closed (`>&-`) would be given to the next file, and results written into it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        # print(file=None) would go to standard output
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class _StandardError(logging.Handler):
    """Writes to what `sys.stderr` is at the time: it changes while native noise is muted."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = self.format(record).split("\n")
        print("\n".join(map(printable, lines)), file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISTAKE, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="print the version")

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        # takes a while, so only when asked for
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("edgeemo")
        except PackageNotFoundError:
            number = "(not installed)"
        print(f"edgeemo {number}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="edgeemo",
        description="Facial expressions in video, in real time, on this machine. Without a command: the desktop app.",
        epilog="Sources: 0 (a camera), /dev/video2, clip.mp4, pictures/, rtsp://..., http://..., csi://0, demo. "
        "Exit codes: 0 done, 2 your mistake, 3 done but some inputs failed, 4 done but an output is not complete, "
        "130 interrupted, 1 our fault.",
    )
    parser.add_argument("--version", action=_Version)
    _common(parser, default=None)
    parser.set_defaults(command=_app, verbose=0)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)

    run = commands.add_parser("run", help="headless: from a source to sinks")
    _common(run, default=argparse.SUPPRESS)
    run.add_argument(
        "--sink",
        action="append",
        metavar="KIND:TARGET",
        help="where results go: jsonl:PATH (jsonl:- is standard output, the default), csv:PATH, sqlite:PATH, "
        "video:PATH, mqtt://HOST:PORT/TOPIC, metrics:HOST:PORT, web:HOST:PORT; may be given several times",
    )
    run.add_argument("--frames", type=_count, metavar="N", help="stop after that many frames")
    run.add_argument(
        "--overwrite", action="store_true", help="replace files that edgeemo has not written; never an input"
    )
    run.add_argument("--quiet", action="store_true", help="no summary at the end")
    run.set_defaults(command=_run)

    _add_batch(commands)
    doctor = commands.add_parser("doctor", help="what this machine has and what it lacks, and how to fix it")
    _common(doctor, default=argparse.SUPPRESS)
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.add_argument(
        "--device-report",
        metavar="PATH",
        help="measure this device for some minutes: PATH.json and PATH.html, nothing personal",
    )
    doctor.set_defaults(command=_doctor)

    bench = commands.add_parser("bench", help="milliseconds per stage, frames per second, memory")
    _common(bench, default=argparse.SUPPRESS)
    bench.add_argument("--frames", type=_count, metavar="N", help="no more than that many frames a pass")
    bench.add_argument("--json", action="store_true", help="as JSON")
    bench.set_defaults(command=_bench)

    report = commands.add_parser("report", help="a recorded session as a page with plots that works offline")
    report.add_argument(
        "sessions", nargs="+", metavar="SESSION", help="a session's folder or name, or what sqlite: or jsonl: wrote"
    )
    report.add_argument("--against", nargs="+", metavar="SESSION", help="others, to stand beside the first ones")
    report.add_argument(
        "--output",
        metavar="PATH",
        help="the page (default: beside the first session); the rows of all as .csv or .parquet; one as .eaf (ELAN)",
    )
    report.add_argument(
        "--overwrite", action="store_true", help="replace files that edgeemo has not written; never an input"
    )
    report.add_argument("--bom", action="store_true", help="begin a .csv with a byte order mark, for spreadsheets")
    report.add_argument("-v", "--verbose", action="count", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    report.set_defaults(command=_report)

    service = commands.add_parser("service", help="run at every boot, under systemd")
    service.add_argument("action", choices=("install", "status", "uninstall"))
    service.add_argument("--config", metavar="F", help="the TOML file it runs with")
    service.add_argument("--name", default="edgeemo", help="of the unit (edgeemo)")
    service.add_argument("--user", default="edgeemo", help="who it runs as (edgeemo)")
    service.add_argument("--memory", default="2G", metavar="M", help="the most memory it may use (2G)")
    service.add_argument("--print", action="store_true", help="only show the unit")
    service.add_argument("-v", "--verbose", action="count", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    service.set_defaults(command=_service)

    engines = commands.add_parser("engines", help="the engines that are here")
    engines.add_argument("--json", action="store_true", help="as JSON")
    engines.add_argument("--threads", metavar="N", type=_count, default=1, help="threads of the engine")
    engines.add_argument("--force", "--again", action="store_true", help="measure again what was measured before")
    engines.add_argument("-v", "--verbose", action="count", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    engines.set_defaults(command=_engines)
    return parser


def _add_batch(commands: argparse._SubParsersAction[_Parser]) -> None:
    batch = commands.add_parser("batch", help="many video files to one Parquet dataset; the same command continues")
    batch.add_argument("paths", nargs="+", metavar="PATH", help="video files, and folders that are searched for them")
    batch.add_argument("--output", required=True, metavar="DATASET", help="the folder that is written")
    batch.add_argument("--workers", type=_count, default=0, metavar="N", help="processes (default: one per core)")
    batch.add_argument(
        "--every", type=float, default=0.0, metavar="S", help="look at one frame per S seconds (default: every frame)"
    )
    batch.add_argument(
        "--split-minutes", type=float, default=30.0, metavar="M",
        help="split longer files so that all workers share them; 0: never (default: 30)",
    )  # fmt: skip
    batch.add_argument("--shard", default="1/1", metavar="I/N", help="only the I-th of N shares of the files")
    batch.add_argument("--restart", action="store_true", help="remove what the dataset holds and begin again")
    batch.add_argument("--dry-run", action="store_true", help="only say how much there is to read")
    batch.add_argument(
        "--ray", default="", metavar="ADDRESS", help="work on a Ray cluster; auto: the one that is there"
    )
    batch.add_argument("--quiet", action="store_true", help="no progress and no summary")
    _common(batch, default=argparse.SUPPRESS, source=False)
    batch.set_defaults(command=_batch)


def _common(parser: argparse.ArgumentParser, *, default: str | None, source: bool = True) -> None:
    if source:
        parser.add_argument("--source", metavar="S", default=default, help="where frames come from")
    parser.add_argument("--engine", metavar="E", default=default, help="name or folder of an engine")
    parser.add_argument(
        "--backend",
        metavar="B",
        default=default,
        help="what executes it: onnx, openvino, tensorrt, "
        "onnx-cuda or auto; with :fp16 or :int8 behind it, what edgeemo-export made",
    )
    parser.add_argument("--threads", metavar="N", type=_count, default=default, help="threads of the engine")
    parser.add_argument(
        "--allow-modified",
        action="store_true",
        default=argparse.SUPPRESS,
        help="use an engine whose files differ from its manifest",
    )
    models = parser.add_mutually_exclusive_group()
    models.add_argument(
        "--faces",
        dest="policy",
        choices=("auto", "short_range", "full_range", "small"),
        default=argparse.SUPPRESS,
        help="video: which model looks at whole frames: short_range finds faces within about 2 m and is cheapest, "
        "full_range those from 5 %% of the frame's width on, auto takes both in turns; small searches tiles too, for "
        "faces from 24 pixels. Still pictures are always searched in tiles",
    )
    for policy in ("near", "far"):
        models.add_argument(
            f"--{policy}",
            dest="policy",
            action="store_const",
            const=policy,
            default=argparse.SUPPRESS,
            help=f"the same as --faces {POLICY_ALIASES[policy]}",
        )
    parser.add_argument("--config", metavar="F", default=default, help="a TOML file; the command line overrides it")
    parser.add_argument(
        "-v", "--verbose", action="count", default=argparse.SUPPRESS, help="say more; twice: everything"
    )


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return number


def _one_line(error: BaseException) -> str:
    return printable(" ".join(str(error).split()))


@contextlib.contextmanager
def _native_noise_muted() -> Iterator[None]:
    """Keep what C++ libraries print on descriptor 2 off the terminal; Python's own standard error goes on.

    MediaPipe writes some fifty lines when a detector opens and closes, and has no switch for most of them.
    """
    try:
        sys.stderr.flush()
        on_terminal = sys.stderr.fileno() == 2
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):
        yield
        return
    before = sys.stderr
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    crashes_shown = faulthandler.is_enabled()
    faulthandler.enable(kept)
    if on_terminal:
        sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1, encoding=before.encoding, errors="backslashreplace")
    try:
        yield
    finally:
        if on_terminal:
            sys.stderr.close()
            sys.stderr = before
        os.dup2(kept, 2)
        if crashes_shown:
            faulthandler.enable(2)
        else:
            faulthandler.disable()
        os.close(kept)
