from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from edgeemo.config import (
    CaptureConfig,
    Config,
    DetectConfig,
    MqttConfig,
    QualityConfig,
    ServiceConfig,
    SmoothConfig,
    SourceConfig,
    TrackConfig,
    load_config,
)
from edgeemo.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "edgeemo.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "")) == Config()


def test_values_of_every_kind_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'source = "clip.mp4"\nthreads = 2\nsinks = ["jsonl:-", "csv:out.csv"]\n[capture]\nloop = true\n',
    )
    assert load_config(path) == Config(
        source="clip.mp4", threads=2, sinks=("jsonl:-", "csv:out.csv"), capture=CaptureConfig(loop=True)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('sorce = "x"', "unknown key sorce; did you mean source?"),
        ("[capture]\nlop = true", "unknown key capture.lop; did you mean capture.loop?"),
        ("[captur]\nloop = true", "unknown key captur; did you mean capture?"),
        ("qqq = 1", "unknown key qqq; known: source, engine"),
        ("source = 3", "source must be a string, not 3"),
        ('threads = "two"', "threads must be a whole number"),
        ("threads = true", "threads must be a whole number"),
        ("threads = 0", "threads must be between 1 and 64, not 0"),
        ("frames = -1", "frames must be between"),
        ('sinks = "jsonl:-"', "sinks must be a list"),
        ("sinks = [1]", r"sinks\[0\] must be a string"),
        ("capture = 1", "capture must be a table"),
        ("[capture]\nloop = 1", "capture.loop must be true or false"),
        ("source = ", "is not valid TOML"),
        ('[[sources]]\nuri = "0"', "sources\\[0\\].*name must be 1 to 64 letters"),
        ('[[sources]]\nname = "a/b"\nuri = "0"', "name must be 1 to 64 letters"),
        ('[[sources]]\nname = "a"', "source a has no uri"),
        ('[[sources]]\nname = "a"\nuri = "0"\nformat = "mjpeg"', "format must be four capital letters"),
        ('[[sources]]\nname = "a"\nuri = "0"\nwidht = 3', r"unknown key sources\[0\].widht; did you mean"),
        ('[[sources]]\nname="a"\nuri="0"\n[[sources]]\nname="a"\nuri="1"', "two sources have the name a"),
        ('source = "0"\n[[sources]]\nname = "a"\nuri = "0"', "either source or"),
        ("[sources]\nname = 1", "sources must be a list"),
        ("[service]\nqueue = 1", "queue must be between 8 and 65536"),
        ("[service]\nbackoff_s = 5.0", "backoff_max_s must be between 5"),
        ("[service]\nopen_timeout_s = 30", "hang_s must be longer than"),
        ("[mqtt]\npasword_file = 'x'", "did you mean mqtt.password_file"),
        ("[web]\npreview = 1", "web.preview must be true or false"),
        ("[jsonl]\nkeep = 0", "keep must be between 1"),
    ],
)
def test_a_mistake_is_named_with_the_file_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "edgeemo.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(path)


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load_config(tmp_path / name)


def test_the_configuration_needs_no_heavy_library() -> None:
    code = "import sys, edgeemo.config, edgeemo.cli; print([m for m in ('numpy', 'cv2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sources_and_the_options_of_sinks_are_read(tmp_path: Path) -> None:
    config = load_config(
        written(
            tmp_path,
            """
            [[sources]]
            name = "desk"
            uri = "0"
            width = 1280
            height = 720
            fps = 30
            format = "MJPG"
            [[sources]]
            name = "door"
            uri = "rtsp://camera/stream"
            [service]
            stalled_s = 5
            [sqlite]
            keep_days = 30
            """,
        )
    )
    assert [source.name for source in config.sources] == ["desk", "door"]
    assert config.sources[0] == SourceConfig("desk", "0", width=1280, height=720, fps=30, format="MJPG")
    assert config.service == ServiceConfig(stalled_s=5)
    assert config.sqlite.keep_days == 30
    assert config.mqtt == MqttConfig()


REMOVED_KEYS = """
[detect]
policy = "near"
min_score = 0.5
keep_score = 0.3
[track]
patience_s = 2.0
carry_s = 0.1
[quality]
min_light = 20
"""


def test_removed_keys_are_accepted_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = load_config(written(tmp_path, REMOVED_KEYS))
    assert config == Config(detect=DetectConfig(policy="short_range"), track=TrackConfig(max_age_s=2.0))
    (warning,) = caplog.messages
    for name in ("detect.min_score", "track.patience_s (now track.max_age_s)", "quality.min_light"):
        assert name in warning


def test_every_public_key_of_the_stages_is_documented() -> None:
    docs = Path(__file__).parents[1] / "docs"
    manual, example = ((docs / name).read_text(encoding="utf-8") for name in ("service.md", "edge.toml"))
    for kind in (DetectConfig, TrackConfig, SmoothConfig, QualityConfig):
        section = kind.__name__.removesuffix("Config").lower()
        assert f"`[{section}]`" in manual
        assert f"[{section}]" in example
        for item in fields(kind):
            default = str(item.default).lower() if isinstance(item.default, bool) else item.default
            assert f"| `{item.name}` | {default} |" in manual
            assert item.name in example
