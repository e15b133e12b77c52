"""The scripts that measure the whole program: shapes that are not faces, still faces, a cut."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import numpy as np
import pytest

from edgeemo.config import Config, SmoothConfig
from edgeemo.run.open import open_pipeline
from edgeemo.types import Faces, Frame
from engines.spec import LABELS

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def script(name):
    loader = SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


shapes = script("bench-nonfaces")
stability = script("bench-stability")


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
