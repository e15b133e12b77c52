"""Networks that were trained on the faces of a run's validation."""

import pytest
import torch
from datasets import make_ferplus

from trainer.card import training_summary
from trainer.cli import main
from trainer.config import BEST, FitConfig, config_to_json
from trainer.lineage import trained_on_validation
from trainer.models import build
from trainer.runs import CONFIG, RESULT

FERPLUS = "ferplus:some.zip"
PLAIN = FitConfig(data=FERPLUS)
FOLD = {"folds": 2, "fold": 1}


def make_run(folder, **settings):
    folder.mkdir()
    (folder / CONFIG).write_text(config_to_json(FitConfig(**({"data": FERPLUS} | settings))))
    (folder / RESULT).write_text('{"epoch": 3}')
    torch.save({"arch": "hybrid_lite", "network": build("hybrid_lite").network.state_dict()}, folder / BEST)
    return str(folder)


@pytest.mark.parametrize(
    ("run", "config", "seen"),
    [
        ({}, PLAIN, False),
        ({"train_on_all": True}, PLAIN, True),
        ({"train_on_all": True}, FitConfig(data=FERPLUS, train_on_all=True), False),
        ({"train_on_all": True, "data": "expw:x"}, PLAIN, False),
        (FOLD, PLAIN, True),
        (FOLD, FitConfig(data=FERPLUS, **FOLD), False),
        (FOLD | {"fold": 2}, FitConfig(data=FERPLUS, **FOLD), True),
        ({}, FitConfig(data=FERPLUS, **FOLD), True),
        ({"data": "affectnet:A,seed=1"}, FitConfig(data="affectnet:A"), True),
        ({"data": "affectnet:A,seed=0"}, FitConfig(data="affectnet:A"), False),
        ({"train_on_all": True, "data": "fer2013:x.csv"}, PLAIN, True),  # the same pictures
        ({"data": "fer2013:x.csv"}, PLAIN, False),
        ({"data": "folder:A", "train_on_all": True}, FitConfig(data="folder:B"), False),
    ],
)
def test_a_run_that_was_trained_on_the_validation_faces_is_known(run, config, seen, tmp_path):
    name = make_run(tmp_path / "run", **run)
    assert trained_on_validation(name, config) == seen
    # a network that learned from it on other data
    student = make_run(tmp_path / "student", data="expw:x", teachers=(name,), start_from=str(tmp_path / "student"))
    assert trained_on_validation(student, config) == seen
    if config is PLAIN and run.get("data") is None:
        about = training_summary(tmp_path / "run" / BEST)
        torch.save({"about": about}, tmp_path / "soup.pt")
        assert trained_on_validation(str(tmp_path / "soup.pt"), config) == seen


def test_engines_are_known_by_their_card(tmp_path):
    assert not trained_on_validation("hybrid_lite", PLAIN)
    for data in (FERPLUS, "fer2013:some.csv"):
        assert trained_on_validation("hybrid_lite", FitConfig(data=data, **FOLD))
    assert not trained_on_validation("hybrid_lite", FitConfig(data="expw:x", **FOLD))
    assert not trained_on_validation(str(tmp_path / "nothing"), PLAIN)


def test_fit_and_evaluate_warn_in_one_line(tmp_path, capsys):
    root = make_ferplus(make_ferplus(tmp_path / "set", count=16), "FER2013Valid", 12, seed=1)
    data = ["--data", f"ferplus:{root}", "--cache", str(tmp_path / "cache")]
    teacher = make_run(tmp_path / "all", train_on_all=True)
    options = ["--network", "hybrid_lite", "--sizes", "16:1", "--batch", "16", "--run", str(tmp_path / "run")]
    assert main(["fit", *data, *options, "--num-workers", "1", "--teacher", teacher]) == 0
    assert f"warning: {teacher} was trained on faces of this run's validation" in capsys.readouterr().out
    assert main(["evaluate", *data, "--engine", teacher]) == 0
    assert f"warning: {teacher} was trained on faces of this split" in capsys.readouterr().err
