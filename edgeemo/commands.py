"""The functions of the commands, called by `cli`. Each imports its modules when it runs, which keeps `--help` fast."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgeemo.config import Config, load_config
from edgeemo.errors import ConfigError
from engines.files import user_path
from engines.standard import MISTAKE, tell
from engines.terminal import one_line

DONE, FAULT, INTERRUPTED = 0, 1, 130


def app(arguments: argparse.Namespace) -> int:
    from edgeemo.doctor import display_fault, qt_fault

    config = config_of(arguments)
    _expect_unread(config, arguments)
    fault = qt_fault() or display_fault(os.environ)
    if not fault:
        try:
            from edgeemo.ui import app
        except ImportError as error:
            fault = f"the libraries of the window cannot be loaded ({one_line(error)})"
        else:
            given = bool(vars(arguments).get("engine"))
            return int(app.run(config, engine_given=given))
    from edgeemo.run import headless

    if not config.sources:
        config = replace(config, source=config.source or "demo")
    shown = "the demo clip" if config.source == "demo" else config.source or "the configuration"
    tell(f"edgeemo: no window: {fault}; running {shown} headless instead")
    return headless.run(config)


def run(arguments: argparse.Namespace) -> int:
    from edgeemo.run import headless

    def load() -> Config:
        config = config_of(arguments)
        _expect_unread(config, arguments)
        return config

    named = str(arguments.config or "")
    config = load()  # also checks the path
    owner = os.path.realpath(named) if named not in ("", "-") else ""
    return headless.run(config, load, quiet=arguments.quiet, owner=owner)


def _expect_unread(config: Config, arguments: argparse.Namespace) -> None:
    """Check that no sink writes to the configuration file."""
    from edgeemo.sinks import file_of

    named = vars(arguments).get("config")
    for text in config.sinks if named else ():
        file = file_of(text)
        same = False
        with contextlib.suppress(OSError, ValueError):
            same = file is not None and os.path.samefile(file, str(named))
        if same:
            raise ConfigError(f"sink {text!r} would overwrite the configuration {named}; choose another path")


def service(arguments: argparse.Namespace) -> int:
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
            raise ConfigError("give --config with the configuration of the service")
        path = user_path(arguments.config).absolute()
        config = load_config(path)
        if not config.sources:
            raise ConfigError(f"{path} has no [[sources]]; a service needs at least one")
        outputs = tuple(file for text in config.sinks if (file := file_of(text)) is not None)
        wanted = unit.Unit(path, arguments.name, arguments.user, arguments.memory, csi=unit.has_csi(), outputs=outputs)
        if arguments.print:
            print(wanted.text(), end="")
            return DONE
        done = unit.install(wanted)
    for line in done:
        print(line)
    return DONE


def doctor(arguments: argparse.Namespace) -> int:
    from edgeemo.doctor import examine

    if arguments.device_report:
        from edgeemo.device_report import write_report

        for file in write_report(config_of(arguments), user_path(arguments.device_report)):
            print(f"wrote {file}")
        return DONE
    checks = []
    for check in examine(config_of(arguments)):
        checks.append(check)
        if not arguments.json:
            print(f"{check.status:<8} {check.name:<12} {check.detail}", flush=True)
            if check.fix:
                print(f"{'':<21} -> {check.fix}", flush=True)
    healthy = all(check.status != "fault" for check in checks)
    if arguments.json:
        print(json.dumps({"ok": healthy, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        print("edgeemo can run here." if healthy else "edgeemo cannot run here: fix the faults listed above.")
    return DONE if healthy else MISTAKE


def bench(arguments: argparse.Namespace) -> int:
    from edgeemo.bench import measure

    done = measure(config_of(arguments))
    if arguments.json:
        print(json.dumps(done.to_mapping(), indent=2))
        return DONE
    print(f"{done.source}: {done.width}x{done.height}, {done.frames} frames, {done.faces} faces")
    print(f"{done.engine}; {done.cpus} CPUs")
    print(f"\n{'ms per frame':<12}{'p50':>9}{'p95':>9}{'p99':>9}")
    for stage, taken in done.stages.items():
        print(f"{stage:<12}{taken.p50:>9.2f}{taken.p95:>9.2f}{taken.p99:>9.2f}")
    print(f"\n{done.fps:.1f} frames per second end to end (median of {', '.join(map(str, done.runs))})")
    print(f"{done.peak_memory_mb:.0f} MiB of peak memory")
    return DONE


def batch(arguments: argparse.Namespace) -> int:
    from edgeemo.batch.command import Options, run

    given = vars(arguments)
    chosen = {name: given[name] for name in Options.__dataclass_fields__ if name not in ("paths", "output")}
    return run(config_of(arguments), Options(tuple(arguments.paths), arguments.output, **chosen))


def report(arguments: argparse.Namespace) -> int:
    from edgeemo.report.command import Options, run

    return run(Options(**{name: vars(arguments)[name] for name in Options.__dataclass_fields__}))


def engines(arguments: argparse.Namespace) -> int:
    from engines import EngineError, bundle_names, find_bundle
    from engines.backends.autoselect import benchmark, best
    from engines.bundle import ZOO, user_folder

    found: list[dict[str, Any]] = []
    for name in bundle_names():
        try:
            bundle = find_bundle(name)
        except EngineError as error:
            found.append({"name": name, "fault": one_line(error)})
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
        else:
            _print_engine(item)
    if any("fault" not in item for item in found):
        print("* chosen by --backend auto; for other precisions see edgeemo-export --help")
    return DONE


def _print_engine(item: dict[str, Any]) -> None:
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


def config_of(arguments: argparse.Namespace) -> Config:
    """The configuration: the file, if given, overridden by the command line."""
    given = vars(arguments)
    config = load_config(Path(given["config"])) if given.get("config") else Config()
    if given.get("source"):
        config = replace(config, sources=())
    changes: dict[str, Any] = {
        name: given[name]
        for name in ("source", "engine", "backend", "threads", "frames", "markers")
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
