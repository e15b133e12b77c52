"""Export a recorded session as a video with overlay and names. Called by `library`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgeemo.errors import RecordingError, SinkError
from edgeemo.recording import Recording
from edgeemo.recording.atomic import atomic_draft
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.stages import overlay
from edgeemo.ui.scenes import Scenes

ENDING = ".mp4"


def write_overlay(recording: Recording, path: Path) -> int:
    """Write every frame of a session with its overlay; frames without a recorded picture are empty.

    Returns:
        Number of frames.

    Raises:
        RecordingError: it cannot be written, has no frames, or would replace the analysed video.
    """
    source = Path(recording.file.path) if recording.file is not None else None
    if source is not None and source.exists() and path.exists() and path.samefile(source):
        raise RecordingError(f"{path.name} is the video that was analysed; choose another path")
    names = {track.id: track.name for track in recording.tracks if track.name}
    context = SinkContext(recording.labels, draw=lambda result: overlay.draw(result.frame.image, result, names=names))
    scenes = Scenes(recording)
    if not len(scenes):
        raise RecordingError(f"{recording.name} has no frames to show")
    try:
        with atomic_draft(path) as draft:
            sink = open_sink(f"video:{draft}", context)
            try:
                for index in range(len(scenes)):
                    result = scenes.result(index)
                    time = result.frame.time - recording.begin
                    sink.write(replace(result, frame=replace(result.frame, time=time)))
            finally:
                sink.close()
    except SinkError as error:
        raise RecordingError(f"cannot write {path}: {error}") from error
    finally:
        scenes.close()
    return len(scenes)
