import base64
import re

import cv2
import numpy as np
import pytest
import torch
from datasets import make_ferplus

from trainer.cli import main
from trainer.models import ARCHITECTURES, build
from trainer.saliency import choose, grad_cam, overlay

torch.set_num_threads(1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_says_where_it_looks(name):
    spec = ARCHITECTURES[name].spec
    faces = torch.rand(2, spec.channels, spec.size, spec.size) * 255
    heat = grad_cam(build(name), faces, torch.tensor([0, 3]))
    assert heat.shape == (2, spec.size, spec.size)
    assert heat.min() >= 0
    assert heat.max() <= 1 + 1e-6
    assert grad_cam(build("hybrid_lite"), torch.zeros(0, 1, 48, 48), torch.zeros(0, dtype=torch.int64)).shape[0] == 0


class LooksAtOneCorner(torch.nn.Module):
    def normalise(self, faces):
        return faces

    @property
    def network(self):
        return self

    def features(self, faces):
        return torch.nn.functional.avg_pool2d(faces, 4).requires_grad_()

    def head(self, maps):
        corner = maps[:, 0, :2, :2].sum(dim=(1, 2))
        return torch.stack([corner, -corner], dim=1)


def test_the_evidence_lies_where_the_picture_spoke():
    face = torch.zeros(1, 1, 32, 32)
    face[:, :, :8, :8] = 200
    heat = grad_cam(LooksAtOneCorner(), face, torch.tensor([0]))[0]
    assert heat[:8, :8].mean() > 0.6
    assert heat[16:, 16:].max() < 0.01
    assert grad_cam(LooksAtOneCorner(), face, torch.tensor([1])).max() == 0


def test_the_surest_of_each_class_are_chosen_in_turn():
    answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    truth = np.array([0, 0, 1, 1])
    right, wrong = choose(answers, truth, 2)
    assert right.tolist() == [0, 2]
    assert wrong.tolist() == [3]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_overlay_is_a_picture(channels):
    shown = overlay(np.full((48, 48, channels), 90, np.uint8), np.zeros((48, 48), np.float32))
    assert shown.shape == (112, 112, 3)
    assert (shown == 90).all()


def test_the_page_shows_right_and_wrong_answers(tmp_path):
    root = make_ferplus(tmp_path / "set", "FER2013Valid", 12)
    torch.manual_seed(0)
    state = {"arch": "hybrid_lite", "epoch": 1, "accuracy": 0.5, "network": build("hybrid_lite").network.state_dict()}
    torch.save(state, tmp_path / "best.pt")
    page = tmp_path / "page.html"
    arguments = ["saliency", str(tmp_path), "--data", f"ferplus:{root}", "--cache", str(tmp_path / "cache")]
    assert main([*arguments, "--output", str(page), "--count", "4"]) == 0
    content = page.read_text()
    assert "<h2>Right</h2>" in content
    assert "<h2>Wrong</h2>" in content
    pictures = re.findall(r"base64,([^\"]+)", content)
    assert len(pictures) >= 8
    first = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0]), np.uint8), cv2.IMREAD_COLOR)
    assert first.shape == (112, 112, 3)
    assert main([*arguments, "--output", str(tmp_path / "no" / "page.html")]) == 2
