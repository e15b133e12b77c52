"""The commands that score engines and checkpoints: comparison, groups, reports, tables."""

import csv
import json
import os
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from datasets import make_affectnet, make_ferplus

from engines.spec import LABELS
from trainer.cli import main
from trainer.config import RECIPES
from trainer.models import build
from trainer.outputs import check_output

torch.set_num_threads(1)


def checkpoint(folder, arch="hybrid_lite", seed=0):
    torch.manual_seed(seed)
    folder.mkdir()
    state = {"arch": arch, "epoch": 1, "accuracy": 0.5, "network": build(arch).network.state_dict()}
    torch.save(state, folder / "best.pt")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("scoring")
    make_ferplus(root / "set", "FER2013Train", 24)
    make_ferplus(root / "set", "FER2013Valid", 24, seed=1)
    checkpoint(root / "mine")
    checkpoint(root / "other", "baseline64", seed=3)
    return root


@pytest.fixture(scope="module")
def made(place):
    """A bundle of `place`'s first checkpoint."""
    data = ["--data", f"ferplus:{place / 'set'}", "--cache", str(place / "cache")]
    folder = place / "bundle"
    assert main(["bundle", str(place / "mine"), *data, "--output", str(folder), "--name", "mine"]) == 0
    return folder


def arguments(place, *more):
    return ["evaluate", "--data", f"ferplus:{place / 'set'}", "--cache", str(place / "cache"), *more]


def test_a_checkpoint_is_scored_like_the_bundle_made_of_it(place, made, capsys):
    capsys.readouterr()
    assert main(arguments(place, "--engine", str(place / "mine"), "--json")) == 0
    checkpointed = json.loads(capsys.readouterr().out)
    assert checkpointed["calibration"]["built_in"] is False
    assert main(arguments(place, "--engine", str(made), "--json")) == 0
    bundled = json.loads(capsys.readouterr().out)
    assert bundled["calibration"]["built_in"] is True
    assert bundled["confusion"] == checkpointed["confusion"]
    assert bundled["calibration"]["before"] == pytest.approx(checkpointed["calibration"]["before"], abs=1e-3)
    scores = json.loads((made / "scores.json").read_text())
    assert scores["accuracy"] == bundled["accuracy"]


@pytest.mark.parametrize(
    ("engine", "options", "said"),
    [
        ("mine", ["--backend", "tensorrt"], "is a checkpoint, which runs in PyTorch: make an engine with"),
        ("hybrid_lite", ["--device", "cuda"], "hybrid_lite is an engine: choose its runtime with --backend"),
    ],
)
def test_an_option_that_no_model_would_use_is_refused(engine, options, said, place, capsys):
    engine = str(place / engine) if engine == "mine" else engine
    assert main(arguments(place, "--engine", engine, *options)) == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the command is stopped while it reads a pipe")
def test_a_command_that_does_not_resume_does_not_say_so(place, tmp_path):
    pipe = tmp_path / "groups.csv"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "trainer.cli", *arguments(place, "--engine", "x", "--by", f"{pipe}:age")]
    # the pipe opens when the command reads it
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running, pipe.open("w"):
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=60)[1] == "edgeemo-train: interrupted\n"
    assert running.returncode == 130


def test_two_models_are_compared_on_the_same_faces(place, capsys):
    assert main(arguments(place, "--engine", str(place / "mine"), "--against", str(place / "other"))) == 0
    said = capsys.readouterr().out
    assert "on 24 faces" in said
    assert "McNemar's exact test" in said


def test_only_pictures_count_as_skipped(tmp_path, capsys):
    """Regression: files that are no pictures, and those of other splits, counted as pictures without a face."""
    for split in ("train", "valid"):
        folder = make_ferplus(tmp_path, f"{split}/happiness", 4)
        for name in (f"{split}/happiness/notes.txt", f"{split}/bored.png", "loose.png"):
            (folder / name).write_text("x")
    (tmp_path / "valid" / "happiness" / "fer0001.png").write_bytes(b"cut")
    given = ["--engine", "hybrid_lite", "--cache", str(tmp_path / "cache"), "--json"]
    assert main(["evaluate", "--data", f"folder:{tmp_path}", *given]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["faces"], scores["skipped"]) == (3, 1)
    with (make_ferplus(tmp_path / "set", "FER2013Valid", 4) / "FER2013Valid" / "label.csv").open("a") as file:
        file.write(f"gone.png,,{',8' * 10}\n".replace(",,,", ",,"))
    assert main(["evaluate", "--data", f"ferplus:{tmp_path / 'set'}", *given]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 1


def test_groups_are_scored_apart(place, capsys, tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("image,age\n" + "".join(f"fer{n:04d}.png,{'old' if n % 3 else 'young'}\n" for n in range(20)))
    assert main(arguments(place, "--engine", str(place / "mine"), "--by", f"{table}:age", "--json")) == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    assert {name: group["faces"] for name, group in groups.items()} == {"(unknown)": 4, "old": 13, "young": 7}
    assert main(arguments(place, "--engine", str(place / "mine"), "--by", f"{table}:age")) == 0
    assert "young" in capsys.readouterr().out
    for wrong in ("age", f"{table}:height", f"{tmp_path / 'no.csv'}:age"):
        assert main(arguments(place, "--engine", str(place / "mine"), "--by", wrong)) == 2
        assert "\n" not in capsys.readouterr().err.strip()


def test_a_report_does_not_replace_the_scores_of_a_bundle(place, made, capsys):
    before = (made / "scores.json").read_text()
    assert main(arguments(place, "--engine", str(made), "--report", str(made))) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (made / "scores.json").read_text() == before


def test_a_report_has_its_tables_and_pictures(place, tmp_path):
    report = tmp_path / "report"
    assert main(arguments(place, "--engine", str(place / "mine"), "--report", str(report))) == 0
    for name in ("confusion.png", "reliability.png"):
        assert cv2.imread(str(report / name)).size > 0
    confusion = list(csv.reader((report / "confusion.csv").open()))
    assert confusion[0] == ["true", *LABELS[:8]]
    assert sum(int(count) for row in confusion[1:] for count in row[1:]) == 24
    curve = list(csv.DictReader((report / "risk_coverage.csv").open()))
    assert float(curve[-1]["coverage"]) == 1
    assert len(list(csv.DictReader((report / "predictions.csv").open()))) == 24
    for name in ("scores.json", "predictions.csv"):  # it may be written again
        check_output(report / name, name.partition(".")[0])
    (tmp_path / "file").write_text("")
    assert main(arguments(place, "--engine", str(place / "mine"), "--report", str(tmp_path / "file"))) == 2


def test_an_engine_is_scored_without_torch(place, made):
    script = (
        "import sys; from trainer.cli import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments(place, "--engine", str(made))], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_all_eleven_classes_of_affectnet_are_scored(tmp_path, capsys):
    root = make_affectnet(tmp_path / "AffectNet", 88)
    checkpoint(tmp_path / "run")
    given = ["--data", f"affectnet:{root}", "--split", "train", "--cache", str(tmp_path / "cache"), "--json"]
    assert main(["evaluate", "--engine", str(tmp_path / "run"), *given]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["classes"] == list(LABELS)
    assert np.array(scores["confusion"]).shape == (11, 11)
    assert scores["faces"] == 99


# the larger sizes run the same code; densenet and hybrid would take half a minute each
@pytest.mark.parametrize("arch", ["baseline64", "resnet64"])
def test_a_poster_network_becomes_a_bundle(place, tmp_path, arch):
    run = checkpoint(tmp_path / "run", arch)
    data = ["--data", f"ferplus:{place / 'set'}", "--cache", str(place / "cache")]
    assert main(["bundle", str(run), *data, "--output", str(tmp_path / "made")]) == 0
    assert "MB (`edgeemo-export`)" in (tmp_path / "made" / "CARD.md").read_text()


def run_folder(folder, arch, augment, accuracy, **config):
    folder.mkdir(parents=True)
    settings = {"arch": arch, "data": "affectnet:x", "epochs": 5, "augment": augment} | config
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "metrics.csv").write_text(f"epoch,valid_accuracy\n1,0.1\n2,{accuracy}\n")


def test_the_table_puts_runs_beside_the_posters_rows(tmp_path, capsys):
    runs = tmp_path / "runs"
    run_folder(runs / "a", "hybrid", {}, 0.61, recipe="hybrid")
    run_folder(runs / "b", "densenet", {}, 0.62, recipe="densenet_da")
    run_folder(runs / "c", "resnet64", {"flip": 0.123}, 0.5)
    result = {"accuracy": 0.61, "faces": 19542, "classes": 11, "mean_recall": 0.5}
    (runs / "a" / "result.json").write_text(json.dumps(result))
    assert main(["table", str(runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    titles = [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]]
    rows = [title for title in titles if "human" not in title]
    assert rows[: len(RECIPES)] == [recipe.title for recipe in RECIPES.values()]
    assert titles.index("human, trained") == titles.index("DenseNet (128, DA)") - 1
    hybrid = next(line for line in lines if line.startswith("| Hybrid |"))
    assert "63.4% | 61.00% | 60.3% to 61.7% | 50.0% | affectnet valid, 11 classes | 2 of 5" in hybrid
    assert lines[-1].startswith("| resnet64 (c) | 64x64 |  | 50.00%")
    run_folder(runs / "e", "resnet64", {}, 0.5)
    (runs / "e" / "metrics.csv").unlink()  # its first epoch is running
    assert main(["table", str(runs)]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == lines
    assert f"left out, without a finished epoch: {runs / 'e'}" in told.err
    run_folder(runs / "d", "hybrid_wide", {}, 0.64)  # not shipped, so a run has its best accuracy
    assert main(["models", "--runs", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "64.0% (affectnet valid, run d)" in said


@pytest.mark.parametrize("content", [None, "", "{}", '{"arch": "hybrid", "epochs": 3, "data": ""}'])
def test_a_folder_that_is_no_run_is_one_clear_line(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert main(["table", str(tmp_path / "nowhere" if content is None else tmp_path)]) == 2
    assert "\n" not in capsys.readouterr().err.strip()


def test_a_row_of_the_posters_table_is_one_command(tmp_path, capsys):
    root = make_affectnet(tmp_path / "AffectNet", 60)
    arguments = ["fit", "--recipe", "baseline64", "--data", f"affectnet:{root}", "--cache", str(tmp_path / "cache")]
    arguments += ["--epochs", "1", "--batch", "16", "--num-workers", "1", "--run"]
    assert main([*arguments, str(tmp_path / "runs" / "baseline64")]) == 0
    config = json.loads((tmp_path / "runs" / "baseline64" / "config.json").read_text())
    assert (config["arch"], config["recipe"], config["mixup"], config["augment"]["flip"]) == (
        "baseline64",
        "baseline64",
        0,
        0,
    )
    capsys.readouterr()
    assert main(["table", str(tmp_path / "runs")]) == 0
    assert "affectnet valid, 11 classes | 1 |" in capsys.readouterr().out
    assert main(["fit", "--recipe", "vgg", "--data", f"affectnet:{root}", "--run", str(tmp_path / "no")]) == 2
    assert "no recipe named 'vgg'; there are: baseline64" in capsys.readouterr().err
