"""The losses: cross-entropy with label distributions, class weights, logit adjustment, focal, distillation.

`trainer.train` calls them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engines.spec import LABELS
from trainer.config import LossConfig


class Objective:
    """The loss of a batch; the classes' shares come from all training targets (N, K).

    no_face is excluded from class weights and logit adjustment: its weight is 1, and its logit keeps its distance to
    the average of the others. Its share of the data is arbitrary, because `make_non_faces` adds more.
    """

    def __init__(self, config: LossConfig, targets: Tensor) -> None:
        self._config = config
        nothing = [LABELS.index("no_face")] if targets.shape[1] == len(LABELS) else []
        share = targets.mean(dim=0)
        share[nothing] = 0
        share = share / share.sum().clamp_min(1e-12)
        present = share > 0
        weight = torch.where(present, share.clamp_min(1e-12) ** -config.class_weight, torch.zeros_like(share))
        # the mean weight of a face is 1, so that the learning rate needs no change
        self._weight = weight / (weight * share).sum().clamp_min(1e-12)
        self._weight[nothing] = 1
        log_share = share.clamp_min(1e-6).log()
        self._log_share = log_share - (share * log_share).sum()
        # nor that of absent classes: the network has to learn that they do not occur
        self._log_share[~present] = 0

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(N, K) logits and target distributions -> the mean loss."""
        config = self._config
        logits = logits.float()
        if config.logit_adjustment:
            logits = logits + config.logit_adjustment * self._log_share
        if not config.class_weight and not config.focal:
            return functional.cross_entropy(logits, targets, label_smoothing=config.smoothing)
        targets = targets * (1 - config.smoothing) + config.smoothing / targets.shape[1]
        log_probabilities = logits.log_softmax(dim=1)
        terms = targets * log_probabilities
        if config.class_weight:
            terms = terms * self._weight
        if config.focal:
            # the gradient of a power is infinite at 0
            terms = terms * (1 - log_probabilities.exp()).clamp_min(1e-6) ** config.focal
        return -terms.sum(dim=1).mean()


def soft_target_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's softened prediction from the teacher's (Hinton et al., 2015).

    Args:
        logits: (N, K) of the student.
        teacher: (N, K) probabilities, already softened with the same temperature.
    """
    student = (logits.float() / temperature).log_softmax(dim=1)
    return functional.kl_div(student, teacher, reduction="batchmean") * temperature**2
