"""Who may ask: addresses to listen on, and the token that everything beyond this machine needs."""

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
# [IPv6] or a name or number without colons, and a port
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]*))(?::[0-9]{1,5})?")


def address(kind: str, target: str) -> tuple[str, int]:
    """ "127.0.0.1:8080", "[::1]:8080" or "8080" (this machine only) -> host and port.

    Raises:
        ConfigError: it is no such thing.
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
    """Whether only this machine can reach an address to listen on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def warn_if_readable_by_all(file: str) -> None:
    """Tell that every user of the machine can read a secret (POSIX)."""
    path = user_path(file)
    if os.name == "posix" and path.stat().st_mode & 0o004:
        log.warning("%s holds a secret and can be read by everybody here; run: chmod 600 %s", path, path)


class Guard:
    """Decides by the headers of a request whether it is answered.

    With a token: only with it ("Authorization: Bearer ..."), compared in constant time. Without: only where the
    request names this machine by a number or as localhost; another name means that a foreign web page has been made to
    point here.

    Args:
        kind: the sink, for messages.
        host: where it listens.
        token_file: a file whose first line is the token; empty: the variable EDGEEMO_TOKEN, if it is set.

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
            raise ConfigError(f"the token of sink {kind} must have at least {SHORTEST_TOKEN} plain characters")
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
        """Args: the headers Authorization and Host of a request, empty where they are missing."""
        if not self._token:
            return is_own_name(host)
        scheme, _, given = authorization.partition(" ")
        # compared in any case, so that the time tells nothing
        same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
        return same and scheme.lower() == "bearer"


def is_own_name(host: str) -> bool:
    """Whether the header Host is a number or localhost; without the header nobody could have been misled."""
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
