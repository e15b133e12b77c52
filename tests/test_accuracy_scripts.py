"""The scripts that measure the whole program: shapes that are not faces, still faces, a cut."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import numpy as np
import pytest

import edgeemo
from edgeemo.config import Config, SmoothConfig
from edgeemo.run.open import open_pipeline
from edgeemo.types import Faces, Frame
from engines.spec import EXPRESSIONS, LABELS

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def script(name):
    loader = SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


shapes = script("bench-nonfaces")
stability = script("bench-stability")
alternatives = script("bench-alternatives")


@pytest.fixture(scope="module")
def pipeline():
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield open_pipeline(Config(), stack)[0]


@pytest.mark.parametrize("name", ["dots and a line", "house fronts", "noise", "textures"])
def test_a_shape_without_a_face_is_given_no_expression(pipeline, name):
    random = np.random.default_rng(1)
    for number in range(4):
        result = pipeline.step(Frame(shapes.SHAPES[name](random), number, 0.0, name, still=True))
        assert [shapes.verdict(result, row) for row in range(len(result.faces))] in ([], ["unsure"], ["no_face"])


def clip(courses, fps=30):
    faces = Faces(
        np.zeros((1, 4), np.float32), np.zeros((1, 6, 2), np.float32), np.ones(1, np.float32), np.ones(1, np.int64)
    )
    seen = []
    for label, seconds in courses:
        values = np.full((1, len(LABELS)), 0.02, np.float32)
        values[0, LABELS.index(label)] = 0.8
        for _ in range(round(seconds * fps)):
            seen.append(stability.Seen(len(seen) / fps, faces, values))
    return seen


def test_an_even_course_has_no_changes_and_a_cut_has_one_within_300_ms():
    still = stability.shown(clip([("neutral", 3)]), LABELS, SmoothConfig())
    assert stability.changes(still) == 0
    cut = clip([("neutral", stability.BEFORE_S), ("happiness", stability.AFTER_S)])
    assert stability.changes(stability.shown(cut, LABELS, SmoothConfig())) == 1
    assert 0 < stability.delay_ms(cut, LABELS, SmoothConfig()) < stability.WANTED_MS


def test_without_a_face_there_is_nothing_to_change():
    empty = [stability.Seen(n / 30, Faces.none(), np.zeros((0, len(LABELS)), np.float32)) for n in range(90)]
    assert stability.changes(stability.shown(empty, LABELS, SmoothConfig())) == 0
    assert stability.delay_ms(empty, LABELS, SmoothConfig()) is None


def test_a_program_is_judged_by_its_largest_face_and_a_missed_face_is_wrong(tmp_path, pictures_of_clip, capsys):
    picture = pictures_of_clip[0]
    for name, image in (("1", picture), ("2", np.full((64, 64, 3), 90, np.uint8))):
        alternatives.write_picture(image, tmp_path, name)
    raw = (tmp_path / "1.rgb").read_bytes()
    assert np.frombuffer(raw[:8], "<u4").tolist() == list(picture.shape[:2])
    assert np.array_equal(np.frombuffer(raw[8:], np.uint8).reshape(picture.shape), picture[..., ::-1])
    faces = edgeemo.recognise(picture)
    largest = max(faces, key=lambda face: (face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))
    found = alternatives.by_edgeemo(tmp_path, "hybrid_lite")
    assert found == [largest.emotion, ""]
    alternatives.print_table("test", np.array([largest.emotion, "neutral"]), {"edgeemo": found, "none": ["", ""]})
    cells = [line.split("|") for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert [(row[1].strip(), row[2].split()[0], row[4].strip()) for row in cells] == [
        ("edgeemo", "50.0%", "1"),
        ("none", "0.0%", "2"),
    ]


def test_the_other_programs_expressions_are_ours():
    assert set(alternatives.OURS.values()) == set(EXPRESSIONS) - {"contempt"}


def test_missing_data_ends_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench-alternatives", "--data", f"folder:{tmp_path / 'nowhere'}"])
    assert alternatives.main() == 2
    assert capsys.readouterr().err.startswith("bench-alternatives: ")
