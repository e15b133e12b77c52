"""edgeemo --allow-modified: an engine that was edited on purpose runs, and only then."""

import subprocess
import sys

from fakes import make_bundle

from engines.manifest import write_manifest


def test_an_edited_engine_runs_only_where_that_is_asked_for(tmp_path):
    folder = make_bundle(tmp_path / "tiny")
    write_manifest(folder)
    (folder / "spec.json").write_text((folder / "spec.json").read_text().replace("0.08", "0.09"))
    command = [sys.executable, "-m", "edgeemo", "run", "--source", "demo", "--frames", "2", "--engine", str(folder)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert f"edgeemo-export --write-manifest {folder}" in refused.stderr
    run = subprocess.run([*command, "--allow-modified"], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("\n") == 2
    assert "is used because of allow_modified" in run.stderr


def test_a_batch_runs_an_edited_engine_too(tmp_path, demo_clip):
    folder = make_bundle(tmp_path / "tiny")
    write_manifest(folder)
    (folder / "spec.json").write_text((folder / "spec.json").read_text().replace("0.08", "0.09"))
    command = [sys.executable, "-m", "edgeemo", "batch", str(demo_clip), "--output", str(tmp_path / "dataset")]
    command += ["--every", "1", "--workers", "1", "--engine", str(folder), "--allow-modified"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
