"""Distillation teachers: networks or engines whose predictions a network learns beside the labels.

`trainer.train` calls it for `fit --teacher`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from engines.backends import open_backend
from engines.bundle import find_bundle
from engines.spec import LABELS, ModelSpec
from trainer.config import is_checkpoint
from trainer.errors import RunError
from trainer.runs import find_checkpoint, load_checkpoint

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as OpenCV turns colour into grey

Predict = Callable[[Tensor], Tensor]  # faces (N, C, S, S) in 0..255 of its own spec -> probabilities (N, 11)


class Teachers:
    """One or more teachers; they get the student's faces after augmentation and mixing (Beyer et al., 2022).

    A teacher is a run folder, a checkpoint, or an engine's name or folder. Faces are converted to its input size and
    colour; its crop geometry must be the student's.

    With a generator, each call uses one teacher, drawn at random, and mirrors the faces in half of the calls. The loss
    is linear in the prediction. So in expectation the student learns the mean over all teachers, with and without
    mirroring, at the cost of one prediction.

    Raises:
        RunError: a teacher cannot be loaded, has random weights, or was trained with another crop geometry.
        EngineError: a teacher's engine cannot be loaded.
    """

    def __init__(self, names: Sequence[str], student: ModelSpec, temperature: float, device: torch.device) -> None:
        self._temperature = temperature
        self._teachers = [_load(name, device) for name in names]
        for name, (spec, _) in zip(names, self._teachers, strict=True):
            if spec.crop != student.crop:
                raise RunError(
                    f"teacher {name} has another crop geometry ({spec.crop}) than the student ({student.crop})"
                )

    @torch.no_grad()
    def __call__(self, faces: Tensor, draw: torch.Generator | None = None) -> Tensor:
        """Student's input (N, C, S, S) in 0..255 -> the teachers' mean softened probabilities (N, 11).

        Args:
            draw: generator on the faces' device; selects one teacher, and the faces or their mirror images.
        """
        faces, asked = faces.float(), self._teachers
        if draw is not None:
            drawn = int(torch.randint(2 * len(asked), (), generator=draw, device=faces.device))
            asked = [asked[drawn // 2]]
            faces = faces.flip(-1) if drawn % 2 else faces
        total = torch.zeros((len(faces), len(LABELS)), device=faces.device)
        for spec, predict in asked:
            probabilities = predict(fit_input(faces, spec)).float().clamp_min(1e-8)
            # log-probabilities differ from logits by a constant per row, which softmax cancels
            total += (probabilities.log() / self._temperature).softmax(dim=1)
        return total / len(asked)


def override_no_face(teacher_probs: Tensor, targets: Tensor) -> Tensor:
    """Give no_face the share in the teachers' probabilities (N, 11) that it has in the targets (N, 11).

    A teacher that was not trained on non-faces predicts an expression for them.
    """
    nothing = torch.zeros_like(teacher_probs)
    nothing[:, LABELS.index("no_face")] = 1
    share = targets[:, LABELS.index("no_face")].unsqueeze(1)
    return teacher_probs + share * (nothing - teacher_probs)


def fit_input(faces: Tensor, spec: ModelSpec) -> Tensor:
    """Convert faces to the size and colour of `spec`."""
    if faces.shape[1] != spec.channels:
        if spec.channels == 3:
            faces = faces.expand(-1, 3, -1, -1)
        else:
            faces = (faces * faces.new_tensor(GREY).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    if faces.shape[-1] != spec.size:
        size = (spec.size, spec.size)
        faces = functional.interpolate(faces, size=size, mode="bilinear", align_corners=False, antialias=True)
    return faces


def _load(name: str, device: torch.device) -> tuple[ModelSpec, Predict]:
    path = Path(name)
    if is_checkpoint(path):
        _, model = load_checkpoint(find_checkpoint(path))
        return model.spec, model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    bundle = find_bundle(name)
    if bundle.untrained:
        raise RunError(f"teacher {name} has random weights, for timing only")
    backend = open_backend("onnx", bundle, threads=torch.get_num_threads())
    columns = [LABELS.index(label) for label in bundle.spec.labels]

    def predict(faces: Tensor) -> Tensor:
        probabilities = torch.zeros((len(faces), len(LABELS)), device=faces.device)
        probabilities[:, columns] = torch.from_numpy(backend.infer(faces.cpu().numpy())).to(faces.device)
        return probabilities

    return bundle.spec, predict
