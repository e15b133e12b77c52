"""Notifications of a service to systemd: the datagrams of sd_notify(3). Called by `edgeemo.run.headless`."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Mapping
from time import monotonic

from edgeemo.values import whole_number

log = logging.getLogger(__name__)


class Notifier:
    """Readiness, status and watchdog; does nothing if systemd did not start this process.

    Args:
        environment: NOTIFY_SOCKET, and WATCHDOG_USEC with WATCHDOG_PID, as systemd sets them.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # a leading @ means the abstract namespace
        self._address = "\0" + address[1:] if address.startswith("@") else address
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environment.get("WATCHDOG_USEC", "")
        self._pause = (whole_number(usec) or 0) / 2e6 if mine else 0.0
        self._fed = 0.0

    def tell(self, message: str) -> None:
        """Send a message, for example "READY=1"."""
        if not self._address or sys.platform == "win32":
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as outlet:
                outlet.settimeout(0.5)
                outlet.sendto(message.encode(), self._address)
        except OSError as error:
            log.debug("cannot notify systemd of %s: %s", message, error)

    def feed(self) -> None:
        """Reset the watchdog; sends at most once per half of its interval."""
        if self._pause and monotonic() - self._fed >= self._pause / 2:
            self._fed = monotonic()
            self.tell("WATCHDOG=1")
