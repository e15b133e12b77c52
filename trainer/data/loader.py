"""Batches of faces on the device: from its memory if they fit, else prefetched from the mapped cache.

`trainer.stream` calls it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engines.preprocess import F32, U8

SHARE_OF_DEVICE = 0.4  # share of a GPU's free memory that the faces may take
COPY = 4096  # faces copied to the device at once


class Loader:
    """Faces (N, S, S, C) uint8, in one or several arrays, and targets (N, K), as batches on a device.

    The faces may be memory maps larger than the machine's memory: only prefetched batches are held.
    """

    def __init__(
        self, parts: Sequence[U8], targets: F32, device: torch.device, *, threads: int = 2, ahead: int = 4
    ) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self._shape = parts[0].shape[1:]
        self._device = device
        self._targets = torch.from_numpy(np.ascontiguousarray(targets)).to(device)
        self._threads = threads
        self._ahead = ahead
        self._resident: Tensor | None = None
        size = sum(part.nbytes for part in parts)
        if device.type == "cuda" and size < SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]:
            count = int(self._starts[-1])
            self._resident = torch.empty((count, *self._shape), dtype=torch.uint8, device=device)
            for start in range(0, count, COPY):
                rows = np.arange(start, min(start + COPY, count))
                self._resident[start : start + COPY] = self._read(rows).to(device)

    @property
    def resident(self) -> bool:
        """Whether all faces are in the device's memory, so that an epoch reads nothing from the host."""
        return self._resident is not None

    def batches(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each line of (steps, B) rows: faces (B, S, S, C) uint8 and targets (B, K), in that order."""
        if self._resident is not None:
            for line in rows:
                index = torch.from_numpy(line).to(self._device)
                yield self._resident[index], self._targets[index]
            return
        with ThreadPoolExecutor(self._threads) as pool:
            waiting: deque[Future[Tensor]] = deque()
            try:
                for step in range(len(rows) + self._ahead):
                    if step < len(rows):
                        waiting.append(pool.submit(self._read, rows[step]))
                    if step >= self._ahead:
                        line = torch.from_numpy(rows[step - self._ahead]).to(self._device)
                        faces = waiting.popleft().result()
                        yield faces.to(self._device, non_blocking=True), self._targets[line]
            finally:
                for future in waiting:
                    future.cancel()

    def _read(self, line: npt.NDArray[np.int64]) -> Tensor:
        faces = torch.empty((len(line), *self._shape), dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        if len(self._parts) == 1:
            # mode "clip": `take` writes directly into the buffer and releases the GIL
            np.take(self._parts[0], line, axis=0, out=faces.numpy(), mode="clip")
            return faces
        place = faces.numpy()
        of = np.searchsorted(self._starts, line, side="right") - 1
        for number, part in enumerate(self._parts):
            place[of == number] = part[line[of == number] - self._starts[number]]
        return faces
