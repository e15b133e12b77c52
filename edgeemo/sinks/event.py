"""Convert a result to an event: one JSON object per frame. Called by the sinks."""

from __future__ import annotations

import json
import math
from typing import Any

from edgeemo.columns import QUALITY, decimals, person_name
from edgeemo.types import Doubt, Marker, Quality, Result
from edgeemo.values import as_utf8

DIGITS = [(name, decimals(name)) for name in QUALITY]


def event(result: Result) -> dict[str, Any]:
    """Convert the result of one frame.

    Boxes are pixels with one decimal, times seconds with four, probabilities have four decimals. NaN and infinity
    become null. A service adds `wall`, seconds since the epoch. `damage` counts decoding errors since the previous
    event, if any. `markers` have media times. Optional keys of a face: `doubts` (code and value of
    each reason why it is unsure), `turned` (90, 180 or 270 degrees clockwise, for a lying or upside-down head in a
    still picture), `quality` (figures named as in `edgeemo.columns`). The old keys `id` (the same as `face_id`) and
    `unsure` (the reasons in words) remain for one version.
    """
    faces = result.faces
    ids, turned = faces.ids.tolist(), faces.turned.tolist()
    wall = result.frame.wall
    return {
        "frame": result.frame.index,
        "time": _rounded(result.frame.time, 4),
        **({} if wall is None else {"wall": _rounded(wall, 3)}),
        "origin": as_utf8(result.frame.origin),
        **({"damage": result.frame.damage} if result.frame.damage else {}),
        **({"markers": [_marker(each) for each in result.markers]} if result.markers else {}),
        "faces": [
            {
                "id": ids[row],
                "face_id": ids[row],
                "person": person_name(ids[row]),
                "box": [_rounded(value, 1) for value in faces.boxes[row].tolist()],
                "score": _rounded(float(faces.scores[row]), 4),
                "emotion": result.emotions[row],
                "confidence": _rounded(result.confidence(row), 4),
                "probabilities": {
                    label: _rounded(value, 4)
                    for label, value in zip(result.labels, result.probabilities[row].tolist(), strict=True)
                },
                **({"turned": turned[row]} if turned[row] else {}),
                **({"quality": _figures(result.quality[row])} if result.quality else {}),
                **_unsure(result.reasons(row)),
            }
            for row in range(len(faces))
        ],
    }


def _marker(marker: Marker) -> dict[str, Any]:
    wall = {} if marker.wall is None else {"wall": _rounded(marker.wall, 4)}
    return {"time": _rounded(marker.time, 4), "label": marker.label, **wall}


def _figures(quality: Quality) -> dict[str, float | None]:
    return {name: _rounded(getattr(quality, name), digits) for name, digits in DIGITS}


def _unsure(reasons: tuple[str, ...]) -> dict[str, Any]:
    if not reasons:
        return {}
    known = [reason for reason in reasons if isinstance(reason, Doubt)]
    return {
        "unsure": [str(reason) for reason in reasons],
        "doubts": [
            {"code": doubt.code, "value": None if doubt.value is None else _rounded(doubt.value, 4)} for doubt in known
        ],
    }


def codes(face: dict[str, Any]) -> str:
    """The doubts of a face as in tables: codes separated by ";"."""
    return ";".join(doubt["code"] for doubt in face.get("doubts", ()))


def line(result: Result) -> str:
    """The event as one line of JSON, without the newline."""
    return json.dumps(event(result), ensure_ascii=False, allow_nan=False)


def _rounded(value: float, digits: int) -> float | None:
    # + 0.0 turns a rounded -0.0 into 0.0
    return round(value, digits) + 0.0 if math.isfinite(value) else None
