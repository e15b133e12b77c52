"""This user's folders, by the conventions of the operating system; environment variables override them."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from engines.files import user_path


def data_folder() -> Path:
    """The folder for recorded sessions. Linux: $XDG_DATA_HOME/edgeemo or ~/.local/share/edgeemo."""
    return platformdirs.user_data_path("edgeemo", appauthor=False)


def state_folder() -> Path:
    """The folder for what must survive a restart (undelivered messages).

    $STATE_DIRECTORY in a systemd service, otherwise the user's state folder.
    """
    own = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return user_path(own) if own else platformdirs.user_state_path("edgeemo", appauthor=False)
