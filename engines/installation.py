"""How to install edgeemo, as typed: the one place to change when it is published. Messages of all packages call it."""

from __future__ import annotations

PUBLISHED = False  # whether `pip install edgeemo` finds this project in the package index


def pip_install(extra: str = "") -> str:
    """The command that installs edgeemo with an extra: `pip install '.[app]'` with the path it was installed from."""
    wanted = f"[{extra}]" if extra else ""
    origin = "edgeemo" if PUBLISHED else _origin()
    if origin:
        return f"pip install '{origin}{wanted}'" if wanted or " " in origin else f"pip install {origin}"
    return f"pip install '.{wanted}' in the clone of edgeemo"


def installed_version() -> str:
    """The installed distribution's version; empty where the code runs without being installed."""
    from importlib import metadata  # here, for the same reason as in `_origin`

    try:
        return metadata.version("edgeemo")
    except metadata.PackageNotFoundError:
        return ""


def _origin() -> str:
    """The clone or wheel that this installation was made from (PEP 610); empty where it is not known."""
    # here, because these modules take longer to import than most commands take to start
    import json
    from importlib import metadata
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        record = metadata.distribution("edgeemo").read_text("direct_url.json")
        url = urlsplit(json.loads(record or "{}").get("url", ""))
    except (metadata.PackageNotFoundError, OSError, ValueError, AttributeError):
        return ""
    return url2pathname(url.path) if url.scheme == "file" else ""
