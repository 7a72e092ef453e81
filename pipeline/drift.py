"""Drift as it happens: how detectors score now, against a reference, as Prometheus gauges."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Final

from quorum.aggregator.study.drift import FEWEST, Profiles, population_stability_index
from quorum.core.errors import ConfigurationError, InputError
from quorum.core.messages import Verdict
from quorum.core.metrics import DEADLINE_RATIO, SCORE_STABILITY, SILENT_RATIO

__all__ = ["ScoreWatch", "load_reference", "process_watch"]

#: Verdicts in one half of what counts as now: enough for the index to be no noise.
HALF: Final = 5_000
#: The gauges are set after so many verdicts.
EVERY: Final = 250


class ScoreWatch:
    """Compares the scores of recent verdicts with a reference.

    May be shared by threads.

    Args:
        reference: From ``quorum policy drift --save``; without one, only the share of
            failed and missing predictions is published.
        half: How many verdicts make half of the last while.
    """

    def __init__(self, reference: Profiles | None = None, half: int = HALF) -> None:
        self._reference = reference
        self._half = half
        self._lock = threading.Lock()
        self._now = Profiles()
        self._before = Profiles()

    def verdict(self, verdict: Verdict) -> None:
        """Count a verdict; sets the gauges now and then."""
        with self._lock:
            before = self._now.verdicts
            self._now.add_verdict(verdict)
            if self._now.verdicts == before:
                return
            if self._now.verdicts % EVERY == 0:
                self.publish()
            if self._now.verdicts >= self._half:
                self._before, self._now = self._now, Profiles()

    def publish(self) -> None:
        """Set the gauges to what is known now."""
        recent = Profiles()
        recent.merge(self._before)
        recent.merge(self._now)
        if recent.verdicts:
            DEADLINE_RATIO.set(recent.at_deadline / recent.verdicts)
        for detector in {name for name, _ in recent.by_version}:
            here = recent.of(detector)
            SILENT_RATIO.labels(detector).set(here.silent)
            if self._reference is not None:
                there = self._reference.of(detector)
                if min(here.scored, there.scored) >= FEWEST:
                    index = population_stability_index(here.bins, there.bins)
                    SCORE_STABILITY.labels(detector).set(index)


def process_watch(reference: Profiles | None) -> ScoreWatch:
    """The watch of this process for a reference.

    The gauges belong to the process, and an engine runs a stage in several threads: each with
    counts of its own would overwrite the gauges of the others.
    """
    with _lock:
        return _watch(None if reference is None else reference.to_json())


_lock = threading.Lock()


@lru_cache(maxsize=8)
def _watch(reference: str | None) -> ScoreWatch:
    return ScoreWatch(None if reference is None else Profiles.from_json(reference))


def load_reference(file: str | Path) -> Profiles:
    """Read a reference of score distributions.

    Raises:
        ConfigurationError: If it cannot be read, or is something else.
    """
    try:
        return Profiles.from_json(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, InputError) as error:
        msg = f"cannot use the reference {file}: {getattr(error, 'strerror', None) or error}"
        raise ConfigurationError(msg) from None
