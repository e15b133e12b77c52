"""Who the tracks of a session are: names, tracks that are one person, tracks that are two, persons left out.

Kept as a list of edits in `people.json` beside the events, which stay as they were recorded; undoing is taking the last
edit away. Nothing is told apart or suggested by the face itself: no description of a face is computed or kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np

from edgeemo.errors import RecordingError
from edgeemo.recording.recording import Recording, Track
from edgeemo.recording.whole import appearing_whole

FILE = "people.json"
LONGEST_NAME = 60


class Name(msgspec.Struct, frozen=True, tag_field="edit", tag="name"):
    """Call a person something; an empty name takes it back."""

    person: int
    name: str


class Merge(msgspec.Struct, frozen=True, tag_field="edit", tag="merge"):
    """`person` is `into`."""

    person: int
    into: int


class Split(msgspec.Struct, frozen=True, tag_field="edit", tag="split"):
    """From a media time on in seconds `person` is somebody else, who gets the number `new`."""

    person: int
    time: float
    new: int


class Exclude(msgspec.Struct, frozen=True, tag_field="edit", tag="exclude"):
    """Leave a person out of replay, report and exports, or take it in again."""

    person: int
    excluded: bool = True


Edit: TypeAlias = Name | Merge | Split | Exclude


def edited(recording: Recording, edits: Sequence[Edit]) -> Recording:
    """The recording with these edits instead of those it has.

    Raises:
        RecordingError: one of them cannot be done; the line says why.
    """
    recorded = recording.recorded or recording.tracks
    tracks = {track.id: track for track in recorded}
    excluded: set[int] = set()
    for edit in edits:
        if edit.person not in tracks:
            raise RecordingError(f"there is no person {edit.person} in {recording.name}")
        track = tracks[edit.person]
        if isinstance(edit, Name):
            tracks[edit.person] = replace(track, name=" ".join(edit.name.split())[:LONGEST_NAME])
        elif isinstance(edit, Merge):
            if edit.into not in tracks or edit.into == edit.person:
                raise RecordingError(f"there is no other person {edit.into} in {recording.name}")
            tracks[edit.into] = _merged(tracks[edit.into], tracks.pop(edit.person), recording.begin)
        elif isinstance(edit, Split):
            before, after = track.times < edit.time, track.times >= edit.time
            if not before.any() or not after.any() or edit.new in tracks:
                raise RecordingError(f"{track.person} cannot be split there: choose a moment while that face is seen")
            tracks[edit.person] = track.part(before)
            tracks[edit.new] = replace(track.part(after), id=edit.new, name="", baseline=None)
        else:
            (excluded.add if edit.excluded else excluded.discard)(edit.person)
    kept = tuple(tracks[person] for person in sorted(tracks) if person not in excluded)
    return replace(recording, tracks=kept, edits=tuple(edits), recorded=recorded)


def next_number(recording: Recording) -> int:
    """A number that no person of a recording has or had."""
    numbers = [track.id for track in (*recording.recorded, *recording.tracks)]
    return max([0, *numbers, *(edit.new for edit in recording.edits if isinstance(edit, Split))]) + 1


def excluded_people(recording: Recording) -> tuple[Track, ...]:
    """Who is left out of a recording's tracks by its edits."""
    last = {edit.person: edit.excluded for edit in recording.edits if isinstance(edit, Exclude)}
    others = tuple(edit for edit in recording.edits if not isinstance(edit, Exclude))
    return tuple(track for track in edited(recording, others).tracks if last.get(track.id, False))


def described(recording: Recording) -> tuple[str, ...]:
    """What was done by hand, a line each, for whoever reads a report; names apart."""
    lines = []
    for edit in recording.edits:
        if isinstance(edit, Merge):
            lines.append(f"person {edit.person} is person {edit.into}")
        elif isinstance(edit, Split):
            seconds = edit.time - recording.begin
            lines.append(f"person {edit.person} is person {edit.new} from {seconds:.1f} s on")
    lines += [f"person {track.id} was left out" for track in excluded_people(recording)]
    return tuple(lines)


def read_edits(folder: Path) -> tuple[Edit, ...]:
    """The edits of a session's folder.

    Raises:
        RecordingError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return ()
    try:
        return tuple(msgspec.json.decode(path.read_bytes(), type=list[Edit]))
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise RecordingError(f"{path} is damaged ({error}); delete it to see the persons as recorded") from error


def write_edits(folder: Path, edits: Iterable[Edit]) -> None:
    """
    Raises:
        RecordingError: it cannot be written.
    """
    with appearing_whole(folder / FILE) as draft:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(list(edits)), indent=1) + b"\n")


def _merged(into: Track, other: Track, begin: float) -> Track:
    """Both as one person, with the number and name of the first.

    Raises:
        RecordingError: both are seen in one frame.
    """
    both, at, _ = np.intersect1d(into.frames, other.frames, return_indices=True)
    if len(both):
        seconds = float(into.times[at[0]]) - begin
        raise RecordingError(
            f"{into.person} and {other.person} are seen together ({seconds:.1f} s from the beginning), so they are two"
        )
    order = np.argsort(np.concatenate([into.times, other.times]), kind="stable")

    def joined(name: str) -> Any:
        return np.concatenate([getattr(into, name), getattr(other, name)])[order]

    return Track(
        into.id,
        joined("frames"),
        joined("times"),
        joined("boxes"),
        joined("scores"),
        joined("confidences"),
        joined("probabilities"),
        joined("emotions"),
        joined("unsure"),
        joined("turned"),
        joined("quality"),
        {**into.reasons, **other.reasons},
        other.baseline if into.baseline is None else into.baseline,
        into.name or other.name,
    )
