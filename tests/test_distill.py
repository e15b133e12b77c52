import json

import numpy as np
import pytest
import torch
from datasets import make_ferplus
from fakes import make_bundle

from engines.layout import UNTRAINED
from engines.spec import LABELS, CropGeometry, ModelSpec
from trainer.cli import main
from trainer.distill import Teachers, fit_input, override_no_face
from trainer.errors import RunError
from trainer.models import build

torch.set_num_threads(1)
STUDENT = ModelSpec("student", size=48, colour="grey")
CPU = torch.device("cpu")


@pytest.fixture
def teacher(tmp_path):
    """A checkpoint with another input size and colour, and random weights."""
    torch.manual_seed(1)
    network = build("baseline64").network
    path = tmp_path / "teacher" / "best.pt"
    path.parent.mkdir()
    torch.save({"arch": "baseline64", "epoch": 1, "accuracy": 0.5, "network": network.state_dict()}, path)
    return path.parent


def test_a_checkpoint_of_another_size_and_colour_teaches(teacher):
    given = Teachers([str(teacher)], STUDENT, 1.0, CPU)(torch.rand(3, 1, 48, 48) * 255)
    assert given.shape == (3, len(LABELS))
    assert given.sum(dim=1).numpy() == pytest.approx(1, abs=1e-5)


def test_an_engine_teaches_by_its_labels_names(tmp_path):
    folder = make_bundle(tmp_path / "engine")
    spec = ModelSpec.load(folder / "spec.json")
    faces = torch.rand(2, spec.channels, spec.size, spec.size) * 255
    given = Teachers([str(folder)], spec, 1.0, CPU)(faces)
    assert given.shape == (2, len(LABELS))
    missing = [column for column, name in enumerate(LABELS) if name not in spec.labels]
    assert float(given[:, missing].sum()) < 1e-4


def test_several_teachers_answer_with_their_mean_and_a_temperature_softens(teacher):
    faces = torch.rand(4, 1, 48, 48) * 255
    one = Teachers([str(teacher)], STUDENT, 1.0, CPU)(faces)
    assert torch.allclose(Teachers([str(teacher)] * 3, STUDENT, 1.0, CPU)(faces), one, atol=1e-6)
    soft = Teachers([str(teacher)], STUDENT, 8.0, CPU)(faces)
    assert (soft.amax(dim=1) < one.amax(dim=1)).all()
    assert torch.equal(soft.argmax(dim=1), one.argmax(dim=1))


def test_drawn_answers_are_of_one_teacher_or_its_mirror_and_seeded(teacher):
    torch.manual_seed(2)
    second = teacher.parent / "second.pt"
    torch.save(
        {"arch": "hybrid_lite", "epoch": 1, "accuracy": 0.5, "network": build("hybrid_lite").network.state_dict()},
        second,
    )
    both = Teachers([str(teacher), str(second)], STUDENT, 2.0, CPU)
    faces = torch.rand(2, 1, 48, 48) * 255
    singles = [
        Teachers([name], STUDENT, 2.0, CPU)(side)
        for name in (str(teacher), str(second))
        for side in (faces, faces.flip(-1))
    ]
    draw = torch.Generator().manual_seed(3)
    given = [both(faces, draw) for _ in range(40)]
    which = [[torch.allclose(answer, single, atol=1e-6) for single in singles].index(True) for answer in given]
    assert set(which) == {0, 1, 2, 3}
    again = torch.Generator().manual_seed(3)
    assert all(torch.equal(both(faces, again), answer) for answer in given)


def test_faces_are_fitted_to_the_teachers_input():
    colour = torch.rand(2, 3, 48, 48) * 255
    grey = fit_input(colour, ModelSpec("g", size=24, colour="grey"))
    assert grey.shape == (2, 1, 24, 24)
    assert float(grey.mean()) == pytest.approx(
        float((colour * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1).mean()), rel=1e-3
    )
    assert fit_input(grey, ModelSpec("c", size=64, colour="rgb")).shape == (2, 3, 64, 64)
    assert fit_input(colour[:0], ModelSpec("c", size=64, colour="rgb")).shape == (0, 3, 64, 64)


def test_a_teacher_that_cuts_faces_in_another_way_is_refused(teacher):
    other = ModelSpec("student", size=48, crop=CropGeometry(scale=1.5))
    with pytest.raises(RunError, match="has another crop geometry"):
        Teachers([str(teacher)], other, 1.0, CPU)


def test_teachers_are_not_asked_about_what_is_no_face():
    answers = torch.eye(11)[[0, 1, 2]]
    targets = torch.zeros(3, 11)
    nothing = LABELS.index("no_face")
    targets[0, 3], targets[1, nothing], targets[2, 4], targets[2, nothing] = 1, 1, 0.75, 0.25
    believed = override_no_face(answers, targets)
    assert torch.equal(believed[:2], torch.eye(11)[[0, nothing]])
    assert believed[2, [2, nothing]].tolist() == [0.75, 0.25]
    assert override_no_face(answers[:0], targets[:0]).shape == (0, 11)


def test_an_engine_with_random_weights_is_no_teacher(tmp_path):
    folder = make_bundle(tmp_path / "timed")
    (folder / UNTRAINED).touch()
    with pytest.raises(RunError, match="has random weights, for timing only"):
        Teachers([str(folder)], STUDENT, 2.0, CPU)


def test_a_student_is_trained_by_a_run_and_the_run_remembers_it(teacher, tmp_path):
    root = make_ferplus(make_ferplus(tmp_path / "set", count=32), "FER2013Valid", 12, seed=1)
    arguments = ["fit", "--network", "hybrid_lite", "--data", f"ferplus:{root}", "--cache", str(tmp_path / "cache")]
    arguments += ["--run", str(tmp_path / "run"), "--epochs", "1", "--batch", "16", "--num-workers", "1"]
    assert main([*arguments, "--teacher", str(teacher), "--teacher-weight", "0.5", "--teacher-draw"]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["teachers"] == [str(teacher)]
    assert config["teacher_draw"] is True
    assert np.isfinite(float((tmp_path / "run" / "metrics.csv").read_text().splitlines()[1].split(",")[2]))
    assert main([*arguments[:-4], "--run", str(tmp_path / "two"), "--teacher", str(tmp_path / "nobody")]) == 2
