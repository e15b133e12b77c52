"""The command `edgeemo report`: write a page, its numbers as a table, or the rows of sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeemo.errors import EdgeemoError
from edgeemo.recording import Recording, load
from edgeemo.recording.export import ENDINGS, export
from edgeemo.report.figures import write_figures
from edgeemo.report.groups import grouped
from edgeemo.report.inference import Analysis, Groups, analyse
from edgeemo.report.page import side_by_side, write_report
from edgeemo.system.outputs import check_output
from engines.files import user_path
from engines.terminal import printable

DONE = 0
PAGES = (".html", ".htm", "")  # suffixes of a report


@dataclass(frozen=True)
class Options:
    """Options of the command line.

    Attributes:
        sessions, against: sessions of the first and the second group.
        group: NAME=MEMBER[,MEMBER...] each.
        condition: labels of intervals and markers.
        output: path of a page, rows or annotations.
        statistics: path of a table of the numbers.
        overwrite: replace files that edgeemo did not write.
        bom: start a CSV of rows with a byte order mark.
    """

    sessions: Sequence[str]
    against: Sequence[str] | None
    group: Sequence[str] | None
    condition: Sequence[str] | None
    output: str | None
    statistics: str | None
    overwrite: bool
    bom: bool


def run(options: Options) -> int:
    """Write the requested files and print their paths.

    Raises:
        EdgeemoError: a mistake that the user can correct.
    """
    groups = _groups(options)
    sessions = [recording for _, members in groups for recording in members]
    _expect_conditions(options, sessions)
    chosen = user_path(options.output) if options.output else _page_of(sessions[0].path, options.sessions)
    kind = {".csv": "csv", ".parquet": "parquet", ".eaf": "elan"}.get(chosen.suffix.lower(), "report")
    if kind == "report" and chosen.suffix.lower() not in PAGES:
        raise EdgeemoError(f"{chosen}: the suffix must be .html for a report, .csv or .parquet for rows")
    inputs = [each.path for each in sessions]
    output = check_output(chosen, kind, inputs=inputs, overwrite=options.overwrite)
    table = _table(options, inputs)
    if output.suffix.lower() in ENDINGS:
        if len(groups) > 1 or options.group or options.condition or table is not None:
            raise EdgeemoError(
                f"{output}: rows have no groups and conditions; give a page with the suffix .html, or --statistics "
                "PATH.csv for a table of its numbers"
            )
        what = "annotations" if kind == "elan" else "rows"
        print(f"{export(sessions, output, bom=options.bom)} {what} written to {printable(str(output))}")
        return DONE
    analysis = _analysis(options, groups)
    print(printable(str(write_report(groups, output, analysis))))
    if table is not None and analysis is not None:
        print(f"{write_figures(analysis, table)} rows written to {printable(str(table))}")
    return DONE


def _groups(options: Options) -> Groups:
    if options.group and options.against:
        raise EdgeemoError("give either --against or --group")
    if not options.group and not options.sessions:
        raise EdgeemoError("give a session: its folder or name, or a file written by sqlite: or jsonl:")
    first = [(target, load(target)) for target in options.sessions]
    if options.group:
        return grouped(options.group, first, load)
    groups = [[each for _, each in first], [load(target) for target in options.against or ()]]
    return [(" + ".join(each.name for each in members), members) for members in groups if members]


def _analysis(options: Options, groups: Groups) -> Analysis | None:
    """The comparison; None for a single session without groups or conditions."""
    sessions = [recording for _, members in groups for recording in members]
    if len(sessions) == 1 and not (options.group or options.condition or options.statistics):
        return None
    return analyse(groups if options.group else side_by_side(groups), options.condition or ())


def _expect_conditions(options: Options, sessions: Sequence[Recording]) -> None:
    labels = list(dict.fromkeys(marker.label for recording in sessions for marker in recording.markers))
    for label in options.condition or ():
        if label not in labels:
            known = f"its markers are {', '.join(labels[:12])}" if labels else "no session has markers"
            raise EdgeemoError(f"condition {label!r} is in no session; {known}")


def _table(options: Options, inputs: Sequence[Path]) -> Path | None:
    if options.statistics is None:
        return None
    path = user_path(options.statistics)
    if path.suffix.lower() != ".csv":
        raise EdgeemoError(f"{path}: the table of numbers needs the suffix .csv")
    return check_output(path, "csv", inputs=inputs, overwrite=options.overwrite)


def _page_of(session: Path, targets: Sequence[str]) -> Path:
    if session.is_dir():
        return session / "report.html"
    stem, _, run = targets[0].rpartition("#") if targets else ("", "", "")
    # each run of a file has its own page
    numbered = stem and run.isdecimal() and not user_path(targets[0]).is_file()
    return session.with_suffix(f".{run}.html" if numbered else ".html")
