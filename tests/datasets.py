"""Small data sets in the layouts of the real ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def make_ferplus(root: Path, split: str = "FER2013Train", count: int = 24, *, seed: int = 0) -> Path:
    """FER+ in its original layout. Happy faces have light mouths, sad faces dark ones: a network can learn that."""
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


def face_landmarks(x: float, y: float, side: float, lean: float = 0.0) -> np.ndarray:
    """(68, 2) landmarks of a schematic face.

    Args:
        x, y: middle between the eyes in pixels.
        side: approximate side of the detector's box in pixels.
        lean: roll in radians.
    """
    points = np.zeros((68, 2))
    points[0:17] = np.stack([np.linspace(-0.45, 0.45, 17), 0.55 * np.sin(np.linspace(0, np.pi, 17))], axis=1)
    points[17:27] = np.stack([np.linspace(-0.35, 0.35, 10), np.full(10, -0.1)], axis=1)
    points[27:36] = np.stack([np.zeros(9), np.linspace(0, 0.27, 9)], axis=1)
    points[30] = 0, 0.23
    ring = np.stack([np.cos(np.arange(6) * np.pi / 3), np.sin(np.arange(6) * np.pi / 3)], axis=1)
    points[36:42] = ring * 0.05 + (-0.215, 0)
    points[42:48] = ring * 0.05 + (0.215, 0)
    angle = np.arange(20) * np.pi / 10
    points[48:68] = np.stack([0.15 * np.cos(angle), 0.06 * np.sin(angle) + 0.455], axis=1)
    turn = np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]])
    return points @ turn * side + (x, y)


def draw_face(side: int, landmarks: np.ndarray, happy: bool, random: np.random.Generator) -> np.ndarray:
    image = random.normal(110, 12, (side, side, 3))
    centre = landmarks[48:68].mean(axis=0)
    size = np.linalg.norm(landmarks[42] - landmarks[36])
    x, y = (centre - size / 3).astype(int)
    x2, y2 = (centre + size / 3).astype(int)
    image[max(y, 0) : y2, max(x, 0) : x2] += 100 if happy else -100
    return image.clip(0, 255).astype(np.uint8)


AFFECTNET_HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)


def affectnet_row(image: str, expression: object, landmarks: np.ndarray | None, box: tuple[object, ...]) -> str:
    marks = "NULL" if landmarks is None else ";".join(f"{value:.2f}" for value in landmarks.ravel())
    return f"{image},{','.join(map(str, box))},{marks},{expression},-2,-2"


def make_affectnet(root: Path, count: int = 44, *, side: int = 120, seed: int = 0, pictures: bool = True) -> Path:
    """AffectNet's original layout: `count` training rows and a quarter of that for validation, all eleven classes."""
    random = np.random.default_rng(seed)
    for name, rows in (("training.csv", count), ("validation.csv", count // 4)):
        lines = [AFFECTNET_HEADER]
        for number in range(rows):
            expression = number % 11
            marks = face_landmarks(*random.uniform(50, 70, 2), random.uniform(50, 60), random.uniform(-0.2, 0.2))
            image = f"{number % 7}/{name[:1]}{number:06d}.jpg"
            lines.append(affectnet_row(image, expression, marks, (20, 15, 80, 80)))
            if pictures:
                path = root / "Manually_Annotated_Images" / image
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), draw_face(side, marks, expression % 2 == 1, random))
        root.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(lines) + "\n")
    (root / "Manually_Annotated_Images").mkdir(exist_ok=True)
    return root


def make_later_affectnet(root: Path, count: int = 16, *, seed: int = 0) -> Path:
    """AffectNet's later release: face crops of 224 pixels, a few NumPy files each, eight classes."""
    random = np.random.default_rng(seed)
    for name, rows in (("train_set", count), ("val_set", count // 4)):
        (root / name / "images").mkdir(parents=True)
        (root / name / "annotations").mkdir()
        for number in range(rows):
            marks = face_landmarks(112, 90, 130)
            stem = root / name / "annotations" / str(number)
            np.save(f"{stem}_exp.npy", np.array(str(number % 8)))
            np.save(f"{stem}_val.npy", np.array("0.1"))
            np.save(f"{stem}_aro.npy", np.array("0.1"))
            np.save(f"{stem}_lnd.npy", marks.ravel())
            face = draw_face(224, marks, number % 2 == 1, random)
            cv2.imwrite(str(root / name / "images" / f"{number}.jpg"), face)
    return root


def make_fer2013(path: Path, count: int = 12, *, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    lines = ["emotion,pixels,Usage"]
    for usage in ("Training", "PublicTest", "PrivateTest"):
        for number in range(count):
            pixels = " ".join(map(str, random.integers(0, 256, 48 * 48)))
            lines.append(f"{number % 7},{pixels},{usage}")
    path.write_text("\n".join(lines) + "\n")
    return path
