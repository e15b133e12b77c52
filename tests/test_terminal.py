"""Texts of errors in messages."""

import pytest

from engines.terminal import first_line


@pytest.mark.parametrize(
    ("text", "shown"), [("", "RuntimeError"), ("\n \n", "RuntimeError"), ("one\ntwo", "one"), ("x" * 300, "x" * 200)]
)
def test_the_first_line_of_any_error_can_be_shown(text, shown):
    assert first_line(RuntimeError(text)) == shown
