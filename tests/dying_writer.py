"""Start processes that write results until a test kills them.

For each folder named on standard input, a process is forked that writes results there at the rate of a camera, and its
process id is printed. The processes are forked, because importing edgeemo would take longer than most of them live.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import edgeemo.sinks.jsonl
import edgeemo.sinks.sqlite  # noqa: F401  imported before the forks
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.types import Faces, Frame, Result
from engines.spec import LABELS


def live(folder: Path) -> None:
    context = SinkContext(LABELS, draw=lambda each: each.frame.image, sources=("door",), lasting=True)
    sinks = [open_sink(f"sqlite:{folder}/out.db", context), open_sink(f"jsonl:{folder}/out.jsonl", context)]
    image = np.zeros((1, 1, 3), np.uint8)
    for index in range(10**6):
        faces = Faces.none()
        if index % 3:
            box, points, one = np.ones((1, 4), np.float32), np.ones((1, 6, 2), np.float32), np.ones(1, np.float32)
            faces = Faces(box, points, one, np.ones(1, np.int64))
        values = np.full((len(faces), len(LABELS)), 1 / len(LABELS), np.float32)
        frame = Frame(image, index, index / 100, "door", wall=time.time())
        for sink in sinks:
            sink.write(Result(frame, faces, values, values, LABELS, (LABELS[0],) * len(faces)))
        time.sleep(0.01)


# the system removes ended children
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            live(Path(line.strip()))
        finally:
            os._exit(1)
    print(child, flush=True)
