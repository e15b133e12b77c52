import base64
import re

import cv2
import numpy as np
import pytest
import torch
from datasets import make_ferplus

from engines import Engine, find_bundle
from engines.errors import ModelError, SpecError
from engines.layout import MANIFEST, SALIENCY
from engines.model_file import sha256_of
from engines.parity import ParityRecord
from engines.preprocess import batch
from engines.saliency import class_activation, open_maps
from trainer.class_activation import activation_of
from trainer.cli import main
from trainer.data import open_data
from trainer.data.faces import load_faces
from trainer.ensemble import Ensemble
from trainer.export import add_saliency, write_model
from trainer.models import ARCHITECTURES, Classifier, build
from trainer.saliency_page import choose, grad_cam, overlay

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


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """hybrid_lite with random weights as a bundle, and the faces of its check."""
    place = tmp_path_factory.mktemp("pooled")
    torch.manual_seed(3)
    model = build("hybrid_lite").eval()
    spec = ARCHITECTURES["hybrid_lite"].spec
    faces = load_faces(open_data(f"ferplus:{make_ferplus(place / 'set', 'FER2013Valid', 12)}", "valid"), spec, place)
    folder = place / "mine"
    folder.mkdir()
    write_model(model, spec, folder, faces)
    (folder / MANIFEST).unlink()  # the tests change files
    return folder, model, faces


def test_class_activation_is_grad_cam_up_to_its_scale(pooled):
    folder, model, faces = pooled
    bundle = find_bundle(str(folder))
    maps = open_maps(bundle)
    for row, column in ((0, 0), (1, 4), (2, 7)):
        face = faces.faces[row]
        heat = class_activation(maps, bundle.spec, face, column)
        assert heat.shape == (6, 6)
        large = torch.nn.functional.interpolate(
            torch.from_numpy(heat)[None, None], size=(48, 48), mode="bilinear", align_corners=False
        )[0, 0].numpy()
        expected = grad_cam(model, torch.from_numpy(batch([face], bundle.spec)), torch.tensor([column]))[0]
        assert large / max(float(large.max()), 1e-9) == pytest.approx(expected, abs=0.03)
    maps.close()


def test_the_maps_have_small_weights_and_are_hashed_in_the_manifest(pooled):
    folder, *_ = pooled
    assert ParityRecord.load(folder).saliency == sha256_of(folder / SALIENCY)
    assert (folder / SALIENCY).stat().st_size < 0.6 * (folder / "model.onnx").stat().st_size
    with Engine.open(str(folder)) as engine:
        assert engine.infer([np.zeros((48, 48, 1), np.uint8)]).shape == (1, 11)
    assert find_bundle(str(folder)).precisions() == ("fp32",)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_only_a_network_whose_head_is_a_mean_has_class_activation(name):
    made = activation_of(build(name), ARCHITECTURES[name].spec)
    assert (made is not None) == (name in ("hybrid_lite", "hybrid_wide"))


def test_a_mirrored_network_has_no_class_activation():
    spec = ARCHITECTURES["hybrid_lite"].spec
    assert activation_of(Classifier(Ensemble([build("hybrid_lite").network], spec, mirror=True), spec), spec) is None


def copied(folder, target):
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_a_file_that_is_not_the_one_that_was_made_is_refused(pooled, tmp_path):
    mine = copied(pooled[0], tmp_path / "mine")
    (mine / SALIENCY).write_bytes((mine / SALIENCY).read_bytes()[:-5])
    with pytest.raises(ModelError, match="was changed after the bundle was made"):
        open_maps(find_bundle(str(mine)))
    (mine / SALIENCY).unlink()
    assert open_maps(find_bundle(str(mine))) is None


def test_maps_of_another_model_are_refused(pooled, tmp_path):
    mine = copied(pooled[0], tmp_path / "mine")
    ParityRecord("0" * 64, saliency=sha256_of(mine / SALIENCY)).save(mine)
    with pytest.raises(ModelError, match="made for another model"):
        open_maps(find_bundle(str(mine)))


def test_a_hostile_file_with_the_right_hash_is_refused_in_one_line(pooled, tmp_path):
    mine = copied(pooled[0], tmp_path / "mine")
    source = sha256_of(mine / "model.onnx")
    for content, kind in ((b"PK zip", ModelError), (b"\xff" * 99, ModelError), (None, SpecError)):
        # None: a valid model that returns probabilities instead of maps
        (mine / SALIENCY).write_bytes(content or (mine / "model.onnx").read_bytes())
        ParityRecord(source, saliency=sha256_of(mine / SALIENCY)).save(mine)
        bundle = find_bundle(str(mine))
        with pytest.raises(kind) as error:
            class_activation(open_maps(bundle), bundle.spec, np.zeros((48, 48, 1), np.uint8), 0)
        assert "\n" not in str(error.value)


def test_a_manifest_of_before_there_were_maps_is_read(tmp_path):
    ParityRecord("0" * 64).save(tmp_path)
    old = (tmp_path / "parity.json").read_text().replace(',\n  "saliency": ""', "")
    assert "saliency" not in old
    (tmp_path / "parity.json").write_text(old)
    assert ParityRecord.load(tmp_path) == ParityRecord("0" * 64)


def test_what_is_bundled_again_without_a_pooling_head_leaves_no_maps(pooled, tmp_path):
    mine = copied(pooled[0], tmp_path / "mine")
    spec = ARCHITECTURES["resnet64"].spec
    add_saliency(activation_of(build("resnet64"), spec), None, spec, mine, pooled[2])
    assert not (mine / SALIENCY).exists()
    assert open_maps(find_bundle(str(mine))) is None
