"""Features of a training run: settings in a file, all data, folds, progress output, loggers."""

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from datasets import make_ferplus

from engines.bundle import load_bundle
from engines.spec import LABELS
from trainer import estimate
from trainer.calibrate import adjust_logits, temperature
from trainer.cli import _parser, main
from trainer.config import FitConfig, LossConfig, config_to_json
from trainer.data import READERS, open_data
from trainer.data.duplicates import UNREADABLE
from trainer.errors import DataError, RunError
from trainer.fit_options import fit_config
from trainer.loggers import LOGGERS, Loggers, open_loggers
from trainer.models import ARCHITECTURES
from trainer.out_of_fold import predict_out_of_fold
from trainer.parallel import DistContext
from trainer.run_log import RunLog
from trainer.runs import LAST, append_metrics, load_checkpoint, load_state, locked, require_space
from trainer.train import Trainer, fit
from trainer.training_data import fold_numbers, load_training_data

torch.set_num_threads(1)
QUICK = ["--network", "hybrid_lite", "--sizes", "16:2", "--batch", "16", "--precision", "fp32", "--augment", "none"]
PLAIN = ["--mixup", "0", "--ema-decay", "0.5", "--num-workers", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set whose validation split has copies of six training pictures."""
    root = tmp_path_factory.mktemp("ferplus")
    make_ferplus(root, "FER2013Train", 48)
    make_ferplus(root, "FER2013Valid", 24, seed=1)
    make_ferplus(root, "FER2013Test", 12, seed=2)
    for number in range(6):
        name = f"fer{number:04d}.png"
        (root / "FER2013Valid" / name).write_bytes((root / "FER2013Train" / name).read_bytes())
    return f"ferplus:{root}"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def described(*arguments):
    return fit_config(_parser().parse_args(["fit", *arguments]))


def test_settings_come_from_a_file_and_options_win(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        'data = "ferplus:D"\nnetwork = "hybrid_lite"\nbatch = 32\naugment = "light"\nsizes = [[16, 2], [32, 3]]\n'
        'extra_data = ["folder:E"]\n[loss]\nfocal = 2.0\n'
    )
    config = described("--config", str(path), "--batch", "64", "--smoothing", "0.1")
    assert (config.data, config.arch, config.batch, config.epochs) == ("ferplus:D", "hybrid_lite", 64, 5)
    assert (config.extra_data, config.loss) == (("folder:E",), LossConfig(focal=2.0, smoothing=0.1))
    path.write_text('recipe = "densenet_da"\ndata = "d"\nbatch = 32\nfolds = 3')
    config = described("--config", str(path), "--fold", "2", "--epochs", "7")
    assert (config.arch, config.recipe, config.mixup, config.batch) == ("densenet", "densenet_da", 0.0, 32)
    assert (config.epochs, config.sizes, config.fold) == (7, (), 2)


def test_a_runs_own_settings_make_the_same_run(tmp_path):
    config = FitConfig(data="d", arch="resnet64", sizes=((32, 2),), epochs=2, teachers=("t",), loss=LossConfig(focal=1))
    path = tmp_path / "config.json"
    path.write_text(config_to_json(config))
    assert described("--config", str(path)) == config
    assert described("--config", str(path), "--seed", "3") == FitConfig(**{**vars(config), "seed": 3})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('data = "d"\nbatchsize = 3', "unknown: batchsize"),
        ('data = "d"\nbatch = "many"', "batch"),
        ("data =", "is not a valid training configuration"),
        ('data = "d"\naugment = "wild"', "augment must be one of"),
        ('data = "d"\nbatch = 0', "`$.batch`"),
        ('data = "d"\nepochs = -1', "`$.epochs`"),
        ('data = "d"\nsizes = [[50, 2]]', "`$.sizes"),
        ('data = "d"\ndropout = 2.0', "`$.dropout`"),
        ('data = "d"\nlearning_rate = nan', "`$.learning_rate`"),
        ('data = "d"\n[loss]\nsmoothing = 1.5', "`$.loss.smoothing`"),
        ('data = "d"\n[augment]\nnoise = -1.0', "`$.augment.noise`"),
        ('data = "d"\nteacher_temperature = 0', "--teacher-temperature must be above 0"),
        ('network = "hybrid_lite"', "use --data KIND:PATH"),
        ('data = "d"', "use --network"),
        (None, "cannot read"),
    ],
)
def test_bad_settings_are_one_clear_line(content, said, tmp_path, capsys):
    path = tmp_path / "run.toml"
    if content is not None:
        path.write_text(content)
    assert main(["fit", "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--folds", "5"], "--fold from 1"),
        (["--folds", "5", "--fold", "6"], "--fold from 1"),
        (["--all", "--folds", "5", "--fold", "1"], "excludes --folds"),
        (["--all", "--patience", "3"], "and --patience"),
        (["--batch", "10", "--accumulate", "3"], "equal parts"),
        (["--log", "nowhere"], "no logger named 'nowhere'"),
        (["--teacher-temperature", "0"], "must be above 0"),
        (["--seed", "999999999999999"], "--seed must be below 4,294,967,296"),
    ],
)
def test_settings_that_contradict_each_other_are_one_clear_line(options, said, data, tmp_path, capsys):
    assert main(["fit", "--network", "hybrid_lite", "--data", data, "--run", str(tmp_path / "run"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_all_options_show_their_defaults(capsys):
    for command in (["fit"], ["evaluate"], ["data", "prepare"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        assert re.search(r"--cache DIR .*?\(default: \S+faces\)", shown)
        assert "(default: None)" not in shown


def test_a_fold_holds_equal_pictures_together_and_all_folds_hold_each_picture_once(data, cache):
    spec = ARCHITECTURES["hybrid_lite"].spec
    held, trained = [], []
    for fold in (1, 2, 3):
        config = FitConfig(data=data, batch=8, folds=3, fold=fold)
        loaded = load_training_data(config, spec, cache=cache, dist=DistContext.alone(), num_workers=1)
        assert loaded.valid is not None
        held.append(set(loaded.valid.rows.tolist()))
        trained.append(set(loaded.kept.tolist()))
        assert not held[-1] & trained[-1]
        # the six copies are rows 0 to 5 of train, and rows 0 to 5 of valid, which begins at 48
        assert all((row in held[-1]) == (48 + row in held[-1]) for row in range(6))
        assert np.array_equal(loaded.valid.targets, loaded.targets[sorted(held[-1])])
    assert sum(map(len, held)) == len(set.union(*held)) == 72
    assert all(one | two == set(range(72)) for one, two in zip(held, trained, strict=True))


def test_all_pictures_of_a_person_are_in_one_fold(tmp_path, cache):
    random = np.random.default_rng(0)
    for number in range(48):
        folder = tmp_path / ("train" if number % 4 else "valid") / ("fear", "anger")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(
            str(folder / f"p{'abcdefghijkl'[number // 4]}_{number}.png"), random.integers(0, 256, (48, 48), np.uint8)
        )
    config = FitConfig(data=f"folder:{tmp_path},by=person", batch=4, folds=3, fold=1)
    spec = ARCHITECTURES["hybrid_lite"].spec
    loaded = load_training_data(config, spec, cache=cache, dist=DistContext.alone(), num_workers=1)
    images = [name for split in ("train", "valid") for name in open_data(config.data, split).images]
    held, trained = ({images[row].rpartition("_")[0][-2:] for row in rows} for rows in (loaded.valid.rows, loaded.kept))
    assert not held & trained
    assert len(held | trained) == 12


def test_folds_are_even_stay_when_pictures_are_added_and_spread_unreadable_ones():
    digests = np.arange(1, 5001, dtype=np.uint64) << np.uint64(40)  # the low bits are all the same
    folds = fold_numbers(digests, 5)
    assert np.bincount(folds, minlength=5) == pytest.approx(1000, abs=120)
    assert np.array_equal(fold_numbers(digests[:10], 5), folds[:10])
    assert len(set(fold_numbers(np.full(100, UNREADABLE, np.uint64), 5).tolist())) == 5
    assert len(fold_numbers(np.zeros(0, np.uint64), 5)) == 0


def test_all_trains_on_both_splits_keeps_the_last_epoch_and_is_calibrated_out_of_fold(data, cache, tmp_path, capsys):
    shared = ["--data", data, "--cache", str(cache)]
    fitted = [*QUICK, *PLAIN, *shared, "--network", "baseline64"]  # the fastest export
    assert main(["fit", *fitted, "--all", "--run", str(tmp_path / "all")]) == 0
    assert "baseline64: 72 faces, 4 steps" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "all" / "metrics.csv").open()))
    assert list(rows[0]) == ["epoch", "learning_rate", "train_loss", "size", "seconds"]
    best, last = (load_checkpoint(tmp_path / "all" / name)[1].state_dict() for name in ("best.pt", "last.pt"))
    assert all(torch.equal(value, last[name]) for name, value in best.items())
    bundle = ["bundle", str(tmp_path / "all"), *shared, "--output", str(tmp_path / "mine")]
    assert main(bundle) == 2
    assert "name the runs of fit --folds" in capsys.readouterr().err
    for fold in ("1", "2"):
        wanted = ["--folds", "2", "--fold", fold, "--run", str(tmp_path / fold)]
        assert main(["fit", *fitted, *wanted]) == 0
    assert main(["bundle", str(tmp_path / "1"), *shared, "--output", str(tmp_path / "mine")]) == 2
    assert "name the runs of fit --folds" in capsys.readouterr().err
    assert main([*bundle, "--out-of-fold", str(tmp_path / "1")]) == 2
    assert "one run per fold" in capsys.readouterr().err
    adjusted = ["--logit-adjustment", "1", "--out-of-fold", str(tmp_path / "2"), str(tmp_path / "1")]
    assert main([*bundle, *adjusted]) == 0
    # the fold runs are adjusted as the network is
    shares = open_data(data, "train").targets
    folds = [tmp_path / "1", tmp_path / "2"]
    expected = predict_out_of_fold(folds, cache, lambda network: adjust_logits(network, shares, 1.0))
    chosen = load_bundle(tmp_path / "mine").spec.temperature
    assert chosen == pytest.approx(temperature(expected.logits, expected.faces), abs=1e-3)
    plain = predict_out_of_fold(folds, cache, lambda network: None)
    assert chosen != pytest.approx(temperature(plain.logits, plain.faces), abs=1e-2)
    scores = json.loads((tmp_path / "mine" / "scores.json").read_text())
    assert (scores["split"], scores["faces"]) == ("out of fold", 72)
    card = load_bundle(tmp_path / "mine").card.read_text()
    assert "of 2 networks trained\nwith the same settings" in card
    assert "also trained on the validation split" in card
    soup = str(tmp_path / "soup.pt")
    assert main(["average", str(tmp_path / "all"), str(tmp_path / "all" / "last.pt"), "--output", soup]) == 0
    assert main(["bundle", soup, *shared, "--output", str(tmp_path / "soup")]) == 2
    assert "name the runs of fit --folds" in capsys.readouterr().err
    assert main(["table", str(tmp_path)]) == 0  # a run without an accuracy has no row
    assert "fold" not in capsys.readouterr().err


def test_a_run_can_be_followed_in_its_log_and_by_class(data, cache, tmp_path, capsys):
    assert main(["fit", *QUICK, *PLAIN, "--data", data, "--cache", str(cache), "--run", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "recall happiness" in out
    told = (tmp_path / "log.txt").read_text()
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d epoch 2: loss .* accuracy .* on valid", told, re.MULTILINE)
    assert "left out 6 training pictures that are also" in told
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert {"recall_happiness", "recall_sadness"} <= set(rows[0])
    recalls = [float(rows[1][f"recall_{name}"]) for name in ("happiness", "sadness")]
    assert sum(recalls) / 2 == pytest.approx(float(rows[1]["valid_recall"]), abs=1e-4)


def test_a_line_per_minute_tells_speed_and_end(tmp_path, capsys):
    now = [0.0]
    log = RunLog(tmp_path / "log.txt", [1.0, 4.0], steps=100, batch=10, clock=lambda: now[0])
    log.epoch(0)
    for step in range(10, 100, 10):
        now[0] += 20
        log.step(0, step, 1.5)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [re.search(r"step (\d+)/100", line)[1] for line in lines] == ["30", "60", "90"]
    assert all("loss 1.500, 5 faces/s, run ends" in line for line in lines)
    assert capsys.readouterr().out.count("epoch 1/2") == 3
    # 10 cheap steps and 100 of four times the cost are left, at 2 seconds per unit of cost
    assert log._seconds_left(0, 90, now[0]) == pytest.approx(2 * (10 + 400))


def test_gradients_in_parts_are_those_of_the_whole(data, cache, tmp_path):
    """In evaluation mode batch norm does not depend on the batch, so one part and four parts give the same gradient."""
    states = []
    for parts in (1, 4):
        config = FitConfig(
            data=data, batch=16, accumulate=parts, precision="fp32", mixup=0.0, dropout=0.0, optimiser="sgd"
        )
        loaded = load_training_data(
            config, ARCHITECTURES["hybrid_lite"].spec, cache=cache, dist=DistContext.alone(), num_workers=1
        )
        trainer = Trainer(config, tmp_path, loaded, DistContext.alone(), 600.0)
        trainer.model.eval()
        trainer.prepare_step(0, 0, 0.1)
        faces, targets = next(iter(trainer.source.batches(0, 0)))
        loss = trainer.step(faces, targets, 48)
        states.append((float(loss), [value.detach().clone() for value in trainer.model.parameters()]))
    assert states[0][0] == pytest.approx(states[1][0], rel=1e-5)
    for one, two in zip(states[0][1], states[1][1], strict=True):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-6)


def test_a_run_is_not_resumed_with_other_data(data, cache, tmp_path):
    config = FitConfig(data=data, batch=16, precision="fp32")
    loaded = load_training_data(
        config, ARCHITECTURES["hybrid_lite"].spec, cache=cache, dist=DistContext.alone(), num_workers=1
    )
    Trainer(config, tmp_path, loaded, DistContext.alone(), 600.0).save_last()
    Trainer(config, tmp_path, loaded, DistContext.alone(), 600.0)
    fewer = replace(loaded, kept=loaded.kept[:-1])
    with pytest.raises(RunError, match=r"42, 24\] before, \[41, 24\] now\): restore them"):
        Trainer(config, tmp_path, fewer, DistContext.alone(), 600.0)
    Trainer(config, tmp_path, replace(fewer, fingerprint=""), DistContext.alone(), 600.0)  # a sample, for an estimate
    # an older trainer stored no numbers; a batch behind the end of the epoch gave NaN
    state = torch.load(tmp_path / LAST)
    del state["faces"], state["data"]
    torch.save(state, tmp_path / LAST)
    Trainer(config, tmp_path, replace(fewer, fingerprint="x"), DistContext.alone(), 600.0)
    torch.save(state | {"step": 2}, tmp_path / LAST)
    with pytest.raises(RunError, match="have changed"):
        Trainer(config, tmp_path, fewer, DistContext.alone(), 600.0)


@pytest.mark.parametrize("split", ["FER2013Train", "FER2013Valid"])
@pytest.mark.parametrize("what", ["picture", "label", "place"])
def test_a_run_is_resumed_with_data_in_another_place_but_not_with_other_pictures_or_labels(
    what, split, data, tmp_path, capsys
):
    root, moved = tmp_path / "set", tmp_path / "moved"
    shutil.copytree(data.removeprefix("ferplus:"), root)
    command = ["fit", *QUICK, *PLAIN, "--cache", str(tmp_path / "cache"), "--run", str(tmp_path / "run")]
    assert main([*command, "--data", f"ferplus:{root}"]) == 0
    path = root / split / "label.csv"
    if what == "picture":
        cv2.imwrite(str(root / split / "fer0011.png"), np.full((48, 48), 99, np.uint8))
    elif what == "label":
        path.write_text(re.sub("(fer0011.*),2,0,0,8,", r"\1,2,0,8,0,", path.read_text()))
    else:  # the copy has the same pictures with other times
        shutil.copytree(root, moved, copy_function=shutil.copyfile)
        shutil.rmtree(root)
        moved.rename(root)
    code = main([*command, "--data", f"ferplus:{root}"])
    said = capsys.readouterr().err
    assert code == (0 if what == "place" else 2), said
    assert ("pictures or labels differ, but not their number): restore them" in said) == (what != "place")


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        (["--extra-data", "DATA"], "--output {} --extra-data {}\n"),
        (["--all"], "--output {} --out-of-fold FOLD_RUN...\n"),
        (["--folds", "2", "--fold", "1"], ""),
    ],
)
def test_the_next_command_is_one_that_works(more, hint, data, cache, tmp_path, capsys):
    more = [data if word == "DATA" else word for word in more]
    command = ["fit", *PLAIN, "--network", "hybrid_lite", "--sizes", "16:1", "--batch", "16", "--precision", "fp32"]
    assert main([*command, "--data", data, "--cache", str(cache), "--run", str(tmp_path), *more]) == 0
    said = capsys.readouterr().out
    assert ("next: " in said) == bool(hint)
    assert said.endswith(hint.format(tmp_path.name, data))


def test_a_folder_in_which_another_process_trains_is_refused(data, cache, tmp_path, capsys):
    run, command = tmp_path / "run", ["fit", *QUICK, *PLAIN, "--data", data, "--cache", str(cache)]
    with locked(run):
        assert main([*command, "--run", str(run)]) == 2
        assert f"another process trains in {run}: wait for its end" in capsys.readouterr().err
    assert not run.exists()
    run.mkdir()
    holding = "from pathlib import Path; import sys, time; from engines.lock import hold_lock\n"
    holding += "with hold_lock(Path(sys.argv[1])) as free: print(free, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holding, run / ".lock"], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline().split() == [b"True"]
        with pytest.raises(RunError, match="another process"), locked(run):
            pass
        other.kill()
    with locked(run):
        pass


def test_every_part_of_a_step_has_its_share_of_the_non_faces(data, cache, tmp_path):
    """Batch norm sees one part at a time: a part of non-faces alone would have statistics that no face has."""
    spec = ARCHITECTURES["hybrid_lite"].spec
    config = FitConfig(
        data=data, batch=16, accumulate=4, non_faces=0.25, sizes=((16, 1),), epochs=1, precision="fp32", mixup=0.0
    )
    loaded = load_training_data(config, spec, cache=cache, dist=DistContext.alone(), num_workers=1)
    trainer = Trainer(config, tmp_path, loaded, DistContext.alone(), 600.0)
    objective, counts = trainer.objective, []

    def counted(logits, targets):
        counts.append(int(targets[:, LABELS.index("no_face")].sum()))
        return objective(logits, targets)

    trainer.objective = counted
    trainer.training_mode()
    trainer.prepare_step(0, 0, 0.1)
    trainer.step(*next(iter(trainer.source.batches(0, 0))), 16)
    assert counts == [1, 1, 1, 1]


def test_the_precision_is_measured_once_per_run(data, cache, tmp_path):
    config = FitConfig(data=data, batch=16, epochs=1, sizes=((16, 1),))
    fit(config, tmp_path, cache=cache)
    state = torch.load(tmp_path / "last.pt")
    assert state["precision"] in ("bf16", "fp32")
    other = {"bf16": "fp32", "fp32": "bf16"}[state["precision"]]
    assert f"1 epochs in {state['precision']} on cpu\n" in (tmp_path / "log.txt").read_text()
    torch.save(state | {"precision": other}, tmp_path / "last.pt")
    spec = ARCHITECTURES["hybrid_lite"].spec
    loaded = load_training_data(config, spec, cache=cache, dist=DistContext.alone(), num_workers=1)
    for wanted, used in (("auto", other), ("fp32", "fp32"), ("bf16", "bf16")):
        trainer = Trainer(replace(config, precision=wanted), tmp_path, loaded, DistContext.alone(), 600.0)
        assert trainer.precision == used


def test_a_logger_is_two_methods_and_one_that_fails_stops_no_training(tmp_path, caplog):
    rows, closed = [], []

    def fail(row):
        raise ConnectionError("no server")

    good = SimpleNamespace(add=rows.append, close=lambda: closed.append(True))
    bad = SimpleNamespace(add=fail, close=lambda: closed.append(False))
    loggers = Loggers([bad, good])
    loggers.add({"epoch": 1, "train_loss": 0.5})
    loggers.add({"epoch": 2, "train_loss": 0.4})
    loggers.close()
    assert (len(rows), closed) == (2, [True])
    assert caplog.text.count("no server") == 1


@pytest.mark.parametrize("name", LOGGERS)
def test_each_tracking_library_records_the_figures(name, tmp_path, monkeypatch):
    pytest.importorskip({"tensorboard": "tensorboardX"}.get(name, name))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # the small edition of MLflow has no database
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    for epoch in (0, 1):  # the second round continues it
        loggers = open_loggers([name], tmp_path, FitConfig(data="d"), epoch)
        loggers.add({"epoch": epoch + 1, "train_loss": 0.5})
        loggers.close()
    assert any(tmp_path.rglob({"tensorboard": "*tfevents*", "mlflow": "mlflow.txt", "wandb": "*.wandb"}[name]))


def test_a_disk_without_room_is_one_clear_line(tmp_path):
    require_space(tmp_path / "not" / "there", 1, "nothing")
    with pytest.raises(RunError, match=r"the cache needs 1000000000\.0 GB in .*, but .* GB are free"):
        require_space(tmp_path / "not" / "there", 10**18, "the cache")


def test_fit_returns_the_last_epoch_of_a_run_without_validation(data, cache, tmp_path):
    config = FitConfig(data=data, epochs=1, batch=16, train_on_all=True, sizes=((16, 1),), precision="fp32")
    assert fit(config, tmp_path, cache=cache).is_file()


@pytest.mark.parametrize("more", [[], ["--all"], ["--folds", "3", "--fold", "2"]])
@pytest.mark.parametrize("prepared", [False, True], ids=["nothing cropped", "cropped"])
def test_a_dry_run_tells_what_the_run_would_take_and_writes_no_folder(
    more, prepared, data, cache, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(estimate, "STEPS", 2)
    place = cache if prepared else tmp_path / "cache"
    if prepared:
        for split in ("train", "valid"):
            assert main(["data", "prepare", data, "--cache", str(cache), "--split", split]) == 0
    wanted = [*QUICK, *PLAIN, "--data", data, "--cache", str(place), "--run", str(tmp_path / "run"), *more]
    capsys.readouterr()
    assert main(["fit", *wanted, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()
    assert "not all faces are cropped yet" not in told if prepared else "not all faces are cropped yet" in told
    faces = int(re.search(r"([\d,]+) faces for training", told)[1])
    if prepared:  # exactly the faces of the run
        assert main(["fit", *wanted]) == 0
        assert f"hybrid_lite: {faces} faces" in capsys.readouterr().out
    assert re.search(r"\d steps of 16 per epoch, 2 epochs, 0 done", told)
    assert re.search(r"2 epochs at 16 px: \d+ ms per step \([\d,]+ faces/s\)", told)
    assert re.search(r"the run takes about [\d,.]+ (seconds|minutes|hours) at the current load of this machine", told)
    assert re.search(r"memory \d+\.\d GB; disk \d", told)


def test_a_dry_run_of_a_begun_run_counts_what_is_left_and_leaves_it_alone(data, cache, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(estimate, "STEPS", 2)
    wanted = ["fit", *PLAIN, "--network", "hybrid_lite", "--batch", "16", "--precision", "fp32", "--data", data]
    wanted += ["--cache", str(cache), "--run", str(tmp_path)]
    assert main([*wanted, "--sizes", "16:2"]) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    capsys.readouterr()
    assert main([*wanted, "--sizes", "16:5", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "5 epochs, 2 done" in told
    assert "3 epochs at 16 px" in told
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    assert main([*wanted, "--batch", "8", "--sizes", "16:2", "--dry-run"]) == 2  # fit refuses the same


@pytest.mark.parametrize(
    "content", ["epoch,loss\n1,0.5\n,0.4\n", "epo", "", "epoch,loss\n1,0.5\n2,0.4,7\n", "epoch,loss\n1,x\n"]
)
def test_damaged_figures_of_a_run_are_one_clear_line_before_it_goes_on(content, tmp_path):
    torch.save({}, tmp_path / "last.pt")
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(RunError, match=r"metrics\.csv is damaged .* restore it, or delete it"):
        load_state(tmp_path)
    with pytest.raises(RunError, match=r"metrics\.csv is damaged"):
        append_metrics(tmp_path, {"epoch": 3, "loss": 0.1})
    assert (tmp_path / "metrics.csv").read_text() == content


def test_a_pickle_that_is_refused_brings_no_advice_to_load_it_unsafely(tmp_path):
    torch.save({"object": Path("/")}, tmp_path / "last.pt")
    for load in (load_state, lambda run: load_checkpoint(run / "last.pt")):
        with pytest.raises(RunError, match="which are never loaded") as caught:
            load(tmp_path)
        assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("place", ["", " "])
@pytest.mark.parametrize("kind", READERS)
def test_data_without_a_place_is_refused(kind, place):
    with pytest.raises(DataError, match=f"has no path: write {kind}:PATH"):
        open_data(f"{kind}:{place}", "train")


def test_an_option_of_data_without_a_value_is_refused():
    with pytest.raises(DataError, match="option without a value"):
        open_data("folder:here,by=", "train")
