"""An upload on its way through a supervisor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from quorum.core.messages import Prediction, Upload
from quorum.models.supervision.protocol import WorkItem

__all__ = ["Deliver", "Task"]

#: Called with new predictions of a task, at most one of each detector, and whether these are the
#: last; on any thread.
Deliver = Callable[["Task", Sequence[Prediction], bool], None]


@dataclass(slots=True, eq=False, kw_only=True)
class Task:
    """An upload to be scored.

    Attributes:
        upload: The upload.
        deliver: Receives its predictions.
        scored: The upload from which features are made, if it is another.
        due: When its predictions are of no more use, in monotonic seconds.
        asked: The detectors to run, whether or not the action is settled; None for all, as the
            cascade decides.
        left_out: Other versions of detectors than those that are asked; they are not run.
        outstanding: The detectors whose prediction is not final.
        given: Its final predictions.
        unreadable: Why its media must not be read again; empty if it may be read.
        last_chance: Whether the next attempt may take all the time that is left.
        probe: The detector whose breaker this task probes; empty for none.
        trace: The context of its spans; empty where traces are off.
    """

    upload: Upload
    deliver: Deliver
    scored: Upload | None = None
    due: float = math.inf
    asked: frozenset[str] | None = None
    left_out: frozenset[str] = frozenset()
    outstanding: set[str] = field(default_factory=set)
    given: list[Prediction] = field(default_factory=list)
    unreadable: str = ""
    last_chance: bool = False
    probe: str = ""
    trace: str = ""

    @property
    def media(self) -> str | None:
        """The address of its media."""
        return (self.scored or self.upload).media

    def item(self) -> WorkItem:
        """What a worker needs."""
        return WorkItem(
            upload=self.upload,
            scored=self.scored,
            given=tuple(self.given),
            asked=self.asked,
            left_out=self.left_out,
            unreadable=self.unreadable,
        )

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Keep final predictions and deliver them; a detector's first one stands."""
        new = [one for one in predictions if one.detector in self.outstanding]
        self.given += new
        self.outstanding.difference_update(one.detector for one in new)
        if new:
            self.deliver(self, new, not self.outstanding)

    def finish(self) -> None:
        """Deliver nothing more: what is outstanding is missing."""
        if self.outstanding:
            self.outstanding.clear()
            self.deliver(self, (), True)
