"""Persons of a session: names, merged tracks, split tracks, excluded persons. Called by `read` and the app.

They are stored as a list of edits in `people.json`; the recorded events do not change, and undoing removes the last
edit. Persons are never recognised or suggested from the face: no face description (embedding) is computed or stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np

from edgeemo.errors import RecordingError
from edgeemo.recording.atomic import atomic_draft
from edgeemo.recording.recording import Recording, Track
from edgeemo.values import clock

FILE = "people.json"
LONGEST_NAME = 60


class Name(msgspec.Struct, frozen=True, tag_field="edit", tag="name"):
    """Name a person; an empty name removes the name."""

    person: int
    name: str


class Merge(msgspec.Struct, frozen=True, tag_field="edit", tag="merge"):
    """`person` is the same person as `into`."""

    person: int
    into: int


class Split(msgspec.Struct, frozen=True, tag_field="edit", tag="split"):
    """From a media time in seconds on, `person` is another person with the number `new`."""

    person: int
    time: float
    new: int


class Exclude(msgspec.Struct, frozen=True, tag_field="edit", tag="exclude"):
    """Exclude a person from replay, report and exports, or include the person again."""

    person: int
    excluded: bool = True


Edit: TypeAlias = Name | Merge | Split | Exclude


def edited(recording: Recording, edits: Sequence[Edit]) -> Recording:
    """The recording with these edits instead of its current ones.

    Raises:
        RecordingError: an edit is not possible; the message says why.
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
                raise RecordingError(
                    f"{track.person} cannot be split there: choose a moment while that face is visible"
                )
            tracks[edit.person] = track.part(before)
            tracks[edit.new] = replace(track.part(after), id=edit.new, name="", baseline=None)
        else:
            (excluded.add if edit.excluded else excluded.discard)(edit.person)
    kept = tuple(tracks[person] for person in sorted(tracks) if person not in excluded)
    return replace(recording, tracks=kept, edits=tuple(edits), recorded=recorded)


def next_number(recording: Recording) -> int:
    """A number that no person of a recording has used."""
    numbers = [track.id for track in (*recording.recorded, *recording.tracks)]
    return max([0, *numbers, *(edit.new for edit in recording.edits if isinstance(edit, Split))]) + 1


def excluded_people(recording: Recording) -> tuple[Track, ...]:
    """The tracks that the edits exclude."""
    last = {edit.person: edit.excluded for edit in recording.edits if isinstance(edit, Exclude)}
    others = tuple(edit for edit in recording.edits if not isinstance(edit, Exclude))
    return tuple(track for track in edited(recording, others).tracks if last.get(track.id, False))


def described(recording: Recording) -> tuple[str, ...]:
    """The manual edits except names, one line each, for the report."""
    lines = []
    for edit in recording.edits:
        if isinstance(edit, Merge):
            lines.append(f"person {edit.person} is person {edit.into}")
        elif isinstance(edit, Split):
            lines.append(f"person {edit.person} is person {edit.new} from {clock(edit.time - recording.begin)} on")
    lines += [f"person {track.id} was excluded" for track in excluded_people(recording)]
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
        raise does_not_fit(folder, error) from error


def does_not_fit(folder: Path, error: Exception) -> RecordingError:
    """The error for edits that are damaged, or not possible in the session of this folder."""
    return RecordingError(f"{folder / FILE} is damaged ({error}); delete it to get the persons as recorded")


def write_edits(folder: Path, edits: Iterable[Edit], before: Sequence[Edit] | None = None) -> None:
    """Write the edits of a session's folder.

    Args:
        before: the edits that are replaced; None: whatever is there.

    Raises:
        RecordingError: the file cannot be written, or another window has changed it.
    """
    if before is not None and read_edits(folder) != tuple(before):
        raise RecordingError("another window has changed the persons of this session; replay it again")
    with atomic_draft(folder / FILE) as draft:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(list(edits)), indent=1) + b"\n")


def _merged(into: Track, other: Track, begin: float) -> Track:
    """Join two tracks into one, with the number and name of the first.

    Raises:
        RecordingError: both are visible in the same frame.
    """
    both, at, _ = np.intersect1d(into.frames, other.frames, return_indices=True)
    if len(both):
        when = clock(float(into.times[at[0]]) - begin)
        raise RecordingError(
            f"{into.person} and {other.person} are visible together (at {when}), so they cannot be merged"
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
