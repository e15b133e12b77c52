"""Networks that were trained on the faces on which a run is validated, so that its accuracy is too high.

`fit` asks for those that a run starts or learns from, `evaluate` for those that it scores, `bundle` before calibration.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from engines.bundle import find_bundle
from trainer.config import TRAINED_ON_ALL, FitConfig, is_checkpoint
from trainer.data import READERS, parse_data

_ALL = re.compile(rf"{TRAINED_ON_ALL}|also trained on the validation split")  # in a summary or a card
_FOLD = re.compile(r"fold (\d+) of (\d+)")
_DATA = re.compile(r"--data (\w+):PATH")  # in a card
_SAME_PICTURES = {"fer2013": "ferplus"}  # and the same splits; only the labels differ


def trained_on_validation(name: str, config: FitConfig, above: frozenset[str] = frozenset()) -> bool:
    """Whether a run, checkpoint or engine, or a network that it learned from, is known to be trained on faces on which
    `config` validates; False without a record.

    Args:
        above: names that lead to this one.
    """
    try:
        if not is_checkpoint(Path(name)):
            return summary_overlaps(find_bundle(name).card.read_text(encoding="utf-8"), config)
        from trainer.runs import about_checkpoint, find_checkpoint, load_config  # torch, which engines do not need

        path = find_checkpoint(Path(name))
        if about := about_checkpoint(path):
            return summary_overlaps(about, config)
        run = load_config(path.parent)
    except Exception:  # no record, or a damaged one: pickle and zip errors have no common base
        return False
    if _run_overlaps(run, config):
        return True
    parents = {run.start_from, *run.teachers} - {"", *above}
    return any(trained_on_validation(parent, config, above | {name}) for parent in parents)


def summary_overlaps(text: str, config: FitConfig) -> bool:
    """Whether a network was trained on faces on which `config` validates, by its card or training summary."""
    data = _DATA.search(text)
    if config.train_on_all or (data is not None and _pictures(data[1]) != _pictures(parse_data(config.data)[0])):
        return False
    folds = {(int(fold), int(count)) for fold, count in _FOLD.findall(text)}
    other_split = config.folds > 0 and data is not None and not folds
    return _ALL.search(text) is not None or bool(folds - {(config.fold, config.folds)}) or other_split


def _run_overlaps(run: FitConfig, config: FitConfig) -> bool:
    (kind, place), (wanted, wanted_place) = (parse_data(one.data)[:2] for one in (run, config))
    if config.train_on_all or _pictures(kind) != _pictures(wanted):
        return False
    if kind in ("folder", "wds") and Path(place).resolve() != Path(wanted_place).resolve():
        return False
    return run.train_on_all or _split(run) != _split(config)


def _pictures(kind: str) -> str:
    return _SAME_PICTURES.get(kind, kind)


def _split(run: FitConfig) -> tuple[int, int, dict[str, object]]:
    """What determines which pictures of its data set a run validates on."""
    kind, _, options = parse_data(run.data)
    reader = inspect.signature(READERS[kind].open).parameters
    usual = {name: reader[name].default for name in READERS[kind].options if name != "valid"}
    return run.fold, run.folds, {name: options.get(name, value) for name, value in usual.items()}
