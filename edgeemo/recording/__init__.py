"""Recorded sessions: a folder each, readable up to the last second whatever happens.

    2026-11-24 09.12.03/
      session.json     name, source, engine, when; an `ended` that is missing tells of a crash
      events.sqlite    runs, frames, faces as `sqlite:PATH` writes them; markers, baselines, cuts
      people.json      if somebody edited them: names, merged, split and excluded persons
      video.mkv        if wanted: pictures without overlay, whole or with faces made unrecognisable
      CARD.md          the engine's card as it was

The overlay is data, not pixels: a replay draws it again.
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
