"""Small data sets in the layouts of the real ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def make_ferplus(root: Path, split: str = "FER2013Train", count: int = 24, *, seed: int = 0) -> Path:
    """FER+'s own layout. Happy faces get light mouths and sad ones dark mouths: there is something to learn."""
    folder = root / split
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        happy = number % 2 == 0
        face = random.normal(120, 10, (48, 48))
        face[33:39, 14:34] += 90 if happy else -90
        name = f"fer{number:04d}.png"
        cv2.imwrite(str(folder / name), face.clip(0, 255).astype(np.uint8))
        votes = [1, 8, 0, 1, 0, 0, 0, 0, 0, 0] if happy else [2, 0, 0, 8, 0, 0, 0, 0, 0, 0]
        lines.append(f'{name},"(0, 0, 48, 48)",{",".join(map(str, votes))}')
    (folder / "label.csv").write_text("\n".join(lines) + "\n")
    return root
