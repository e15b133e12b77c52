"""Access control of the HTTP sinks."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeemo.errors import ConfigError
from edgeemo.sinks.access import Guard, address, is_loopback, is_own_name

TOKEN = "correct-horse-battery"


@pytest.mark.parametrize(
    ("target", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80)), ("8080", ("127.0.0.1", 8080))],
)
def test_addresses_are_read(target: str, expected: tuple[str, int]) -> None:
    assert address("web", target) == expected


@pytest.mark.parametrize("target", ["", "host", "host:", ":80", "host:-1", "host:65536", "host:८०"])
def test_what_is_no_address_is_a_mistake(target: str) -> None:
    with pytest.raises(ConfigError, match="write web:HOST:PORT"):
        address("web", target)


def test_what_counts_as_this_machine() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "example.org", "")))
    assert all(map(is_own_name, ("", "localhost", "localhost:80", "127.0.0.1:80", "[::1]:80", "192.168.1.2")))
    assert not any(map(is_own_name, ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[x]:80")))


def test_a_token_that_is_short_or_missing_is_a_mistake_that_does_not_show_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("short-one")
    with pytest.raises(ConfigError, match="at least 16") as caught:
        Guard("web", "127.0.0.1", str(path))
    assert "short-one" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"cannot read the token of sink .*: No such file or directory$"):
        Guard("web", "127.0.0.1", str(tmp_path / "none"))


def test_a_token_is_asked_for_as_bearer_and_compared_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    guard = Guard("web", "0.0.0.0", str(path))
    assert guard.wants_token
    for right in (f"Bearer {TOKEN}", f"bearer  {TOKEN} "):
        assert guard.allows(right, "evil.example")
    for wrong in (
        "",
        TOKEN,
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        "Bearer \xf6",
    ):
        assert not guard.allows(wrong, "localhost")


def test_a_token_of_sixteen_characters_is_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("x" * 16 + "\n")
    assert Guard("web", "0.0.0.0", str(path)).allows("Bearer " + "x" * 16, "")
