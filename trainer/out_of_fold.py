"""Out-of-fold predictions: each run of `fit --folds` predicts the faces that it was not trained on.

`edgeemo-train bundle --out-of-fold` calibrates and scores a run of `fit --all` with them, because that run was trained
on all faces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.metrics import over_expressions, score
from engines.preprocess import F32
from engines.spec import LABELS
from trainer.analysis import calibration
from trainer.data.faces import FaceSet
from trainer.ensemble import load_together
from trainer.errors import RunError
from trainer.evaluate import Evaluation
from trainer.models import Classifier
from trainer.parallel import find_device
from trainer.predict import predict, softmax
from trainer.runs import find_checkpoint, load_config
from trainer.training_data import out_of_fold_faces


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Faces and their logits (N, 11), each from the run that was not trained on the face."""

    logits: F32
    faces: FaceSet

    def evaluation(self, temperature: float) -> Evaluation:
        """Score these predictions; pictures are named by their number."""
        faces = self.faces
        probabilities = softmax(self.logits / np.float32(temperature))
        predictions = over_expressions(probabilities, classes=faces.classes)[faces.scored]
        targets = faces.targets[faces.scored]
        truth = targets[:, [LABELS.index(name) for name in faces.classes]].argmax(axis=1)
        return Evaluation(
            images=tuple(map(str, range(len(faces)))),
            labels=LABELS,
            probabilities=probabilities,
            skipped=0,
            classes=faces.classes,
            scored=faces.scored,
            predictions=predictions,
            truth=truth,
            scores=score(predictions, targets, faces.classes),
            calibration=calibration(predictions, truth, temperature),
            unseen=np.ones(len(truth), bool),
        )


def predict_out_of_fold(
    runs: Sequence[Path], cache: Path, adjust: Callable[[Classifier], None], *, mirror: bool = False
) -> OutOfFold:
    """Predict every face with the run of its fold.

    Args:
        runs: run folders of all folds, in any order.
        adjust: changes each network as the one that is calibrated was changed.
        mirror: predict the mean over the face and its mirror image.

    Raises:
        RunError: they are not one run per fold with the same settings.
        DataError: their data is missing.
    """
    configs = [load_config(run) for run in runs]
    first = configs[0]
    if sorted(config.fold for config in configs) != list(range(1, first.folds + 1)) or not first.folds:
        told = ", ".join(f"{run} is fold {one.fold} of {one.folds}" for run, one in zip(runs, configs, strict=True))
        raise RunError(f"--out-of-fold needs one run per fold of fit --folds K --fold I: {told}")
    if len({(config.data, config.arch, config.sizes, config.folds) for config in configs}) > 1:
        raise RunError("the runs of --out-of-fold differ in data, network, sizes or number of folds")
    device = find_device("auto")
    logits, sets = [], []
    for run, config in zip(runs, configs, strict=True):
        _, _, model = load_together([find_checkpoint(run)], mirror=mirror)
        adjust(model)
        faces = out_of_fold_faces(config, model.spec, cache=cache)
        logits.append(predict(model.to(device), faces, str(device)))
        sets.append(faces)
    together = FaceSet(
        np.concatenate([part.faces for part in sets]),
        np.concatenate([part.rows for part in sets]),
        np.concatenate([part.targets for part in sets]),
        np.concatenate([part.scored for part in sets]),
        sets[0].classes,
    )
    return OutOfFold(np.concatenate(logits), together)
