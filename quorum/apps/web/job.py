"""One upload in progress in the web service, from its request to its last prediction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from quorum.aggregator.decider import Case, Decider
from quorum.aggregator.decision.facts import Uploader
from quorum.core.messages import Prediction, Review, Verdict
from quorum.models.supervision.task import Task
from quorum.pipeline.moderator import Moderated

__all__ = ["Job"]


@dataclass(slots=True, eq=False, kw_only=True)
class Job(Task):
    """One upload in progress; only the event loop's thread reads and writes its own fields."""

    arrived: datetime
    #: Decides it, whichever policy is released meanwhile.
    decider: Decider
    answer: asyncio.Future[Moderated]
    awaited: set[str]
    silent: set[str]
    deadlines: dict[str, float]
    cleanup: Callable[[], None] | None = None
    #: The latest detector deadline that has passed, in seconds.
    waited: float = 0.0
    predictions: list[Prediction] = field(default_factory=list)
    case: Case | None = None
    timer: asyncio.TimerHandle | None = None
    uploader: Uploader | None = None
    earlier: Sequence[Verdict] = ()
    reviews: Sequence[Review] = ()

    def clean(self) -> None:
        """Release the media."""
        cleanup, self.cleanup = self.cleanup, None
        if cleanup is not None:
            cleanup()
