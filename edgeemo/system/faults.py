"""Log faults of what is retried for ever, without filling the log. Called by the runner's workers and `mqtt`."""

from __future__ import annotations

import logging
import re
from time import monotonic

STEADY_S = 5.0  # a fault that returns sooner after its end is the same fault
MOST_KINDS = 16


class FaultLog:
    """Logs one line when a fault begins and one when it has ended for `STEADY_S`.

    Reopening may succeed although the next use fails, for example on a full disk. Logging each attempt would write two
    lines per second, perhaps for days. Faults whose texts differ only in numbers are the same.

    Args:
        log: the logger.
        name: of the part, for example "sink csv:a.csv".
        ended: the line for the end.
    """

    def __init__(self, log: logging.Logger, name: str, ended: str) -> None:
        self._log = log
        self._name = name
        self._ended = ended
        self._told: set[str] = set()
        self._well_since: float | None = None

    def begin(self, why: str, *, trace: BaseException | None = None) -> None:
        """Record a fault.

        Args:
            trace: an exception whose traceback is logged, too.
        """
        self._well_since = None
        kind = re.sub(r"\d+", "", why)
        if kind in self._told:
            return
        if len(self._told) >= MOST_KINDS:
            self._told.clear()
        self._told.add(kind)
        self._log.warning("%s: %s", self._name, why, exc_info=trace)

    def end(self) -> None:
        """Record that the part works; call `check` from time to time."""
        if self._told and self._well_since is None:
            self._well_since = monotonic()

    def check(self, *, now: bool = False) -> None:
        """Log the end of a fault when it is due; with `now` at once, if the part works."""
        if self._well_since is not None and (now or monotonic() - self._well_since >= STEADY_S):
            self._told, self._well_since = set(), None
            self._log.warning("%s", self._ended)
