"""The cache of face crops: resumable, and independent of the number of processes."""

import csv
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from datasets import make_affectnet, make_fer2013

from engines.spec import LABELS, ModelSpec
from trainer.cli import main
from trainer.data import open_data
from trainer.data.faces import cache_folder, load_faces
from trainer.data.loader import Loader
from trainer.errors import DataError

SPEC = ModelSpec("test", size=32, colour="rgb")


@pytest.fixture(scope="module")
def affectnet(tmp_path_factory):
    """More pictures than one process crops alone; most are links to a few files."""
    root = make_affectnet(tmp_path_factory.mktemp("AffectNet"), 44)
    lines = (root / "training.csv").read_text().splitlines()
    rows = [lines[1 + number % 44] for number in range(2600)]
    pictures = root / "Manually_Annotated_Images"
    more = []
    for number, row in enumerate(rows):
        image, _, rest = row.partition(",")
        name = f"9/{number:06d}.jpg"
        (pictures / name).parent.mkdir(exist_ok=True)
        if number % 100 != 7:  # some are missing
            (pictures / name).symlink_to(pictures / image)
        more.append(f"{name},{rest}")
    (root / "training.csv").write_text("\n".join([lines[0], *more]) + "\n")
    return f"affectnet:{root}"


@pytest.fixture(scope="module")
def whole(affectnet, tmp_path_factory):
    return load_faces(open_data(affectnet, "train"), SPEC, tmp_path_factory.mktemp("cache"))


def test_faces_are_mapped_and_the_same_as_without_a_cache(affectnet, whole):
    assert isinstance(whole.faces, np.memmap)
    data = open_data(affectnet, "train")
    part = load_faces(data.part(0, 150), SPEC)
    assert np.array_equal(part.faces, whole.faces[: len(part)])
    assert np.array_equal(part.rows, whole.rows[: len(part)])
    assert len(whole) == sum(1 for name in data.images if not (name[:2] == "9/" and int(name[2:8]) % 100 == 7))


def test_several_processes_make_the_same_cache(affectnet, whole, tmp_path):
    faces = load_faces(open_data(affectnet, "train"), SPEC, tmp_path, num_workers=2)
    assert np.array_equal(faces.rows, whole.rows)
    assert np.array_equal(faces.faces, whole.faces)


PREPARE = """
import sys
from pathlib import Path
from engines.spec import ModelSpec
from trainer.data import open_data
from trainer.data.faces import load_faces

load_faces(open_data(sys.argv[1], "train"), ModelSpec("test", size=32, colour="rgb"), Path(sys.argv[2]))
"""


def test_a_preparation_that_was_killed_goes_on_where_it_stopped(affectnet, whole, tmp_path):
    data = open_data(affectnet, "train")
    folder = cache_folder(data, SPEC, tmp_path)
    killed = subprocess.Popen([sys.executable, "-c", PREPARE, affectnet, tmp_path], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder / "progress.json").is_file() and time.monotonic() < deadline:
        time.sleep(0.002)
    killed.kill()
    killed.wait()
    if not (folder / "rows.npy").is_file():
        # a kill during a write leaves bytes after the last recorded chunk
        with (folder / "faces.part").open("ab") as file:
            file.write(b"half a face")
    faces = load_faces(data, SPEC, tmp_path)
    assert np.array_equal(faces.rows, whole.rows)
    assert np.array_equal(faces.faces, whole.faces)
    assert not (folder / "progress.json").exists()
    with (folder / "skipped.csv").open(newline="") as file:
        skipped = list(csv.reader(file))
    assert len(skipped) == len(data) - len(faces)
    assert {reason for _, reason in skipped} == {"missing file"}


def test_another_size_or_geometry_is_another_cache(affectnet, tmp_path):
    data = open_data(affectnet, "valid")
    folders = {
        cache_folder(one, spec, tmp_path)
        for one, spec in (
            (data, SPEC),
            (data, replace(SPEC, size=48)),
            (data, replace(SPEC, colour="grey")),
            (data, replace(SPEC, crop=replace(SPEC.crop, scale=1.5))),
            (replace(data, boxes=data.boxes + 1), SPEC),
        )
    }
    assert len(folders) == 5


def test_a_set_without_a_readable_picture_is_one_clear_line(affectnet, tmp_path):
    data = open_data(affectnet, "valid")
    gone = replace(data, images=tuple(f"gone/{name}" for name in data.images))
    for cache in (None, tmp_path):
        with pytest.raises(DataError, match=r"has a face \(\d+ x missing file\)") as error:
            load_faces(gone, SPEC, cache)
        assert "\n" not in str(error.value)


def test_prepare_prints_what_it_skipped_and_writes_a_report(tmp_path, capsys):
    path = make_fer2013(tmp_path / "fer2013.csv")
    with path.open("a") as file:
        file.write("9,1 2 3,Training\n1,1 2 3,Training\n")
    arguments = ["data", "prepare", f"fer2013:{path}", "--network", "hybrid_lite", "--cache", str(tmp_path / "cache")]
    assert main([*arguments, "--split", "train"]) == 0
    said = capsys.readouterr().out
    assert "12 faces" in said
    assert "2 skipped" in said
    report = next((tmp_path / "cache").glob("*/report.csv"))
    rows = list(csv.DictReader(report.open(newline="")))
    assert [row["where"] for row in rows] == ["fer2013.csv, row 37", "fer0000037"]
    assert main([*arguments[:2], f"fer2013:{tmp_path / 'nothing'}", *arguments[3:]]) == 2


@pytest.mark.parametrize("parts", [lambda faces: [faces], lambda faces: [faces[:1], faces[1:3], faces[3:]]])
@pytest.mark.parametrize("rows", [np.zeros((0, 4), np.int64), np.array([[3, 1], [2, 2], [0, 4]] * 5)])
def test_the_loader_gives_the_rows_that_were_asked_for_in_order(rows, parts):
    import torch

    faces = np.arange(5 * 2 * 2 * 3, dtype=np.uint8).reshape(5, 2, 2, 3)
    targets = np.eye(5, len(LABELS), dtype=np.float32)
    given = list(Loader(parts(faces), targets, torch.device("cpu")).batches(rows))
    assert len(given) == len(rows)
    for line, (batch, wanted) in zip(rows, given, strict=True):
        assert np.array_equal(batch.numpy(), faces[line])
        assert np.array_equal(wanted.numpy(), targets[line])
