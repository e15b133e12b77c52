import numpy as np
import pytest
import torch
from torch.nn import functional

from engines.spec import LABELS
from trainer.augment import augment, mix
from trainer.config import OFF, PRESETS, LossConfig
from trainer.losses import Objective, soft_target_loss


@pytest.fixture
def batch():
    torch.manual_seed(0)
    logits = torch.randn(64, 4)
    targets = functional.one_hot(torch.tensor([0] * 40 + [1] * 16 + [2] * 8), 4).float()
    return logits, targets


def test_without_options_it_is_the_cross_entropy_with_the_votes(batch):
    logits, targets = batch
    soft = 0.7 * targets + 0.1 * targets.flip(1) + 0.2 * targets.roll(1, 1)
    assert torch.equal(Objective(LossConfig(), targets)(logits, soft), functional.cross_entropy(logits, soft))


def test_a_class_weight_of_one_makes_every_class_weigh_the_same(batch):
    logits, targets = batch
    loss = Objective(LossConfig(class_weight=1), targets)(logits, targets)
    each = functional.cross_entropy(logits, targets, reduction="none")
    by_class = [each[targets[:, row] == 1].mean() for row in range(3)]
    assert float(loss) == pytest.approx(float(sum(by_class) / 3), rel=1e-5)


def test_the_long_way_gives_the_same_where_both_apply(batch):
    logits, targets = batch
    smoothed = Objective(LossConfig(smoothing=0.1), targets)(logits, targets)
    almost_unweighted = Objective(LossConfig(smoothing=0.1, class_weight=1e-9), targets[:, :3].roll(0))
    assert float(almost_unweighted(logits[:, :3], targets[:, :3])) == pytest.approx(
        float(Objective(LossConfig(smoothing=0.1), targets[:, :3])(logits[:, :3], targets[:, :3])), rel=1e-4
    )
    assert float(smoothed) > 0


def test_logit_adjustment_favours_rare_classes_after_training(batch):
    targets = batch[1][:, :3]  # without the absent class
    logits = torch.zeros(64, 3, requires_grad=True)
    Objective(LossConfig(logit_adjustment=1), targets)(logits, targets).backward()
    # at the adjusted optimum of equal evidence the gradients over the whole data set cancel
    assert logits.grad.sum(dim=0).abs().max() < 1e-4
    plain = torch.zeros(64, 3, requires_grad=True)
    Objective(LossConfig(), targets)(plain, targets).backward()
    assert plain.grad.sum(dim=0).abs().max() > 0.1


def test_logit_adjustment_lets_the_network_learn_that_a_class_is_absent(batch):
    _, targets = batch
    slopes = []
    for config in (LossConfig(), LossConfig(logit_adjustment=1)):
        logits = torch.zeros(64, 4, requires_grad=True)
        Objective(config, targets)(logits, targets).backward()
        slopes.append(float(logits.grad.sum(dim=0)[3]))
    assert slopes[1] > 0.5 * slopes[0] > 0


def test_focal_loss_turns_to_what_is_still_wrong(batch):
    _, targets = batch
    objective = Objective(LossConfig(focal=2), targets)
    sure, unsure = torch.tensor([[8.0, 0, 0, 0]]), torch.tensor([[0.1, 0, 0, 0]])
    first = targets[:1]
    assert float(objective(sure, first)) < 1e-6 * float(functional.cross_entropy(unsure, first))
    certain = torch.tensor([[200.0, 0, 0, 0]], requires_grad=True)
    objective(certain, first).backward()
    assert torch.isfinite(certain.grad).all()


@pytest.mark.parametrize(
    "config", [LossConfig(class_weight=1), LossConfig(logit_adjustment=1), LossConfig(focal=1, smoothing=0.1)]
)
def test_a_class_that_never_occurs_is_harmless(batch, config):
    logits, targets = batch
    logits.requires_grad_()
    loss = Objective(config, targets)(logits, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_a_student_that_answers_like_its_teacher_has_nothing_to_learn():
    logits = torch.randn(5, 4)
    assert float(soft_target_loss(logits, (logits / 3).softmax(dim=1), 3)) == pytest.approx(0, abs=1e-5)
    assert float(soft_target_loss(logits, (-logits / 3).softmax(dim=1), 3)) > 0.01


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0), (0, 1.0), (0.4, 1.0)])
def test_mixed_faces_share_their_targets_as_they_share_their_pixels(mixup, cutmix):
    values = torch.linspace(10, 250, 8)
    faces = values.view(8, 1, 1, 1).expand(8, 1, 20, 20).contiguous()
    targets = torch.eye(8)
    generator = torch.Generator().manual_seed(3)
    for _ in range(10):
        mixed, shared = mix(faces, targets, mixup, cutmix, generator)
        assert torch.allclose(mixed.mean(dim=(1, 2, 3)), shared @ values, atol=1e-2)
        assert torch.allclose(shared.sum(dim=1), torch.ones(8), atol=1e-5)
    assert float(faces[0, 0, 0, 0]) == 10  # the given faces are never written to


def test_without_mixing_nothing_is_drawn():
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    faces, targets = torch.rand(4, 1, 8, 8), torch.eye(4)
    assert mix(faces, targets, 0, 0, generator)[0] is faces
    assert torch.equal(augment(faces, OFF, generator), faces)
    assert torch.equal(generator.get_state(), before)


def test_the_posters_augmentation_flips_and_changes_colours_and_nothing_moves():
    face = torch.zeros(200, 3, 8, 8)
    face[:, :, :, :4] = torch.tensor([200.0, 80.0, 60.0]).view(1, 3, 1, 1)
    changed = augment(face, PRESETS["poster"], torch.Generator().manual_seed(0))
    left = changed[:, :, :, :4].flatten(2).std(dim=2).amax(dim=1)
    assert float(left.max()) < 1e-3  # still uniform: neither blurred, moved, nor noisy
    flipped = changed[:, 0, 0, 0] < changed[:, 0, 0, 7]
    assert 0.35 < float(flipped.float().mean()) < 0.65
    hues = changed[:, 0].amax(dim=(1, 2)) - changed[:, 1].amax(dim=(1, 2))
    assert float(hues.std()) > 3


def test_grey_faces_have_no_colour_to_change():
    colourful = PRESETS["poster"].__class__(**(OFF.__dict__ | {"saturation": 0.9, "hue_degrees": 90.0}))
    grey = torch.rand(5, 1, 8, 8) * 255
    assert torch.equal(augment(grey, colourful, torch.Generator()), grey)
    same = grey.expand(-1, 3, -1, -1).contiguous()
    assert torch.allclose(augment(same, colourful, torch.Generator()), same, atol=0.5)


def test_no_faces_stay_no_faces():
    none = torch.zeros(0, 3, 8, 8)
    assert augment(none, PRESETS["poster"], torch.Generator()).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("votes", [0.0, 0.001, 0.3], ids=["never", "rare", "frequent"])
@pytest.mark.parametrize("config", [LossConfig(class_weight=0.5), LossConfig(logit_adjustment=1.0)])
def test_no_face_takes_no_part_in_class_weights_and_logit_adjustment(config, votes):
    """Non-faces are made during training, so the share of no_face in the data is meaningless."""
    nothing = LABELS.index("no_face")
    share = torch.tensor([0.4, 0.3, 0.1, 0.1, 0.04, 0.03, 0.02, 0.01, 0.0, 0.0, 0.0]) * (1 - votes)
    share[nothing] = votes
    objective, plain = Objective(config, share[None]), Objective(LossConfig(), share[None])
    logits = torch.randn(4, 11, generator=torch.Generator().manual_seed(0))
    target = torch.eye(11)[[nothing] * 4]
    if config.class_weight:
        assert float(objective(logits, target)) == pytest.approx(float(plain(logits, target)), rel=1e-5)
        # the mean weight of a scored face is 1, for any number of non-faces
        expected = share.clone()
        expected[nothing] = 0
        expected /= expected.sum()
        weights = [float(objective(torch.zeros(1, 11), torch.eye(11)[[row]])) / np.log(11) for row in range(11)]
        assert float((expected * torch.tensor(weights)).sum()) == pytest.approx(1, rel=1e-4)
        return
    # the logit of no_face keeps its distance to the average expression
    others = share.clone()
    others[nothing] = 0
    others /= others.sum()
    logs = torch.where(others > 0, others.clamp_min(1e-6).log(), torch.zeros(()))
    shift = torch.where(others > 0, logs - (others * logs).sum(), torch.zeros(()))
    moved = (logits + shift).log_softmax(dim=1)[:, nothing]
    assert float(objective(logits, target)) == pytest.approx(float(-moved.mean()), abs=1e-4)


def test_a_teacher_pulls_as_hard_at_any_temperature(batch):
    """Hinton, Vinyals and Dean (2015): the soft loss is multiplied by T squared, since its gradient falls with it."""
    logits, _ = batch

    def slope(temperature):
        student = (0.01 * logits).requires_grad_()
        soft_target_loss(student, (logits.flip(1) * 0.01 / temperature).softmax(dim=1), temperature).backward()
        return float(student.grad.norm())

    assert slope(4.0) == pytest.approx(slope(1.0), rel=0.01)
