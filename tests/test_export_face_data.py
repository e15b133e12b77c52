"""Faces for comparison: from pictures, zips, files of crops and the trainer's data sets."""

import zipfile

import cv2
import numpy as np
import pytest
from datasets import make_ferplus

from engines import EXPRESSIONS, ModelSpec
from engines.export.errors import ExportError
from engines.export.face_data import PORTRAIT, FaceData, load_faces, portrait

SPEC = ModelSpec("small", size=32)


@pytest.fixture
def pictures(tmp_path):
    """Three faces and one picture without any, in folders named after expressions."""
    face = cv2.imread(str(PORTRAIT))
    folder = tmp_path / "people"
    for name, image in {
        "happiness/one.jpg": face,
        "happiness/two.png": face[:, ::-1].copy(),
        "others/three.png": face,
        "anger/empty.png": np.full_like(face, 127),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), image)
    (folder / "notes.txt").write_text("no picture")
    return folder


def zipped(folder):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for item in sorted(folder.rglob("*")):
            if item.is_file():
                archive.write(item, item.relative_to(folder.parent).as_posix())
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_faces_are_cut_and_labelled_by_their_folders(pictures, packed):
    data = load_faces(str(zipped(pictures) if packed else pictures), SPEC)
    assert data.faces.shape == (3, 32, 32, 1)
    assert data.pictures == 4
    assert sorted(data.truth.tolist()) == [-1, EXPRESSIONS.index("happiness"), EXPRESSIONS.index("happiness")]
    assert data.labelled == 2


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_of_labels_goes_before_folders(pictures, packed):
    (pictures / "labels.csv").write_text(
        "image,emotion,x\nhappiness/one.jpg,surprise,1\nthree.png,fear,2\ntwo.png,?,3\n"
    )
    data = load_faces(str(zipped(pictures) if packed else pictures), SPEC)
    assert sorted(data.truth.tolist()) == sorted(EXPRESSIONS.index(name) for name in ("surprise", "fear", "happiness"))


def test_a_table_labels_only_pictures_of_its_own_folder(tmp_path):
    face = cv2.imread(str(PORTRAIT))
    for name, table in (("a", "one.jpg,happiness\n"), ("a/b", "one.jpg,anger\n"), ("c", "one.jpg,fear\n"), ("d", "")):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "one.jpg"), face)
        if table:
            (tmp_path / name / "labels.csv").write_text(f"image,emotion\n{table}")
    truth = load_faces(str(tmp_path), SPEC).truth.tolist()
    assert truth == [EXPRESSIONS.index("anger"), EXPRESSIONS.index("happiness"), EXPRESSIONS.index("fear"), -1]


def test_a_limit_looks_at_that_many_pictures(pictures):
    assert load_faces(str(pictures), SPEC, limit=2).pictures == 2


def test_a_table_without_the_columns_is_one_line(pictures):
    (pictures / "labels.csv").write_text("file,label\na,b\n")
    with pytest.raises(ExportError, match="columns image and emotion"):
        load_faces(str(pictures), SPEC)


def test_a_picture_that_claims_to_be_huge_is_left_out(pictures):
    picture = cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    (pictures / "huge.bmp").write_bytes(picture[:18] + (60_000).to_bytes(4, "little") * 2 + picture[26:])
    assert len(load_faces(str(pictures), SPEC)) == 3


def test_a_picture_that_cannot_be_decoded_is_left_out(pictures):
    (pictures / "others" / "broken.png").write_bytes(b"\x89PNG broken")
    (pictures / "others" / "empty.jpg").write_bytes(b"")
    assert len(load_faces(str(pictures), SPEC)) == 3


def test_pictures_without_a_face_are_an_error(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 64, 3), 127, np.uint8))
    with pytest.raises(ExportError, match="no face was found in the 1 pictures"):
        load_faces(str(tmp_path), SPEC)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path / "nowhere", "no faces at"),
        (lambda path: path, "holds no pictures"),
        (lambda path: written(path / "broken.zip", b"PK no zip"), "cannot be read as a zip"),
        (lambda path: written(path / "broken.npz", b"no npz"), "holds no face crops"),
    ],
)
def test_what_holds_no_faces_is_one_line(tmp_path, make, said):
    with pytest.raises(ExportError, match=said) as error:
        load_faces(str(make(tmp_path)), SPEC)
    assert "\n" not in str(error.value)


def written(path, content):
    path.write_bytes(content)
    return path


def test_cut_faces_are_read_and_must_fit(tmp_path):
    faces = np.zeros((6, 32, 32, 1), np.uint8)
    np.savez(tmp_path / "cut.npz", faces=faces, truth=np.array([0, 1, 2, -1, 7, 3]))
    data = load_faces(str(tmp_path / "cut.npz"), SPEC)
    assert data.labelled == 5
    assert len(load_faces(str(tmp_path / "cut.npz"), SPEC, limit=2)) == 2
    with pytest.raises(ExportError, match=r"needs \(N, 48, 48, 1\)"):
        load_faces(str(tmp_path / "cut.npz"), ModelSpec("other", size=48))
    np.savez(tmp_path / "wrong.npz", faces=faces, truth=np.array([0, 1, 2, -1, 8, 3]))
    with pytest.raises(ExportError, match="truth must be"):
        load_faces(str(tmp_path / "wrong.npz"), SPEC)
    np.savez(tmp_path / "pickled.npz", faces=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ExportError, match="holds no face crops"):
        load_faces(str(tmp_path / "pickled.npz"), SPEC)


def test_a_data_set_of_the_trainer_is_cut_by_the_trainer_in_its_own_process(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = make_ferplus(tmp_path / "fer", "FER2013Valid", 10)
    data = load_faces(f"ferplus:{root}", SPEC, limit=4)
    assert data.name == "ferplus valid"
    assert data.faces.shape == (4, 32, 32, 1)
    assert set(data.truth.tolist()) == {EXPRESSIONS.index("happiness"), EXPRESSIONS.index("sadness")}
    assert len(load_faces(f"ferplus:{root}", SPEC)) == 10


@pytest.mark.parametrize("source", ["ferplus:nowhere.zip", "nothing:x.zip"])
def test_what_the_trainer_cannot_read_is_said_in_its_words(source):
    with pytest.raises(ExportError, match=r"no faces from .*(there is no .*nowhere\.zip|nothing)") as error:
        load_faces(source, SPEC)
    assert "\n" not in str(error.value)


def test_without_data_one_real_face_is_varied_and_the_report_can_say_so():
    data = load_faces(None, SPEC)
    assert len(data) == 256
    assert data.labelled == 0
    assert "one portrait" in data.name
    assert len({face.tobytes() for face in data.faces}) == 256
    again = portrait(SPEC)
    assert np.array_equal(data.faces, again.faces)
    assert portrait(ModelSpec("colour", size=40, colour="rgb"), 3).faces.shape == (3, 40, 40, 3)


def test_calibration_and_comparison_never_share_a_face():
    faces = np.arange(40, dtype=np.uint8).reshape(10, 2, 2, 1)
    data = FaceData("x", faces, np.arange(10) % 8, 10)
    for count, size in ((3, 3), (512, 5)):
        first, second = data.halves(count)
        assert len(first) == size
        assert len(first) + len(second) == 10
        assert not {face.tobytes() for face in first.faces} & {face.tobytes() for face in second.faces}


def test_no_faces_at_all_are_a_valid_set():
    empty = FaceData("x", np.zeros((0, 2, 2, 1), np.uint8), np.zeros(0, np.int64), 0)
    assert len(empty) == empty.labelled == len(empty.spread(5)) == 0
    with pytest.raises(ValueError, match="faces must be"):
        FaceData("x", np.zeros((1, 2, 2, 1), np.uint8), np.zeros(0, np.int64), 0)
