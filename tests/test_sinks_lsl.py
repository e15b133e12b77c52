"""`lsl:`: real outlets and real inlets on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from fakes import frame, result

from edgeemo.config import Config
from edgeemo.errors import ConfigError
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.system.lsl import clock_offset
from edgeemo.types import Marker
from engines import LABELS
from engines.bundle import find_bundle

pylsl = pytest.importorskip("pylsl", reason="the extra lsl is not installed", exc_type=(ImportError, RuntimeError))
NAME = f"test-{os.getpid()}"


def opened(name, sources=()):
    context = SinkContext(LABELS, draw=lambda result: result.frame.image, config=Config(), sources=sources)
    return open_sink(f"lsl:{name}", context)


def inlet(name):
    """An open inlet of the stream with this name."""
    (found,) = pylsl.resolve_byprop("name", name, minimum=1, timeout=30)
    reader = pylsl.StreamInlet(found)
    reader.open_stream(30)
    return reader


def taken(reader, count):
    pairs = [reader.pull_sample(timeout=30) for _ in range(count)]
    return [sample for sample, _ in pairs], [stamp for _, stamp in pairs]


def at(seconds, faces=1, **changes):
    shown = result(faces)
    return replace(shown, frame=frame(round(seconds * 25), time=seconds), **changes)


def test_samples_and_changes_arrive_with_the_stamps_of_their_frames():
    sink = opened(NAME)
    signal, changes = inlet(NAME), inlet(f"{NAME}-changes")
    began = pylsl.local_clock()
    for each in (at(0.0), at(0.04), at(0.08, faces=0), at(0.12, doubts=(("blurred",),))):
        sink.write(each)
    ended = pylsl.local_clock()
    samples, stamps = taken(signal, 4)
    assert np.diff(stamps) == pytest.approx([0.04] * 3, abs=1e-6)
    assert began <= stamps[0] <= ended
    expected = at(0.0).probabilities[0].tolist()
    assert samples[0] == pytest.approx([*expected, 1.0])
    assert np.isnan(samples[2][:-1]).all()
    assert samples[2][-1] == 0
    words, times = taken(changes, 3)
    assert [word for (word,) in words] == ["happiness", "no face", "unsure"]
    assert times == [stamps[0], stamps[2], stamps[3]]
    sink.close()


def test_markers_are_sent_with_their_own_times_and_told_from_expressions():
    sink = opened(f"{NAME}-marks")
    signal, changes = inlet(f"{NAME}-marks"), inlet(f"{NAME}-marks-changes")
    sink.write(at(1.0))
    sink.write(at(1.2, markers=(Marker(1.15, "happiness"), Marker(0.4, "film", 2.0))))
    _, stamps = taken(signal, 2)
    sink.take_marker(Marker(1.2, "paused"))
    words, times = taken(changes, 4)
    assert [word for (word,) in words] == ["happiness", "marker: happiness", "marker: film", "marker: paused"]
    assert np.array(times) - stamps[0] == pytest.approx([0.0, 0.15, -0.6, 0.2], abs=1e-6)
    sink.close()


def test_the_stream_describes_its_channels_and_its_engine():
    sink = opened(f"{NAME}-about")
    info = inlet(f"{NAME}-about").info(timeout=30)
    assert (info.type(), info.channel_count(), info.nominal_srate()) == ("Expression", len(LABELS) + 1, 0)
    assert info.source_id() == f"edgeemo-{NAME}-about"
    channel = info.desc().child("channels").child("channel")
    labels = []
    while not channel.empty():
        labels.append(channel.child_value("label"))
        assert channel.child_value("unit") == "probability"
        channel = channel.next_sibling()
    assert labels == [*LABELS, "face_present"]
    manifest = find_bundle("hybrid_lite").manifest
    assert manifest is not None
    assert info.desc().child("engine").child_value("sha256") == manifest.source_sha256
    sink.close()


def test_a_live_frame_is_stamped_with_its_capture_however_late_its_result_comes():
    sink = opened(f"{NAME}-live")
    signal = inlet(f"{NAME}-live")
    moments = []
    for pause in (0.0, 0.3, 0.1):
        before, captured = pylsl.local_clock(), time.perf_counter()
        moments.append((before, pylsl.local_clock()))
        time.sleep(pause)
        sink.write(replace(at(0.0), frame=replace(frame(), captured=captured)))
    _, stamps = taken(signal, 3)
    for stamp, (before, after) in zip(stamps, moments, strict=True):
        assert before - 0.05 < stamp < after + 0.05
    sink.close()


def test_each_source_of_a_service_has_streams_of_its_own():
    sink = opened(f"{NAME}-many", sources=("door", "hall"))
    reader = inlet(f"{NAME}-many-hall")
    sink.write(replace(at(0.0), frame=frame(0, origin="door")))
    sink.write(replace(at(0.0, faces=0), frame=frame(0, origin="hall")))
    ((sample,), _) = taken(reader, 1)
    assert sample[-1] == 0
    sink.close()


@pytest.mark.parametrize("name", ["", "two words", "a/b", "x" * 65])
def test_a_name_with_other_characters_is_one_clear_line(name):
    with pytest.raises(ConfigError, match=r"has no target|letters, digits"):
        opened(name)


# in a separate process, because its liblsl conflicts with pylsl's
RECORD = """
import sys, labrecorder, pylsl
names = sys.argv[2:]
streams = [pylsl.resolve_byprop("name", name, 1, 30)[0] for name in names]
with labrecorder.Recording(sys.argv[1], streams):
    input()
"""


@contextlib.contextmanager
def recorded(path, *names):
    """A running LabRecorder that receives all of these streams."""
    recorder = subprocess.Popen(
        [sys.executable, "-c", RECORD, str(path), *names],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        said = []
        while sum(line.startswith("Started data collection") for line in said) < len(names):
            said.append(recorder.stdout.readline())
            assert said[-1], said
        yield
        recorder.communicate("\n", timeout=60)
    finally:
        recorder.kill()
        recorder.communicate()


def test_labrecorder_aligns_expressions_with_the_markers_of_others(tmp_path):
    """Recorded to XDF by LabRecorder, read by pyxdf: a frame and the marker of the same moment have the same time."""
    for library in ("labrecorder", "pyxdf"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    import pyxdf

    name, frames = f"{NAME}-xdf", 25
    sink = opened(name)
    sender = pylsl.StreamOutlet(pylsl.StreamInfo(f"{name}-task", "Markers", 1, 0, "string", f"task-{name}"))
    names = [name, f"{name}-changes", f"{name}-task"]
    with recorded(tmp_path / "run.xdf", *names):
        for index in range(frames):
            captured = time.perf_counter()
            sender.push_sample([f"frame {index}"], captured - clock_offset(pylsl))
            time.sleep(0.02)  # the duration of a result
            shown = at(index * 0.04, faces=index % 2)
            sink.write(replace(shown, frame=replace(shown.frame, captured=captured)))
        # the recorder does not report what it has received; on a busy machine the last samples may be missing
        time.sleep(1)
    read, _ = pyxdf.load_xdf(tmp_path / "run.xdf")
    by_name = {stream["info"]["name"][0]: stream for stream in read}
    signal, changes, task = (by_name[each] for each in names)
    count = min(len(signal["time_stamps"]), len(task["time_stamps"]))
    assert frames // 2 < count <= frames
    assert [words for (words,) in task["time_series"]][:count] == [f"frame {index}" for index in range(count)]
    assert signal["time_series"][:count, -1].tolist() == [index % 2 for index in range(count)]
    assert [words for (words,) in changes["time_series"][:3]] == ["no face", "happiness", "no face"]
    behind = signal["time_stamps"][:count] - task["time_stamps"][:count]
    assert np.abs(behind).max() < 0.05
    assert abs(np.median(behind)) < 0.005
    assert np.allclose(changes["time_stamps"][:10], signal["time_stamps"][:10])
    sink.close()
