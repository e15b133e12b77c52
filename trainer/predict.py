"""Predict logits of cached faces with a network. Called by `trainer.train` and `trainer.export`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engines.metrics import Scores, over_expressions, score
from engines.preprocess import F32, U8
from trainer.data.faces import FaceSet
from trainer.models import Classifier

# 256 faces need 14 GB for activations in DenseNet; on a CPU they are no faster than 32
BATCH_CUDA = 256
BATCH_CPU = 32


def predict(model: Classifier, faces: FaceSet, device: str = "cpu") -> F32:
    """(N, K) logits of every face, in float32."""
    return predict_logits(model, faces.faces, torch.device(device), faces.faces.shape[1], "fp32")


@torch.no_grad()
def predict_logits(model: Classifier, faces: U8, device: torch.device, size: int, precision: str) -> F32:
    """(N, S, S, C) faces, resized to `size` -> (N, K) logits; N may be 0."""
    batch = BATCH_CUDA if device.type == "cuda" else BATCH_CPU
    training = model.training
    model.eval()
    parts = []
    # run one batch even without faces, to get the number of columns
    for start in range(0, max(len(faces), 1), batch):
        images = to_input(torch.from_numpy(np.array(faces[start : start + batch])).to(device))
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            parts.append(model.logits(resized(images, size)).float().cpu())
    model.train(training)
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def to_input(faces: Tensor) -> Tensor:
    """(N, S, S, C) uint8 -> (N, C, S, S) float32 in 0..255."""
    return faces.permute(0, 3, 1, 2).float()


def resized(images: Tensor, size: int) -> Tensor:
    """(N, C, S, S) -> (N, C, size, size); downscaling averages the covered pixels."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(images, size=(size, size), mode="area")


def score_logits(logits: F32, faces: FaceSet) -> Scores:
    """Scores over the faces that the data set's protocol scores."""
    probabilities = over_expressions(softmax(logits), classes=faces.classes)
    return score(probabilities[faces.scored], faces.targets[faces.scored], faces.classes)


def softmax(logits: F32) -> F32:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def cross_entropy(logits: F32, targets: F32) -> float:
    """Mean cross-entropy of the faces."""
    return float(-(targets * np.log(np.maximum(softmax(logits), 1e-12))).sum(axis=1).mean())
