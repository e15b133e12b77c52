"""Initial weights from a run, an engine, or a network with the same trunk."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import make_ferplus
from torch import nn

from engines.backends import open_backend
from engines.bundle import find_bundle
from engines.manifest import write_manifest
from engines.preprocess import F32
from trainer.cli import main
from trainer.config import FitConfig
from trainer.errors import RunError
from trainer.initial import from_bundle, initial_model
from trainer.models import build
from trainer.runs import load_checkpoint
from trainer.train import fit

SHIPPED = ("baseline64", "baseline128", "resnet64", "resnet128", "hybrid", "hybrid_lite")


def pictures(size: int, channels: int, count: int = 6) -> torch.Tensor:
    """Smooth pictures (count, channels, size, size) in 0..255, with different contrasts."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((count, channels, 6, 6), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    return smooth * torch.linspace(80, 255, count).view(-1, 1, 1, 1)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_engine_becomes_a_network_that_predicts_the_same(name):
    bundle = find_bundle(name)
    faces = pictures(bundle.spec.size, bundle.spec.channels)
    found, model = from_bundle(bundle, name, faces)
    assert found == name
    expected: F32 = open_backend("onnx", bundle, threads=1).infer(faces.numpy())
    with torch.no_grad():
        logits = model.eval().logits(faces) / bundle.spec.temperature
    difference = logits.log_softmax(dim=1).numpy() - np.log(expected)
    assert np.abs(difference[expected > 1e-30]).max() < 0.01


def test_its_batch_norms_have_the_statistics_of_the_faces():
    """Otherwise the first training step, which uses the statistics of its batch, would start differently."""
    faces = pictures(48, 1, count=64)
    _, model = from_bundle(find_bundle("hybrid_lite"), "hybrid_lite", faces)
    with torch.no_grad():
        steady = model.eval().logits(faces)
        model.train()
        for part in model.modules():
            if isinstance(part, torch.nn.Dropout):
                part.eval()
        training = model.logits(faces)
    assert (training - steady).abs().max() < 0.05 * steady.abs().max()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    make_ferplus(root, "FER2013Train", 24)
    make_ferplus(root, "FER2013Valid", 8, seed=1)
    return f"ferplus:{root}"


def test_a_run_continues_a_shipped_engine(data, tmp_path):
    config = FitConfig(data=data, batch=8, epochs=1, learning_rate=1e-9, start_from="hybrid_lite")
    fit(config, tmp_path / "run", cache=tmp_path / "cache")
    faces = pictures(48, 1)
    with torch.no_grad():
        logits = load_checkpoint(tmp_path / "run" / "best.pt")[1].logits(faces)
    bundle = find_bundle("hybrid_lite")
    expected = open_backend("onnx", bundle, threads=1).infer(faces.numpy())
    # the moving averages of the batch norms have seen three batches
    assert np.abs((logits / bundle.spec.temperature).softmax(dim=1).numpy() - expected).max() < 0.2


def test_the_head_alone_is_trained(data, tmp_path):
    config = FitConfig(arch="densenet", data=data, batch=8, sizes=((16, 1),), epochs=1, start_from="hybrid")
    fit(replace(config, head_only=True, ema_decay=0), tmp_path / "run", cache=tmp_path / "cache")
    trained = load_checkpoint(tmp_path / "run" / "best.pt")[1].network
    faces = pictures(32, 3)
    _, hybrid = from_bundle(find_bundle("hybrid"), "densenet", faces)
    kept = hybrid.network.trunk
    kernels = [name for name in kept.state_dict() if name.endswith(".0.weight")]
    assert all(torch.equal(kept.state_dict()[name], trained.trunk.state_dict()[name]) for name in kernels)
    assert all(part.num_batches_tracked == 0 for part in trained.trunk.modules() if isinstance(part, nn.BatchNorm2d))
    assert trained.classify[2].num_batches_tracked == 3
    with pytest.raises(ValueError, match="needs --start-from"):
        replace(config, head_only=True, start_from="")


def test_a_densenet_takes_the_trunk_of_a_hybrid(tmp_path):
    hybrid = build("hybrid")
    torch.save({"arch": "hybrid", "size": 32, "network": hybrid.network.state_dict()}, tmp_path / "best.pt")
    config = FitConfig(arch="densenet", data="ferplus:none", start_from=str(tmp_path))
    taken = initial_model(config, lambda: pytest.fail("a run needs no faces")).network.trunk.state_dict()
    assert all(torch.equal(value, taken[name]) for name, value in hybrid.network.trunk.state_dict().items())
    found, model = from_bundle(find_bundle("hybrid"), "densenet", pictures(48, 3))
    config = FitConfig(arch="densenet", data="ferplus:none", start_from="hybrid")
    taken = initial_model(config, lambda: pictures(48, 3)).network.trunk.state_dict()
    assert found == "hybrid"
    assert all(torch.equal(value, taken[name]) for name, value in model.network.trunk.state_dict().items())


def test_a_hybrid_wide_grows_from_the_shipped_hybrid_lite():
    faces = pictures(48, 1)
    config = FitConfig(arch="hybrid_wide", data="ferplus:none", start_from="hybrid_lite")
    wide = initial_model(config, lambda: faces).eval()
    _, lite = from_bundle(find_bundle("hybrid_lite"), "hybrid_lite", faces)
    with torch.no_grad():
        assert torch.allclose(wide.logits(faces), lite.eval().logits(faces), atol=1e-3)


def test_what_cannot_give_weights_is_named(tmp_path):
    faces = pictures(48, 1)
    with pytest.raises(RunError, match="the engine is not a baseline64 of this trainer"):
        from_bundle(find_bundle("hybrid_lite"), "baseline64", faces)
    only = tmp_path / "only"
    shutil.copytree(find_bundle("hybrid_lite").folder, only)
    for name in ("model.onnx", "model.fp16.onnx"):
        (only / name).unlink()
    write_manifest(only, source_sha256=find_bundle("hybrid_lite").source_sha256)
    with pytest.raises(RunError, match=r"--start-from hybrid_lite: .*without its FP32 model"):
        from_bundle(find_bundle(str(only)), "hybrid_lite", faces)


def test_the_command_line_names_the_engine_that_does_not_fit(data, tmp_path, capsys):
    command = ["fit", "--network", "resnet64", "--data", data, "--epochs", "1", "--batch", "8"]
    code = main(
        [*command, "--start-from", "hybrid_lite", "--run", str(tmp_path / "run"), "--cache", str(tmp_path / "c")]
    )
    assert code == 2
    assert "--start-from hybrid_lite: the engine is not a resnet64" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
