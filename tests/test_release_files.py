"""Files around the packages: desktop entry, man pages, completion, notices, containers, workflows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from edgeemo.config import load_config

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a share")
    program = folder / "100% edgeemo"
    program.touch()
    run = [sys.executable, ROOT / "scripts" / "install-desktop", "--to", folder / "share", "--program", program]
    subprocess.run(run, check=True, capture_output=True, cwd=folder)
    return folder / "share"


def test_the_menu_entry_names_the_program_as_the_specification_wants_it(share: Path) -> None:
    entry = (share / "applications" / "edgeemo.desktop").read_text()
    program = str(share.parent / "100% edgeemo").replace("%", "%%")
    assert f'\nExec="{program}"\n' in entry
    assert "\nIcon=edgeemo\n" in entry
    assert ElementTree.parse(share / "icons/hicolor/scalable/apps/edgeemo.svg").getroot().tag.endswith("svg")
    component = ElementTree.parse(share / "metainfo" / "edgeemo.metainfo.xml").getroot()
    assert component.findtext("launchable") == "edgeemo.desktop"


@pytest.mark.skipif(shutil.which("appstreamcli") is None, reason="appstreamcli is not installed (apt: appstream)")
def test_appstream_accepts_the_metadata(share: Path) -> None:
    """Informational remarks are allowed, because the owner has not chosen an address and a licence yet."""
    metadata = share / "metainfo" / "edgeemo.metainfo.xml"
    done = subprocess.run(
        ["appstreamcli", "validate", "--no-net", "--no-color", metadata], capture_output=True, text=True, check=False
    )
    assert re.findall(r"^[WE]: .*", done.stdout, re.MULTILINE) == []
    assert ElementTree.parse(metadata).findtext("id", "").count(".") >= 2


def test_man_pages_are_made_from_the_parsers(share: Path) -> None:
    page = (share / "man" / "man1" / "edgeemo.1").read_text()
    assert ".SH EDGEEMO RUN\n" in page
    assert r"\-\-source" in page
    if shutil.which("groff"):
        done = subprocess.run(
            ["groff", "-man", "-ww", "-z", *sorted((share / "man" / "man1").iterdir())],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["edgeemo", "do"], "doctor"),
        (["edgeemo", "run", "--so"], "--source"),
        (["edgeemo", "service", "unin"], "uninstall"),
    ],
)
def test_bash_completes_commands_and_options(share: Path, words: list[str], offered: str) -> None:
    script = share / "bash-completion" / "completions" / "edgeemo"
    array = " ".join(f"'{word}'" for word in words)
    done = subprocess.run(
        ["bash", "-c", f"source '{script}'; COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _edgeemo; "
         "printf '%s\\n' \"${COMPREPLY[@]}\""],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert offered in done.stdout.split()


def test_what_was_installed_can_be_removed(share: Path) -> None:
    program = share.parent / "100% edgeemo"
    run = [sys.executable, ROOT / "scripts" / "install-desktop", "--to", share.parent / "other", "--program", program]
    subprocess.run(run, check=True, capture_output=True)
    subprocess.run([*run, "--remove"], check=True, capture_output=True)
    assert [path for path in (share.parent / "other").rglob("*") if path.is_file()] == []


def test_notices_name_packages_with_their_licences_and_the_shipped_models(tmp_path: Path) -> None:
    output = tmp_path / "NOTICES.txt"
    subprocess.run([sys.executable, ROOT / "scripts" / "make-notices", "--output", output], check=True)
    text = output.read_text(encoding="utf-8")
    assert re.search(r"^numpy \S+\n=+\n\nLicence: .*BSD", text, re.MULTILINE)
    assert "MediaPipe's face detectors" in text
    assert not re.search(r"^edgeemo ", text.partition("MediaPipe's face detectors")[0], re.MULTILINE)


def workflow(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["test.yml", "release.yml"])
def test_workflows_parse_and_run_only_files_that_exist(name: str) -> None:
    jobs = workflow(name)["jobs"]
    assert jobs
    for job in jobs.values():
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            for file in re.findall(r"(?:scripts|packaging|requirements|docker)/[\w./-]+", step.get("run", "")):
                assert (ROOT / file).is_file(), file


def test_containers_name_only_files_that_exist_and_the_configuration_is_valid() -> None:
    for dockerfile in (ROOT / "docker").glob("Dockerfile*"):
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile.read_text(), re.MULTILINE):
            for source in line.split():
                assert (ROOT / source).exists(), f"{dockerfile.name}: {source}"
    compose = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text())
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            if volume.startswith("."):
                assert (ROOT / "docker" / volume.partition(":")[0]).exists(), volume
    edgeemo = compose["services"]["edgeemo"]
    assert edgeemo["read_only"] is True
    assert edgeemo["cap_drop"] == ["ALL"]
    config = load_config(ROOT / "docker" / "edge.toml")
    assert [source.uri for source in config.sources] == ["/dev/video0"]


def test_the_dashboard_shows_metrics_that_exist() -> None:
    sinks = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "edgeemo" / "sinks").glob("*.py"))
    dashboard = json.loads((ROOT / "docs" / "grafana.json").read_text())
    used = {
        re.sub(r"_(total|bucket)$", "", name)
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"edgeemo_\w+", target["expr"])
    }
    assert len(used) >= 8
    assert [name for name in sorted(used) if f'"{name}"' not in sinks] == []


def test_the_health_check_fails_where_nothing_listens() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    done = subprocess.run([sys.executable, ROOT / "docker" / "health.py"], env=environment, check=False)
    assert done.returncode == 1
