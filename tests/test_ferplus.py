import zipfile

import cv2
import numpy as np
import pytest

from engines.spec import LABELS
from trainer.cli import main
from trainer.data import open_data
from trainer.data.ferplus import distributions, majority
from trainer.errors import DataError


def votes(**counts):
    order = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
    return [counts.get(name, 0) for name in order]


@pytest.fixture
def ferplus(tmp_path):
    """Two pictures in FER+'s own layout, and a row whose picture is missing."""
    folder = tmp_path / "ferplus" / "FER2013Valid"
    folder.mkdir(parents=True)
    for name, value in (("fer1.png", 40), ("fer2.png", 90)):
        cv2.imwrite(str(folder / name), np.full((48, 48), value, np.uint8))
    rows = [("fer1.png", votes(sadness=9, fear=1)), ("fer2.png", votes(NF=10)), ("gone.png", votes(anger=10))]
    lines = [f'{name},"(0, 0, 48, 48)",{",".join(map(str, row))}' for name, row in rows]
    (folder / "label.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_votes_become_distributions_in_the_projects_order():
    table = np.array([votes(sadness=6, anger=3, fear=1), votes(NF=10), votes(unknown=10)], np.float32)
    targets = distributions(table)
    assert targets.shape == (3, 11)
    assert targets.sum(axis=1) == pytest.approx(1)
    assert targets[0, LABELS.index("sadness")] == pytest.approx(6 / 9)
    assert targets[0, LABELS.index("anger")] == pytest.approx(3 / 9)
    assert targets[0, LABELS.index("fear")] == 0
    assert targets[1, LABELS.index("no_face")] == 1
    assert targets[2, LABELS.index("uncertain")] == 1


def test_single_votes_stand_where_nothing_else_is_left():
    table = np.array([[1] * 10, [0] * 10], np.float32)
    targets = distributions(table)
    assert np.count_nonzero(targets[0]) == 10
    assert targets[1, LABELS.index("uncertain")] == 1


@pytest.mark.parametrize(
    ("row", "counted"),
    [
        (votes(anger=10), True),
        (votes(anger=5, fear=5), False),
        (votes(anger=5, fear=4, sadness=1), True),  # the single vote is set to 0: 5 of 9
        (votes(unknown=10), False),
        (votes(NF=6, anger=4), False),
        ([1] * 10, False),
    ],
)
def test_the_majority_protocol_is_the_papers(row, counted):
    assert majority(np.array([row], np.float32)).tolist() == [counted]


def test_a_folder_and_a_zip_file_read_alike(ferplus, tmp_path):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted((ferplus / "ferplus").rglob("*.*")):
            archive.write(file, file.relative_to(ferplus))
    for path in (ferplus, ferplus / "ferplus", packed):
        data = open_data(f"ferplus:{path}", "valid")
        assert data.images == ("fer1.png", "fer2.png")
        assert data.scored.tolist() == [True, False]
        assert [int(data.read(row).mean()) for row in range(2)] == [40, 90]


@pytest.mark.parametrize("kind", ["damaged", "encrypted"])
def test_a_zip_file_whose_labels_cannot_be_read_is_one_clear_line(ferplus, tmp_path, kind, capsys):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for item in (ferplus / "ferplus" / "FER2013Valid").iterdir():
            archive.write(item, f"FER2013Valid/{item.name}")
    content = packed.read_bytes()
    if kind == "damaged":
        content = content.replace(b"gone.png", b"lost.png")
    else:  # bit 0 of the general purpose flags, in local headers and in the directory
        content = content.replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01")
        content = content.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    packed.write_bytes(content)
    assert main(["data", "prepare", f"ferplus:{packed}", "--split", "valid", "--cache", str(tmp_path / "cache")]) == 2
    error = capsys.readouterr().err
    assert f"cannot read {packed}: label.csv is damaged or encrypted" in error
    assert error.count("\n") == 1


def test_the_real_set_has_the_counts_of_its_paper(ferplus_zip):
    train, valid = (open_data(f"ferplus:{ferplus_zip}", split) for split in ("train", "valid"))
    assert (len(train), len(valid)) == (28_558, 3_579)
    assert valid.scored.sum() == 3_191
    assert valid.read(0).shape == (48, 48, 3)
    with pytest.raises(DataError, match="FER2013Test"):
        open_data(f"ferplus:{ferplus_zip}", "test")


def test_what_is_no_data_set_is_one_clear_line(ferplus, tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    for spec in ("ferplus", "affect:x", f"ferplus:{tmp_path / 'text.zip'}", f"ferplus:{tmp_path / 'missing'}"):
        with pytest.raises(DataError) as error:
            open_data(spec, "valid")
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="no split 'dev'"):
        open_data(f"ferplus:{ferplus}", "dev")
    with pytest.raises(DataError, match="FER2013Train"):
        open_data(f"ferplus:{ferplus}", "train")


@pytest.mark.parametrize("row", ["1,2,x", "1,2,3,4,5,6,7,8,9,-1", "1,2,3,4,5,6,7,8,9,1e9", ""])
def test_a_malformed_row_is_named_and_skipped(ferplus, row):
    labels = ferplus / "ferplus" / "FER2013Valid" / "label.csv"
    labels.write_text(labels.read_text() + f'fer1.png,"(0, 0, 48, 48)",{row}\n')
    data = open_data(f"ferplus:{ferplus}", "valid")
    assert len(data) == 2
    assert [item.where for item in data.skipped] == [f"FER2013Valid/label.csv, row {number}" for number in (3, 4)]
    assert "missing file gone.png" in data.skipped[0].reason
    assert "ten votes expected" in data.skipped[1].reason


def test_a_damaged_picture_is_named(ferplus):
    (ferplus / "ferplus" / "FER2013Valid" / "fer1.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"fer1\.png"):
        open_data(f"ferplus:{ferplus}", "valid").read(0)
