import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch
from datasets import make_ferplus

from engines.bundle import load_bundle
from engines.engine import Engine
from engines.spec import EXPRESSIONS, LABELS
from trainer.augment import augment, make_non_faces
from trainer.card import training_summary
from trainer.cli import main
from trainer.config import PRESETS, AugmentConfig, FitConfig, LossConfig
from trainer.data import open_data
from trainer.data.faces import load_faces
from trainer.ensemble import load_together
from trainer.errors import DataError, RunError
from trainer.export import make_bundle
from trainer.models import ARCHITECTURES, Standardise, build
from trainer.models.cost import multiply_adds
from trainer.models.hybrid_lite import grow
from trainer.optim import learning_rate
from trainer.predict import predict
from trainer.runs import load_checkpoint
from trainer.saliency_page import grad_cam
from trainer.train import fit

SPEC = ARCHITECTURES["hybrid_lite"].spec
# with batches this small, several threads wait longer than they work
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("ferplus")
    make_ferplus(root, "FER2013Train", 48)
    make_ferplus(root, "FER2013Valid", 24, seed=1)
    return f"ferplus:{root}"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def settings(data, **changes):
    return FitConfig(**({"data": data, "epochs": 2, "batch": 16, "precision": "fp32", "ema_decay": 0.5} | changes))


@pytest.fixture(scope="module")
def run(data, cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    fit(settings(data, epochs=8), folder, cache=cache)
    return folder


@pytest.fixture(scope="module")
def bundled(run, data, cache, tmp_path_factory):
    """The bundle of `run`'s best epoch, and the evaluation that making it returned."""
    folder = tmp_path_factory.mktemp("bundles") / "mine"
    return folder, make_bundle(run / "best.pt", data, folder, cache=cache)


def test_hybrid_lite_keeps_within_its_budget():
    model = build("hybrid_lite")
    assert sum(value.numel() for value in model.parameters()) <= 1_000_000
    assert multiply_adds(model, ARCHITECTURES["hybrid_lite"].spec) <= 60_000_000


def test_a_grown_network_answers_as_the_small_one_did_and_can_learn_more():
    torch.manual_seed(0)
    small, large = build("hybrid_lite"), build("hybrid_wide")
    small.train()(torch.rand(64, 1, 48, 48) * 255)  # batch norms with changed statistics
    grow(small.network, large.network)
    faces = torch.rand(4, 1, 48, 48) * 255
    assert torch.allclose(small.eval().logits(faces), large.eval().logits(faces), atol=1e-4)
    large.train().logits(faces).square().mean().backward()
    assert all(value.grad is not None for value in large.parameters())
    assert float(large.network.classify.weight.grad[:, small.network.classify.in_features :].abs().sum()) > 0
    with pytest.raises(ValueError, match="cannot hold"):
        grow(large.network, small.network)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("count", [1, 3])
def test_a_network_takes_its_spec_and_gives_probabilities(name, count):
    spec = ARCHITECTURES[name].spec
    with torch.no_grad():
        out = build(name).eval()(torch.rand(count, spec.channels, spec.size, spec.size) * 255)
    assert out.shape == (count, len(LABELS))
    assert out.sum(dim=1).numpy() == pytest.approx(1, abs=1e-5)


def test_the_rooms_light_cancels_out():
    face = torch.rand(1, 1, 48, 48) * 100
    standardise = Standardise()
    assert torch.allclose(standardise(face), standardise(face + 80), atol=1e-4)
    assert float(standardise(torch.full((1, 1, 48, 48), 200.0)).abs().max()) == pytest.approx(0, abs=1e-5)


def test_augmented_faces_keep_shape_and_range_and_differ():
    faces = torch.rand(6, 1, 48, 48) * 255
    changed = augment(faces, AugmentConfig(), torch.Generator().manual_seed(1))
    assert changed.shape == faces.shape
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 255
    assert all(float((one - two).abs().mean()) > 1 for one, two in zip(faces, changed, strict=True))


def test_no_augmentation_changes_nothing():
    off = {name: 0.0 for name in AugmentConfig.__dataclass_fields__ if name != "occlude_side"}
    faces = torch.rand(3, 1, 48, 48) * 255
    assert torch.allclose(augment(faces, AugmentConfig(**off), torch.Generator()), faces, atol=1e-2)


def test_scrambled_faces_are_no_faces_and_the_others_stay():
    torch.manual_seed(0)
    faces, targets = torch.rand(200, 1, 50, 50) * 255, torch.eye(11)[torch.arange(200) % 8]
    generator = torch.Generator().manual_seed(0)
    changed, labels = make_non_faces(faces, targets, 0.4, generator)
    nothing = labels[:, LABELS.index("no_face")] == 1
    assert 0.3 < float(nothing.float().mean()) < 0.5
    assert torch.equal(changed[~nothing], faces[~nothing])
    assert torch.equal(labels[~nothing], targets[~nothing])
    assert (changed[nothing] != faces[nothing]).flatten(1).any(dim=1).all()
    assert (labels.sum(dim=1) == 1).all()
    # tiles are moved, not changed: a shuffled face has the same pixel values
    same_light = (changed.flatten(1).sort(dim=1).values == faces.flatten(1).sort(dim=1).values).all(dim=1)
    assert bool(same_light[nothing].any())
    none, _ = make_non_faces(faces[:0], targets[:0], 0.4, generator)
    assert none.shape == (0, 1, 50, 50)
    assert make_non_faces(faces, targets, 0.0, generator)[0] is faces


def test_a_flip_mirrors_the_face():
    off = {name: 0.0 for name in AugmentConfig.__dataclass_fields__ if name != "occlude_side"}
    faces = torch.rand(2, 1, 48, 48) * 255
    flipped = augment(faces, AugmentConfig(**(off | {"flip": 1.0})), torch.Generator())
    assert torch.allclose(flipped, faces.flip(3), atol=1e-2)


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    config = FitConfig(epochs=10, warmup=0.2, learning_rate=1.0)
    rates = [learning_rate(config, epoch) for epoch in (0, 1, 2, 6, 10)]
    assert rates == pytest.approx([0.005, 0.505, 1.0, 0.505, 0.01], abs=1e-3)


def test_training_learns_what_there_is_to_learn_and_keeps_a_record(run):
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 9))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert max(float(row["valid_accuracy"]) for row in rows) >= 0.9
    assert json.loads((run / "config.json").read_text())["batch"] == 16


CUT_RUN = """
import os, signal, sys
from pathlib import Path
from trainer import train
from trainer.config import FitConfig

save = train.save_checkpoint
dies_after = int(sys.argv[4])

def save_and_maybe_die(state, path):
    save(state, path)
    if dies_after and state.get("step") == dies_after:
        os.kill(os.getpid(), signal.SIGKILL)

train.save_checkpoint = save_and_maybe_die
train.LOG_EVERY = 1
config = FitConfig(data=sys.argv[1], sizes=((24, 3),), epochs=3, batch=16, precision="fp32", ema_decay=0.5)
train.fit(config, Path(sys.argv[2]), cache=Path(sys.argv[3]), save_minutes=0.0 if dies_after else 10.0)
"""


@pytest.fixture(scope="module")
def undisturbed(data, cache, tmp_path_factory):
    """Three epochs with the settings of CUT_RUN."""
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    fit(settings(data, epochs=3, sizes=((24, 3),)), folder, cache=cache)
    return folder


@pytest.mark.parametrize("dies_after", [0, 2], ids=["between epochs", "within an epoch"])
def test_a_run_that_was_killed_continues_to_the_same_weights(undisturbed, data, cache, tmp_path, dies_after):
    whole, cut = undisturbed, tmp_path / "cut"
    arguments = [sys.executable, "-c", CUT_RUN, data, cut, cache, str(dies_after)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    config = settings(data, epochs=3, sizes=((24, 3),))
    killed = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=one_thread)
    deadline = time.monotonic() + 120
    while not (cut / "last.pt").is_file() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if not dies_after:
        killed.kill()
    assert killed.wait(120) == -signal.SIGKILL
    left = torch.load(cut / "last.pt", weights_only=True)
    assert left["step"] == dies_after
    assert load_checkpoint(cut / "last.pt")[0] == "hybrid_lite"
    fit(config, cut, cache=cache)

    one, two = (torch.load(folder / "last.pt", weights_only=True) for folder in (whole, cut))
    assert one["epoch"] == two["epoch"] == 3
    for name, value in one["model"].items():
        assert torch.equal(value, two["model"][name]), name
    rows = [list(csv.DictReader((folder / "metrics.csv").open())) for folder in (whole, cut)]
    assert [row["train_loss"] for row in rows[0]] == [row["train_loss"] for row in rows[1]]


def test_a_run_of_an_older_trainer_that_lacked_a_setting_continues(run, data, cache):
    path = run / "config.json"
    config = json.loads(path.read_text())
    older = {key: value for key, value in config.items() if key not in ("loss", "teachers", "precision")} | {"gone": 1}
    older["augment"] = {key: value for key, value in config["augment"].items() if key != "saturation"}
    path.write_text(json.dumps(older))
    try:
        with pytest.raises(RunError, match="other settings \\(precision\\)"):
            fit(settings(data, epochs=8), run, cache=cache)
        fit(settings(data, epochs=8, precision="auto"), run, cache=cache)
    finally:
        path.write_text(json.dumps(config))


def test_a_folder_of_another_run_is_not_overwritten(run, data, cache):
    with pytest.raises(RunError, match="other settings \\(epochs\\)"):
        fit(settings(data, epochs=3), run, cache=cache)


def test_a_loss_that_is_no_number_stops_with_the_reason(data, cache, tmp_path):
    with pytest.raises(RunError, match=r"the loss became .* lower --learning-rate"):
        fit(settings(data, learning_rate=1e30, epochs=3, warmup=0.03), tmp_path, cache=cache)


def test_training_stops_when_it_no_longer_helps_and_stays_stopped(data, cache, tmp_path):
    config = settings(data, epochs=40, sizes=((16, 40),), patience=2, learning_rate=0.0, optimiser="sgd")
    for _ in range(2):  # the second round continues it
        fit(config, tmp_path, cache=cache)
        rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
        assert len(rows) < 10
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["epoch"] == len(rows) - 2
    assert result["faces"] == 24


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "sgd", "cutmix": 1.0, "loss": LossConfig(class_weight=0.5, focal=1)},
        {"precision": "fp16", "loss": LossConfig(logit_adjustment=1, smoothing=0.1)},
        {"non_faces": 0.3, "cutmix": 1.0, "mixup": 0.0},
        {"precision": "bf16", "arch": "baseline64", "augment": PRESETS["poster"], "clip_norm": 0.0},
    ],
)
def test_every_way_of_training_runs_and_writes_its_record(data, cache, tmp_path, changes):
    fit(settings(data, epochs=1, sizes=((24, 1),), **changes), tmp_path, cache=cache)
    (row,) = csv.DictReader((tmp_path / "metrics.csv").open())
    assert np.isfinite(float(row["train_loss"]))
    assert cv2.imread(str(tmp_path / "curves.png")).size > 0
    if importlib.util.find_spec("tensorboardX") is not None:
        assert any((tmp_path / "tensorboard").iterdir())


def test_a_run_continues_without_what_it_started_from_and_without_figures(run, data, cache, tmp_path, capsys):
    start, folder = tmp_path / "start.pt", tmp_path / "run"
    shutil.copyfile(run / "best.pt", start)
    (folder / "curves.png").mkdir(parents=True)
    for epochs in (1, 2):
        fit(settings(data, epochs=epochs, start_from=str(start)), folder, cache=cache)
        assert f"cannot write {folder / 'curves.png'}: Is a directory" in capsys.readouterr().out
        start.unlink(missing_ok=True)
    assert torch.load(folder / "last.pt")["epoch"] == 2


def test_too_few_faces_for_a_batch_is_one_clear_line(data, cache, tmp_path):
    with pytest.raises(DataError, match="do not fill one batch of 100"):
        fit(settings(data, batch=100), tmp_path, cache=cache)
    # its head has a batch norm over single numbers
    with pytest.raises(RunError, match="baseline64 needs 2 faces or more at once"):
        fit(settings(data, arch="baseline64", batch=4, accumulate=4), tmp_path / "one", cache=cache)
    with pytest.raises(RunError, match="choose --device cpu"):
        fit(settings(data), tmp_path / "gpu", cache=cache, device="cuda:77")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04N."])
def test_a_damaged_checkpoint_is_one_clear_line(tmp_path, content):
    (tmp_path / "best.pt").write_bytes(content)
    with pytest.raises(RunError) as error:
        load_checkpoint(tmp_path / "best.pt")
    assert "best.pt" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bundle_answers_like_its_checkpoint(run, bundled, data, cache):
    folder, evaluation = bundled
    scores = evaluation.scores
    _, model = load_checkpoint(run / "best.pt")
    bundle = load_bundle(folder)
    faces = load_faces(open_data(data, "valid"), bundle.spec, cache)
    with Engine.open(str(folder)) as engine:
        given = engine.infer(list(faces.faces))
        assert engine.infer([]).shape == (0, 11)
    logits = torch.from_numpy(predict(model, faces)) / bundle.spec.temperature
    assert np.abs(torch.softmax(logits, dim=1).numpy() - given).max() < 1e-4
    assert scores.accuracy >= 0.9
    assert "- 48 pictures: " in bundle.card.read_text()
    assert " of 8, batches of 16, adamw with a learning rate of up to 0.002" in bundle.card.read_text()
    assert f"| 100% | {scores.accuracy:.1%} |" in bundle.card.read_text()
    # the file contains no path of this installation
    assert b"trainer/models" not in (folder / "model.onnx").read_bytes()
    assert "Logit adjustment" not in bundle.card.read_text()


def test_averaged_weights_are_the_mean_and_say_what_they_are_of(run, tmp_path, capsys):
    soup = tmp_path / "soups" / "soup.pt"
    assert main(["average", str(run), str(run / "last.pt"), "--shares", "3", "1", "--output", str(soup)]) == 0
    capsys.readouterr()
    states = [load_checkpoint(path)[1].network.state_dict() for path in (run / "best.pt", run / "last.pt", soup)]
    for name, (best, last, mean) in {key: [state[key] for state in states] for key in states[0]}.items():
        if mean.is_floating_point():
            assert torch.allclose(mean, 0.75 * best + 0.25 * last, atol=1e-6), name
    assert any((states[0][key] != states[1][key]).any() for key in states[0])
    summary = training_summary(soup)
    assert "- 75% of: Epoch" in summary
    assert "- 25% of: Epoch 8 of 8" in summary
    assert "; random initial weights; not distilled" in summary


def test_a_bundle_that_trusts_the_detector_calls_fewer_faces_none_and_changes_nothing_else(
    run, bundled, data, cache, tmp_path
):
    wanted = ["bundle", str(run), "--data", data, "--cache", str(cache), "--no-face-margin", "2"]
    assert main([*wanted, "--output", str(tmp_path / "trusting")]) == 0
    faces = list(load_faces(open_data(data, "valid"), SPEC, cache).faces)
    with Engine.open(str(tmp_path / "trusting")) as trusting, Engine.open(str(bundled[0])) as plain:
        assert trusting.spec.temperature == plain.spec.temperature
        moved = (np.log(trusting.infer(faces)) - np.log(plain.infer(faces))) * plain.spec.temperature
    moved -= moved[:, :1]
    nothing = LABELS.index("no_face")
    assert moved[:, nothing] == pytest.approx(np.full(len(faces), -2.0), abs=1e-2)
    assert np.delete(moved, nothing, axis=1) == pytest.approx(0, abs=1e-2)
    assert "divides the odds of `no_face` by 7.4" in (tmp_path / "trusting" / "CARD.md").read_text()


def test_several_networks_and_the_mirror_image_answer_as_one_engine(run, data, cache, tmp_path, capsys):
    """Of baseline64, because its export is the fastest."""
    paths = [tmp_path / "one.pt", tmp_path / "two.pt"]
    for number, path in enumerate(paths):
        torch.manual_seed(number)
        state = {"arch": "baseline64", "network": build("baseline64").network.state_dict()}
        torch.save(state | {"about": f"Epoch {number}.\n"}, path)
    wanted = ["bundle", *map(str, paths), "--mirror", "--data", data, "--cache", str(cache)]
    assert main([*wanted, "--name", "both", "--output", str(tmp_path / "both")]) == 0
    faces = load_faces(open_data(data, "valid"), ARCHITECTURES["baseline64"].spec, cache)
    images = torch.from_numpy(np.array(faces.faces)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        models = [load_checkpoint(path)[1] for path in paths]
        expected = sum(model(view) for model in models for view in (images, images.flip(3))) / 4
    with Engine.open(str(tmp_path / "both")) as engine:
        mirrored = engine.infer([np.ascontiguousarray(face[:, ::-1]) for face in faces.faces])
        answers = engine.infer(list(faces.faces))
        assert engine.spec.name == "both"
    cooled = expected ** (1 / engine.spec.temperature)
    assert answers == pytest.approx((cooled / cooled.sum(dim=1, keepdim=True)).numpy(), abs=1e-5)
    assert answers == pytest.approx(mirrored, abs=1e-5)
    card = (tmp_path / "both" / "CARD.md").read_text()
    parameters = 2 * sum(value.numel() for value in models[0].parameters())
    assert f"`2 baseline64, mirrored too`, {parameters:,} parameters, " in card
    assert card.count("\n- Epoch ") == 2
    # Grad-CAM uses the feature maps of all members
    heat = grad_cam(load_together(paths, mirror=True)[2], images[:2], torch.tensor([0, 1]))
    assert heat.shape == (2, 64, 64)
    assert float(heat.max()) == pytest.approx(1)
    capsys.readouterr()
    assert main(["bundle", str(run), str(paths[0]), "--data", data, "--output", str(tmp_path / "none")]) == 2
    assert "have different inputs" in capsys.readouterr().err


def test_weights_as_safetensors_are_the_same_network(run, data, cache, tmp_path, capsys):
    pytest.importorskip("safetensors")
    path = tmp_path / "mine.safetensors"
    assert main(["weights", str(run), "--output", str(path)]) == 0
    one, two = load_checkpoint(run / "best.pt"), load_checkpoint(path)
    assert (one[0], one[1].spec) == (two[0], two[1].spec)
    other = two[1].state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one[1].state_dict().items())
    capsys.readouterr()
    assert main(["evaluate", "--engine", str(path), "--data", data, "--cache", str(cache), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] >= 0.9
    assert " of 8, batches of 16, adamw" in training_summary(path)
    fit(settings(data, epochs=1, start_from=str(path), teachers=(str(path),)), tmp_path / "on", cache=cache)
    path.write_bytes(path.read_bytes()[:100])
    for arguments in (["evaluate", "--engine", str(path), "--data", data], ["weights", str(run), "--output", "a.pt"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_weights_that_have_no_mean_are_one_clear_line(run, tmp_path, capsys):
    other = tmp_path / "other.pt"
    torch.save({"arch": "baseline64", "network": build("baseline64").network.state_dict()}, other)
    for arguments, said in (
        ([str(run), str(other)], "averaging needs one architecture"),
        ([str(run), str(run), "--shares", "1"], "2 checkpoints need as many shares"),
        ([str(run), "--shares", "0"], "not all 0"),
        ([str(tmp_path / "nothing.pt")], "no checkpoint at"),
    ):
        assert main(["average", *arguments, "--output", str(tmp_path / "soup.pt")]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert not (tmp_path / "soup.pt").exists()


def test_averaged_weights_keep_their_input_size_and_sizes_are_not_mixed(run, tmp_path, capsys):
    larger = tmp_path / "larger.pt"
    torch.save(torch.load(run / "best.pt", weights_only=True) | {"size": 64}, larger)
    soup = tmp_path / "soup.pt"
    assert main(["average", str(larger), str(larger), "--output", str(soup)]) == 0
    assert load_checkpoint(soup)[1].spec.size == 64
    capsys.readouterr()
    assert main(["average", str(larger), str(run), "--output", str(soup)]) == 2
    assert "averaging needs one architecture and input size" in capsys.readouterr().err


def test_a_bundle_that_favours_rare_classes_shifts_their_logits_alone(run, data, cache, tmp_path):
    make_bundle(run / "best.pt", data, tmp_path / "rare", cache=cache, extra_data=[data], logit_adjustment=0.5)
    _, model = load_checkpoint(run / "best.pt")
    faces, train = (load_faces(open_data(data, split), SPEC, cache) for split in ("valid", "train"))
    share = train.targets.mean(axis=0)[: len(EXPRESSIONS)]
    with Engine.open(str(tmp_path / "rare")) as engine:
        given = np.log(engine.infer(list(faces.faces)))
        moved = given * engine.spec.temperature - predict(model, faces)
    moved -= moved[:, -1:]
    common, rare = (int(np.argmax(share)), int(np.argmin(np.where(share > 0, share, 2))))
    wanted = -0.5 * np.log(share[common] / share[rare])
    assert moved[:, common] - moved[:, rare] == pytest.approx(np.full(len(faces), wanted), abs=1e-2)
    assert np.abs(moved[:, len(EXPRESSIONS) :]).max() < 1e-2
    card = (tmp_path / "rare" / "CARD.md").read_text()
    assert card.count("- 48 pictures: ") == 2
    assert "Logit adjustment: 0.5 times" in card


def test_the_last_epoch_has_averaged_weights_and_a_summary_as_the_best_does(data, cache, tmp_path):
    fit(settings(data), tmp_path / "run", cache=cache)
    assert "Epoch 2 of 2, " in training_summary(tmp_path / "run" / "last.pt")
    state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["average"]
    network = load_checkpoint(tmp_path / "run" / "last.pt")[1].network.state_dict()
    assert all(torch.equal(value, state[f"module.network.{name}"]) for name, value in network.items())


def test_a_run_starts_from_another_ones_weights_and_learns_from_a_second_data_set(run, data, cache, tmp_path):
    more = make_ferplus(make_ferplus(tmp_path / "more", count=16), "FER2013Valid", 8, seed=1)
    changes = {"epochs": 1, "start_from": str(run), "extra_data": (f"ferplus:{more}",), "learning_rate": 1e-9}
    fit(settings(data, **changes), tmp_path / "on", cache=cache)
    first, second = (load_checkpoint(folder / "best.pt")[1].network.state_dict() for folder in (run, tmp_path / "on"))
    weights = [name for name, value in first.items() if value.is_floating_point() and "running" not in name]
    assert all(torch.allclose(first[name], second[name], atol=1e-5) for name in weights)
    with pytest.raises(RunError, match="is a hybrid_lite, not a baseline64: --start-from needs the same"):
        fit(settings(data, arch="baseline64", start_from=str(run)), tmp_path / "other", cache=cache)
    fit(settings(data, arch="hybrid_wide", epochs=1, start_from=str(run)), tmp_path / "wide", cache=cache)
    assert load_checkpoint(tmp_path / "wide" / "best.pt")[0] == "hybrid_wide"
    with pytest.raises(RunError, match="does not fit into a hybrid_lite"):
        fit(settings(data, start_from=str(tmp_path / "wide")), tmp_path / "narrow", cache=cache)


def test_evaluate_writes_a_row_a_picture(bundled, data, cache, tmp_path, capsys):
    out = tmp_path / "out.csv"
    arguments = ["evaluate", "--engine", str(bundled[0]), "--data", data, "--cache", str(cache), "--json"]
    assert main([*arguments, "--predictions", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["faces"] == 24
    rows = list(csv.DictReader(out.open()))
    assert list(rows[0]) == ["image", *LABELS]
    assert len(rows) == 24
    assert sum(float(value) for key, value in rows[0].items() if key != "image") == pytest.approx(1, abs=1e-4)
    assert main([*arguments, "--predictions", str(tmp_path / "no" / "out.csv")]) == 2
    assert main([*arguments, "--split", "test"]) == 2


def test_the_table_of_networks_prints(capsys):
    assert main(["models"]) == 0
    assert "784,779" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "--network", "resnet9000", "--data", "ferplus:nowhere"],
        ["fit", "--network", "hybrid_lite", "--data", "ferplus:nowhere"],
        ["evaluate", "--engine", "nothing", "--data", "ferplus:nowhere"],
        ["fit", "--network", "hybrid_lite", "--data", "folder:nowhere,by=luck"],
        ["bundle", "nowhere.pt", "--data", "ferplus:nowhere", "--output", "x"],
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("edgeemo-train: ")
    assert "\n" not in said
