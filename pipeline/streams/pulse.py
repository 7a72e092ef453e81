"""The pulse of an engine: it stops when the engine does, whether or not anything is to be done.

A source beside the graph is asked for its next element again and again, in bundles of its own, so
that neither a slow detector nor a broker that is away holds it up. Only where workers are threads
of the process that is asked for its health.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any, Final

import apache_beam as beam
from apache_beam.utils.timestamp import Duration

from quorum.pipeline.streams.busy import awaited_calmly
from quorum.pipeline.streams.unbounded import Unbounded

__all__ = ["STILL_SECONDS", "Pulse", "beat", "not_begun", "standstill"]

#: Seconds between two beats where all is well.
_EVERY: Final = 0.5

#: Seconds without a beat after which an engine stands still.
STILL_SECONDS: Final = 10.0

_BEATS: dict[str, float] = {}
_LOCK = threading.Lock()


def beat(name: str) -> None:
    """The engine that runs this pulse is alive now."""
    with _LOCK:
        _BEATS[name] = time.monotonic()


def not_begun(names: Iterable[str]) -> str | None:
    """Why the engine of these pulses has nothing to do with the job yet; None if it has."""
    with _LOCK:
        if all(name in _BEATS for name in names):
            return None
    return "the job is starting: the engine has not begun to read"


def standstill(names: Iterable[str]) -> str | None:
    """Why the engine of these pulses stands still; None if it does not, or has not begun.

    Args:
        names: The pulses of one job.
    """
    with _LOCK:
        beats = [_BEATS[name] for name in names if name in _BEATS]
    still = time.monotonic() - min(beats, default=float("inf"))
    if still <= STILL_SECONDS:
        return None
    return f"the engine stands still: for {still:.0f} s it has asked for nothing"


class Pulse(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[None]]):
    """A source without elements, which beats each time that the engine asks it.

    Args:
        name: The pulse.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[None]:
        """See PTransform."""
        take = _Beat()  # type: ignore[no-untyped-call]
        beats: beam.PCollection[None] = (
            begin
            | "Name" >> beam.Create([self.name], reshuffle=False)
            | "Beat" >> beam.ParDo(take).with_output_types(type(None))
        )
        return awaited_calmly(beats, "Apart")


class _Beat(beam.DoFn):
    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        name: str,
        tracker: Any = beam.DoFn.RestrictionParam(Unbounded()),  # noqa: B008
    ) -> Iterable[None]:
        beat(name)
        time.sleep(_EVERY)
        tracker.defer_remainder(Duration(0))
        return ()
