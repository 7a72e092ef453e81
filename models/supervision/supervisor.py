"""Runs an ensemble in workers that may be killed, so that no upload costs another anything.

A batch that exceeds its budget, or takes its worker down, is scored again upload by upload in other
workers: all but the guilty upload get their predictions. That one gets a failed prediction of the
detector that it killed, or of all that need its media, and goes on with the rest of its plan.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from pydantic import ValidationError

from quorum.core.errors import QuorumError
from quorum.core.messages import Prediction, Status, Upload, now
from quorum.core.metrics import BREAKER_STATE, WORKERS_ENDED
from quorum.core.settings import WorkerSettings
from quorum.core.tracing import ids, now_ns, span
from quorum.models.detectors import Features, Finding
from quorum.models.runner import predict
from quorum.models.supervision.breaker import BreakerState, CircuitBreaker
from quorum.models.supervision.lane import Lane
from quorum.models.supervision.launcher import Launcher, Worker
from quorum.models.supervision.protocol import Batch, Progress
from quorum.models.supervision.spec import DetectorInfo
from quorum.models.supervision.task import Task

__all__ = ["Supervisor"]

_log = logging.getLogger(__name__)

#: The most uploads of a batch: with a deadline, and without one (texts of similar length are
#: embedded together, so that 256 at once are twice as fast as 32; media is held as frames).
_TEXTS = (64, 256)
_MEDIA = (8, 8)

#: Workers that score again what was in a killed batch. Most of them sleep: what hangs costs a
#: place, not a processor.
_RETRIES = 4

#: The part of the time that is left that an attempt may take, except the last one.
_SHARE = 0.25

#: A step of a batch may take so many times what it took before, and at least so many seconds.
_SLACK = 10.0
_LEAST_SECONDS = 2.0

#: Kept back of the time that is left, so that a failure is delivered before the deadline.
_MARGIN = 0.1
_MOST_MARGIN = 0.5

#: Seconds in which media let nobody go first, after one of their batches was too slow.
_PRESSED_SECONDS = 60.0

#: Seconds after which an idle worker beside the first one of a lane is ended.
_IDLE_SECONDS = 30.0

#: Batches after which a worker is replaced: a fork costs 20 ms, a slow leak costs a machine.
_MOST_BATCHES = 5_000

#: Waits between failures to start a worker, in seconds: the first and the longest.
_BACKOFF = (0.2, 10.0)


class Supervisor:
    """Scores uploads in workers, with a budget for each.

    Args:
        launcher: Starts the workers. The supervisor closes it.
        settings: The limits of the workers.

    Attributes:
        detectors: The detectors, by name.
        versions: Which detector each of them is another version of, where it may count.
        breakers: The circuit breaker of each detector, by name.
    """

    def __init__(self, launcher: Launcher, settings: WorkerSettings | None = None) -> None:
        self._launcher = launcher
        self._settings = settings or WorkerSettings()
        self.detectors: Mapping[str, DetectorInfo] = {one.name: one for one in launcher.detectors}
        self.versions: Mapping[str, str | None] = {
            name: None if one.shadow else one.settings.version_of
            for name, one in self.detectors.items()
        }
        self._order = {name: index for index, name in enumerate(self.detectors)}
        self.breakers = {name: CircuitBreaker() for name in self.detectors}
        for name, breaker in self.breakers.items():
            BREAKER_STATE.labels(name).set_function(partial(_level, breaker))
        self._texts = Lane("texts", *_TEXTS)
        self._media = Lane("media", *_MEDIA)
        self._retries = Lane("retries", 1, 1)
        self._lanes = (self._texts, self._media, self._retries)
        self._busy: set[Worker] = set()
        self._pressed_until = 0.0
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        count = self._settings.processes or _processors()
        for lane, slots in ((self._texts, count), (self._media, count), (self._retries, _RETRIES)):
            for slot in range(slots):
                thread = threading.Thread(
                    target=self._serve, args=(lane, slot == 0), name=lane.name, daemon=True
                )
                thread.start()
                self._threads.append(thread)

    def problem(self) -> str | None:
        """Why not all detectors score; None if they do."""
        reasons = [
            f"{name}: {breaker.refusal()}"
            for name, breaker in self.breakers.items()
            if breaker.state is not BreakerState.CLOSED
        ]
        return "; ".join(reasons) or None

    def submit(self, tasks: Iterable[Task]) -> None:
        """Start to score uploads; their predictions are delivered as they are made."""
        texts: list[Task] = []
        media: list[Task] = []
        for task in tasks:
            task.outstanding = set(self.detectors) - task.left_out
            if task.asked is not None:
                task.outstanding &= task.asked
            if not task.outstanding:
                task.deliver(task, (), True)
            else:
                (media if task.media else texts).append(task)
        if texts:
            self._texts.put(texts)
        if media:
            self._media.put(media)

    def score(
        self,
        uploads: Sequence[Upload],
        due: float = math.inf,
        traces: Sequence[str] = (),
        left_out: Callable[[Upload], frozenset[str]] = lambda _: frozenset(),
    ) -> list[list[Prediction]]:
        """Score uploads, and wait for all of them.

        Args:
            uploads: The uploads.
            due: How long to wait, in monotonic seconds; by default as long as the detectors'
                timeouts allow.
            traces: For each upload the context of its spans; none for no spans.
            left_out: The detectors that are not asked of an upload.

        Returns:
            For each upload the predictions that were made in time, in the order of the detectors.
        """
        done = threading.Semaphore(0)

        def deliver(_task: Task, _new: Sequence[Prediction], last: bool) -> None:
            if last:
                done.release()

        tasks = [
            Task(upload=upload, deliver=deliver, due=due, trace=trace, left_out=left_out(upload))
            for upload, trace in zip(uploads, traces or [""] * len(uploads), strict=True)
        ]
        self.submit(tasks)
        for _ in tasks:
            done.acquire(timeout=None if due == math.inf else max(0.0, due - time.monotonic()))
        return [self.ordered(task.given) for task in tasks]

    def ordered(self, predictions: Iterable[Prediction]) -> list[Prediction]:
        """Predictions in the order of their detectors."""
        return sorted(predictions, key=lambda one: self._order[one.detector])

    def close(self, seconds: float = 0.0) -> None:
        """Finish the tasks that wait, for at most so many seconds, then end all workers."""
        if self._ending.is_set():
            return
        until = time.monotonic() + seconds
        for lane in (self._texts, self._media):
            lane.close()
        others = [thread for thread in self._threads if thread.name != self._retries.name]
        for thread in others:
            thread.join(max(0.0, until - time.monotonic()))
        self._retries.close()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._ending.set()
        for lane in self._lanes:
            for task in lane.empty():
                task.finish()
        with self._lock:
            busy = tuple(self._busy)
        for worker in busy:
            worker.end()
        self._launcher.close()

    def _serve(self, lane: Lane, eager: bool) -> None:
        """Process the batches of a lane, in one worker at a time."""
        worker: Worker | None = None
        yields = False
        batches = 0
        pause = _BACKOFF[0]
        while (tasks := lane.take(_IDLE_SECONDS, eager=eager)) is not None:
            if not tasks:
                if worker is not None and not eager:
                    self._end(worker)
                    worker = None
                continue
            admitted = self._admitted(tasks)
            if not admitted:
                continue
            if worker is not None and yields and not self._yields(lane, admitted):
                self._end(worker)
                worker = None
            if worker is None:
                try:
                    yields = self._yields(lane, admitted)
                    worker, batches = self._launcher.launch(yields=yields), 0
                except QuorumError as error:
                    _log.error("no worker for the detectors, again in %.1f s: %s", pause, error)
                    self._ending.wait(pause)
                    pause = min(2 * pause, _BACKOFF[1])
                    self._again(admitted)
                    continue
                pause = _BACKOFF[0]
            batches += 1
            try:
                fit = self._attempt(lane, admitted, worker)
            except Exception:  # of a consumer of predictions: it must not end this thread
                _log.exception("a batch of %d was lost", len(admitted))
                for task in admitted:
                    task.finish()
                fit = False
            if not fit or batches >= _MOST_BATCHES:
                self._end(worker)
                worker = None
        if worker is not None:
            self._end(worker)

    def _yields(self, lane: Lane, tasks: Sequence[Task]) -> bool:
        """Whether a batch lets other processes go first.

        Texts are many and quick: media take what they leave. What is scored again does not yield,
        nor do others while media were too slow, so that they are done by their deadline.
        """
        hurried = all(task.due != math.inf for task in tasks)
        return lane is self._media and hurried and time.monotonic() >= self._pressed_until

    def _end(self, worker: Worker) -> None:
        with self._lock:
            self._busy.discard(worker)
        worker.end()

    def _again(self, tasks: Sequence[Task]) -> None:
        if self._ending.is_set():
            for task in tasks:
                task.finish()
        else:
            self._retries.put(tasks, first=not any(task.last_chance for task in tasks))

    def _admitted(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks that still have time and detectors that may score them."""
        refused = {name: why for name, one in self.breakers.items() if (why := one.refusal())}
        moment = time.monotonic()
        admitted = []
        for task in tasks:
            if task.due <= moment:
                self._give_up(task)
                continue
            if refused:
                self._refuse(task, refused, alone=len(tasks) == 1)
            if task.outstanding:
                admitted.append(task)
        return admitted

    def _refuse(self, task: Task, refused: Mapping[str, str], *, alone: bool) -> None:
        for name, why in refused.items():
            if name not in task.outstanding or task.probe == name:
                continue
            # A probe is made alone: it is expected to be killed.
            if alone and not task.probe and self.breakers[name].probe():
                task.probe, task.last_chance = name, True
                continue
            task.add([self._failed(task, name, why, 0.0)])

    def _give_up(self, task: Task) -> None:
        if task.probe:
            self.breakers[task.probe].cancel_probe()
        task.finish()

    def _attempt(self, lane: Lane, tasks: Sequence[Task], worker: Worker) -> bool:
        """Score a batch; whether the worker may get another."""
        with self._lock:
            self._busy.add(worker)
        step = ""
        began, began_ns = time.monotonic(), now_ns()
        until = began + self._seconds(lane, tasks, step)
        timed_out = False
        why = ""
        try:
            worker.send(self._frame(tasks))
            while True:
                frame = worker.receive(max(0.0, until - time.monotonic()))
                # This process may have been stopped: then the answer is there by now.
                frame = worker.receive(0.0) if frame is None else frame
                moment = time.monotonic()
                if frame is None:
                    timed_out = True
                    why = f"timed out after {moment - began:.3g} s"
                    break
                progress = Progress.model_validate_json(frame)
                self._report(tasks, progress.predictions)
                self._trace(tasks, step, began_ns, progress)
                if progress.exhausted:
                    why = progress.exhausted
                    break
                if progress.done:
                    lane.grow(len(tasks))
                    return not progress.retire
                if progress.step:
                    if step:
                        lane.keep_pace(step, moment - began, len(tasks))
                    step, began, began_ns = progress.step, moment, now_ns()
                    until = began + self._seconds(lane, tasks, step)
        except EOFError:
            pass
        except (OSError, ValidationError) as error:
            why = f"its process does not answer as it should: {type(error).__name__}"
        if timed_out and lane is self._media:
            self._pressed_until = time.monotonic() + _PRESSED_SECONDS
        how = worker.end()
        WORKERS_ENDED.labels("killed" if timed_out else "died").inc()
        why = why or f"its process {how}"
        self._blame(lane, tasks, step, why, time.monotonic() - began, timed_out=timed_out)
        return False

    def _frame(self, tasks: Sequence[Task]) -> bytes:
        left = min(task.due for task in tasks) - time.monotonic()
        if left == math.inf:
            timeouts = sum(one.settings.timeout for one in self.detectors.values())
            left = timeouts + self._settings.timeout * len(tasks)
        batch = Batch(items=tuple(task.item() for task in tasks), cpu_seconds=2 * left)
        return batch.model_dump_json().encode()

    def _seconds(self, lane: Lane, tasks: Sequence[Task], step: str) -> float:
        """The budget of a step, in seconds."""
        detector = self.detectors.get(self._launcher.plan.get(step, ""))
        own = self._settings.timeout * len(tasks) if detector is None else detector.settings.timeout
        left = min(task.due for task in tasks) - time.monotonic()
        if left == math.inf:
            return own
        left -= min(_MOST_MARGIN, _MARGIN * left)
        if len(tasks) == 1 and tasks[0].last_chance:
            return max(0.0, min(own, left))
        seconds = min(own, _SHARE * left)
        expected = lane.expected(step, len(tasks))
        if expected is not None and not (detector and detector.remote):
            seconds = min(seconds, max(_LEAST_SECONDS, _SLACK * expected))
        return max(0.0, seconds)

    def _report(self, tasks: Sequence[Task], predictions: Sequence[tuple[int, Prediction]]) -> None:
        by_task: dict[int, list[Prediction]] = {}
        for index, prediction in predictions:
            task = tasks[index] if 0 <= index < len(tasks) else None
            info = self.detectors.get(prediction.detector)
            if task is None or info is None or prediction.upload_id != task.upload.id:
                continue
            by_task.setdefault(index, []).append(prediction)
            self.breakers[info.name].succeeded(probe=task.probe == info.name)
        for index, made in by_task.items():
            tasks[index].add(made)

    def _trace(self, tasks: Sequence[Task], step: str, began: int, progress: Progress) -> None:
        """Make the spans of a step that is over: of features, and of those that it scored."""
        if not step or not any(task.trace for task in tasks):
            return
        detector = self._launcher.plan.get(step, "")
        if not detector:
            # Times that a worker tells, which runs what strangers wrote: only those of this step.
            fetches = {
                index: (begin, end)
                for index, begin, end in progress.fetches
                if began <= begin <= end <= now_ns()
            }
            for index, task in enumerate(tasks):
                made = span("features", task.trace, began, batch=len(tasks))
                if index in fetches:
                    span("fetch", made, *fetches[index], kind="client")
        for index, prediction in progress.predictions:
            # One that the cascade skips, or that is of an earlier step, took no time here.
            if 0 <= index < len(tasks) and prediction.detector == detector and prediction.elapsed:
                span(
                    f"score {detector}",
                    tasks[index].trace,
                    began,
                    error="failed" if prediction.status is Status.FAILED else "",
                    detector=detector,
                    version=prediction.version,
                    status=prediction.status.value,
                    batch=len(tasks),
                )

    def _blame(
        self,
        lane: Lane,
        tasks: Sequence[Task],
        step: str,
        why: str,
        seconds: float,
        *,
        timed_out: bool,
    ) -> None:
        """Find who is guilty of a killed batch, or fail the one that is."""
        if len(tasks) > 1:
            lane.shrink(len(tasks))
            self._again([task for task in tasks if task.outstanding])
            return
        (task,) = tasks
        if not task.outstanding:
            return
        hurried = task.due != math.inf
        if timed_out and hurried and not task.last_chance:
            task.last_chance = True
            self._again(tasks)
            return
        name = self._launcher.plan.get(step, "")
        _log.warning(
            "an upload took its worker down",
            extra={"upload_id": task.upload.id, "detector": name, "reason": why, **ids(task.trace)},
        )
        begin = now_ns() - int(seconds * 1e9)
        span(f"score {name}" if name else "features", task.trace, begin, error="killed")
        if name:
            self.breakers[name].killed(why, probe=task.probe == name)
            task.add([self._failed(task, name, why, seconds)])
        elif task.media and not task.unreadable:
            task.unreadable = f"media cannot be read: {why}"
        else:
            names = sorted(task.outstanding)
            task.add([self._failed(task, one, why, seconds) for one in names])
        if task.outstanding:
            self._again(tasks)

    def _failed(self, task: Task, name: str, why: str, seconds: float) -> Prediction:
        info = self.detectors[name]
        finding = Finding.failed(why)
        features = Features(task.upload)
        return predict(info, features, finding, now(), seconds, shadow=info.shadow)


def _level(breaker: CircuitBreaker) -> float:
    return float(list(BreakerState).index(breaker.state))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
