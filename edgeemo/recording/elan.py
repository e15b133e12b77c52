"""Write a session as annotations for ELAN (EAF 3.0, XML): one tier per person, linked to the video.

Called by `export`.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np

from edgeemo.recording.recording import Recording, Track
from engines.spec import Emotion

SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
AWAY_S = 1.0  # a longer absence of the face starts a new annotation
MOMENT_MS = 40  # length of a marker without duration; ELAN shows nothing shorter
MARKERS = "Markers"
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_elan(recording: Recording, path: Path) -> int:
    """Write an .eaf file: per person one annotation per period of an expression or of "Unsure", and a tier of markers.

    Annotations of one tier may not overlap, so markers that overlap are in further tiers. Times are those of the linked
    video, or without a video relative to the first frame.

    Returns:
        Number of annotations.
    """
    document = Xml.Element("ANNOTATION_DOCUMENT", AUTHOR="edgeemo", DATE=_date(recording), FORMAT="3.0", VERSION="3.0")
    document.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    document.set("xsi:noNamespaceSchemaLocation", SCHEMA)
    header = Xml.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if (media := _media(recording)) is not None:
        kind = mimetypes.guess_type(media.name)[0] or "video/*"
        Xml.SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL=media.absolute().as_uri(), MIME_TYPE=kind)
    order = Xml.SubElement(document, "TIME_ORDER")
    count = 0
    slots = 0
    for name, stretches in _tiers(recording):
        tier = Xml.SubElement(document, "TIER", LINGUISTIC_TYPE_REF="default-lt", TIER_ID=_text(name))
        for begin, end, value in stretches:
            references = []
            for at in (begin, max(end, begin + 1)):
                slots += 1
                references.append(f"ts{slots}")
                Xml.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=references[-1], TIME_VALUE=str(at))
            count += 1
            alignable = Xml.SubElement(
                Xml.SubElement(tier, "ANNOTATION"),
                "ALIGNABLE_ANNOTATION",
                ANNOTATION_ID=f"a{count}",
                TIME_SLOT_REF1=references[0],
                TIME_SLOT_REF2=references[1],
            )
            Xml.SubElement(alignable, "ANNOTATION_VALUE").text = _text(value)
    Xml.SubElement(
        document,
        "LINGUISTIC_TYPE",
        GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID="default-lt",
        TIME_ALIGNABLE="true",
    )
    Xml.indent(document, " ")
    Xml.ElementTree(document).write(path, encoding="utf-8", xml_declaration=True)
    return count


def runs(track: Track) -> Iterator[tuple[float, float, int | None]]:
    """Periods of one shown expression: begin and end in media seconds, and the index of its class (None: unsure)."""
    if not len(track):
        return
    shown = np.where(track.unsure, -1, track.emotions)
    held = track.seconds_of(AWAY_S)
    ends = np.flatnonzero((np.diff(shown) != 0) | (np.diff(track.times) > AWAY_S)) + 1
    for first, last in zip([0, *ends.tolist()], [*ends.tolist(), len(track)], strict=True):
        column = int(shown[first])
        yield float(track.times[first]), float(track.times[last - 1] + held[last - 1]), column if column >= 0 else None


def _tiers(recording: Recording) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    marks = _apart(
        [
            (
                at := _milliseconds(recording, marker.time),
                max(_milliseconds(recording, marker.time + marker.duration), at + MOMENT_MS),
                marker.label,
            )
            for marker in recording.markers
        ]
    )
    names = [MARKERS if number == 1 else f"{MARKERS} ({number})" for number in range(1, len(marks) + 1)]
    taken = {MARKERS, *names}
    for track in recording.tracks:
        name = track.person
        while name in taken:  # two persons with the same name
            name = f"{name} ({track.id})"
        taken.add(name)
        yield (
            name,
            [
                (
                    _milliseconds(recording, begin),
                    _milliseconds(recording, end),
                    "Unsure" if column is None else Emotion.of(recording.labels[column]).display,
                )
                for begin, end, column in runs(track)
            ],
        )
    yield from zip(names, marks, strict=True)


def _apart(marks: list[tuple[int, int, str]]) -> list[list[tuple[int, int, str]]]:
    """Markers in as few tiers as possible, none of which overlap."""
    tiers: list[list[tuple[int, int, str]]] = []
    for mark in sorted(marks, key=lambda mark: mark[0]):
        free = next((tier for tier in tiers if tier[-1][1] <= mark[0]), None)
        if free is None:
            tiers.append([mark])
        else:
            free.append(mark)
    return tiers


def _media(recording: Recording) -> Path | None:
    if recording.video is not None:
        return recording.video
    return Path(recording.file.path) if recording.file is not None else None


def _milliseconds(recording: Recording, time: float) -> int:
    if recording.video is None and recording.file is not None:
        return max(0, round(time * 1000))
    return round(recording.video_time(time) * 1000)


def _date(recording: Recording) -> str:
    return recording.started or "1970-01-01T00:00:00+00:00"


def _text(text: str) -> str:
    """Without the characters that XML 1.0 does not allow."""
    return NOT_XML.sub(" ", text)
