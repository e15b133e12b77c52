"""Access control of the HTTP sinks: addresses to listen on, tokens, and the Host header. Called by `http`."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import re

from edgeemo.errors import ConfigError
from edgeemo.values import expect_host, shortened, whole_number
from engines.files import read_file, user_path

TOKEN_VARIABLE = "EDGEEMO_TOKEN"
log = logging.getLogger(__name__)

SHORTEST_TOKEN = 16
# [IPv6], or a name or address without colons; then a port
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]*))(?::[0-9]{1,5})?")


def address(kind: str, target: str) -> tuple[str, int]:
    """ "127.0.0.1:8080", "[::1]:8080" or "8080" (this machine only) -> host and port.

    Raises:
        ConfigError: it is not an address.
    """
    host, colon, port = target.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
    number = whole_number(port, high=65535)
    if number is None or (colon and not host):
        raise ConfigError(
            f"sink {kind}:{shortened(target, quoted=False)}: write {kind}:HOST:PORT, for example {kind}:127.0.0.1:8080"
        )
    expect_host(f"sink {kind}", host)
    return host, number


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listening address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def warn_if_readable_by_all(file: str) -> None:
    """Log a warning if every user of the machine can read a secret (POSIX)."""
    path = user_path(file)
    if os.name == "posix" and path.stat().st_mode & 0o004:
        log.warning("%s contains a secret and every user can read it; run: chmod 600 %s", path, path)


class Guard:
    """Decides from the headers of a request whether it is allowed.

    With a token, requests must carry it ("Authorization: Bearer ..."); the comparison takes constant time. Without a
    token, the Host header must be an IP address or localhost; other names are refused (DNS rebinding).

    Args:
        kind: the sink, for messages.
        host: listening address.
        token_file: file with the token in its first line; empty: the variable EDGEEMO_TOKEN, if set.

    Raises:
        ConfigError: it listens beyond this machine without a token, or the token cannot be read or is too short.
    """

    def __init__(self, kind: str, host: str, token_file: str) -> None:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if token_file:
            try:
                token = read_file(user_path(token_file)).decode().strip()
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or error
                raise ConfigError(f"cannot read the token of sink {kind} from {token_file}: {why}") from error
            warn_if_readable_by_all(token_file)
        if (token or token_file) and (len(token) < SHORTEST_TOKEN or not token.isascii()):
            raise ConfigError(
                f"the token of sink {kind} must have at least {SHORTEST_TOKEN} printable ASCII characters"
            )
        if not token and not is_loopback(host):
            raise ConfigError(
                f"sink {kind} would be open to the network at {host}; give it a token "
                f"([{kind}] token_file, or the variable {TOKEN_VARIABLE}), or listen on 127.0.0.1"
            )
        self._token = token.encode()

    @property
    def wants_token(self) -> bool:
        return bool(self._token)

    def allows(self, authorization: str, host: str) -> bool:
        """Check the headers Authorization and Host of a request; empty if missing."""
        if not self._token:
            return is_own_name(host)
        scheme, _, given = authorization.partition(" ")
        # constant-time comparison
        same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
        return same and scheme.lower() == "bearer"


def is_own_name(host: str) -> bool:
    """Whether the Host header is an IP address or localhost.

    A request without the header is allowed, because it does not come from a browser and so not from a foreign web
    page.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1] or found[2]
    if name in ("", "localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
