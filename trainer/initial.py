"""Initial weights of a run: random, or those of another run or of an engine. `trainer.train` calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.bundle import Bundle, bundle_names, find_bundle
from engines.errors import EngineError
from trainer.config import FitConfig, is_checkpoint
from trainer.errors import RunError
from trainer.models import Classifier, build
from trainer.models.densenet import DenseNet
from trainer.models.hybrid import Hybrid
from trainer.models.hybrid_lite import HybridLite, grow
from trainer.predict import BATCH_CPU
from trainer.runs import find_checkpoint, load_checkpoint

MEASURED_FACES = 1024  # for the statistics of an engine's batch norms
# network -> other networks whose weights it can start from
OTHER_STARTS = {"hybrid_wide": ("hybrid_lite",), "densenet": ("hybrid",), "hybrid": ("densenet",)}


def initial_model(config: FitConfig, faces: Callable[[], Tensor]) -> Classifier:
    """Random weights, or those of `start_from`.

    Args:
        faces: returns training faces (N, C, S, S) in 0..255; called only if `start_from` is an engine, see
            `from_bundle`.

    Raises:
        RunError: `start_from` cannot be read, or its network gives no weights to `config.arch`.
        EngineError: an engine's files are damaged.
    """
    if not config.start_from:
        return build(config.arch)
    place = Path(config.start_from)
    if not is_checkpoint(place) and _is_engine(config.start_from):
        bundle = find_bundle(config.start_from)
        return _adapted(*from_bundle(bundle, config.arch, faces()), config.arch, str(bundle.folder))
    path = find_checkpoint(place)
    return _adapted(*load_checkpoint(path), config.arch, str(path))


def from_bundle(bundle: Bundle, arch: str, faces: Tensor) -> tuple[str, Classifier]:
    """An engine's weights in a network that predicts the same and can be trained.

    The export merged each batch norm into the layer before it. Here the merged weights are kept, and each batch norm
    is set to the identity: its statistics are measured on `faces`, and its scale and shift undo them.

    Args:
        arch: the wanted network. The engine's network is this one or one that `OTHER_STARTS` lists for it.

    Returns:
        Name of the engine's network, and the network.

    Raises:
        RunError: the engine is another network, or ships without FP32 and FP16 weights.
        EngineError: its files are damaged.
    """
    import onnx
    from onnx import numpy_helper

    try:
        content = bundle.at("fp32").read()
    except EngineError as error:
        raise RunError(f"--start-from {bundle.spec.name}: {error}") from error
    arrays = {item.name: numpy_helper.to_array(item) for item in onnx.load_model_from_string(content).graph.initializer}
    weights = {name: torch.tensor(array, dtype=torch.float32) for name, array in arrays.items() if array.ndim}
    for name in (arch, *OTHER_STARTS.get(arch, ())):
        model = build(name)
        if _take_merged(model, weights):
            _measure_norms(model, faces)
            return name, model
    raise RunError(f"--start-from {bundle.spec.name}: the engine is not a {arch} of this trainer, or an ensemble")


def _is_engine(name: str) -> bool:
    return name in bundle_names() or (Path(name) / "spec.json").is_file()


def _adapted(found: str, model: Classifier, arch: str, place: str) -> Classifier:
    """The weights of a network `found` in a network `arch`."""
    if found == arch:
        return model
    target = build(arch)
    if isinstance(model.network, HybridLite) and isinstance(target.network, HybridLite):
        try:
            grow(model.network, target.network)
        except ValueError as error:
            raise RunError(f"{place} is a {found} and does not fit into a {arch}: {error}") from error
        return target
    if isinstance(model.network, DenseNet | Hybrid) and isinstance(target.network, DenseNet | Hybrid):
        target.network.trunk.load_state_dict(model.network.trunk.state_dict())
        return target
    raise RunError(
        f"{place} is a {found}, not a {arch}: --start-from needs the same architecture, a hybrid_lite for a "
        "hybrid_wide, or one of densenet and hybrid for the other"
    )


def _norms(model: nn.Module) -> dict[str, nn.BatchNorm1d | nn.BatchNorm2d]:
    return {name: part for name, part in model.named_modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)}


def _take_merged(model: Classifier, weights: dict[str, Tensor]) -> bool:
    """Copy an engine's weights and make the batch norms the identity; False if the weights do not fit.

    A layer without bias got one by the merge, named LAYER.weight_bias: it becomes the shift of the batch norm that
    follows the layer.
    """
    norms, state = _norms(model), model.state_dict()
    for name in state:
        owner = name.rpartition(".")[0]
        if owner in norms:
            continue
        if name not in weights or weights[name].shape != state[name].shape:
            return False
        state[name] = weights[name]
    model.load_state_dict(state)
    with torch.no_grad():
        for name, norm in norms.items():
            parent, _, position = name.rpartition(".")
            norm.weight.fill_((1 + norm.eps) ** 0.5)
            norm.bias.copy_(weights.get(f"{parent}.{int(position) - 1}.weight_bias", torch.zeros_like(norm.bias)))
    return True


@torch.no_grad()
def _measure_norms(model: Classifier, faces: Tensor) -> None:
    """Give batch norms the statistics of `faces`, and scales and shifts with which they remain the identity."""
    norms = list(_norms(model).values())
    sums: dict[nn.Module, Tensor] = {}  # rows: count, sum and sum of squares of each channel

    def add(norm: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        (values,) = inputs
        axes = [axis for axis in range(values.dim()) if axis != 1]
        total = values.sum(axes, dtype=torch.float64)
        squares = values.square().sum(axes, dtype=torch.float64)
        count = torch.full_like(total, values.numel() / len(total))
        sums[norm] = sums.get(norm, 0) + torch.stack([count, total, squares])

    hooks = [norm.register_forward_hook(add) for norm in norms]
    model.eval()
    for start in range(0, len(faces), BATCH_CPU):
        model.logits(faces[start : start + BATCH_CPU])
    for hook in hooks:
        hook.remove()
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        count, total, squares = sums[norm]
        mean = total / count
        variance = (squares - count * mean.square()) / (count - 1)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.add_(norm.running_mean)
