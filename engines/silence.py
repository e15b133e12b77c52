"""Turns the telemetry of third-party runtimes off; imported by `engines` before anything else of the three packages.

ONNX Runtime from 1.29 on sends usage data, and keeps a database in the user's cache, unless a variable is set when it
is imported. OpenVINO reports each import to Google Analytics, and leaves ~/intel behind, unless its package
openvino_telemetry is missing. MediaPipe's part is in `engines.mediapipe_detector`. Checked by tests/test_silence.py.
"""

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# an import of a module that is None raises ImportError
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
