"""Build TensorRT plans on this device, or show those that fit. Called by `engines.export.cli`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engines.backends import install_hint
from engines.bundle import Bundle
from engines.errors import BackendUnavailable
from engines.layout import ZOO

if TYPE_CHECKING:
    from engines.export.face_data import FaceData
    from engines.export.plan_builder import PlanOptions


def expect_tensorrt(bundle: Bundle, precisions: list[str]) -> None:
    """Raises: BackendUnavailable: TensorRT or a GPU is missing; the message says what to run on the device."""
    try:
        from engines.backends import tensorrt
    except ImportError as error:
        flags = " ".join(f"--{name.replace('_', '-')}" for name in precisions)
        chosen = f"--arch {bundle.folder.name}" if bundle.folder.parent == ZOO else f"--bundle {bundle.folder.name}"
        raise BackendUnavailable(
            "tensorrt",
            hint=f"{install_hint('tensorrt')} ({error}). Here, omit --backend, which makes the ONNX file; "
            f"then run on the device: edgeemo-export {chosen} {flags} --backend tensorrt",
        ) from error
    tensorrt.expect_usable()


def tensorrt_usable() -> bool:
    from engines.backends.autoselect import backend_fault

    return not backend_fault("tensorrt")


def show_plan(bundle: Bundle) -> bool:
    """Print the plan that fits this device, with its stored parity; False if there is none.

    Args:
        bundle: at the plan's precision.
    """
    from engines.backends import tensorrt
    from engines.backends.cuda import CudaRuntime
    from engines.backends.plans import find_plan

    plan, _ = find_plan(bundle, tensorrt.here(CudaRuntime()), bundle.precision.lower())
    if plan is None:
        return False
    faces, stress = (plan.manifest.report.get(key) or {} for key in ("faces", "stress"))
    largest = max(faces.get("largest", 0.0), stress.get("largest", 0.0))
    print(f"{plan.path}: accepted on this device")
    print(
        f"  same top class {faces.get('top1', 0.0):.2%} on {plan.manifest.report.get('data')}, largest difference of a "
        f"probability {largest:.2g}, {plan.manifest.half_layers} of {plan.manifest.layers} layers in half precision"
    )
    return True


def build(
    bundle: Bundle, data: FaceData, options: PlanOptions, *, threads: int, progress: str, say: Callable[[str], None]
) -> bool:
    """Build one plan and print the result.

    Args:
        bundle: at the plan's precision.
        progress: "bar" or "json".

    Returns:
        Whether it passed.
    """
    from engines.backends import tensorrt
    from engines.backends.cuda import CudaRuntime
    from engines.export.plan_exporter import PlanExporter

    job = PlanExporter(tensorrt.module(), CudaRuntime(), bundle, data, options, threads=threads, say=say)
    with progress_shown(progress) as shown:
        report, path = job.run(shown)
    print(f"{'published' if report.accepted else 'OUT OF BUDGET, renamed'}: {path}")
    return report.accepted


@contextmanager
def progress_shown(kind: str) -> Iterator[Callable[[float, float | None], bool]]:
    """A progress bar, or lines of JSON for the program that waits for the plan."""
    if kind == "json":

        def tell(done: float, left: float | None) -> bool:
            print(json.dumps({"fraction": round(done, 4), "seconds_left": left and round(left, 1)}), flush=True)
            return True

        yield tell
        return
    from tqdm import tqdm

    with tqdm(total=100, desc="building", unit="%", disable=None, leave=False) as bar:

        def show(done: float, left: float | None) -> bool:
            bar.n = round(done * 100, 1)
            bar.refresh()
            return True

        yield show
