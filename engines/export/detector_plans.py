"""Build the TensorRT plans of the two networks that find faces on this device. Called by `engines.export.cli`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from engines.backends.cuda import Cuda
from engines.backends.face_network import FaceModel, FaceNetwork, OrtFaceNetwork, TensorRtFaceNetwork, tensorrt_backend
from engines.backends.plans import Device, find_plan
from engines.backends.tensorrt_runtime import PlanNetwork
from engines.export.face_data import PORTRAIT
from engines.export.plan_builder import Built, PlanOptions
from engines.export.plan_command import progress_shown
from engines.export.plan_exporter import Workshop
from engines.face_detector import NAMES, face_model
from engines.files import read_file
from engines.model_file import read_model
from engines.preprocess import F32, U8

PICTURES = 32
LARGEST_SCORE, LARGEST_PX = 0.01, 0.5  # greatest accepted differences from ONNX Runtime
FACE_SCORE = 0.2  # boxes and keypoints of anchors below this score are not used and not compared


@dataclass(frozen=True)
class Difference:
    """Largest differences of a plan from ONNX Runtime: of a score, and of a box or keypoint in pixels of the input."""

    score: float
    pixels: float

    @property
    def accepted(self) -> bool:
        return self.score <= LARGEST_SCORE and self.pixels <= LARGEST_PX

    def to_mapping(self) -> dict[str, Any]:
        return {"accepted": self.accepted, "score": self.score, "pixels": self.pixels}


def build_detectors(*, force: bool = False, progress: str = "bar", say: Callable[[str], None] = print) -> bool:
    """Build both plans, unless they exist and fit this device.

    Args:
        progress: "bar" or "json".

    Returns:
        Whether both are accepted.

    Raises:
        EngineError: TensorRT or a GPU is missing, or a plan cannot be built.
    """
    from engines.backends.cuda import CudaRuntime

    api, cuda = tensorrt_backend().module(), CudaRuntime()
    accepted = [build_detector(api, cuda, face_model(name), force=force, progress=progress, say=say) for name in NAMES]
    return all(accepted)


def build_detector(
    api: Any, cuda: Cuda, model: FaceModel, *, force: bool, progress: str, say: Callable[[str], None]
) -> bool:
    workshop = Workshop(api, cuda, say)
    plan, _ = find_plan(model, workshop.device, "fp32")
    if plan is not None and not force:
        say(f"{plan.path}: accepted on this device")
        return True

    def compare(built: Built, device: Device) -> Difference:
        network = PlanNetwork(api, cuda, built.plan, model.signature, description=f"TensorRT {device.tensorrt}")
        cpu = OrtFaceNetwork(model.model)
        with closing(TensorRtFaceNetwork(network, cpu, model)) as candidate:
            found = difference(cpu, candidate, model.input_px)
        say(f"  largest difference of a score {found.score:.2g}, of a point {found.pixels:.2g} pixels")
        return found

    options = PlanOptions("fp32", (1, 1, 1))
    with progress_shown(progress) as shown:
        report, path = workshop.make(model, read_model(model.model), model.signature, options, compare, shown)
    say(f"{'published' if report.accepted else 'OUT OF BUDGET, renamed'}: {path}")
    return report.accepted


def difference(reference: FaceNetwork, candidate: FaceNetwork, side: int) -> Difference:
    """Compare two networks on portraits of several sizes."""
    score = pixels = 0.0
    for picture in portraits(side):
        (points, logits), (other_points, other_logits) = reference.run(picture[None]), candidate.run(picture[None])
        scores, others = _sigmoid(logits), _sigmoid(other_logits)
        score = max(score, float(np.abs(scores - others).max()))
        pixels = max(pixels, float(np.abs(points - other_points)[scores >= FACE_SCORE].max(initial=0)))
    return Difference(score, pixels)


def portraits(side: int) -> list[U8]:
    """Pictures (side, side, 3) RGB: the shipped portrait in many sizes and places on noise."""
    portrait = np.asarray(cv2.imdecode(np.frombuffer(read_file(PORTRAIT), np.uint8), cv2.IMREAD_COLOR))
    random = np.random.default_rng(0)
    pictures = []
    for share in np.linspace(0.3, 1, PICTURES):
        picture = random.integers(0, 256, (side, side, 3), np.uint8)
        small = cv2.resize(portrait, (round(side * share),) * 2, interpolation=cv2.INTER_AREA)
        y, x = random.integers(0, side - len(small) + 1, 2)
        picture[y : y + len(small), x : x + len(small)] = small[..., ::-1]
        pictures.append(picture)
    return pictures


def _sigmoid(logits: F32) -> F32:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, 80))), np.float32)
