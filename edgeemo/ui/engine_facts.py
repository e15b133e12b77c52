"""Accuracy, speed on this machine and size of engines. Called by `live`, for `pickers`."""

from __future__ import annotations

from dataclasses import dataclass

from edgeemo.ui.language import tr
from edgeemo.ui.messages import error_words
from edgeemo.ui.words import number
from engines import EngineError, find_bundle
from engines.backends.autoselect import benchmark, best, remembered


@dataclass(frozen=True)
class EngineFacts:
    """Facts about one engine.

    Attributes:
        accuracy: accuracy on a public test; None if its bundle does not state it.
        data: name of the test.
        ms: milliseconds per face on this machine with the fastest usable backend; None: not measured yet.
        mb: size of its smallest file in megabytes.
        fault: why it cannot be used; empty if it can.
    """

    name: str
    accuracy: float | None = None
    data: str = ""
    ms: float | None = None
    mb: float = 0.0
    fault: str = ""

    @property
    def words(self) -> str:
        """The facts in one line, for example "89.0 % right, 1.3 ms, 3 MB"."""
        if self.fault:
            return tr("cannot be used")
        parts = [] if self.accuracy is None else [tr("{percent} % right", percent=number(self.accuracy * 100, 1))]
        parts += [] if self.ms is None else [f"{number(self.ms, 1)} ms"]
        return ", ".join([*parts, f"{number(self.mb, 0 if self.mb >= 10 else 1)} MB"])

    @property
    def tip(self) -> str:
        """Accuracy and speed in full sentences."""
        if self.fault:
            return self.fault
        told, speed = tr("No accuracy is stated for it."), tr("Not measured on this machine yet.")
        if self.accuracy is not None:
            percent = number(self.accuracy * 100, 1)
            told = tr("Accuracy on {data}: {percent} %.", percent=percent, data=self.data)
        if self.ms is not None:
            speed = tr("{ms} ms per face on this machine.", ms=number(self.ms, 1))
        return f"{told}\n{speed}"


def facts_of(name: str, *, threads: int = 1, measure: bool = False) -> EngineFacts:
    """The facts about one engine.

    Args:
        name: name of a bundle.
        threads: threads for the engine.
        measure: measure the engine's speed if this has not been done yet; takes seconds.
    """
    try:
        bundle = find_bundle(name)
        options = benchmark(bundle, threads=threads) if measure else remembered(bundle, threads=threads)
        scores = bundle.accuracy
        return EngineFacts(
            name,
            None if scores is None else scores.accuracy,
            "" if scores is None else scores.data,
            best(options).milliseconds if options else None,
            min(bundle.sizes().values(), default=bundle.model.stat().st_size) / 1e6,
        )
    except (EngineError, OSError) as error:
        return EngineFacts(name, fault=error_words(error))
