"""Every layout of the data sets: training, validation and scoring with 200 generated pictures."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pyarrow
import pytest
import torch
from datasets import make_affectnet, make_later_affectnet
from pyarrow import parquet

from engines.spec import ModelSpec
from trainer.cli import main
from trainer.data import open_data
from trainer.data.affectnet_layouts import _read_original
from trainer.data.faces import load_faces
from trainer.data.parquet import _encoded
from trainer.errors import DataError

torch.set_num_threads(1)
HAPPY, SAD = 1, 2  # AffectNet's numbers
NAMES = {HAPPY: "happy", SAD: "Sad"}


def drawn(number, label, side=56):
    """A random picture of 56 pixels whose lower part is light if happy, dark if sad."""
    image = np.random.default_rng(number).normal(120, 25, (side, side, 3))
    image[side * 2 // 3 :, side // 4 : -side // 4] += 90 if label == HAPPY else -90
    return image.clip(0, 255).astype(np.uint8)


def put(path, number, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), drawn(number, label))


def jpeg(number, label):
    return cv2.imencode(".jpg", drawn(number, label))[1].tobytes()


def rows(count, first=0):
    return [(number, HAPPY if number % 2 else SAD) for number in range(first, first + count)]


def original(root):
    make_affectnet(root, 160, side=96)
    return "affectnet:{},protocol=official"


def original_from_pandas(root):
    """A saved data frame: an index column, `1.0` instead of 1, other order of columns, missing columns."""
    make_affectnet(root, 160, side=96)
    order = ["expression", "subDirectory_filePath", "facial_landmarks", "face_height", "face_width", "face_y", "face_x"]
    for name in ("training.csv", "validation.csv"):
        with (root / name).open(newline="") as file:
            content = list(csv.DictReader(file))
        with (root / name).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["", *order])
            for number, row in enumerate(content):
                writer.writerow([number, f"{row['expression']}.0", *(row[column] for column in order[1:])])
    return "affectnet:{},protocol=official"


def annotations(root):
    make_later_affectnet(root, 160)
    return "affectnet:{},classes=8,protocol=official"


def split_folders(train, valid, names):
    def make(root):
        for split, count in ((train, 160), (valid, 40)):
            for number, label in rows(count, 1000 * (split == valid)):
                put(root / split / names[label] / f"{number}.png", number, label)
        return "affectnet:{},classes=8,protocol=official"

    return make


def class_folders(root):
    for number, label in rows(200):
        put(root / str(label) / f"{number}.png", number, label)
    return "affectnet:{},classes=8"


def labels_csv(root):
    """Kaggle's copy: folders have older labels; labels.csv has the valid ones."""
    lines = [",pth,label,relFCs"]
    for number, label in rows(200):
        put(root / "anger" / f"image{number:07d}.png", number, label)
        lines.append(f"{number},anger/image{number:07d}.png,{NAMES[label].lower()},0.87")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return "affectnet:{},classes=8"


def write_parquet(path, pictures, *, names=None, strings=False):
    cells = [{"bytes": jpeg(number, label), "path": f"{number}.jpg"} for number, label in pictures]
    labels = [NAMES[label] if strings else names.index(NAMES[label]) if names else label for _, label in pictures]
    table = pyarrow.table({"image": cells, "label": labels})
    if names:
        feature = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(feature)})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=50)


def parquet_by_number(root):
    write_parquet(root / "data" / "train-00000-of-00002.parquet", rows(80))
    write_parquet(root / "data" / "train-00001-of-00002.parquet", rows(80, 80))
    write_parquet(root / "data" / "validation-00000-of-00001.parquet", rows(40, 160))
    return "affectnet:{},classes=8,protocol=official"


def parquet_with_names(root):
    """Classes numbered in alphabetical order, as the file's metadata states."""
    write_parquet(root / "train.parquet", rows(200), names=["anger", "happy", "neutral", "Sad"])
    return "affectnet:{},classes=8"


def parquet_as_a_folder(root):
    write_parquet(root / "train" / "0000.parquet", rows(160), strings=True)
    write_parquet(root / "test" / "0000.parquet", rows(40, 160), strings=True)
    return "folder:{}"


def rafdb(root):
    lines = []
    for split, count in (("train", 160), ("test", 40)):
        for number, label in rows(count, 1000 * (split == "test")):
            put(root / "basic" / "Image" / "aligned" / f"{split}_{number:05d}_aligned.jpg", number, label)
            lines.append(f"{split}_{number:05d}.jpg {4 if label == HAPPY else 5}")
    listing = root / "basic" / "EmoLabel" / "list_patition_label.txt"
    listing.parent.mkdir()
    listing.write_text("\n".join(lines) + "\n")
    return "rafdb:{}"


def rafdb_folders(root):
    for split, count in (("train", 160), ("test", 40)):
        for number, label in rows(count, 1000 * (split == "test")):
            name = f"{split}_{number:05d}_aligned.jpg"
            put(root / "DATASET" / split / str(4 if label == HAPPY else 5) / name, number, label)
    return "rafdb:{}"


def expw(root):
    """Two faces per picture, side by side."""
    (root / "data" / "image" / "origin").mkdir(parents=True)
    lines = []
    for number in range(100):
        pair = np.concatenate([drawn(2 * number, SAD), drawn(2 * number + 1, HAPPY)], axis=1)
        cv2.imwrite(str(root / "data" / "image" / "origin" / f"angry_boy_{number}.jpg"), pair)
        lines.append(f"angry_boy_{number}.jpg 0 2 2 54 54 60.5 4")
        lines.append(f"angry_boy_{number}.jpg 1 2 58 110 54 60.5 3")
    (root / "data" / "label").mkdir()
    (root / "data" / "label" / "label.lst").write_text("\n".join(lines) + "\n")
    return "expw:{}"


@pytest.mark.parametrize(
    ("make", "scored"),
    [
        (original, 40),
        (original_from_pandas, 40),
        (annotations, 40),
        (split_folders("train", "val", {HAPPY: "1", SAD: "2"}), 40),
        (split_folders("Train", "Test", NAMES), 40),
        (split_folders("train_set", "valid_set", {HAPPY: "1", SAD: "2"}), 40),
        (class_folders, 10),
        (labels_csv, 10),
        (parquet_by_number, 40),
        (parquet_with_names, 10),
        (parquet_as_a_folder, 40),
        (rafdb, 40),
        (rafdb_folders, 40),
        (expw, 16),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_200_pictures_train_validate_and_are_scored(make, scored, tmp_path, capsys):
    data = make(tmp_path / "set").format(tmp_path / "set")
    shared = ["--data", data, "--cache", str(tmp_path / "cache"), "--num-workers", "1"]
    settings = ["--network", "hybrid_lite", "--sizes", "16:2", "--batch", "20", "--precision", "fp32"]
    plain = ["--augment", "none", "--mixup", "0", "--ema-decay", "0.5", "--learning-rate", "0.005"]
    assert main(["fit", *shared, *settings, *plain, "--run", str(tmp_path / "run")]) == 0, capsys.readouterr().err
    metrics = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    assert len(metrics) == 2
    capsys.readouterr()
    assert main(["evaluate", "--engine", str(tmp_path / "run"), *shared, "--split", "test", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["faces"], scores["skipped"]) == (scored, 0)
    if make not in (original, original_from_pandas, annotations):  # these hold eight and eleven classes
        assert scores["accuracy"] >= 0.9


def test_a_layout_without_a_validation_set_has_no_official_test(tmp_path):
    data = class_folders(tmp_path).format(tmp_path)
    with pytest.raises(DataError, match="has no validation set, which protocol=official tests on"):
        open_data(f"{data},protocol=official", "test")


def test_two_validation_folders_of_affectnet_are_refused(tmp_path):
    for folder in ("train", "val", "validation"):
        put(tmp_path / folder / "1" / "1.png", 1, HAPPY)
    with pytest.raises(DataError, match="has two folders of one split, val and validation"):
        open_data(f"affectnet:{tmp_path}", "train")


@pytest.mark.parametrize("kind", ["affectnet", "rafdb", "expw", "folder"])
def test_another_layout_is_refused_with_what_is_recognised_and_what_was_found(kind, tmp_path):
    put(tmp_path / "stuff" / "1.png", 1, HAPPY)
    with pytest.raises(DataError, match=r"(recognised layouts|expected).*; found: stuff") as error:
        open_data(f"{kind}:{tmp_path}", "train")
    assert "\n" not in str(error.value)


def test_a_large_table_is_read_once_for_all_splits_and_again_when_it_changed(tmp_path):
    original(tmp_path)
    _read_original.cache_clear()
    train, valid = (open_data(f"affectnet:{tmp_path}", split) for split in ("train", "valid"))
    assert (_read_original.cache_info().misses, _read_original.cache_info().hits) == (1, 1)
    lines = (tmp_path / "training.csv").read_text().splitlines()
    (tmp_path / "training.csv").write_text("\n".join(lines[:-20]) + "\n")
    again = [open_data(f"affectnet:{tmp_path}", split) for split in ("train", "valid")]
    assert len(train) + len(valid) - sum(map(len, again)) == 19  # the test split has one of the 20 rows


def test_bad_rows_of_rafdb_and_expw_are_listed(tmp_path):
    rafdb(tmp_path / "raf")
    listing = tmp_path / "raf" / "basic" / "EmoLabel" / "list_patition_label.txt"
    bad = ["train_00001.jpg", "train_00002.jpg 8", "train_00003.jpg x", "../train_00004.jpg 1"]
    listing.write_text("\n".join([*bad, listing.read_text()]))
    assert len(open_data(f"rafdb:{tmp_path / 'raf'}", "test").skipped) == 4
    expw(tmp_path / "expw")
    listing = tmp_path / "expw" / "data" / "label" / "label.lst"
    first = listing.read_text().splitlines()[0]
    bad = [
        first,
        "a.jpg 0 2 2 54 54 60.5 7",
        "a.jpg 0 2 2 2 54 60.5 1",
        "a.jpg 0 x 2 54 54 60.5 1",
        "../a.jpg 0 1 1 9 9 9 1",
        "a",
    ]
    listing.write_text(listing.read_text() + "\n".join(bad))
    splits = [open_data(f"expw:{tmp_path / 'expw'}", split) for split in ("train", "valid", "test")]
    assert len(splits[0].skipped) == 6
    pictures = [{name.partition("#")[0] for name in data.images} for data in splits]
    assert sum(map(len, pictures)) == len(set.union(*pictures)) == 100  # both faces of a picture are in one split


def test_bad_parquet_is_one_clear_line_and_bad_cells_are_skipped(tmp_path):
    write_parquet(tmp_path / "train.parquet", rows(40))
    table = parquet.read_table(tmp_path / "train.parquet")
    cells = [{"bytes": None, "path": ""}, {"bytes": b"no picture", "path": ""}, *table["image"].to_pylist()[2:]]
    parquet.write_table(table.set_column(0, "image", pyarrow.array(cells)), tmp_path / "train.parquet")
    data = open_data(f"affectnet:{tmp_path}", "train")
    faces = load_faces(data, ModelSpec("test", size=32), tmp_path / "cache")
    assert len(data) - len(faces) == sum(name.rpartition("/")[2] in ("0", "1") for name in data.images)
    with pytest.raises(DataError, match="has a class name"):
        open_data(f"folder:{tmp_path}", "train")  # class numbers need a data set that defines them
    parquet.write_table(table.drop_columns("label"), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="must have a column of labels"):
        open_data(f"affectnet:{tmp_path}", "train")
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a complete Parquet file"):
        open_data(f"affectnet:{tmp_path}", "train")


def test_several_threads_read_one_parquet_file(tmp_path):
    count = 400
    content = [number.to_bytes(2, "big") * 600 for number in range(count)]
    table = pyarrow.table({"image": content, "label": ["happy"] * count})
    parquet.write_table(table, tmp_path / "train.parquet", row_group_size=8)
    with ThreadPoolExecutor(4) as threads:
        # far apart, so that each needs another row group
        order = [row for first in range(8) for row in range(first, count, 8)]
        found = list(threads.map(lambda row: _encoded(tmp_path / "train.parquet", row), order * 3))
    assert found == [content[row] for row in order * 3]
