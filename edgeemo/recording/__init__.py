"""Recorded sessions: one folder per session; a crash loses at most the last second.

    2026-11-24 09.12.03/
      session.json     name, source, engine, time; `ended` is empty while recording and after a crash
      events.sqlite    runs, frames, faces as `sqlite:PATH` writes them; markers, baselines, cuts
      people.json      only after edits: names, merged, split and excluded persons
      video.mkv        optional: pictures without overlay, unchanged or with covered faces
      CARD.md          the engine's card at that time

The overlay is stored as data; a replay draws it.
"""

from edgeemo.recording.folder import VIDEO_CHOICES, SessionFolder, SessionInfo, sessions_folder
from edgeemo.recording.read import load
from edgeemo.recording.recorder import Loss, Recorder
from edgeemo.recording.recording import Recording, Track
from edgeemo.types import Marker

__all__ = [
    "VIDEO_CHOICES",
    "Loss",
    "Marker",
    "Recorder",
    "Recording",
    "SessionFolder",
    "SessionInfo",
    "Track",
    "load",
    "sessions_folder",
]
