"""The service under faults for half a minute; scripts/chaos runs longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).resolve().parents[1] / "scripts" / "chaos"


@pytest.mark.slow
def test_every_result_is_accounted_for_whatever_breaks() -> None:
    done = subprocess.run(
        [sys.executable, str(CHAOS), "--minutes", "0.4"], capture_output=True, text=True, check=False, timeout=220
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it balances" in done.stdout
