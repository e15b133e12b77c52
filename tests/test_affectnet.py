import cv2
import numpy as np
import pytest
from datasets import AFFECTNET_HEADER, affectnet_row, face_landmarks, make_affectnet, make_later_affectnet

from engines.face_detector import FaceDetector
from engines.preprocess import crop
from engines.spec import EXPRESSIONS, LABELS, ModelSpec
from trainer.data import open_data
from trainer.data.affectnet import POSTER_SPLIT, _share
from trainer.data.faces import by_reason, load_faces, save_crops
from trainer.data.landmarks import detector_boxes, keypoints_of
from trainer.errors import DataError

SPEC = ModelSpec("test", size=48, colour="rgb")


@pytest.fixture(scope="module")
def affectnet(tmp_path_factory):
    return make_affectnet(tmp_path_factory.mktemp("AffectNet"), 88)


def write_rows(root, rows, name="training.csv"):
    (root / "Manually_Annotated_Images").mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join([AFFECTNET_HEADER, *rows]) + "\n")
    other = {"training.csv": "validation.csv", "validation.csv": "training.csv"}[name]
    (root / other).write_text(AFFECTNET_HEADER + "\n")
    return f"affectnet:{root}"


def test_the_posters_split_is_exact_on_its_own_number_of_pictures():
    order = np.arange(sum(POSTER_SPLIT.values()))
    assert {split: len(_share(order, split)) for split in POSTER_SPLIT} == POSTER_SPLIT
    assert POSTER_SPLIT == {"train": 351_874, "valid": 19_542, "test": 19_553}


def test_the_splits_share_no_picture_and_leave_none_out(affectnet):
    splits = [open_data(f"affectnet:{affectnet}", split) for split in ("train", "valid", "test")]
    images = [name for data in splits for name in data.images]
    assert len(images) == len(set(images)) == 88 + 22
    assert [len(data) for data in splits] == [99, 5, 6]
    again = open_data(f"affectnet:{affectnet}", "valid")
    other = open_data(f"affectnet:{affectnet},seed=1", "valid")
    assert again.images == splits[1].images
    assert other.images != splits[1].images


@pytest.mark.parametrize(("classes", "names"), [(11, LABELS), (8, EXPRESSIONS), (7, EXPRESSIONS[:7])])
def test_eleven_eight_or_seven_classes(affectnet, classes, names):
    data = open_data(f"affectnet:{affectnet},classes={classes}", "train")
    assert data.classes == names
    assert {int(row) for row in data.targets.argmax(axis=1)} == set(range(classes))
    assert data.targets.shape[1] == len(LABELS)


def test_the_official_protocol_tests_on_the_validation_set(affectnet):
    spec = f"affectnet:{affectnet},classes=8,protocol=official"
    train, valid, test = (open_data(spec, split) for split in ("train", "valid", "test"))
    assert len(test) == 16  # two rounds of eleven: sixteen expressions
    assert all("/v" in name for name in test.images)
    assert all("/t" in name for name in (*train.images, *valid.images))
    assert (len(train), len(valid)) == (61, 3)


def test_crops_for_the_export_are_labelled_only_where_an_expression_is_shown(affectnet, tmp_path):
    """none, uncertain and no_face are classes of the data set, but not among the eight that an export is judged by."""
    data = open_data(f"affectnet:{affectnet},protocol=official", "test")
    save_crops(data, ModelSpec("small", size=16), tmp_path / "crops.npz")
    truth = np.load(tmp_path / "crops.npz")["truth"]
    labels = data.targets.argmax(axis=1)
    assert set(labels) == set(range(len(LABELS)))
    assert truth.tolist() == [label if label < len(EXPRESSIONS) else -1 for label in labels]


def test_the_crop_follows_the_landmarks_without_a_detector(affectnet):
    data = open_data(f"affectnet:{affectnet}", "valid")
    faces = load_faces(data, SPEC)
    assert faces.faces.shape == (5, 48, 48, 3)
    assert faces.classes == LABELS
    assert np.isfinite(data.keypoints).all()
    first = crop(data.read(0), data.boxes[0], data.keypoints[0], SPEC)
    assert np.array_equal(faces.faces[0], first)
    # the light or dark patch of the mouth is in the lower middle of an upright crop
    mouth = faces.faces[:, 34:40, 20:28].mean(axis=(1, 2, 3))
    cheeks = faces.faces[:, 34:40, :6].mean(axis=(1, 2, 3))
    assert (np.abs(mouth - cheeks) > 40).all()


def test_landmarks_give_the_box_that_the_detector_draws(demo_clip):
    video = cv2.VideoCapture(str(demo_clip))
    detector = FaceDetector()
    overlaps = []
    while True:
        more, image = video.read()
        if not more:
            break
        boxes, keypoints, _ = detector.detect(image)
        if len(boxes) == 1:
            guess = detector_boxes(keypoints)[0]
            low, high = np.maximum(guess[:2], boxes[0, :2]), np.minimum(guess[2:], boxes[0, 2:])
            shared = np.clip(high - low, 0, None).prod()
            overlaps.append(shared / ((guess[2:] - guess[:2]).prod() + (boxes[0, 2:] - boxes[0, :2]).prod() - shared))
    detector.close()
    assert len(overlaps) > 10
    assert np.median(overlaps) > 0.85


def test_a_leaning_head_gives_a_box_of_the_same_size_around_the_same_face():
    upright, leaning = (
        detector_boxes(keypoints_of(face_landmarks(100, 100, 80, lean)[None].astype(np.float32)))[0]
        for lean in (0, np.pi / 4)
    )
    assert upright[2] - upright[0] == pytest.approx(80, rel=0.05)
    assert leaning[2] - leaning[0] == pytest.approx(upright[2] - upright[0], rel=1e-3)


def test_what_is_no_face_gives_no_box():
    upside_down = face_landmarks(100, 100, 80)
    upside_down[48:68] -= (0, 200)
    nothing = np.stack([np.zeros((68, 2)), upside_down]).astype(np.float32)
    assert np.isnan(detector_boxes(keypoints_of(nothing))).all()
    assert detector_boxes(np.zeros((0, 6, 2), np.float32)).shape == (0, 4)


def test_a_row_without_landmarks_gets_its_own_box_as_on_the_median_row(tmp_path):
    marks = face_landmarks(60, 50, 50)
    rows = [affectnet_row(f"1/{number}.jpg", 1, marks, (20, 15, 80, 80)) for number in range(30)]
    rows.append(affectnet_row("1/bare.jpg", 1, None, (120, 115, 80, 80)))
    rows.append(affectnet_row("1/other.jpg", 1, np.zeros((68, 2)), (20, 15, 160, 160)))
    data = open_data(write_rows(tmp_path, rows), "train")
    table = dict(zip(data.images, data.boxes, strict=True))
    known = next(box for name, box in table.items() if name[2:-4].isdigit())
    if "1/bare.jpg" in table:
        assert table["1/bare.jpg"] == pytest.approx(known + 100, abs=0.01)
        assert np.isnan(data.keypoints[data.images.index("1/bare.jpg")]).all()
    if "1/other.jpg" in table:
        assert table["1/other.jpg"][2] - table["1/other.jpg"][0] == pytest.approx(2 * (known[2] - known[0]), abs=0.01)
    assert "1/bare.jpg" in table or "1/other.jpg" in table


def test_bad_rows_are_counted_named_and_skipped(tmp_path):
    marks = face_landmarks(60, 50, 50)
    box = (20, 15, 80, 80)
    rows = [affectnet_row(f"1/{number}.jpg", number % 8, marks, box) for number in range(20)]
    rows += [
        affectnet_row("1/a.jpg", 11, marks, box),
        affectnet_row("1/b.jpg", "happy", marks, box),
        affectnet_row("1/c.jpg", -1, marks, box),
        affectnet_row("1/d.jpg", 3, None, ("x", 15, 80, 80)),
        affectnet_row("1/e.jpg", 3, None, (20, 15, 0, 80)),
        affectnet_row("1/f.jpg", 3, None, (20, 15, "nan", 80)),
        affectnet_row("1/g.jpg", 3, None, (20, 15, 80, "inf")),
        affectnet_row("1/0.jpg", 3, marks, box),
        "1/h.jpg,1,2",
        "",
    ]
    data = open_data(write_rows(tmp_path, rows), "train")
    assert len(data) == 18
    assert len(data.skipped) == 10
    assert data.skipped[0].where == "training.csv, row 22"
    reasons = by_reason(data.skipped)
    assert reasons["neither box nor landmarks are usable"] == 4
    assert sum("is not 0 to 10" in reason for reason in reasons.elements()) == 3


@pytest.mark.parametrize("row", [3, 215], ids=["near the beginning", "near the end"])
def test_an_unclosed_quotation_mark_is_one_clear_line_and_swallows_no_rows(tmp_path, row):
    root = make_affectnet(tmp_path / "AffectNet", 220, pictures=False)
    table = root / "training.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:row], f'"{lines[row]}', *lines[row + 1 :]]))
    with pytest.raises(DataError, match=r"is damaged .* an unclosed quotation mark"):
        open_data(f"affectnet:{root}", "train")


def test_missing_and_damaged_pictures_are_skipped(tmp_path):
    root = make_affectnet(tmp_path / "AffectNet", 44)
    spec = f"affectnet:{root}"
    names = open_data(spec, "train").images
    (root / "Manually_Annotated_Images" / names[0]).unlink()
    (root / "Manually_Annotated_Images" / names[1]).write_bytes(b"no jpeg")
    (root / "Manually_Annotated_Images" / names[2]).write_bytes(b"")
    data = open_data(spec, "train")
    faces = load_faces(data, SPEC, tmp_path / "cache")
    assert list(faces.rows[:2]) == [3, 4]
    assert len(faces) == len(data) - 3


def test_a_validation_file_without_its_header_is_read(tmp_path):
    spec = write_rows(tmp_path, [affectnet_row("1/a.jpg", 1, face_landmarks(60, 50, 50), (1, 1, 80, 80))] * 1)
    (tmp_path / "validation.csv").write_text(
        "\n".join(affectnet_row(f"2/{n}.jpg", n, face_landmarks(60, 50, 50), (1, 1, 80, 80)) for n in range(8)) + "\n"
    )
    assert len(open_data(f"{spec},protocol=official", "test")) == 8


def test_the_later_release_reads_alike(tmp_path):
    root = make_later_affectnet(tmp_path, 40)
    annotations = root / "train_set" / "annotations"
    np.save(annotations / "3_exp.npy", np.array("99"))
    (annotations / "4_exp.npy").write_bytes(b"")
    np.save(annotations / "5_exp.npy", np.array([{"a": 1}]), allow_pickle=True)
    (annotations / "6_lnd.npy").unlink()
    spec = f"affectnet:{root},classes=8,protocol=official"
    train, valid, test = (open_data(spec, split) for split in ("train", "valid", "test"))
    assert (len(train) + len(valid), len(test)) == (37, 10)
    assert [item.where for item in train.skipped] == [f"train_set/annotations/{number}" for number in (3, 4, 5)]
    assert test.images[:2] == ("val_set/images/0.jpg", "val_set/images/1.jpg")
    assert load_faces(test, SPEC).faces.shape == (10, 48, 48, 3)
    both = dict(zip((*train.images, *valid.images), (*train.boxes, *valid.boxes), strict=True))
    assert both["train_set/images/6.jpg"] == pytest.approx(both["train_set/images/7.jpg"])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("affectnet:{root}/nowhere", "no AffectNet folder"),
        ("affectnet:{root}", "no AffectNet in"),
        ("affectnet:{root},classes=9", "11, 8 or 7 classes"),
        ("affectnet:{root},classes=many", "must be a number"),
        ("affectnet:{root},protocol=mine", "poster or official"),
        ("affectnet:{root},seed=-1", "seed must be 0 or more"),
        ("affectnet:{root},colour=red", "no option 'colour'"),
    ],
)
def test_a_wrong_folder_or_option_is_one_clear_line(tmp_path, spec, said):
    with pytest.raises(DataError, match=said) as error:
        open_data(spec.format(root=tmp_path), "train")
    assert "\n" not in str(error.value)


def test_files_that_are_not_affectnets_are_named(tmp_path):
    (tmp_path / "training.csv").write_text("a,b,c,d,e,f,g\n1,2,3,4,5,6,x\n")
    with pytest.raises(DataError, match="no Manually_Annotated_Images"):
        open_data(f"affectnet:{tmp_path}", "train")
    (tmp_path / "Manually_Annotated_Images").mkdir()
    with pytest.raises(DataError, match=r"no usable row|no validation\.csv"):
        open_data(f"affectnet:{tmp_path}", "train")
    (tmp_path / "validation.csv").write_text("")
    with pytest.raises(DataError, match=r"no usable row for split 'train': \d+ rows"):
        open_data(f"affectnet:{tmp_path}", "train")


def make_class_folders(root, train, valid, names):
    """One folder per class with pictures of 96 pixels, as in several published copies of AffectNet."""
    for split, count in ((train, 40), (valid, 8)):
        for number in range(count):
            folder = root / split / names[number % len(names)]
            folder.mkdir(parents=True, exist_ok=True)
            slope = np.linspace(number, 200, 96).astype(np.uint8)
            cv2.imwrite(str(folder / f"{split[0]}{number}.jpg"), np.tile(slope, (96, 1)))
    return root


NUMBERS = tuple(map(str, range(8)))


@pytest.mark.parametrize(
    ("train", "valid", "names"),
    [
        ("train", "val", NUMBERS),
        ("train_set", "valid_set", NUMBERS),
        ("Train", "Test", ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt")),
    ],
)
def test_one_folder_per_class_is_read_with_its_own_validation_set(tmp_path, train, valid, names):
    make_class_folders(tmp_path, train, valid, names)
    splits = {
        split: open_data(f"affectnet:{tmp_path},classes=8,protocol=official", split)
        for split in ("train", "valid", "test")
    }
    assert [len(data) for data in splits.values()] == [38, 2, 8]
    assert {image.partition("/")[0] for image in splits["test"].images} == {valid}
    assert {image.partition("/")[0] for image in (*splits["train"].images, *splits["valid"].images)} == {train}
    by_name = dict(zip(splits["test"].images, splits["test"].targets.argmax(axis=1), strict=True))
    assert [by_name[f"{valid}/{names[row]}/{valid[0]}{row}.jpg"] for row in range(8)] == list(range(8))
    faces = load_faces(splits["test"], SPEC)
    assert (len(faces), faces.whole_pictures) == (8, 8)
    assert len(open_data(f"affectnet:{tmp_path},classes=8", "train")) == 43  # the poster's 90 % of all


def test_another_layout_is_refused_with_what_was_found(tmp_path):
    (tmp_path / "stuff").mkdir()
    with pytest.raises(DataError, match=r"one folder per class.*found: stuff"):
        open_data(f"affectnet:{tmp_path}", "train")
    for split in ("train", "val", "test"):
        (tmp_path / split / "0").mkdir(parents=True)
    with pytest.raises(DataError, match="AffectNet has only two"):
        open_data(f"affectnet:{tmp_path}", "train")


def test_a_label_with_a_decimal_point_is_read(tmp_path):
    make_affectnet(tmp_path, 22)
    path = tmp_path / "training.csv"
    before = open_data(f"affectnet:{tmp_path}", "train").targets
    lines = [line.replace(",-2,-2", ".0,-2,-2") for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    data = open_data(f"affectnet:{tmp_path}", "train")
    assert not data.skipped
    assert np.array_equal(data.targets, before)
