"""Training at increasing input sizes, and the moving average with a short memory at first."""

import csv
import os
import signal
import subprocess
import sys

import pytest
import torch
from datasets import make_ferplus
from torch import nn
from torch.optim.swa_utils import AveragedModel

from engines.bundle import load_bundle
from engines.errors import EngineError
from trainer.cli import main
from trainer.config import FitConfig, config_from_json
from trainer.errors import RunError, TrainerError
from trainer.export import make_bundle
from trainer.models import ARCHITECTURES, build
from trainer.optim import ema_update
from trainer.runs import load_checkpoint
from trainer.train import fit

torch.set_num_threads(1)
POSTERS = ("baseline64", "baseline128", "resnet64", "resnet128", "densenet", "hybrid")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("ferplus")
    make_ferplus(root, "FER2013Train", 48)
    make_ferplus(root, "FER2013Valid", 16, seed=1)
    return f"ferplus:{root}"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def settings(data, **changes):
    return FitConfig(**({"data": data, "epochs": 2, "batch": 16, "precision": "fp32", "mixup": 0.0} | changes))


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(run):
    return load_checkpoint(run / "last.pt")[1].network.state_dict()


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("name", POSTERS)
@pytest.mark.parametrize("size", [48, 64])
def test_the_posters_networks_take_smaller_faces_with_the_same_parameters(name, size):
    model = build(name).eval()
    with torch.no_grad():
        assert model(torch.rand(1, 3, size, size) * 255).shape == (1, 11)
        full = torch.rand(1, 3, ARCHITECTURES[name].spec.size, ARCHITECTURES[name].spec.size)
        assert model.network.head(model.network.features(full)).shape == (1, 11)


def test_one_size_is_the_same_as_none(data, cache, tmp_path):
    fit(settings(data, epochs=1), tmp_path / "plain", cache=cache)
    fit(settings(data, epochs=1, sizes=((48, 1),)), tmp_path / "one", cache=cache)
    assert same(weights(tmp_path / "plain"), weights(tmp_path / "one"))


def test_the_finished_network_takes_the_last_size(data, cache, tmp_path):
    fit(settings(data, arch="baseline64", sizes=((32, 1), (48, 1))), tmp_path / "run", cache=cache)
    assert [row["size"] for row in rows(tmp_path / "run")] == ["32", "48"]
    assert {row["valid_accuracy_raw"] != "" for row in rows(tmp_path / "run")} == {True}
    for name in ("best.pt", "last.pt"):
        assert load_checkpoint(tmp_path / "run" / name)[1].spec.size == 48
    make_bundle(tmp_path / "run" / "best.pt", data, tmp_path / "bundle", cache=cache)
    assert load_bundle(tmp_path / "bundle").spec.size == 48


DYING_RUN = """
import os, signal, sys
from pathlib import Path
from trainer import train
from trainer.config import FitConfig, config_from_json
from trainer.errors import RunError, TrainerError

save = train.save_checkpoint

def save_and_die(state, path):
    save(state, path)
    if path.name == "last.pt" and state["epoch"] == 1 and state["step"] == 2:
        os.kill(os.getpid(), signal.SIGKILL)

train.save_checkpoint = save_and_die
train.LOG_EVERY = 1
config = FitConfig(data=sys.argv[1], epochs=2, batch=16, precision="fp32", mixup=0.0, sizes=((32, 1), (48, 1)))
train.fit(config, Path(sys.argv[2]), cache=Path(sys.argv[3]), save_minutes=0.0)
"""


def test_a_killed_training_continues_at_the_right_size(data, cache, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    config = settings(data, sizes=((32, 1), (48, 1)))
    fit(config, whole, cache=cache)
    arguments = [sys.executable, "-c", DYING_RUN, data, cut, cache]
    killed = subprocess.run(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert load_checkpoint(cut / "last.pt")[1].spec.size == 48  # killed in the middle of the second stage
    fit(config, cut, cache=cache)
    assert [row["size"] for row in rows(cut)] == ["32", "48"]
    assert same(weights(whole), weights(cut))


@pytest.mark.parametrize("text", ["48", "48:0", "50:2", "8:1", "48:2;64:1", "x:1", ""])
def test_sizes_that_make_no_sense_are_refused(text, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--network", "hybrid", "--data", "ferplus:nowhere", "--sizes", text])
    assert ended.value.code == 2
    assert "--sizes" in capsys.readouterr().err


def test_the_moving_average_follows_the_weights_closely_at_first():
    """With a fixed decay of 0.998 the initial weights would make up 95 % of the average after 28 steps."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 100.0)
    average = AveragedModel(model, multi_avg_fn=ema_update(0.998), use_buffers=True)
    average.update_parameters(model)
    nn.init.constant_(model.weight, 1.0)
    for _ in range(28):
        average.update_parameters(model)
    assert float(average.module.weight.detach()) == pytest.approx(1.0, abs=0.01)


def test_the_moving_average_ends_with_its_own_decay():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    average = AveragedModel(model, multi_avg_fn=ema_update(0.5), use_buffers=True)
    average.update_parameters(model)
    for _ in range(40):
        average.update_parameters(model)
    nn.init.constant_(model.weight, 1.0)
    average.update_parameters(model)
    assert float(average.module.weight.detach()) == pytest.approx(0.5)


def test_a_finished_run_is_continued_with_more_epochs_and_not_with_fewer(data, cache, tmp_path):
    fit(settings(data, sizes=((32, 1), (48, 1))), tmp_path / "run", cache=cache)
    fit(settings(data, sizes=((32, 1), (48, 2)), epochs=3), tmp_path / "run", cache=cache)
    assert [row["size"] for row in rows(tmp_path / "run")] == ["32", "48", "48"]
    assert config_from_json((tmp_path / "run" / "config.json").read_text()).epochs == 3
    for sizes, epochs in (((32, 1), (48, 1)), 2), (((32, 2), (48, 2)), 4), (((32, 1), (64, 3)), 4):
        with pytest.raises(RunError, match="other settings"):
            fit(settings(data, sizes=sizes, epochs=epochs), tmp_path / "run", cache=cache)
    with pytest.raises(RunError, match="other settings"):
        fit(settings(data, sizes=((32, 1), (48, 3)), epochs=4, seed=1), tmp_path / "run", cache=cache)


@pytest.mark.parametrize(
    "slip",
    [
        {"data": "ferplus:/nowhere"},
        {"extra_data": ("folder:/nowhere",)},
        {"teachers": ("nothing",)},
        {"start_from": "/nowhere/best.pt"},
        {"arch": "resnet9000"},
        {"batch": 1000},
    ],
    ids=lambda slip: next(iter(slip)),
)
def test_a_slip_leaves_no_run_folder_behind(data, cache, tmp_path, slip):
    with pytest.raises((TrainerError, EngineError)):
        fit(settings(**({"data": data} | slip)), tmp_path / "run", cache=cache)
    assert not (tmp_path / "run").exists()
