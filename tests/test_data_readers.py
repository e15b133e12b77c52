"""FER2013 and folders of pictures; FER+ and AffectNet have separate test files."""

import zipfile

import cv2
import numpy as np
import pytest
from datasets import make_fer2013

from engines.spec import LABELS, ModelSpec
from trainer.data import open_data
from trainer.data.faces import load_faces
from trainer.errors import DataError, PictureError

SPEC = ModelSpec("test", size=48)


def picture(path, value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((40, 40, 3), value, np.uint8))


@pytest.fixture
def folders(tmp_path):
    root = tmp_path / "faces"
    for name in ("happy", "Sadness", "angry"):
        for number in range(20):
            picture(root / name / f"{number}.png")
    (root / "happy" / "notes.txt").write_text("x")
    picture(root / "bored" / "1.png")
    return root


def test_fer2013_reads_its_own_numbering_and_usages(tmp_path):
    path = make_fer2013(tmp_path / "fer2013.csv")
    train, valid, test = (
        open_data(f"fer2013:{place}", split) for place, split in ((path, "train"), (tmp_path, "valid"), (path, "test"))
    )
    assert [len(data) for data in (train, valid, test)] == [12, 12, 12]
    assert [LABELS[row] for row in train.targets[:7].argmax(axis=1)] == [
        "anger",
        "disgust",
        "fear",
        "happiness",
        "sadness",
        "surprise",
        "neutral",
    ]
    assert "contempt" not in train.classes
    assert len(train.classes) == 7
    assert not np.array_equal(train.read(0), valid.read(0))
    assert train.read(3).shape == (48, 48)
    assert load_faces(train, SPEC).faces.shape == (12, 48, 48, 1)


def test_fer2013_with_its_columns_in_another_order(tmp_path):
    lines = make_fer2013(tmp_path / "a.csv").read_text().splitlines()[1:]
    swapped = [f"{emotion},{usage},{pixels}" for emotion, pixels, usage in (line.split(",") for line in lines)]
    (tmp_path / "icml_face_data.csv").write_text("\n".join(["emotion, Usage, pixels", *swapped]) + "\n")
    one, two = open_data(f"fer2013:{tmp_path / 'a.csv'}", "valid"), open_data(f"fer2013:{tmp_path}", "valid")
    assert np.array_equal(one.read(5), two.read(5))
    assert np.array_equal(one.targets, two.targets)


def test_bad_rows_and_pixels_of_fer2013_are_skipped(tmp_path):
    path = make_fer2013(tmp_path / "fer2013.csv", 7)
    with path.open("a") as file:
        file.write("7,1 2,Training\n\nx,1 2,Training\n1,1 2,Elsewhere\n1,2\n")
        file.write(f"1,{'1 ' * 48 * 47},Training\n1,{'a ' * 48 * 48},Training\n1,{'300 ' * 48 * 48},Training\n")
    data = open_data(f"fer2013:{path}", "train")
    assert len(data.skipped) == 4
    assert len(data) == 10
    for row in (7, 8, 9):
        with pytest.raises(PictureError, match="fer00"):
            data.read(row)
    assert len(load_faces(data, SPEC)) == 7


def test_what_is_not_fer2013_is_one_clear_line(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for place, said in ((tmp_path, "no fer2013.csv"), (tmp_path / "other.csv", "first line must name")):
        with pytest.raises(DataError, match=said):
            open_data(f"fer2013:{place}", "train")


def test_folders_named_by_class_are_split_by_the_pictures_names(folders):
    splits = [open_data(f"folder:{folders}", split) for split in ("train", "valid", "test")]
    everything = open_data(f"folder:{folders}", "all")
    assert sorted(name for data in splits for name in data.images) == sorted(everything.images)
    assert len(everything) == 60
    assert everything.classes == ("happiness", "sadness", "anger")
    assert everything.read(0).shape == (40, 40, 3)
    assert sorted(item.where for item in everything.skipped) == ["bored/1.png", "happy/notes.txt"]


def test_split_by_person_nobody_is_in_two_splits(tmp_path):
    for person in range(12):
        for number in (1, 2, 3):
            picture(tmp_path / "anger" / f"Person_{chr(65 + person)}_{number:04}.jpg")
    splits = [open_data(f"folder:{tmp_path},by=person", split).images for split in ("train", "valid", "test")]
    people = [{name.rpartition("_")[0] for name in split} for split in splits]
    assert sum(map(len, splits)) == 36
    assert sum(map(len, people)) == len(set.union(*people)) == 12
    with pytest.raises(DataError, match="by=picture or by=person, not by=luck"):
        open_data(f"folder:{tmp_path},by=luck", "train")


def test_split_folders_are_kept(tmp_path):
    picture(tmp_path / "train" / "fear" / "a.jpg")
    picture(tmp_path / "test" / "fear" / "b.jpg")
    assert open_data(f"folder:{tmp_path}", "train").images == ("train/fear/a.jpg",)
    assert open_data(f"folder:{tmp_path}", "test").images == ("test/fear/b.jpg",)
    with pytest.raises(DataError, match="no picture of split 'valid'"):
        open_data(f"folder:{tmp_path}", "valid")


def test_a_table_of_labels_and_boxes_in_a_zip_file(tmp_path):
    picture(tmp_path / "a.jpg")
    rows = ["image,emotion,x,y,w,h", "a.jpg,happiness,10,10,20,20", "b.jpg,fear,1,1,2,2", "a.jpg,bored,1,1,2,2"]
    rows += ["a.jpg,fear,x,1,1,1", "c.jpg,anger,,,,"]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("set/labels.csv", "\n".join(rows) + "\n")
        for name in ("a.jpg", "c.jpg"):
            archive.write(tmp_path / "a.jpg", f"set/images/{name}")
    data = open_data(f"folder:{tmp_path / 'set.zip'}", "all")
    assert data.images == ("set/images/a.jpg", "set/images/c.jpg")
    assert data.boxes[0].tolist() == [10, 10, 30, 30]
    assert np.isnan(data.boxes[1]).all()
    assert len(data.skipped) == 3
    # a uniform square shows no face, so the given box is used, if any
    assert load_faces(data, SPEC).rows.tolist() == [0]


@pytest.mark.parametrize("name", ["nowhere", "empty", "text.zip"])
def test_what_holds_no_pictures_is_one_clear_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("x")
    with pytest.raises(DataError, match="expected CLASS/picture"):
        open_data(f"folder:{tmp_path / name}", "train")


@pytest.mark.parametrize("valid", ["val", "valid", "Validation", "valid_set"])
def test_the_validation_folder_may_have_any_usual_name(tmp_path, valid):
    """Regression: `val` was not recognised, so its pictures were in no split."""
    picture(tmp_path / "train" / "fear" / "a.jpg")
    picture(tmp_path / valid / "fear" / "b.jpg")
    assert open_data(f"folder:{tmp_path}", "train").images == ("train/fear/a.jpg",)
    assert open_data(f"folder:{tmp_path}", "valid").images == (f"{valid}/fear/b.jpg",)


def test_a_test_folder_is_never_trained_on_and_some_of_train_validates(tmp_path):
    """Regression: `Train` and `Test` were not recognised, so pictures of `Test` were used for training."""
    for number in range(200):
        picture(tmp_path / "Train" / "Happy" / f"{number}.jpg")
    for number in range(20):
        picture(tmp_path / "Test" / "Happy" / f"{number}.jpg")
    splits = {split: open_data(f"folder:{tmp_path}", split).images for split in ("train", "valid", "test", "all")}
    assert {split: {name.partition("/")[0] for name in names} for split, names in splits.items()} == {
        "train": {"Train"},
        "valid": {"Train"},
        "test": {"Test"},
        "all": {"Train", "Test"},
    }
    assert len(splits["train"]) + len(splits["valid"]) == 200
    assert len(splits["test"]) == 20
    assert 2 <= len(splits["valid"]) <= 20


def test_pictures_beside_split_folders_are_listed(tmp_path):
    for place in ("train", "valid", "test", "more"):
        picture(tmp_path / place / "fear" / "a.jpg")
    data = open_data(f"folder:{tmp_path}", "train")
    assert [(item.where, item.reason) for item in data.skipped] == [("more/fear/a.jpg", "in no split folder")]


def test_a_table_may_name_its_columns_as_others_do(tmp_path):
    picture(tmp_path / "fear" / "a.jpg")
    (tmp_path / "labels.csv").write_text(",pth,label,relFCs\n0,fear/a.jpg,fear,0.9\n")
    data = open_data(f"folder:{tmp_path}", "all")
    assert data.images == ("fear/a.jpg",)
    (tmp_path / "labels.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"labels.csv must have the columns image and emotion.*it has a, b"):
        open_data(f"folder:{tmp_path}", "all")
