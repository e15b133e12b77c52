"""What training minimises: cross-entropy with label distributions, and what lifts rare or hard classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class LossConfig:
    """All off by default.

    Attributes:
        smoothing: share of every target spread evenly over the classes.
        class_weight: classes weigh (1 / their share of the data) to this power; 1 makes all classes weigh the same.
        logit_adjustment: this many times the log of each class's share is added to the logits while training, so that
            the network need not learn the shares (Menon et al., 2021).
        focal: faces weigh (1 - the probability given to their class) to this power (Lin et al., 2017).
    """

    smoothing: float = 0.0
    class_weight: float = 0.0
    logit_adjustment: float = 0.0
    focal: float = 0.0


class Objective:
    """The loss of a batch; the classes' shares come from all training targets (N, K)."""

    def __init__(self, config: LossConfig, targets: Tensor) -> None:
        self._config = config
        share = targets.mean(dim=0)
        present = share > 0
        weight = torch.where(present, share.clamp_min(1e-12) ** -config.class_weight, torch.zeros_like(share))
        # one face weighs 1 on average, so that the learning rate keeps its meaning
        self._weight = weight / (weight * share).sum()
        self._log_share = share.clamp_min(1e-6).log()

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
            # a power of exactly 0 has an infinite slope
            terms = terms * (1 - log_probabilities.exp()).clamp_min(1e-6) ** config.focal
        return -terms.sum(dim=1).mean()


def soft_target_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's softened answer from the teacher's (Hinton et al., 2015).

    Args:
        logits: (N, K) of the student.
        teacher: (N, K) probabilities, already softened with the same temperature.
    """
    student = (logits.float() / temperature).log_softmax(dim=1)
    return functional.kl_div(student, teacher, reduction="batchmean") * temperature**2
