"""Connection settings of an MQTT broker: address, credentials, certificates, MQTT's rules. Called by `mqtt`."""

from __future__ import annotations

import os
import re
import secrets
import ssl
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edgeemo.config import MqttConfig
from edgeemo.errors import ConfigError, SinkError
from edgeemo.sinks.access import warn_if_readable_by_all
from edgeemo.values import expect_host, shortened
from engines.files import read_file, user_path

LONGEST_PASSWORD = 65_535  # bytes, MQTT 5.0 section 3.1.3.6
PASSWORD_VARIABLE = "EDGEEMO_MQTT_PASSWORD"
LONGEST_TOPIC = 60_000  # bytes; MQTT's limit is 65,535, and /SOURCE/results or names of the discovery are appended
MOST_LEVELS = 190  # mosquitto refuses 200


def new_client(config: MqttConfig, password: str, tls: ssl.SSLContext | None) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        f"edgeemo-{secrets.token_hex(6)}",
        protocol=paho.MQTTv5,
    )
    client.connect_timeout = 3.0
    if config.user:
        client.username_pw_set(config.user, password or None)
    if tls is not None:
        client.tls_set_context(tls)
    return client


def address(scheme: str, target: str) -> tuple[str, int, str]:
    """Host, port and topic of a target of `mqtt:` or `mqtts:`.

    Raises:
        ConfigError: something is missing or not allowed.
    """
    form = f"write {scheme}://HOST:PORT/TOPIC"
    try:
        parts = urlsplit(f"{scheme}:{target}")
        port = (8883 if scheme == "mqtts" else 1883) if parts.port is None else parts.port
    except ValueError as error:
        raise ConfigError(f"sink {scheme}: the port or the host is not valid; {form}") from error
    if not port:
        raise ConfigError(f"sink {scheme}: the port must not be 0; {form}")
    if parts.username is not None or parts.password is not None:
        # addresses appear in messages and in the list of processes
        raise ConfigError(f"sink {scheme}: user and password are not allowed in the address; put them under [mqtt]")
    topic = parts.path.strip("/")
    if not parts.hostname or not topic:
        raise ConfigError(f"sink {scheme}:{target} lacks {'a topic' if parts.hostname else 'a host'}; {form}")
    if re.search(r"[+#?\x00]", target):
        raise ConfigError(f"sink {scheme}:{target}: the topic must not contain +, # or ?; {form}")
    expect_host(f"sink {scheme}", parts.hostname)
    expect_topic(f"sink {scheme}", topic)
    return parts.hostname, port, topic


def expect_topic(name: str, topic: str) -> None:
    """Check a topic by MQTT 5.0, section 4.7.3, and by the limits of brokers."""
    fault = ""
    if len(topic.encode("utf-8", "replace")) > LONGEST_TOPIC or topic.count("/") > MOST_LEVELS:
        fault = f"has more than {LONGEST_TOPIC} bytes or {MOST_LEVELS} levels"
    elif re.search(r"[+#\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", topic):
        fault = "contains +, # or a control character"
    elif topic.startswith("$"):
        fault = "starts with $, which is reserved for the broker"
    if fault:
        raise ConfigError(f"{name}: the topic {shortened(topic)} {fault}; choose another one")


def expect_settings(config: MqttConfig) -> None:
    expect_topic("[mqtt] discovery", config.discovery)
    if re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", config.user):
        raise ConfigError(f"[mqtt] user {shortened(config.user)} contains a control character; brokers refuse it")


def password_of(config: MqttConfig) -> str:
    if not config.password_file:
        given = os.environ.get(PASSWORD_VARIABLE, "")
        if len(os.fsencode(given)) > LONGEST_PASSWORD or re.search("[\ud800-\udfff]", given):
            raise ConfigError(f"{PASSWORD_VARIABLE} must be UTF-8 of at most {LONGEST_PASSWORD} bytes")
        return given
    try:
        password = read_file(user_path(config.password_file), limit=LONGEST_PASSWORD).decode().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read the broker's password from {config.password_file}: {why}") from error
    warn_if_readable_by_all(config.password_file)
    return password


def tls_of(config: MqttConfig) -> ssl.SSLContext:
    named = [str(user_path(name)) if name else None for name in (config.ca_file, config.cert_file, config.key_file)]
    files = ", ".join(name for name in named if name)
    ca, certificate, key = named
    try:
        for name in filter(None, named):
            read_file(name)  # refuses a pipe or a device, from which the next call could read for ever
        context = ssl.create_default_context(cafile=ca)
        if certificate:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SinkError(f"cannot use the certificates {files}: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
