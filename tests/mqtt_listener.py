"""A client that stores the messages of a broker, for tests of the sink `mqtt`."""

from __future__ import annotations

import json
import threading
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from servers import Broker, until


class Listener:
    """A client that stores every message."""

    def __init__(self, port: int, *, user: str = "", password: str = "") -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if user:
            self._client.username_pw_set(user, password)
        self._client.on_message = lambda client, data, message: self.heard.append((message.topic, message.payload))
        self._client.on_connect = lambda client, *rest: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *rest: self._ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def of(self, topic: str) -> list[Any]:
        return [json.loads(payload) for name, payload in list(self.heard) if name == topic]

    def text(self, topic: str) -> list[str]:
        return [payload.decode() for name, payload in list(self.heard) if name == topic]

    def publish(self, topic: str) -> None:
        self._client.publish(topic, b"x", qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def events(listener: Listener) -> list[int]:
    return [event["frame"] for event in listener.of("home/edge/door/results")]


def retained(broker: Broker) -> dict[str, str]:
    """Topic -> retained message."""
    listener = Listener(broker.port)
    # sent after the retained messages, so it arrives last
    listener.publish("end/of/retained")
    until(lambda: listener.text("end/of/retained"))
    listener.close()
    return {
        topic: payload.decode()
        for topic, payload in listener.heard
        if payload and topic.startswith("home") and not topic.endswith("results")
    }
