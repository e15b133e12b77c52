"""Turn off the telemetry of third-party runtimes; `engines` imports this first.

From 1.29 on, ONNX Runtime sends usage data and keeps a database in the user's cache, unless a variable is set when it
is imported. OpenVINO reports each import to Google Analytics and creates ~/intel, unless its package
openvino_telemetry is missing. `engines.mediapipe_detector` handles MediaPipe. tests/test_silence.py checks all three.
"""

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# an import of a module that is None raises ImportError
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
