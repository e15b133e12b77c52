"""How to install edgeemo, for the messages of all packages: the only place to change when it is published."""

from __future__ import annotations

PUBLISHED = False  # whether `pip install edgeemo` finds this project in the package index


def pip_install(extra: str = "") -> str:
    """The command that installs edgeemo with an extra: `pip install '.[app]'` with the path of its source.

    `-e` if the clone is installed in place (editable), which it then stays.
    """
    wanted = f"[{extra}]" if extra else ""
    origin, editable = ("edgeemo", False) if PUBLISHED else _origin()
    command = "pip install -e" if editable else "pip install"
    if origin:
        return f"{command} '{origin}{wanted}'" if wanted or " " in origin else f"{command} {origin}"
    return f"pip install '.{wanted}' in the clone of edgeemo"


def installed_version() -> str:
    """The installed distribution's version; empty if it is not installed."""
    from importlib import metadata  # imported here, as in `_origin`, because it is slow

    try:
        return metadata.version("edgeemo")
    except metadata.PackageNotFoundError:
        return ""


def _origin() -> tuple[str, bool]:
    """The clone or wheel of this installation (PEP 610), empty if unknown; and whether it is editable."""
    # imported here, because these imports take longer than most commands take to start
    import json
    from importlib import metadata
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        record = metadata.distribution("edgeemo").read_text("direct_url.json")
        origin = json.loads(record or "{}")
        url = urlsplit(origin.get("url", ""))
        editable = bool(origin.get("dir_info", {}).get("editable"))
    except (metadata.PackageNotFoundError, OSError, ValueError, AttributeError):
        return "", False
    return (url2pathname(url.path), editable) if url.scheme == "file" else ("", False)
