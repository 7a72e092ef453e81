"""Runs the plan of an ensemble behind requests: each step on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from quorum.aggregator.decision.settling import settled
from quorum.aggregator.policy.policy import Policy
from quorum.apps.web.micro_batcher import MicroBatcher
from quorum.core.messages import Prediction, Upload
from quorum.models.detectors import Features
from quorum.models.ensemble import Ensemble
from quorum.models.plan import Score, ScoringState, Step

__all__ = ["EnsembleExecutor", "ScoringTask"]

#: The most uploads whose features are extracted at once: more are faster together, and each waits
#: for all of them.
FEATURE_BATCH = 64

#: Features are most of the work: under much load a second core helps, and an upload whose media
#: comes slowly does not hold up those behind it. More would hold more decoded media in memory.
FEATURE_HELPERS = 1


@dataclass(slots=True, eq=False, kw_only=True)
class ScoringTask:
    """An upload that the ensemble scores.

    Attributes:
        upload: The upload.
        scored: The same with the address of a local copy of its media, if there is one.
        cleanup: Called when the media is not needed any more.
        state: The upload's state between two phases of the plan.
        awaited: How many steps of the current phase are not done.
        lock: Guards ``state`` and ``awaited``.
    """

    upload: Upload
    scored: Upload
    cleanup: Callable[[], None] | None = None
    state: ScoringState | None = None
    awaited: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clean(self) -> None:
        """Release the media."""
        cleanup, self.cleanup = self.cleanup, None
        if cleanup is not None:
            cleanup()


T = TypeVar("T", bound=ScoringTask)

#: A task, a detector's name and its prediction; None where the detector was left out.
_Result = tuple[T, str, Prediction | None]


class EnsembleExecutor(Generic[T]):
    """The micro-batchers of an ensemble, one for each step of its plan.

    A task goes through the phases of the plan; the steps of a phase work on it at the same time.
    A detector's prediction is delivered after the last step that may change it.

    Args:
        ensemble: The detectors.
        policies: The policies that settle uploads of a cascade; the one that decides is first.
        deliver: Called with predictions, on any thread: one for each task and detector, None
            where the detector was left out.
        limit: A detector that has so many uploads waiting is left out.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        policies: Sequence[Policy],
        deliver: Callable[[Sequence[_Result[T]]], None],
        limit: int,
    ) -> None:
        self.ensemble = ensemble
        self._deliver = deliver
        self._limit = limit
        plan = ensemble.plan(partial(settled, tuple(policies)))
        self._phases = plan.phases
        self._batchers = {step.name: self._batcher(step) for step in plan.steps}
        scores = [step for step in plan.steps if isinstance(step, Score)]
        #: The last step of each detector, by its name: its predictions are final.
        self._final = frozenset({step.detector.name: step.name for step in scores}.values())
        #: The last step that reads media.
        self._last_of_media = [one for one in plan.steps if not isinstance(one, Score)][-1].name
        self._next_phase = {
            step.name: index + 1 for index, phase in enumerate(plan.phases) for step in phase
        }

    def put(self, task: T) -> None:
        """Start to score an upload."""
        task.state = ScoringState(task.upload, Features(task.scored))
        self._enter([task], 0, [])

    def close(self, seconds: float) -> None:
        """Finish the tasks that wait, for at most so many seconds."""
        end = time.monotonic() + seconds
        # In the order of the plan: each step fills the batchers of the next phase.
        for batcher in self._batchers.values():
            batcher.close(max(0.0, end - time.monotonic()))

    def _batcher(self, step: Step) -> MicroBatcher[tuple[T, ScoringState]]:
        work = partial(self._run, step)
        if isinstance(step, Score):
            size, helpers = step.detector.settings.max_batch, 0
        else:
            size, helpers = FEATURE_BATCH, FEATURE_HELPERS
        return MicroBatcher[tuple[T, ScoringState]](step.name, work, size, helpers)

    def _run(self, step: Step, batch: Sequence[tuple[T, ScoringState]]) -> None:
        tasks = [task for task, _ in batch]
        try:
            states = step.run([state for _, state in batch])
        except BaseException:
            _clean(tasks)
            raise
        if step.name == self._last_of_media:
            _clean(tasks)
        results: list[_Result[T]] = []
        ready: list[T] = []
        for task, state in zip(tasks, states, strict=True):
            self._finish(step, task, state, results, ready)
        self._enter(ready, self._next_phase[step.name], results)

    def _enter(self, tasks: Sequence[T], phase: int, results: list[_Result[T]]) -> None:
        """Start a phase, and deliver what is final.

        A step that does not apply to an upload is finished at once; so may be the phase.
        """
        while tasks and phase < len(self._phases):
            ready: list[T] = []
            for task in tasks:
                state = task.state
                assert state is not None
                task.awaited = len(self._phases[phase])
                for step in self._phases[phase]:
                    self._start(step, task, state, results, ready)
            tasks, phase = ready, phase + 1
        for task in tasks:
            task.state = None
        if results:
            self._deliver(results)

    def _start(
        self, step: Step, task: T, state: ScoringState, results: list[_Result[T]], ready: list[T]
    ) -> None:
        batcher = self._batchers[step.name]
        if isinstance(step, Score) and not step.applies(state):
            self._finish(step, task, step.skip(state), results, ready)
        elif isinstance(step, Score) and batcher.waiting() >= self._limit:
            # A detector that is far behind is left out rather than waited for.
            self._finish(step, task, None, results, ready)
        else:
            batcher.put((task, state))

    def _finish(
        self,
        step: Step,
        task: T,
        state: ScoringState | None,
        results: list[_Result[T]],
        ready: list[T],
    ) -> None:
        """Keep the result of a step; the last step of a phase makes the task ready."""
        with task.lock:
            if isinstance(step, Score):
                name = step.detector.name
                prediction = None if state is None else state.prediction_of(name)
                if prediction is not None and task.state is not None:
                    task.state = task.state.with_prediction(prediction)
                if step.name in self._final:
                    results.append((task, name, prediction))
            else:
                task.state = state
            task.awaited -= 1
            if not task.awaited:
                ready.append(task)


def _clean(tasks: Iterable[ScoringTask]) -> None:
    for task in tasks:
        task.clean()
