"""Recorded sessions, for tests of the window."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from pathlib import Path
from time import sleep

from fakes import result as made_result

from edgeemo.recording import Recorder, SessionFolder, SessionInfo
from engines import LABELS


def record(
    parent: Path, name: str = "Visit", frames: int = 30, *, video: str = "none", faces: int = 1
) -> SessionFolder:
    folder = SessionFolder.create(parent, SessionInfo(name, "clip.mp4", "fake", LABELS, video=video), card="# Card")
    recorder = Recorder(folder, LABELS, video=video)
    for index in range(frames):
        recorder.write(made_result(faces, index=index, size=64))
        if video != "none":
            sleep(0.005)  # at the rate of live frames: the encoder drops pictures that come too fast
    recorder.mark("smile", at=0.5)
    recorder.close()
    assert recorder.error == ""
    return folder
