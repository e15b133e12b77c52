"""The output of `edgeemo-train bundle`: complete or nothing, with or without the FP32 model, and a true card."""

import dataclasses
import hashlib
import shutil

import cv2
import numpy as np
import pytest
import torch
from datasets import make_ferplus

from engines.bundle import load_bundle
from engines.engine import Engine
from engines.errors import EngineError
from engines.export import cli as export_cli
from engines.layout import FILES, UNTRAINED
from engines.manifest import Manifest
from engines.spec import EXPRESSIONS, LABELS, ModelSpec
from trainer import export
from trainer.card import CardFacts, _sets
from trainer.cli import main
from trainer.config import RECIPES, FitConfig, config_to_json
from trainer.data import open_data
from trainer.data.faces import FaceSet, load_faces
from trainer.errors import RunError
from trainer.export import make_bundle
from trainer.models import build
from trainer.models.cost import multiply_adds
from trainer.out_of_fold import OutOfFold
from trainer.runs import load_checkpoint
from trainer.train import fit

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data set that is learned in a few steps; 8 of its 24 validation pictures are also in the training split."""
    root = tmp_path_factory.mktemp("bundles")
    make_ferplus(root / "set", "FER2013Train", 64)
    valid = make_ferplus(root / "set", "FER2013Valid", 24, seed=1) / "FER2013Valid"
    for number in range(8):
        shutil.copy(root / "set" / "FER2013Train" / f"fer{number:04d}.png", valid)
    return root


@pytest.fixture(scope="module")
def data(place):
    return f"ferplus:{place / 'set'}"


@pytest.fixture(scope="module")
def run(place, data):
    """A run distilled from hybrid_lite, at half of its network's size."""
    config = FitConfig(data=data, arch="baseline64", epochs=6, batch=16, precision="fp32", ema_decay=0.5, mixup=0.0)
    config = dataclasses.replace(config, sizes=((24, 2), (32, 4)), teachers=("hybrid_lite",), teacher_weight=0.2)
    fit(config, place / "run", cache=place / "cache")
    return place / "run"


@pytest.fixture(scope="module")
def small(place, data, run):
    """The bundle without its FP32 model."""
    folder = place / "small"
    arguments = ["bundle", str(run), "--data", data, "--cache", str(place / "cache"), "--output", str(folder)]
    assert main([*arguments, "--without-fp32"]) == 0
    return folder


@pytest.fixture(scope="module")
def large(small, run, place, data):
    """A copy of `small`, bundled again with its FP32 model."""
    folder = shutil.copytree(small, place / "large")
    (folder / UNTRAINED).write_text("random weights")  # as if it had been a bundle for timing
    make_bundle(run / "best.pt", data, folder, cache=place / "cache")
    return folder


def test_a_bundle_without_fp32_holds_what_was_compared_with_it(small, large, place, data):
    assert not (small / FILES["fp32"]).exists()
    bundle = load_bundle(small)
    assert (bundle.spec.size, bundle.precision_name) == (32, "FP32 from FP16")
    assert bundle.precisions() == ("fp32", "fp16", "int8")
    assert bundle.manifest.source_sha256 == hashlib.sha256((large / FILES["fp32"]).read_bytes()).hexdigest()
    faces = list(load_faces(open_data(data, "valid"), bundle.spec, place / "cache").faces)
    with Engine.open(str(small)) as engine, Engine.open(str(large)) as full:
        assert np.abs(engine.infer(faces) - full.infer(faces)).max() < 0.01


def test_its_card_says_what_is_there_and_how_it_was_made(small):
    card = (small / "CARD.md").read_text()
    model = build("baseline64")
    full, run_at = (multiply_adds(model, dataclasses.replace(model.spec, size=size)) for size in (64, 32))
    assert f"runs at 32 px instead of 64, with {run_at / full:.0%} of the multiply-adds" in card
    assert "input sizes by epochs: 24 px for 2, 32 px for 4; random initial weights" in card
    assert "distilled: 20% of the loss from hybrid_lite at temperature 2" in card
    assert "Without the 8 pictures that are also in the training split it is **" in card
    assert "16 faces)" in card
    assert f"SHA-256 `{Manifest.load(small).source_sha256}`) is not part of this bundle" in card
    for name in (FILES["fp16"], FILES["int8"]):
        assert f"- `{name}`, " in card
    assert card.count("accepted; compared with") >= 2
    assert "No weights came from elsewhere" not in card


def test_bundling_again_with_the_fp32_model_replaces_the_form(large, run, place, data):
    mine = shutil.copytree(large, place / "again")
    assert load_bundle(mine).precisions() == ("fp32", "fp16", "int8")
    make_bundle(run / "best.pt", data, mine, cache=place / "cache", without_fp32=True)
    assert not (mine / FILES["fp32"]).exists()
    load_bundle(mine).read()


def test_a_bundle_of_int8_alone_runs_and_says_what_it_lacks(small, run, place, data, capsys):
    folder = place / "integers"
    arguments = ["bundle", str(run), "--data", data, "--cache", str(place / "cache"), "--output", str(folder)]
    assert main([*arguments, "--int8-only"]) == 0
    assert sorted(path.name for path in folder.glob("*.onnx")) == [FILES["int8"]]
    bundle = load_bundle(folder)
    assert bundle.precisions() == ("int8",)
    card = (folder / "CARD.md").read_text()
    assert f"- `{FILES['int8']}`, " in card
    assert FILES["fp16"] not in card
    faces = list(load_faces(open_data(data, "valid"), bundle.spec, place / "cache").faces)
    with Engine.open(str(folder)) as engine, Engine.open(str(small)) as exact:
        assert "INT8" in engine.description
        assert np.abs(engine.infer(faces) - exact.infer(faces)).mean() < 0.02
    with pytest.raises(EngineError, match="ships without its FP32 model"):
        Engine.open(str(folder), backend="onnx:fp32")
    capsys.readouterr()
    assert export_cli.main(["--bundle", str(folder), "--fp16"]) == 2
    assert "has INT8, no FP16" in capsys.readouterr().err


def test_a_model_that_differs_from_torch_stays_nowhere(run, place, data, monkeypatch):
    monkeypatch.setattr(export, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(RunError, match="no bundle was written"):
        make_bundle(run / "best.pt", data, place / "wrong" / "new", cache=place / "cache")
    assert list((place / "wrong").iterdir()) == []


def test_the_card_of_other_peoples_pictures_claims_nothing_of_the_web(run, place, tmp_path):
    pictures = tmp_path / "mine"
    for split, count in (("train", 40), ("valid", 12)):
        made = make_ferplus(tmp_path / split, "FER2013Train", count, seed=count) / "FER2013Train"
        for number in range(count):
            folder = pictures / split / ("happy" if number % 2 == 0 else "sad")
            folder.mkdir(parents=True, exist_ok=True)
            large = np.kron(
                cv2.imread(str(made / f"fer{number:04d}.png"), cv2.IMREAD_GRAYSCALE), np.ones((4, 4), np.uint8)
            )
            cv2.imwrite(str(folder / f"{number}.png"), large)
    state = {"arch": "baseline64", "size": 32, "network": load_checkpoint(run / "best.pt")[1].network.state_dict()}
    torch.save(state, tmp_path / "copied.pt")
    box = "image,emotion,x,y,w,h\n"
    for split in ("train", "valid"):
        for path in sorted((pictures / split).rglob("*.png")):
            box += f"{path.relative_to(pictures)},{path.parent.name},14,30,165,165\n"
    (pictures / "labels.csv").write_text(box)
    make_bundle(tmp_path / "copied.pt", f"folder:{pictures}", tmp_path / "bundle", cache=place / "cache")
    card = (tmp_path / "bundle" / "CARD.md").read_text()
    assert "web" not in card
    assert "How it was trained is not recorded." in card
    assert "Pictures and labels of mine, as provided by their owner." in card


def test_a_bundle_for_other_data_than_the_runs_is_warned_of(tmp_path, caplog):
    config = FitConfig(data="ferplus:a.zip", extra_data=("folder:b",))
    (tmp_path / "config.json").write_text(config_to_json(config))
    for named in (("ferplus:c", "folder:d"), ("rafdb:e", "folder:b"), ("ferplus:c",)):
        export.warn_of_unnamed_data([tmp_path / "best.pt", tmp_path / "no" / "best.pt"], named)
    assert [record.args for record in caplog.records] == [
        (tmp_path / "best.pt", kind) for kind in ("ferplus", "folder")
    ]


def test_random_weights_never_replace_a_trained_engine(tmp_path, capsys):
    (tmp_path / "spec.json").write_text(ModelSpec("mine").to_json())
    assert main(["untrained", "baseline64", "--output", str(tmp_path)]) == 2
    assert "holds a trained engine" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


def test_the_sets_on_a_card_are_those_of_the_running_program_for_data_with_fewer_classes():
    """A set is formed over eight expressions. Without contempt, sadness would have 0.25 and reach the threshold."""
    shares = np.full((20, len(LABELS)), 1e-6, np.float32)
    for name, share in (("neutral", 0.45), ("contempt", 0.4), ("sadness", 0.15)):
        shares[:, LABELS.index(name)] = share
    targets = np.eye(len(LABELS), dtype=np.float32)[[LABELS.index("sadness")] * 20]
    faces = FaceSet(np.zeros((20, 8, 8, 1), np.uint8), np.arange(20), targets, np.ones(20, bool), EXPRESSIONS[:7])
    evaluation = OutOfFold(np.log(shares), faces).evaluation(1.0)
    spec = ModelSpec("seven", plausible_from=0.2)
    assert "the right expression for 0.0% of" in _sets(CardFacts(spec, "", "", (), "", 0, 0, None, evaluation, 0))


def test_the_large_recipes_end_at_the_posters_size():
    for name in ("resnet128", "densenet_da", "hybrid"):
        settings = RECIPES[name].settings()
        assert settings["sizes"][-1][0] == 128
        assert FitConfig(**settings).size_at(settings["epochs"] - 1) == 128
