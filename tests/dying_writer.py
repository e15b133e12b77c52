"""Writes results as fast as a camera would, until somebody kills it: python dying_writer.py FOLDER"""

import sys
import time
from pathlib import Path

import numpy as np

from edgeemo.sinks import SinkContext, open_sink
from edgeemo.types import Faces, Frame, Result
from engines.spec import LABELS

folder = Path(sys.argv[1])
context = SinkContext(LABELS, draw=lambda each: each.frame.image, sources=("door",), lasting=True)
sinks = [open_sink(f"sqlite:{folder}/out.db", context), open_sink(f"jsonl:{folder}/out.jsonl", context)]
image = np.zeros((1, 1, 3), np.uint8)
for index in range(10**6):
    faces = Faces.none()
    if index % 3:
        faces = Faces(
            np.ones((1, 4), np.float32), np.ones((1, 6, 2), np.float32), np.ones(1, np.float32), np.ones(1, np.int64)
        )
    values = np.full((len(faces), len(LABELS)), 1 / len(LABELS), np.float32)
    frame = Frame(image, index, index / 100, "door", wall=time.time())
    result = Result(frame, faces, values, values, LABELS, (LABELS[0],) * len(faces))
    for sink in sinks:
        sink.write(result)
    time.sleep(0.01)
