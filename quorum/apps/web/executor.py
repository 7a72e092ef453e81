"""One ensemble at work behind requests: lanes for features and for each of its detectors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from quorum.aggregator.decision.settling import settled
from quorum.aggregator.policy.policy import Policy
from quorum.apps.web.micro_batcher import MicroBatcher
from quorum.core.messages import Prediction, Upload
from quorum.models.cascade import ScoringState
from quorum.models.configured import ConfiguredDetector
from quorum.pipeline.moderator import Ensemble

__all__ = ["EnsembleExecutor", "ScoringTask"]

#: The most uploads whose features are made at once: more are faster together, and each waits
#: for all of them.
FEATURE_BATCH = 64

#: Features are most of the work: under much load a second core helps, and an upload whose media
#: comes slowly does not hold up those behind it. More would hold more decoded media in memory.
FEATURE_HELPERS = 1


@dataclass(slots=True, eq=False, kw_only=True)
class ScoringTask:
    """What detectors are asked about one upload.

    Attributes:
        upload: The upload.
        scored: The same with its media where it lies here, if that is elsewhere.
        cleanup: Called when the media is not needed any more.
    """

    upload: Upload
    scored: Upload
    cleanup: Callable[[], None] | None = None
    state: ScoringState | None = None
    awaited: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clean(self) -> None:
        """The media is not needed any more."""
        cleanup, self.cleanup = self.cleanup, None
        if cleanup is not None:
            cleanup()


T = TypeVar("T", bound=ScoringTask)

#: What detectors said of uploads, by name; None where one was left out.
Scored = Sequence[tuple[T, str, Prediction | None]]


class EnsembleExecutor(Generic[T]):
    """An ensemble's lanes; each detector scores what waits for it, on a thread of its own.

    Args:
        ensemble: The detectors.
        policies: Those that say which detectors a cascade spares; the one that decides is first.
        deliver: Given the detectors' answers, on any thread: one for each task and detector, None
            where it was left out.
        limit: A detector for which so many wait is left out.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        policies: Sequence[Policy],
        deliver: Callable[[Scored[T]], None],
        limit: int,
    ) -> None:
        self.ensemble = ensemble
        self._cascade = ensemble.cascade
        self._policies = tuple(policies)
        self._deliver = deliver
        self._limit = limit
        self._features = MicroBatcher[T]("features", self._begin, FEATURE_BATCH, FEATURE_HELPERS)
        self._lanes = {
            name: self._lane(f"detector-{name}", member, deliver)
            for name, member in ensemble.members.items()
        }
        #: Where a cascade is on: the first state of those that are asked first, and what follows.
        self._glances: dict[str, MicroBatcher[tuple[T, ScoringState]]] = {}
        self._others: MicroBatcher[T] | None = None
        if self._cascade.second:
            self._others = MicroBatcher[T](
                "features-others", self._go_on, FEATURE_BATCH, FEATURE_HELPERS
            )
            self._glances = {
                member.name: self._lane(f"glance-{member.name}", member, self._hear)
                for member in self._cascade.first
            }

    def put(self, task: T) -> None:
        """Ask all detectors about an upload."""
        self._features.put(task)

    def close(self, seconds: float) -> None:
        """Work off what waits, for no longer than so many seconds."""
        end = time.monotonic() + seconds
        # Each fills the lanes after it.
        others = () if self._others is None else (self._others,)
        for lane in (self._features, *self._glances.values(), *others, *self._lanes.values()):
            lane.close(max(0.0, end - time.monotonic()))

    @staticmethod
    def _lane(
        name: str,
        member: ConfiguredDetector,
        told: Callable[[Scored[T]], None],
    ) -> MicroBatcher[tuple[T, ScoringState]]:
        def score(batch: Sequence[tuple[T, ScoringState]]) -> None:
            said = member.score([state.features for _, state in batch])
            told([(task, member.name, one) for (task, _), one in zip(batch, said, strict=True)])

        return MicroBatcher[tuple[T, ScoringState]](name, score, member.settings.max_batch)

    def _begin(self, tasks: Sequence[T]) -> None:
        try:
            states = self._cascade.begin([task.scored for task in tasks])
        except BaseException:
            _clean(tasks)
            raise
        if self._others is None:
            _clean(tasks)
            for task, state in zip(tasks, states, strict=True):
                for name in self._lanes:
                    self._ask(task, state, name)
            return
        for task, state in zip(tasks, states, strict=True):
            task.state = state
            task.awaited = set(self._glances)
        for task, state in zip(tasks, states, strict=True):
            for name, lane in self._glances.items():
                if lane.waiting() >= self._limit:
                    self._hear([(task, name, None)])
                else:
                    lane.put((task, state))

    def _ask(self, task: T, state: ScoringState, name: str) -> None:
        lane = self._lanes[name]
        if lane.waiting() >= self._limit:
            # A detector that is far behind is left out rather than waited for.
            self._deliver([(task, name, None)])
        else:
            lane.put((task, state))

    def _hear(self, told: Scored[T]) -> None:
        """Keep what a first state found, until all of them have looked."""
        for task, name, prediction in told:
            with task.lock:
                if prediction is not None and task.state is not None:
                    task.state = task.state.heard(prediction)
                task.awaited.discard(name)
                done = not task.awaited
            if done and self._others is not None:
                self._others.put(task)

    def _go_on(self, tasks: Sequence[T]) -> None:
        uploads = {id(task.scored): task.upload for task in tasks}

        def of(scored: Upload, said: Sequence[Prediction]) -> str | None:
            return settled(self._policies, uploads[id(scored)], said)

        try:
            states = self._cascade.go_on([task.state for task in tasks if task.state], of)
        finally:
            _clean(tasks)
        told: list[tuple[T, str, Prediction | None]] = []
        for task, state in zip(tasks, states, strict=True):
            task.state = None
            said = {one.detector: one for one in state.predictions}
            for member in self._cascade.first:
                if state.more:
                    self._ask(task, state, member.name)
                else:
                    told.append((task, member.name, said.get(member.name)))
            for member in self._cascade.second:
                if state.settled:
                    spared = member.spared(task.upload, state.settled)
                    told.append((task, member.name, spared))
                else:
                    self._ask(task, state, member.name)
        self._deliver(told)


def _clean(tasks: Iterable[T]) -> None:
    for task in tasks:
        task.clean()
