"""Repeated pictures are found across splits, not trained on, and left out of the second accuracy."""

import json
import shutil
import zipfile

import cv2
import numpy as np
import pytest
from datasets import make_ferplus

from engines.spec import ModelSpec
from trainer.cli import main
from trainer.config import FitConfig
from trainer.data import open_data
from trainer.data.duplicates import UNREADABLE, also_in, find_duplicates, picture_digests
from trainer.data.faces import load_faces
from trainer.errors import DataError
from trainer.train import fit

SPEC = ModelSpec("test", size=32, colour="grey")


@pytest.fixture
def leaky(tmp_path):
    """24 training and 12 validation pictures; 3 of these are copies of training ones; 2 training pictures repeat."""
    root = make_ferplus(make_ferplus(tmp_path / "leaky", count=24), "FER2013Valid", 12, seed=1)
    train, valid = root / "FER2013Train", root / "FER2013Valid"
    for number in (0, 1, 2):
        shutil.copyfile(train / f"fer{number:04d}.png", valid / f"fer{number:04d}.png")
    for number in (20, 21):
        shutil.copyfile(train / "fer0005.png", train / f"fer{number:04d}.png")
    return root


def digests(root, split, **options):
    return picture_digests(open_data(f"ferplus:{root}", split), **options)


def test_duplicates_are_counted_within_and_across_splits(leaky):
    found = find_duplicates({split: digests(leaky, split) for split in ("train", "valid")})
    assert found.within == {"train": 2, "valid": 0}
    assert found.across == {("train", "valid"): 3, ("valid", "train"): 3}


def test_a_rescaled_or_recompressed_copy_is_a_near_duplicate_only(leaky):
    face = np.tile(np.linspace(0, 255, 48), (48, 1)) + np.random.default_rng(3).normal(0, 20, (48, 1))
    picture = cv2.GaussianBlur(face.clip(0, 255).astype(np.uint8), (0, 0), 3)
    cv2.imwrite(str(leaky / "FER2013Train" / "fer0010.png"), picture)
    larger = cv2.resize(picture, (96, 96), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(leaky / "FER2013Valid" / "fer0010.png"), larger)
    exact = also_in(digests(leaky, "valid"), digests(leaky, "train"))
    near = also_in(digests(leaky, "valid", perceptual=True), digests(leaky, "train", perceptual=True))
    assert not exact[10]
    assert near[10]


def test_what_cannot_be_read_is_no_duplicate_of_anything(leaky, tmp_path):
    for split in ("FER2013Train", "FER2013Valid"):
        (leaky / split / "fer0007.png").write_bytes(b"")
    train, valid = (digests(leaky, split, cache=tmp_path / "cache") for split in ("train", "valid"))
    assert train[7] == valid[7] == UNREADABLE
    assert not also_in(valid, train)[7]


def test_data_info_reports_leakage(leaky, tmp_path, capsys):
    assert main(["data", "info", f"ferplus:{leaky}", "--cache", str(tmp_path / "cache")]) == 0
    said = capsys.readouterr().out
    assert "leakage: 3 pictures of valid are identical to pictures of train" in said
    assert "duplicates: 2 pictures of train are identical" in said


def test_what_is_also_in_the_validation_split_is_not_trained_on(leaky, tmp_path, capsys):
    """21 of 24 faces remain, too few for a batch of 22."""
    settings = {"data": f"ferplus:{leaky}", "epochs": 1, "precision": "fp32"}
    fit(FitConfig(**settings, batch=21), tmp_path / "run", cache=tmp_path / "cache")
    assert "left out 3 training pictures that are also in the validation or test split" in capsys.readouterr().out
    arguments = ["fit", "--network", "hybrid_lite", "--data", f"ferplus:{leaky}", "--batch", "22", "--epochs", "1"]
    assert main([*arguments, "--run", str(tmp_path / "more"), "--cache", str(tmp_path / "cache")]) == 2
    assert "21 training faces do not fill one batch of 22" in capsys.readouterr().err


def test_without_a_picture_that_is_only_in_the_training_split_nothing_is_trained(leaky, tmp_path, capsys):
    shutil.rmtree(leaky / "FER2013Valid")
    shutil.copytree(leaky / "FER2013Train", leaky / "FER2013Valid")
    arguments = ["fit", "--network", "hybrid_lite", "--data", f"ferplus:{leaky}", "--cache", str(tmp_path / "cache")]
    assert main([*arguments, "--run", str(tmp_path / "run")]) == 2
    assert "no training face is left: 24 pictures are also in the validation" in capsys.readouterr().err


def test_a_picture_in_fer2013s_table_equals_the_same_picture_in_a_file(leaky, tmp_path):
    faces = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted((leaky / "FER2013Train").glob("*.png"))]
    lines = [f"3,{' '.join(map(str, face.ravel()))},Training" for face in faces]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    table = open_data(f"fer2013:{tmp_path / 'fer2013.csv'}", "train")
    for perceptual in (False, True):
        assert np.array_equal(
            picture_digests(table, perceptual=perceptual), digests(leaky, "train", perceptual=perceptual)
        )


def test_data_info_counts_the_unusable_rows_of_every_split(leaky, tmp_path, capsys):
    for number, split in enumerate(("FER2013Train", "FER2013Valid"), start=1):
        with (leaky / split / "label.csv").open("a") as file:
            file.write("no.png,,x\n" * number)
    assert main(["data", "info", f"ferplus:{leaky}", "--cache", str(tmp_path / "cache")]) == 0
    assert "skipped: 3 rows" in capsys.readouterr().out


def test_evaluate_gives_the_accuracy_without_leaked_pictures_too(leaky, tmp_path, capsys):
    arguments = ["evaluate", "--engine", "hybrid_lite", "--data", f"ferplus:{leaky}", "--cache", str(tmp_path)]
    assert main([*arguments, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["faces"] == 12
    assert content["without_duplicates"]["faces"] == 9
    assert main(arguments) == 0
    assert "9 faces: 3 pictures are also in the training split" in capsys.readouterr().out


def as_zip(root):
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for item in sorted(root.rglob("*.*")):
            archive.write(item, item.relative_to(root))
    return path


@pytest.mark.parametrize("place", [lambda root: root, as_zip])
def test_other_pixels_under_the_same_names_are_not_taken_from_the_cache(leaky, tmp_path, place):
    """Regression: the key contained only names and boxes, so noise under the same names got the scores of the faces."""
    before = load_faces(open_data(f"ferplus:{place(leaky)}", "valid"), SPEC, tmp_path / "cache")
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    for path in (leaky / "FER2013Valid").glob("*.png"):
        cv2.imwrite(str(path), noise)
    after = load_faces(open_data(f"ferplus:{place(leaky)}", "valid"), SPEC, tmp_path / "cache")
    assert len(after) == len(before)
    assert not (after.faces == before.faces).all(axis=(1, 2, 3)).any()


def test_a_picture_that_was_empty_once_is_read_again(leaky, tmp_path):
    path = leaky / "FER2013Valid" / "fer0004.png"
    whole = path.read_bytes()
    path.write_bytes(b"")
    assert len(load_faces(open_data(f"ferplus:{leaky}", "valid"), SPEC, tmp_path / "cache")) == 11
    path.write_bytes(whole)
    assert len(load_faces(open_data(f"ferplus:{leaky}", "valid"), SPEC, tmp_path / "cache")) == 12


def test_a_picture_that_could_not_be_read_once_is_tried_again(leaky, tmp_path, monkeypatch):
    """The file does not change, as after a failure of the disk or the network."""
    data = open_data(f"ferplus:{leaky}", "valid")
    path = leaky / "FER2013Valid" / "fer0004.png"
    monkeypatch.setattr(
        type(data.pictures),
        "read_bytes",
        lambda self, name: b"" if name == path.name else (self.root / name).read_bytes(),
    )
    mapped = load_faces(data, SPEC, tmp_path / "cache")
    before = np.array(mapped.faces)
    assert len(mapped) == 11
    monkeypatch.undo()
    assert len(load_faces(open_data(f"ferplus:{leaky}", "valid"), SPEC, tmp_path / "cache")) == 12
    # the former file was cut and written again, while a training may have it mapped
    assert np.array_equal(mapped.faces, before)


def test_a_test_split_that_cannot_be_read_is_reported(leaky, tmp_path, capsys, caplog):
    """Regression: it counted as missing, so leaked pictures were trained on."""
    make_ferplus(leaky, "FER2013Test", 4, seed=2)
    for path in (leaky / "FER2013Test").glob("*.png"):
        path.unlink()
    fitted = ["--network", "hybrid_lite", "--epochs", "1", "--batch", "16", "--run", str(tmp_path / "run")]
    data = ["--data", f"ferplus:{leaky}", "--cache", str(tmp_path / "cache")]
    assert main(["fit", *data, *fitted]) == 2
    assert "no picture that FER2013Test/label.csv names exists" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    shutil.rmtree(leaky / "FER2013Test")
    (leaky / "FER2013Train" / "label.csv").write_text("")
    assert main(["evaluate", *data, "--engine", "hybrid_lite"]) == 0
    assert "also in the training split are not left out: no picture that FER2013Train" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00"], ids=["empty", "cut"])
def test_a_cache_that_a_power_cut_damaged_is_made_again_or_named(content, leaky, tmp_path):
    data = open_data(f"ferplus:{leaky}", "valid")
    before = picture_digests(data, tmp_path)
    (kept,) = tmp_path.glob("*.npy")
    kept.write_bytes(content)
    assert np.array_equal(picture_digests(data, tmp_path), before)
    load_faces(data, SPEC, tmp_path)
    (rows,) = tmp_path.glob("*/rows.npy")
    for path in (rows, rows.with_name("faces.npy")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"the faces in {rows.parent} are damaged .*: delete this folder"):
            load_faces(data, SPEC, tmp_path)
