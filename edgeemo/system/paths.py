"""Where this user's files are, by the conventions of the operating system. Environment variables override them."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def data_folder() -> Path:
    """What the user would miss: recorded sessions. Linux: $XDG_DATA_HOME/edgeemo or ~/.local/share/edgeemo."""
    return platformdirs.user_data_path("edgeemo", appauthor=False)


def state_folder() -> Path:
    """What has to survive a restart: messages that wait. A systemd service's $STATE_DIRECTORY, else the user's."""
    own = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(own) if own else platformdirs.user_state_path("edgeemo", appauthor=False)
