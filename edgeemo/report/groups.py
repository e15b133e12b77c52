"""Parse groups of sessions or persons from the command line: NAME=MEMBER,MEMBER. Called by `command`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edgeemo.errors import RecordingError
from edgeemo.recording import Recording, Track
from edgeemo.report.inference import Groups

Sessions = list[tuple[str, Recording]]
Chosen = dict[int, set[int]]  # index of a session -> ids of its tracks


def grouped(
    texts: Sequence[str], sessions: Sequence[tuple[str, Recording]], load: Callable[[str], Recording]
) -> Groups:
    """Parse groups from the command line.

    A member is a session or a person. A session is given by its path on the command line, by its name, or by another
    path, which is loaded. A person is given by name, which means this person in all sessions, or by SESSION:PERSON.
    If only some persons of a session are in a group, the group contains only these.

    Args:
        texts: NAME=MEMBER[,MEMBER...]; repeating a name adds to its group.
        sessions: (text on the command line, recording) each.
        load: loads a further session.

    Raises:
        RecordingError: a member is unknown, ambiguous or in two groups, or a session is in no group.
    """
    known = list(sessions)
    groups: dict[str, Chosen] = {}
    for text in texts:
        name, equals, members = text.partition("=")
        if not equals or not name.strip() or not members.strip():
            raise RecordingError(f"group {text!r} must be NAME=SESSION,SESSION or NAME=PERSON,PERSON")
        chosen = groups.setdefault(name.strip(), {})
        for member in [members] if _found(members.strip(), known) else members.split(","):
            if not member.strip():
                raise RecordingError(f"group {text!r} has a member without a name; write NAME=SESSION,SESSION")
            for place, tracks in _members(member.strip(), name.strip(), known, load).items():
                chosen.setdefault(place, set()).update(tracks)
    _expect_apart(groups, known)
    return [
        (name, [_restricted(known[place][1], tracks) for place, tracks in sorted(chosen.items())])
        for name, chosen in groups.items()
    ]


def _members(member: str, group: str, known: Sessions, load: Callable[[str], Recording]) -> Chosen:
    if found := _found(member, known):
        return found
    try:
        known.append((member, load(member)))
    except RecordingError as error:
        people = dict.fromkeys(track.person for _, recording in known for track in recording.tracks)
        raise RecordingError(
            f"group {group}: {member!r} is neither a readable session nor a person in the given sessions; sessions: "
            f"{_listed([target for target, _ in known])}; persons: {_listed(list(people))}"
        ) from error
    return _whole(len(known) - 1, known)


def _found(member: str, known: Sessions) -> Chosen:
    """The tracks of the sessions that a member names; may be empty."""
    place = _place(member, known)
    if place is not None:
        return _whole(place, known)
    session, colon, person = member.rpartition(":")
    place = _place(session, known) if colon else None
    if place is not None:
        named = _called(person.strip(), known[place][1])
        return {place: named} if named else {}
    found = {place: named for place, (_, each) in enumerate(known) if (named := _called(member, each))}
    unnamed = any(not track.name for place in found for track in known[place][1].tracks if track.id in found[place])
    if len(found) > 1 and unnamed:
        raise RecordingError(
            f"{member} is ambiguous: {len(found)} sessions have one; write SESSION:{member}, or name the persons "
            "in the window (Ctrl+P)"
        )
    return found


def _place(text: str, known: Sessions) -> int | None:
    """The index of the session with this text or name; None if there is none."""
    for place, (target, _) in enumerate(known):
        if target == text:
            return place
    places = [place for place, (_, each) in enumerate(known) if text in (each.name, each.path.name)]
    if len(places) > 1:
        raise RecordingError(f"{len(places)} sessions have the name {text!r}; give the path of one")
    return places[0] if places else None


def _called(person: str, recording: Recording) -> set[int]:
    return {track.id for track in recording.tracks if track.person.casefold() == person.casefold()}


def _whole(place: int, known: Sessions) -> Chosen:
    return {place: {track.id for track in known[place][1].tracks}}


def _restricted(recording: Recording, tracks: set[int]) -> Recording:
    kept: list[Track] = [track for track in recording.tracks if track.id in tracks]
    return recording if len(kept) == len(recording.tracks) else replace(recording, tracks=tuple(kept))


def _expect_apart(groups: dict[str, Chosen], known: Sessions) -> None:
    """Check that the groups share no person and contain every session.

    Raises:
        RecordingError: a person is in two groups, or a session in none.
    """
    owner: dict[tuple[int, int], str] = {}
    for name, chosen in groups.items():
        for place, tracks in chosen.items():
            for track in tracks:
                other = owner.setdefault((place, track), name)
                if other != name:
                    session = known[place][1]
                    person = next(each.person for each in session.tracks if each.id == track)
                    raise RecordingError(f"{person} of {session.name} is in both groups {other} and {name}; choose one")
    alone = [
        target for place, (target, _) in enumerate(known) if all(place not in chosen for chosen in groups.values())
    ]
    if alone:
        raise RecordingError(f"{_listed(alone)}: in no group; add it to a --group or omit it")


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
