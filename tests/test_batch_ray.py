"""edgeemo batch on a real Ray cluster of two nodes, one of which is killed during the work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow
FILES = 8
DEADLINE_S = 600


def test_a_node_that_is_killed_costs_nothing_but_time(tmp_path, media, monkeypatch):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    archive = tmp_path / "archive"
    archive.mkdir()
    for number in range(FILES):
        shutil.copy(media / "three_faces.mp4", archive / f"{number}.mp4")
    command = [sys.executable, "-m", "edgeemo", "batch", str(archive), "--output"]
    subprocess.run([*command, str(tmp_path / "alone"), "--workers", "1", "--quiet"], check=True)
    node = {"num_cpus": 1, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        second = cluster.add_node(**node)
        dataset = tmp_path / "d"
        process = subprocess.Popen(
            [*command, str(dataset), "--ray", cluster.address], stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + DEADLINE_S
        while len(list((dataset / "rows").glob("*.parquet"))) < 2:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        cluster.remove_node(second, allow_graceful=False)
        shown = process.communicate(timeout=DEADLINE_S)[1]
        assert process.returncode == 0, shown
        assert f"{FILES} of {FILES} files" in shown
    finally:
        cluster.shutdown()
    pd.testing.assert_frame_equal(rows(dataset), rows(tmp_path / "alone"))


def rows(dataset: Path) -> pd.DataFrame:
    found = pd.read_parquet(dataset / "rows")
    return found.sort_values(["file", "frame", "face_id"], ignore_index=True)
