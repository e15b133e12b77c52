"""Compare an exported engine with the FP32 model on the same faces.

`exporter` and `plan_exporter` call `compare`; its report is what parity.json stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from engines.export.errors import ExportError
from engines.export.face_data import I64, FaceData
from engines.metrics import over_expressions, score
from engines.preprocess import F32, U8, batch
from engines.spec import EXPRESSIONS, ModelSpec

BATCH = 32
LATENCY_CALLS, FEWEST_CALLS = 150, 10
LATENCY_S = 20


class Runnable(Protocol):
    """Interface of what is compared; every backend has it."""

    @property
    def description(self) -> str: ...

    def infer(self, faces: F32) -> F32: ...


@dataclass(frozen=True)
class Budget:
    """Limits of a precision; None: no limit.

    Attributes:
        agreement: lowest share of faces with the same top class.
        difference: largest difference of a probability, including stress inputs.
        accuracy_drop_pp: accuracy drop, in percentage points.
        miscalibration: largest increase of the calibration error: INT8 can keep top-1 accuracy and ruin calibration.
    """

    agreement: float | None = None
    difference: float | None = None
    accuracy_drop_pp: float | None = None
    miscalibration: float | None = None


BUDGETS = {
    "fp32": Budget(
        agreement=0.999, difference=0.002
    ),  # FP32 on another runtime, which may round to the 10 bits of TF32
    "fp16": Budget(agreement=0.995, difference=0.02),
    "int8": Budget(accuracy_drop_pp=0.5, miscalibration=0.02),
    "int8_tensorrt": Budget(accuracy_drop_pp=0.5, miscalibration=0.02),
}


@dataclass(frozen=True)
class Agreement:
    """Agreement of two engines' probabilities over `count` inputs.

    Attributes:
        top1: share of inputs with the same top class, 0..1.
        largest, mean: absolute difference of a probability.
        kl_mean, kl_largest: Kullback-Leibler divergence per input.
    """

    count: int
    top1: float
    largest: float
    mean: float
    kl_mean: float
    kl_largest: float


@dataclass(frozen=True)
class Quality:
    """Top-1 accuracy of one engine with its 95 % interval, and its calibration error, all 0..1."""

    accuracy: float
    low: float
    high: float
    calibration_error: float


@dataclass(frozen=True)
class Accuracy:
    """Both engines on the same `count` labelled faces; `accuracy_drop_pp` with its paired 95 % interval."""

    count: int
    reference: Quality
    candidate: Quality
    accuracy_drop_pp: float
    drop_low_pp: float
    drop_high_pp: float


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one face."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Report:
    """Comparison of one engine with the model it was made from.

    Attributes:
        violations: of the budget, in words; empty if accepted.
    """

    precision: str
    reference: str
    candidate: str
    data: str
    faces: Agreement
    stress: Agreement
    accuracy: Accuracy | None
    latency_reference: Latency
    latency_candidate: Latency
    bytes_reference: int
    bytes_candidate: int
    violations: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return not self.violations

    def to_mapping(self) -> dict[str, Any]:
        """The report for parity.json, with figures rounded to their precision."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return {"accepted": self.accepted, **rounded}


def compare(
    reference: Runnable,
    candidate: Runnable,
    *,
    spec: ModelSpec,
    precision: str,
    data: FaceData,
    stress: Sequence[U8],
    sizes: tuple[int, int],
    calls: int = LATENCY_CALLS,
) -> Report:
    """Run both engines on the same faces.

    Args:
        sizes: bytes of the two files.
        calls: for the latency, interleaved between the two engines; 0: not measured.

    Raises:
        ExportError: the reference returns NaN or infinity.
    """
    expected = infer(reference, data.faces, spec, "reference")
    answered = infer(candidate, data.faces, spec, precision)
    expected_stress = infer(reference, stress, spec)
    if not (np.isfinite(expected).all() and np.isfinite(expected_stress).all()):
        raise ExportError(f"{spec.name} itself returns NaN or infinity, so nothing can be compared with it")
    answered_stress = infer(candidate, stress, spec)
    agreement = compare_probs(expected, answered)
    agreement_stress = compare_probs(expected_stress, answered_stress)
    finite = bool(np.isfinite(answered).all() and np.isfinite(answered_stress).all())
    accuracy = side_by_side(expected, answered, data.truth, spec.labels) if finite else None
    latencies = latency([reference, candidate], data.faces[0], spec, calls)
    return Report(
        precision=precision,
        reference=reference.description,
        candidate=candidate.description,
        data=f"{len(data)} faces of {data.name}",
        faces=agreement,
        stress=agreement_stress,
        accuracy=accuracy,
        latency_reference=latencies[0],
        latency_candidate=latencies[1],
        bytes_reference=sizes[0],
        bytes_candidate=sizes[1],
        violations=tuple(violations(BUDGETS[precision], agreement, agreement_stress, accuracy, finite=finite)),
    )


def infer(engine: Runnable, faces: Sequence[U8] | U8, spec: ModelSpec, name: str = "") -> F32:
    """(N, K) probabilities, in batches of different sizes, because some errors only appear at some sizes."""
    parts, start, size = [], 0, 1
    progress = tqdm(total=len(faces), desc=name, unit="face", disable=None if name else True, leave=False)
    while start < len(faces):
        parts.append(engine.infer(batch([faces[row] for row in range(start, min(start + size, len(faces)))], spec)))
        progress.update(len(parts[-1]))
        start += size
        size = min(size + 1, BATCH)
    progress.close()
    return np.concatenate(parts) if parts else np.zeros((0, len(spec.labels)), np.float32)


def compare_probs(expected: F32, answered: F32) -> Agreement:
    """Compare (N, K) with (N, K). A row with NaN never agrees."""
    if not len(expected):
        return Agreement(0, 1.0, 0.0, 0.0, 0.0, 0.0)
    good = np.asarray(np.isfinite(answered.sum(axis=1)))
    filled = np.where(good[:, None], answered, 0)
    difference = np.where(good[:, None], np.abs(filled - expected), 1.0)
    p, q = (np.maximum(side.astype(np.float64), 1e-9) for side in (expected, filled))
    # rounding can make it slightly negative
    divergence = np.maximum((p * np.log(p / q)).sum(axis=1), 0)
    return Agreement(
        count=len(expected),
        top1=float(((expected.argmax(axis=1) == filled.argmax(axis=1)) & good).mean()),
        largest=float(difference.max()),
        mean=float(difference.mean()),
        kl_mean=float(divergence.mean()),
        kl_largest=float(divergence.max()),
    )


def side_by_side(expected: F32, answered: F32, truth: I64, labels: tuple[str, ...]) -> Accuracy | None:
    """Accuracy of both on the labelled faces; None if there are none."""
    rows = np.flatnonzero(truth >= 0)
    if not len(rows):
        return None
    targets = np.eye(len(EXPRESSIONS), dtype=np.float32)[truth[rows]]
    sides = [over_expressions(side[rows], labels) for side in (expected, answered)]
    qualities = []
    for side in sides:
        scores = score(side, targets)
        qualities.append(Quality(scores.accuracy, *scores.interval, scores.calibration_error))
    right = [np.asarray(side.argmax(axis=1) == truth[rows]) for side in sides]
    lost, low, high = paired_drop(right[0], right[1])
    return Accuracy(len(rows), qualities[0], qualities[1], lost, low, high)


def paired_drop(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Accuracy drop in percentage points, with the 95 % interval of a paired difference of shares."""
    count = len(before)
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    loss = (lost - won) / count
    half = 1.96 * float(np.sqrt(max(lost + won - (lost - won) ** 2 / count, 0))) / count
    return loss * 100, (loss - half) * 100, (loss + half) * 100


def latency(engines: Sequence[Runnable], face: U8, spec: ModelSpec, calls: int) -> list[Latency]:
    """Latency for one face, with interleaved calls."""
    if not calls:
        return [Latency(0.0, 0.0, 0.0) for _ in engines]
    one = batch([face], spec)
    began = perf_counter()
    for engine in engines:
        engine.infer(one)
    # fewer calls for a large network, whose timing would take minutes
    calls = int(np.clip(LATENCY_S / max(perf_counter() - began, 1e-9), FEWEST_CALLS, max(calls, FEWEST_CALLS)))
    taken = np.zeros((len(engines), calls))
    for engine in engines:
        for _ in range(5):
            engine.infer(one)
    for call in range(taken.shape[1]):
        for row, engine in enumerate(engines):
            began = perf_counter()
            engine.infer(one)
            taken[row, call] = (perf_counter() - began) * 1e3
    return [Latency(*(float(value) for value in np.percentile(times, (50, 95, 99)))) for times in taken]


def violations(
    budget: Budget, faces: Agreement, stress: Agreement, accuracy: Accuracy | None, *, finite: bool
) -> list[str]:
    """Violations of the budget, in words."""
    found = []
    if not finite:
        found.append("it returns NaN or infinity")
    if budget.agreement is not None and faces.top1 < budget.agreement:
        found.append(f"the top class agrees on {faces.top1:.2%} of the faces (at least {budget.agreement:.1%})")
    largest = max(faces.largest, stress.largest)
    if budget.difference is not None and largest > budget.difference:
        found.append(f"a probability differs by {largest:.4f} (at most {budget.difference:g})")
    if budget.accuracy_drop_pp is not None and finite:
        if accuracy is None:
            found.append("its accuracy is unknown, because no face of the data is labelled")
        elif accuracy.accuracy_drop_pp > budget.accuracy_drop_pp:
            found.append(
                f"its accuracy drops by {accuracy.accuracy_drop_pp:.2f} points (at most {budget.accuracy_drop_pp:g})"
            )
    if budget.miscalibration is not None and accuracy is not None:
        grown = accuracy.candidate.calibration_error - accuracy.reference.calibration_error
        if grown > budget.miscalibration:
            found.append(f"its calibration error grows by {grown:.3f} (at most {budget.miscalibration:g})")
    return found


def as_text(report: Report) -> str:
    """The report as text."""
    lines = [
        f"parity of {report.precision.upper()} on {report.data}",
        f"  reference   {report.reference}, {report.bytes_reference / 1e6:.2f} MB",
        f"  candidate   {report.candidate}, {report.bytes_candidate / 1e6:.2f} MB",
        f"  {'':16}{'inputs':>8}{'same top':>11}{'largest':>11}{'mean':>11}{'KL':>11}{'largest KL':>12}",
    ]
    for name, part in (("faces", report.faces), ("stress inputs", report.stress)):
        lines.append(
            f"  {name:16}{part.count:8d}{part.top1:11.2%}{part.largest:11.2e}{part.mean:11.2e}"
            f"{part.kl_mean:11.2e}{part.kl_largest:12.2e}"
        )
    if report.accuracy is not None:
        scores = report.accuracy
        for name, side in (("reference", scores.reference), ("candidate", scores.candidate)):
            lines.append(
                f"  accuracy of the {name} {side.accuracy:7.2%} (95 % interval {side.low:.2%} to {side.high:.2%}), "
                f"calibration error {side.calibration_error:.4f}"
            )
        lines.append(
            f"accuracy drop {scores.accuracy_drop_pp:+.2f} points (paired 95 % interval {scores.drop_low_pp:+.2f} to "
            f"{scores.drop_high_pp:+.2f}) on {scores.count} labelled faces"
        )
    if report.latency_candidate.p99:
        lines += _latencies(report)
    lines.append("  within budget" if report.accepted else f"  OUT OF BUDGET: {'; '.join(report.violations)}")
    return "\n".join(lines)


def _latencies(report: Report) -> list[str]:
    return [
        f"  latency of the {name}, one face: p50 {times.p50:.2f}, p95 {times.p95:.2f}, p99 {times.p99:.2f} ms"
        for name, times in (("reference", report.latency_reference), ("candidate", report.latency_candidate))
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
