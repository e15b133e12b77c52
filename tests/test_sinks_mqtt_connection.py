"""Passwords, certificates and addresses of the sink `mqtt`, and MQTT's rules for settings."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import result
from mqtt_listener import Listener, events
from servers import Broker, until

from edgeemo.cli import main
from edgeemo.config import Config, MqttConfig
from edgeemo.errors import ConfigError, SinkError
from edgeemo.sinks import SinkContext, open_sink
from edgeemo.sinks.mqtt import MqttSink
from engines import LABELS


def test_a_password_is_needed_and_never_shown(tmp_path: Path, opened: Callable[..., MqttSink]) -> None:
    if shutil.which("mosquitto_passwd") is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    done = subprocess.run(["mosquitto_passwd", "-b", str(passwords), "edge", "secret-word"], capture_output=True)
    if done.returncode:
        pytest.skip("mosquitto_passwd does not work here")
    broker = Broker(tmp_path / "closed", anonymous=False, extra=f"password_file {passwords}")
    broker.start()
    try:
        (tmp_path / "word").write_text("wrong-word\n")
        sink = opened(broker.port, user="edge", password_file=str(tmp_path / "word"))
        until(lambda: "refuses" in sink.fault)
        assert "word" not in sink.fault.replace("password_file", "")
        sink.close()
        (tmp_path / "word").write_text("secret-word\n")
        listener = Listener(broker.port, user="edge", password="secret-word")
        opened(broker.port, user="edge", password_file=str(tmp_path / "word")).write(result(origin="door"))
        until(lambda: events(listener) == [0])
        listener.close()
    finally:
        broker.kill()


def test_tls_checks_who_the_broker_is(tmp_path: Path, opened: Callable[..., MqttSink]) -> None:
    def certificate(name: str) -> tuple[Path, Path]:
        certificate, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                   "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "3650",
                   "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl is not installed")
        return certificate, key

    (mine, key), (other, _) = certificate("mine"), certificate("other")
    broker = Broker(tmp_path / "tls", extra=f"certfile {mine}\nkeyfile {key}")
    broker.start()
    try:
        wrong = opened(broker.port, ca_file=str(other))
        until(lambda: "cannot be reached" in wrong.fault)
        wrong.close()
        right = opened(broker.port, ca_file=str(mine))
        until(lambda: right.fault == "")
    finally:
        broker.kill()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mqtt://h", "lacks a topic"),
        ("mqtt:///t", "lacks a host"),
        ("mqtt://h:port/t", "the port or the host is not valid"),
        ("mqtt://h:0/t", "the port must not be 0"),
        ("mqtt://h/a/#", "write mqtt://HOST:PORT/TOPIC"),
        ("mqtts://u:secret@h/t", "put them under"),
    ],
)
def test_a_mistake_in_the_address_is_told_at_once_without_secrets(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        open_sink(text, SinkContext(LABELS, draw=lambda each: each.frame.image))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("password", ["x" * 70_000, "\udcff"])
def test_a_password_that_mqtt_cannot_carry_is_told_at_once(
    password: str, opened: Callable[..., MqttSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEEMO_MQTT_PASSWORD", password)
    with pytest.raises(ConfigError, match="EDGEEMO_MQTT_PASSWORD must be UTF-8"):
        opened(1)


def test_files_that_cannot_be_read_are_told_at_once(tmp_path: Path, opened: Callable[..., MqttSink]) -> None:
    with pytest.raises(ConfigError, match="cannot read the broker's password"):
        opened(1, password_file=str(tmp_path / "none"))
    with pytest.raises(SinkError, match="cannot use the certificates"):
        opened(1, ca_file=str(tmp_path / "none"))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SinkError, match="not a regular file"):
            opened(1, ca_file=str(tmp_path / "pipe"))
    with pytest.raises(SinkError, match="spool"):
        opened(1, spool=str(tmp_path))


def test_refused_credentials_end_a_single_run_with_code_2(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Broker(tmp_path / "closed", anonymous=False)
    broker.start()
    try:
        config = tmp_path / "edge.toml"
        config.write_text(
            f'source = "{clip}"\nsinks = ["mqtt://127.0.0.1:{broker.port}/edge"]\nframes = 2\n'
            f'[mqtt]\nuser = "nobody"\nspool = "{tmp_path / "s.db"}"\n'
        )
        assert main(["run", "--config", str(config), "--quiet"]) == 2
        assert "refuses" in capsys.readouterr().err
    finally:
        broker.kill()


@pytest.mark.parametrize(
    ("options", "topic", "says"),
    [
        ({"discovery": "a/#"}, "edge", r"discovery: the topic 'a/#' contains"),
        ({"discovery": "a+"}, "edge", "discovery"),
        ({"user": "a\0b"}, "edge", "user"),
        ({}, "t" * 61_000, "more than 60000 bytes"),
        ({}, "a/" * 200 + "b", "190 levels"),
        ({}, "$SYS/x", "starts with"),
    ],
)
def test_settings_that_break_mqtts_rules_are_refused(
    options: dict[str, str], topic: str, says: str, tmp_path: Path
) -> None:
    config = Config(mqtt=MqttConfig(spool=str(tmp_path / "spool.db"), **options))
    with pytest.raises(ConfigError, match=says) as error:
        open_sink(f"mqtt://localhost:1/{topic}", SinkContext(LABELS, draw=lambda each: each.frame.image, config=config))
    assert len(str(error.value)) < 400
