"""`Engine`: a bundle and the runtime that executes it; faces in a picture -> probabilities.

Called by `edgeemo.stages.classify`, `edgeemo.api`, `trainer.evaluate` and users of the library.
"""

from __future__ import annotations

from types import TracebackType

import numpy as np

from engines.backends import Backend, open_backend
from engines.bundle import find_bundle
from engines.errors import ModelError
from engines.preprocess import F32, U8, batch, crop
from engines.spec import ModelSpec


class Engine:
    """Classifies faces. Use it as a context manager, or call `close()`.

    Attributes:
        fingerprint: `Bundle.fingerprint`; empty if the engine was not opened by `open`.
    """

    def __init__(self, spec: ModelSpec, backend: Backend, fingerprint: str = "") -> None:
        self.spec = spec
        self.fingerprint = fingerprint
        self._backend = backend
        self._closed = False

    @classmethod
    def open(
        cls, name: str, *, backend: str = "onnx", threads: int = 1, allow_modified: bool = False, exact: bool = False
    ) -> Engine:
        """Load a bundle by name or path.

        Args:
            allow_modified: accept files that differ from the manifest.
            exact: see `open_backend`.

        Raises:
            EngineError: there is no such bundle or backend, or a file is wrong.
        """
        bundle = find_bundle(name, allow_modified=allow_modified)
        if bundle.untrained:
            raise ModelError(
                f"{bundle.folder} has random weights, for timing only (scripts/bench-engines); name another engine"
            )
        return cls(bundle.spec, open_backend(backend, bundle, threads=threads, exact=exact), bundle.fingerprint)

    @property
    def description(self) -> str:
        return self._backend.description

    def classify(self, image: U8, boxes: F32, keypoints: F32) -> F32:
        """Crop each face and run all of them in one call.

        Args:
            image: (H, W, 3) BGR.
            boxes: (N, 4) pixels, N >= 0.
            keypoints: (N, 6, 2) pixels.

        Returns:
            (N, K) probabilities in the order of `spec.labels`.
        """
        return self.infer([crop(image, box, points, self.spec) for box, points in zip(boxes, keypoints, strict=True)])

    def infer(self, faces: list[U8]) -> F32:
        """(S, S, C) crops -> (N, K) probabilities; an empty list gives (0, K) without calling the runtime.

        Raises:
            ModelError: the engine is closed, or the runtime failed.
        """
        if self._closed:
            raise ModelError(f"the engine {self.spec.name} is closed; open it again")
        if not faces:
            return np.zeros((0, len(self.spec.labels)), dtype=np.float32)
        return self._backend.infer(batch(faces, self.spec))

    def close(self) -> None:
        """Release the runtime; may be called twice."""
        if not self._closed:
            self._closed = True
            self._backend.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
