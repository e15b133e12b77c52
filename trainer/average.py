"""Average the weights of several runs: often more accurate than each run, at the inference cost of one network.

Source: Wortsman et al., "Model soups", 2022. The runs must have started from the same weights.
`edgeemo-train average` calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from trainer.card import list_summaries
from trainer.errors import RunError
from trainer.runs import find_checkpoint, load_checkpoint, save_checkpoint


def average(sources: Sequence[Path], output: Path, shares: Sequence[float] | None = None) -> Path:
    """Write a checkpoint whose weights are the weighted mean of several checkpoints.

    Args:
        sources: run folders (their best epoch) or checkpoints of one architecture and input size; a last.pt gives its
            moving average.
        output: the file to write.
        shares: weight of each, normalised to a sum of 1; default: equal.

    Raises:
        RunError: a checkpoint cannot be read or has another architecture or input size, the number of shares is wrong,
            or the file cannot be written.
    """
    shares = [1.0] * len(sources) if shares is None else list(shares)
    if len(shares) != len(sources) or min(shares) < 0 or sum(shares) <= 0:
        raise RunError(f"{len(sources)} checkpoints need as many shares, each 0 or more and not all 0; got {shares}")
    shares = [share / sum(shares) for share in shares]
    paths = [find_checkpoint(source) for source in sources]
    loaded = [load_checkpoint(path) for path in paths]
    arch, last = loaded[-1]
    size = last.spec.size
    for path, (other, model) in zip(paths, loaded, strict=True):
        if (other, model.spec.size) != (arch, size):
            raise RunError(
                f"{path} is a {other} for {model.spec.size} px, {paths[-1]} a {arch} for {size} px: averaging needs "
                "one architecture and input size"
            )
    states = [model.network.state_dict() for _, model in loaded]
    mean = dict(last.network.state_dict())
    for name, value in mean.items():
        if value.is_floating_point():  # not a batch norm's counter
            mean[name] = torch.stack([share * state[name] for share, state in zip(shares, states, strict=True)]).sum(0)
    about = list_summaries(paths, "Weights averaged:", [f"{share:.0%} of" for share in shares])
    state = {"arch": arch, "size": size, "about": about}
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write {output}: {error.strerror}") from error
    save_checkpoint(state | {"network": mean}, output)
    return output
