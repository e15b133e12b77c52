"""Adjust a trained network's logits before it is exported: temperature, class frequencies, no_face.

`trainer.export` calls it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from engines.conformal import calibrate
from engines.metrics import fit_temperature, over_expressions
from engines.preprocess import F32
from engines.spec import EXPRESSIONS, LABELS
from trainer.data.faces import FaceSet
from trainer.ensemble import Ensemble
from trainer.errors import DataError
from trainer.models import Classifier
from trainer.predict import softmax


def temperature(logits: F32, faces: FaceSet) -> float:
    """Fit the temperature on the scored faces with their majority class as truth, over the protocol's classes.

    Args:
        logits: (N, 11) of the faces.

    Raises:
        DataError: the protocol scores none of them.
    """
    if not faces.scored.any():
        raise DataError("the data set's protocol scores no picture: the temperature cannot be fitted")
    columns = [LABELS.index(name) for name in faces.classes]
    truth = np.eye(len(columns), dtype=np.float32)[faces.targets[faces.scored][:, columns].argmax(axis=1)]
    return round(fit_temperature(logits[faces.scored][:, columns], truth), 4)


def set_threshold(logits: F32, faces: FaceSet, temperature: float) -> float:
    """The threshold of 95 % sets (`engines.conformal`), on the scored faces that show an expression.

    Args:
        logits: (N, 11) of the faces.
    """
    columns = [LABELS.index(name) for name in faces.classes]
    truth = np.array([columns[best] for best in faces.targets[:, columns].argmax(axis=1)], np.int64)
    rows = faces.scored & (truth < len(EXPRESSIONS))
    return calibrate(over_expressions(softmax(logits[rows] / np.float32(temperature))), truth[rows])


def adjust_logits(model: Classifier, targets: F32, amount: float) -> None:
    """Subtract `amount` times the logarithm of each expression's share of the training data from its logit.

    0 changes nothing; 1 predicts as if all expressions were equally frequent (Menon et al., 2021).

    Args:
        targets: (N, 11) of the training data.
    """
    if not amount:
        return
    columns = [LABELS.index(name) for name in EXPRESSIONS]
    share = targets.mean(axis=0)[columns]
    # absent classes are not changed; the mean logit keeps its distance to the other classes
    logs = np.where(share > 0, np.log(np.maximum(share, 1e-12)), 0.0)
    _subtract(model, columns, amount * (logs - (logs * share).sum() / share.sum()))


def subtract_no_face_margin(model: Classifier, margin: float) -> None:
    """Subtract `margin` from the no_face logit.

    Non-faces are rarer among detections than in training, and rejecting a real face is worse than an uncertain label
    on a false detection.
    """
    _subtract(model, [LABELS.index("no_face")], np.array([margin]))


def _subtract(model: Classifier, columns: Sequence[int], amounts: npt.NDArray[np.floating]) -> None:
    members = model.network.members if isinstance(model.network, Ensemble) else [model.network]
    for member in members:
        last = [layer for layer in member.modules() if isinstance(layer, torch.nn.Linear)][-1]
        with torch.no_grad():
            last.bias[list(columns)] -= torch.from_numpy(amounts).to(last.bias.dtype)
