import pytest
import torch

from trainer.config import RECIPES
from trainer.models import ARCHITECTURES, build
from trainer.models.cost import multiply_adds

# name: number of parameters, as on the poster, and giga multiply-adds
POSTER = {
    "baseline64": (1_143_307, 0.04),
    "baseline128": (4_289_803, 0.17),
    "resnet64": (2_613_227, 0.13),
    "resnet128": (9_691_115, 0.53),
    "densenet": (22_320_971, 4.96),
    "hybrid": (11_961_579, 7.10),
}


@pytest.mark.parametrize("name", POSTER)
def test_a_poster_network_has_the_posters_count_to_the_last_digit(name):
    model = build(name)
    parameters, operations = POSTER[name]
    assert sum(value.numel() for value in model.parameters()) == parameters
    assert multiply_adds(model, ARCHITECTURES[name].spec) / 1e9 == pytest.approx(operations, abs=0.006)


@pytest.mark.parametrize("name", POSTER)
def test_every_parameter_of_a_poster_network_takes_part(name):
    model = build(name)
    spec = ARCHITECTURES[name].spec
    model.logits(torch.rand(2, spec.channels, spec.size, spec.size) * 255).square().sum().backward()
    assert all(value.grad is not None for value in model.parameters())


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ("densenet", "hybrid")])
def test_no_faces_give_no_logits(name):
    spec = ARCHITECTURES[name].spec
    with torch.no_grad():
        out = build(name).eval()(torch.zeros(0, spec.channels, spec.size, spec.size))
    assert out.shape == (0, 11)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_features_and_head_are_the_whole_network(name):
    spec = ARCHITECTURES[name].spec
    network = build(name).network.eval()
    faces = torch.rand(1, spec.channels, spec.size, spec.size)
    with torch.no_grad():
        maps = network.features(faces)
        assert maps.ndim == 4
        assert torch.equal(network.head(maps), network(faces))


def test_every_row_of_the_posters_table_has_a_recipe():
    printed = [recipe for recipe in RECIPES.values() if recipe.poster is not None]
    assert len(printed) == 7
    assert {recipe.arch for recipe in RECIPES.values()} <= set(ARCHITECTURES)
    assert {recipe.title for recipe in printed if recipe.augment == "poster"} == {
        "Baseline (128, DA)",
        "DenseNet (128, DA)",
    }
