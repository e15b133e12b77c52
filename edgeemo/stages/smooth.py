"""What is shown of a face: its probabilities without the flicker of single frames, and one emotion that holds.

Everything is measured in seconds of media time, so dropped frames and other frame rates change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeemo.config import SmoothConfig
from edgeemo.types import F32, UNTRACKED, Faces, Frame

SETTLE_S = 0.25  # a face just met is shown by its average alone: its first frame may be an odd one
FORGET_S = 1.0  # after so long without a face its average starts again
# two emotions whose long averages lie closer than this are a face between the two: noise alone moves it across, so the
# margin is larger there; a clear change is shown as soon as ever
LONG_S = 3.0
MAX_SHARE = 0.5  # of one frame in the average
UNDECIDED = 0.25
UNDECIDED_MARGIN = 0.35


@dataclass
class _Shown:
    """What is shown of one face.

    Attributes:
        average, long: over `time_constant_s`, and over up to `LONG_S`.
        met: when it was first seen.
        time: when it was last seen.
        behind_since: when the shown emotion fell behind by the margin, if it has.
    """

    average: F32
    long: F32
    emotion: int
    met: float
    time: float
    behind_since: float | None = None


class Smoother:
    """The smooth stage: one average and one shown emotion for each track id.

    Args:
        labels: the K class names, in the engine's order.
        config: see there.
    """

    def __init__(self, labels: tuple[str, ...], config: SmoothConfig | None = None) -> None:
        self._labels = labels
        self._config = config or SmoothConfig()
        self._shown: dict[int, _Shown] = {}

    def smooth(self, frame: Frame, faces: Faces, raw: F32) -> tuple[F32, tuple[str, ...]]:
        """Average each face's probabilities in time.

        Args:
            raw: (N, K) as the engine gave them, N >= 0. Faces without an id are passed through, and so is a still.

        Returns:
            (N, K) averaged probabilities, which sum to 1 where the raw ones do, and N emotions to show.

        Raises:
            ValueError: raw has another shape.
        """
        if raw.shape != (len(faces), len(self._labels)):
            raise ValueError(f"raw must be ({len(faces)}, {len(self._labels)}), got {raw.shape}")
        if frame.still:
            self.reset()
            return raw, tuple(self._labels[row.argmax()] for row in raw)
        averages = np.empty_like(raw, dtype=np.float32)
        emotions: list[str] = []
        for row, (number, probabilities) in enumerate(zip(faces.ids.tolist(), raw, strict=True)):
            shown = self._next(number, probabilities, frame.time)
            if number != UNTRACKED:
                self._shown[number] = shown
            averages[row] = shown.average
            emotions.append(self._labels[shown.emotion])
        self._shown = {
            number: shown for number, shown in self._shown.items() if 0 <= frame.time - shown.time <= FORGET_S
        }
        return averages, tuple(emotions)

    def reset(self) -> None:
        """Forget every face."""
        self._shown = {}

    def _next(self, number: int, probabilities: F32, now: float) -> _Shown:
        config = self._config
        before = self._shown.get(number)
        if before is None or not 0 <= now - before.time <= FORGET_S:
            return _Shown(probabilities, probabilities, int(probabilities.argmax()), met=now, time=now)
        passed = now - before.time
        share = np.float32(-np.expm1(-passed / config.time_constant_s) if config.time_constant_s else 1.0)
        # one frame outweighs all before it (a slow source): a single odd one must not change the label
        confirm = config.time_constant_s > 0 and share > MAX_SHARE
        average = before.average + share * (probabilities - before.average)
        # the plain mean while the face is new, so that its first frame weighs no more than the others
        share = np.float32(max(-np.expm1(-passed / LONG_S), passed / max(now - before.met, 1e-6)))
        long = before.long + share * (probabilities - before.long)
        ahead, emotion, since = int(average.argmax()), before.emotion, None
        undecided = abs(long[ahead] - long[emotion]) < UNDECIDED
        margin = max(config.margin, UNDECIDED_MARGIN) if undecided and config.margin else config.margin
        if now - before.met <= SETTLE_S:
            emotion = ahead
        elif ahead != emotion and average[ahead] - average[emotion] >= margin:
            since = now if before.behind_since is None else before.behind_since
            # 1 ms: frame times are rounded
            if now - since >= config.hold_s - 1e-3 and not (confirm and since == now):
                emotion, since = ahead, None
        return _Shown(average, long, emotion, before.met, now, since)
