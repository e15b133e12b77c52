"""The commands of `edgeemo` and their options. Called by `cli`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from edgeemo import commands
from edgeemo.config import POLICY_ALIASES
from edgeemo.values import shortened, whole_number
from engines.installation import installed_version
from engines.standard import Parser


def parser() -> argparse.ArgumentParser:
    """The parser of `edgeemo`; the parsed namespace has the command in `command`."""
    made = Parser(
        prog="edgeemo",
        description="Facial expressions in video, in real time, on this machine. Without a command: the desktop app.",
        epilog="Sources: 0 (a camera), /dev/video2, clip.mp4, pictures/, rtsp://..., http://..., csi://0, demo. "
        "Exit codes: 0 done, 2 wrong usage, 3 done but some inputs failed, 4 done but an output is not complete, "
        "130 interrupted, 1 a bug in edgeemo.",
    )
    made.add_argument("--version", action=_Version)
    _common(made, default=None)
    _add_sinks(made, "jsonl:PATH", default=None)
    _add_markers(made, default=None)
    made.set_defaults(command=commands.app, verbose=0)
    added = made.add_subparsers(title="commands", metavar="COMMAND")
    _add_run(added)
    _add_batch(added)
    _add_doctor(added)
    _add_bench(added)
    _add_report(added)
    _add_service(added)
    _add_engines(added)
    return made


def _add_run(added: Any) -> None:
    run = added.add_parser("run", help="without a window: recognise a source, write results to sinks")
    _common(run, default=argparse.SUPPRESS)
    _add_sinks(run, "jsonl:PATH (jsonl:- is standard output, the default)", default=argparse.SUPPRESS)
    _add_markers(run, default=argparse.SUPPRESS)
    run.add_argument("--frames", type=_count, metavar="N", help="stop after that many frames")
    run.add_argument(
        "--overwrite", action="store_true", help="replace files that edgeemo did not write; never an input"
    )
    run.add_argument("--quiet", action="store_true", help="no summary at the end")
    run.set_defaults(command=commands.run)


def _add_batch(added: Any) -> None:
    batch = added.add_parser("batch", help="many video files into one Parquet dataset; run it again to continue")
    batch.add_argument("paths", nargs="+", metavar="PATH", help="video files, or folders to search for video files")
    batch.add_argument("--output", required=True, metavar="DATASET", help="folder to write")
    batch.add_argument("--workers", type=_count, default=0, metavar="N", help="processes (default: one per core)")
    batch.add_argument(
        "--every", type=float, default=0.0, metavar="S", help="process one frame per S seconds (default: every frame)"
    )
    batch.add_argument(
        "--split-minutes", type=float, default=30.0, metavar="M",
        help="split longer files so that all workers share them; 0: never (default: 30)",
    )  # fmt: skip
    batch.add_argument("--shard", default="1/1", metavar="I/N", help="process only the I-th of N shares of the files")
    batch.add_argument("--restart", action="store_true", help="delete the dataset's contents and start again")
    batch.add_argument("--dry-run", action="store_true", help="only print how much there is to read")
    batch.add_argument("--ray", default="", metavar="ADDRESS", help="use a Ray cluster; auto: the running one")
    batch.add_argument("--quiet", action="store_true", help="no progress and no summary")
    _common(batch, default=argparse.SUPPRESS, source=False)
    batch.set_defaults(command=commands.batch)


def _add_doctor(added: Any) -> None:
    doctor = added.add_parser("doctor", help="check this machine, and say how to fix what is missing")
    _common(doctor, default=argparse.SUPPRESS)
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.add_argument(
        "--device-report",
        metavar="PATH",
        help="measure this device for some minutes and write PATH.json and PATH.html without personal data",
    )
    doctor.set_defaults(command=commands.doctor)


def _add_bench(added: Any) -> None:
    bench = added.add_parser("bench", help="measure milliseconds per stage, frames per second, memory")
    _common(bench, default=argparse.SUPPRESS)
    bench.add_argument("--frames", type=_count, metavar="N", help="at most N frames per pass")
    bench.add_argument("--json", action="store_true", help="as JSON")
    bench.set_defaults(command=commands.bench)


def _add_report(added: Any) -> None:
    report = added.add_parser("report", help="make an offline web page with plots of recorded sessions")
    report.add_argument(
        "sessions",
        nargs="*",
        metavar="SESSION",
        help="folder or name of a session, or a file written by sqlite: or jsonl:",
    )
    report.add_argument("--against", nargs="+", metavar="SESSION", help="compare these sessions with the first ones")
    report.add_argument(
        "--group",
        action="append",
        metavar="NAME=MEMBER,MEMBER",
        help="compare groups of sessions, or of named persons in them; may be given several times",
    )
    report.add_argument(
        "--condition",
        action="append",
        metavar="LABEL",
        help="compare intervals with this label, or the 2 s after markers with this label (default: all "
        "intervals of several sessions)",
    )
    report.add_argument("--statistics", metavar="PATH.csv", help="also write the comparison as a table")
    report.add_argument(
        "--output",
        metavar="PATH",
        help="file to write: .html: the page (default: beside the first session); .csv, .parquet: the rows of all "
        "sessions; .eaf: one session for ELAN",
    )
    report.add_argument(
        "--overwrite", action="store_true", help="replace files that edgeemo did not write; never an input"
    )
    report.add_argument("--bom", action="store_true", help="start a .csv with a byte order mark, for spreadsheets")
    report.add_argument("-v", "--verbose", action="count", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    report.set_defaults(command=commands.report)


def _add_service(added: Any) -> None:
    service = added.add_parser("service", help="run at every boot with systemd")
    service.add_argument("action", choices=("install", "status", "uninstall"))
    service.add_argument("--config", metavar="F", help="its TOML configuration")
    service.add_argument("--name", default="edgeemo", help="name of the unit (default: edgeemo)")
    service.add_argument("--user", default="edgeemo", help="user that runs it (default: edgeemo)")
    service.add_argument("--memory", default="2G", metavar="M", help="memory limit (default: 2G)")
    service.add_argument("--print", action="store_true", help="only show the unit")
    service.add_argument("-v", "--verbose", action="count", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    service.set_defaults(command=commands.service)


def _add_engines(added: Any) -> None:
    engines = added.add_parser("engines", help="list the available engines")
    engines.add_argument("--json", action="store_true", help="as JSON")
    engines.add_argument("--threads", metavar="N", type=_count, default=1, help="threads of the engine")
    engines.add_argument("--force", "--again", action="store_true", help="repeat earlier measurements")
    engines.add_argument("-v", "--verbose", action="count", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    engines.set_defaults(command=commands.engines)


def _common(parser: argparse.ArgumentParser, *, default: str | None, source: bool = True) -> None:
    if source:
        parser.add_argument("--source", metavar="S", default=default, action=_Source, help="where frames come from")
    parser.add_argument("--engine", metavar="E", default=default, help="name or folder of an engine")
    parser.add_argument(
        "--backend",
        metavar="B",
        default=default,
        help="runtime: onnx, openvino, tensorrt, "
        "onnx-cuda or auto; append :fp16 or :int8 for a precision made by edgeemo-export",
    )
    parser.add_argument("--threads", metavar="N", type=_count, default=default, help="threads of the engine")
    parser.add_argument(
        "--allow-modified",
        action="store_true",
        default=argparse.SUPPRESS,
        help="accept an engine whose files differ from its manifest",
    )
    models = parser.add_mutually_exclusive_group()
    models.add_argument(
        "--faces",
        dest="policy",
        choices=("auto", "short_range", "full_range", "small"),
        default=argparse.SUPPRESS,
        help="model for whole frames of video: short_range finds faces within about 2 m and is fastest, "
        "full_range finds faces wider than 5 %% of the frame, auto alternates both, small also searches tiles for "
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
        "-v", "--verbose", action="count", default=argparse.SUPPRESS, help="log more; twice: everything"
    )


def _add_sinks(added: Any, first: str, *, default: Any) -> None:
    added.add_argument(
        "--sink",
        action="append",
        default=default,
        metavar="KIND:TARGET",
        help=f"where results go: {first}, csv:PATH, sqlite:PATH, video:PATH, mqtt://HOST:PORT/TOPIC, "
        "metrics:HOST:PORT, web:HOST:PORT, lsl:NAME, camera:/dev/videoN; may be given several times",
    )


def _add_markers(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    parser.add_argument(
        "--markers",
        metavar="lsl:NAME",
        default=default,
        help="markers of another program, from the Lab Streaming Layer's stream of that name and the type Markers",
    )


def _count(text: str) -> int:
    number = whole_number(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{shortened(text)} must be a positive integer")
    return number


class _Source(argparse.Action):
    """Refuse a second `--source`, which would replace the first one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest, None) is not None:
            raise argparse.ArgumentError(
                self, "given twice; several sources need a configuration with a table [[sources]] for each (--config)"
            )
        setattr(namespace, self.dest, values)


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
        print(f"edgeemo {installed_version() or '(not installed)'}")
        parser.exit()
