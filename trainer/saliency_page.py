"""Grad-CAM pages: heat maps of correct and wrong predictions (Selvaraju et al., 2017).

`edgeemo-train saliency` calls it.
"""

from __future__ import annotations

import base64
import html
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from engines.metrics import over_expressions
from engines.preprocess import F32, U8, batch
from engines.spec import LABELS, Emotion, ModelSpec
from trainer.data import Dataset
from trainer.data.faces import FaceSet
from trainer.errors import DataError
from trainer.models import Classifier

SHOWN = 112  # pixels of a face on the page


def grad_cam(model: Classifier, faces: Tensor, classes: Tensor) -> F32:
    """Grad-CAM: the evidence of each part of a face for a class.

    Args:
        faces: (N, C, S, S) in 0..255.
        classes: (N,) columns of the logits.

    Returns:
        (N, S, S) in 0..1: 1 at a face's strongest evidence; all 0 if there is no evidence for the class.
    """
    model.eval()
    maps = model.network.features(model.normalise(faces))
    logits = model.network.head(maps)
    chosen = logits.gather(1, classes[:, None]).sum()
    (slope,) = torch.autograd.grad(chosen, maps)
    evidence = (slope.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True).relu().detach()
    size = (faces.shape[2], faces.shape[3])
    large = functional.interpolate(evidence, size=size, mode="bilinear", align_corners=False)[:, 0]
    strongest = large.amax(dim=(1, 2), keepdim=True)
    return np.asarray((large / strongest.clamp_min(1e-12)).numpy(), np.float32)


def overlay(face: U8, heat: F32) -> U8:
    """(S, S, C) crop and (S, S) heat in 0..1 -> (SHOWN, SHOWN, 3) BGR with the heat map in colour."""
    grey = face[:, :, 0] if face.shape[2] == 1 else cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    base = cv2.cvtColor(cv2.resize(grey, (SHOWN, SHOWN), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)
    warm = cv2.resize(heat, (SHOWN, SHOWN), interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap((255 * warm).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = 0.6 * warm[:, :, None]
    return np.asarray(base * (1 - share) + colours * share, np.uint8)


def choose(
    predictions: F32, truth: npt.NDArray[np.int64], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Up to `count` correct and `count` wrong rows: the most confident ones, alternating between true classes."""
    guess, confidence = predictions.argmax(axis=1), predictions.max(axis=1)
    chosen = []
    for wanted in (guess == truth, guess != truth):
        by_class = [
            sorted(np.flatnonzero(wanted & (truth == one)), key=lambda row: -confidence[row])
            for one in range(predictions.shape[1])
        ]
        turns = [rows[turn] for turn in range(max(map(len, by_class))) for rows in by_class if turn < len(rows)]
        chosen.append(np.sort(np.array(turns[:count], np.int64)))
    return chosen[0], chosen[1]


def write_page(
    model: Classifier, spec: ModelSpec, data: Dataset, faces: FaceSet, path: Path, *, count: int = 24
) -> None:
    """Write one HTML file with embedded pictures: `count` correct and `count` wrong predictions of scored faces.

    Raises:
        DataError: no face is scored, or the file cannot be written.
    """
    rows = np.flatnonzero(faces.scored)
    if not len(rows):
        raise DataError(f"the protocol of {data.name} scores no picture of {data.split}")
    probabilities = np.concatenate(
        [
            _probabilities(model, [faces.faces[row] for row in rows[start : start + 64]], spec)
            for start in range(0, len(rows), 64)
        ]
    )
    predictions = over_expressions(probabilities, spec.labels, faces.classes)
    columns = np.array([LABELS.index(name) for name in faces.classes])
    truth = faces.targets[rows][:, columns].argmax(axis=1)
    right, wrong = choose(predictions, truth, count)
    accuracy = float((predictions.argmax(axis=1) == truth).mean())
    sections = []
    for title, chosen in (("Right", right), ("Wrong", wrong)):
        figures = [
            _figure(
                model,
                spec,
                faces.faces[rows[row]],
                data.images[faces.rows[rows[row]]],
                predictions[row],
                truth[row],
                faces.classes,
            )
            for row in chosen
        ]
        sections.append(f"<h2>{title}</h2><div class=row>{''.join(figures) or '<p>none</p>'}</div>")
    title = f"Where {html.escape(spec.name)} looks"
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>Grad-CAM on {html.escape(data.name)} {data.split}, {len(rows)} faces, {accuracy:.1%} "
        "correct. Bright parts are evidence for the class under the picture. They show what the network used, not why "
        f"a person looks that way.</p>{''.join(sections)}</html>\n"
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2em;max-width:80em}.row{display:flex;flex-wrap:wrap;gap:1em}"
    "figure{margin:0;padding:.5em;border:1px solid #ccc;border-radius:6px}figcaption{font-size:12px;max-width:24em}"
    "img{display:inline-block;margin-right:4px}"
)


@torch.no_grad()
def _probabilities(model: Classifier, crops: list[U8], spec: ModelSpec) -> F32:
    return np.asarray(model.eval()(torch.from_numpy(batch(crops, spec))).numpy(), np.float32)


def _figure(
    model: Classifier, spec: ModelSpec, face: U8, name: str, answer: F32, truth: int, classes: tuple[str, ...]
) -> str:
    guess = int(answer.argmax())
    shown = [guess] if guess == truth else [guess, int(truth)]
    columns = torch.tensor([spec.labels.index(classes[one]) for one in shown])
    images = torch.from_numpy(batch([face] * len(shown), spec))
    heats = grad_cam(model, images, columns)
    pictures = [overlay(face, np.zeros_like(heats[0])), *(overlay(face, heat) for heat in heats)]
    names = ["", *(Emotion.of(classes[one]).display for one in shown)]
    cells = "".join(
        f'<img src="{_encoded(one)}" width={SHOWN} alt="{html.escape(two)}">'
        for one, two in zip(pictures, names, strict=True)
    )
    said = f"{names[1]} {answer[guess]:.0%}"
    if guess != truth:
        said += f" (left), true class {names[2]} {answer[truth]:.0%} (right)"
    return f"<figure>{cells}<figcaption>{html.escape(said)}<br>{html.escape(name)}</figcaption></figure>"


def _encoded(image: U8) -> str:
    done, encoded = cv2.imencode(".png", image)
    assert done
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()
