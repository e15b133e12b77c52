"""Two processes on the CPU, started by torchrun, give the same training as one process."""

import csv
import json
import os
import runpy
import socket
import subprocess
import sys

import pytest
import torch
from datasets import make_ferplus

from trainer.cli import main

torch.set_num_threads(1)

# random parts (augmentation, mixing, dropout) are off. SGD is used, because Adam's first steps
# follow the gradient's sign, so a rounding error near zero would cause a full step
SETTINGS = [
    *("--network", "hybrid_lite", "--sizes", "24:2", "--batch", "16", "--precision", "fp32", "--device", "cpu"),
    *("--augment", "none", "--mixup", "0", "--dropout", "0", "--optimiser", "sgd", "--learning-rate", "0.05"),
]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def torchrun(processes):
    """Arguments of Python that start a script, or with -m a module, in several processes."""
    return ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--master-port", free_port()]


def start_two(*arguments):
    """Start two processes with the environment that torchrun gives, without torchrun, which imports torch too.

    Returns:
        Their exit codes, and both outputs on standard error.
    """
    shared = {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in ("0", "1")
    ]
    try:
        said = "".join(process.communicate(timeout=230)[1] for process in started)
    finally:
        for process in started:
            process.kill()
    return [process.returncode for process in started], said


def fit(data, run, cache, *more):
    """Train in this process."""
    return main(["fit", *SETTINGS, "--data", data, "--run", str(run), "--cache", str(cache), *more])


def fit_as_two(data, run, cache, *more):
    command = [
        sys.executable,
        *torchrun(2),
        "-m",
        "trainer.cli",
        "fit",
        *SETTINGS,
        "--data",
        data,
        "--run-folder",
        str(run),
        "--cache",
        str(cache),
        *more,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("ddp")
    make_ferplus(root / "set", "FER2013Train", 50)
    make_ferplus(root / "set", "FER2013Valid", 25, seed=1)  # an odd number: the processes get 13 and 12
    return root


ONE_STEP = """
import sys
import torch
from trainer.models import build
from trainer.parallel import distributed, joined, sync_batchnorm

torch.manual_seed(0)
model = build("hybrid_lite")
for layer in model.modules():
    if isinstance(layer, torch.nn.Dropout):
        layer.p = 0.0
faces = torch.rand(12, 1, 48, 48, dtype=torch.float64) * 255
classes = torch.arange(12) % 11


def step(team):
    network = distributed(sync_batchnorm(model, team).double(), team).train()
    mine = slice(team.rank, None, team.world)
    torch.nn.functional.cross_entropy(network(faces[mine]), classes[mine]).backward()
    if team.first:
        slopes = {name: value.grad for name, value in model.named_parameters()}
        torch.save(slopes | dict(model.named_buffers()), sys.argv[1])


with joined("cpu") as team:
    step(team)
"""


def test_the_slopes_and_norms_of_a_split_batch_are_exactly_those_of_the_whole(tmp_path, monkeypatch):
    script = tmp_path / "step.py"
    script.write_text(ONE_STEP)
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path / "one")])
    runpy.run_path(str(script))
    codes, said = start_two(script, tmp_path / "two")
    assert codes == [0, 0], said
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("one", "two"))
    assert list(one) == list(two)
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-7, atol=1e-11), name


UNEQUAL = """
from trainer.models import build
from trainer.parallel import distributed, joined, sync_batchnorm

with joined("cpu") as team:
    model = sync_batchnorm(build("hybrid_lite"), team)
    for value in (*model.parameters(), *model.buffers()):
        value.data.fill_(team.rank)
    distributed(model, team)
    assert all((value == 0).all() for value in (*model.parameters(), *model.buffers()))
"""


def test_all_processes_begin_with_the_weights_and_statistics_of_the_first(tmp_path):
    """A start from an engine measures the batch norms on each process's own faces."""
    script = tmp_path / "unequal.py"
    script.write_text(UNEQUAL)
    codes, said = start_two(script)
    assert codes == [0, 0], said


def metrics(run):
    return [
        {key: float(value) for key, value in row.items() if key != "seconds"}
        for row in csv.DictReader((run / "metrics.csv").open())
    ]


def test_two_processes_reach_the_metrics_of_one_and_score_every_face_once(place):
    data = f"ferplus:{place / 'set'}"
    assert fit(data, place / "one", place / "cache") == 0
    done = fit_as_two(data, place / "two", place / "cache")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best checkpoint") == 1
    one, two = metrics(place / "one"), metrics(place / "two")
    assert len(one) == len(two) == 2
    for first, second in zip(one, two, strict=True):
        assert second == pytest.approx(first, rel=1e-3, abs=1e-4)
    results = [json.loads((place / run / "result.json").read_text()) for run in ("one", "two")]
    assert results[0]["faces"] == results[1]["faces"] == 25
    weights = [torch.load(place / run / "last.pt", weights_only=True)["model"] for run in ("one", "two")]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], rtol=1e-2, atol=3e-3), name
    # one process can continue or load what two processes wrote
    assert fit(data, place / "two", place / "cache") == 0


@pytest.mark.slow
def test_two_launchers_as_on_two_machines_train_one_network(place):
    """`--nnodes 2`: each launcher starts one process; both connect to one address."""
    address = f"127.0.0.1:{free_port()}"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", address, "--rdzv-id", "run1"]
    data, run = f"ferplus:{place / 'set'}", place / "machines"
    wanted = ["fit", *SETTINGS, "--data", data, "--run-folder", str(run), "--cache", str(place / "cache-of-machines")]
    launched = [
        subprocess.Popen(
            [*launcher, *meeting, "-m", "trainer.cli", *wanted],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for _ in range(2)
    ]
    try:
        said = [process.communicate(timeout=230) for process in launched]
    finally:
        for process in launched:
            process.kill()
    assert [process.returncode for process in launched] == [0, 0], said
    assert sum(out.count("best checkpoint") for out, _ in said) == 1
    assert fit(data, place / "alone", place / "cache") == 0
    for first, second in zip(metrics(place / "alone"), metrics(run), strict=True):
        assert second == pytest.approx(first, rel=1e-3, abs=1e-4)
    assert json.loads((run / "result.json").read_text())["faces"] == 25


def test_a_batch_that_cannot_be_shared_is_one_clear_line(place):
    data, run, cache = f"ferplus:{place / 'set'}", place / "odd", place / "cache"
    wanted = ["fit", *SETTINGS, "--data", data, "--run-folder", run, "--cache", cache, "--batch", "15"]
    codes, said = start_two("-m", "trainer.cli", *wanted)
    assert codes == [2, 2], said
    assert said.count("edgeemo-train: --batch 15 cannot be divided among 2 processes") == 1
