"""Uploads in, verdicts out, for many requests at once: by the policy's deadlines."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.settling import settled
from quorum.aggregator.policy.policy import Policy
from quorum.apps.web.job import Job
from quorum.core import metrics, tracing
from quorum.core.messages import Prediction, Review, Upload, Verdict, now
from quorum.models.ensemble import Ensemble
from quorum.models.supervision.launcher import InThread
from quorum.models.supervision.spec import DetectorInfo
from quorum.models.supervision.supervisor import Supervisor
from quorum.models.supervision.task import Task
from quorum.pipeline.capped import count_capped
from quorum.pipeline.moderator import Moderated
from quorum.pipeline.policies.live import LivePolicy, show_decides
from quorum.pipeline.traced import decided as trace_of_case
from quorum.store.histories import Histories

__all__ = ["Busy", "Service"]

#: The verdicts of the last so many seconds estimate the throughput.
RATE_SECONDS = 10.0

#: Seconds beyond the policy's deadline after which an upload in progress is a problem of health.
LATE_SECONDS = 10.0


class Busy(Exception):
    """Too many uploads are in progress.

    Attributes:
        seconds: When to retry.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"retry in {seconds} s")
        self.seconds = seconds


class Service:
    """Decides uploads by the policy's deadlines; for use from one event loop.

    Args:
        policy: The policy that decides.
        ensemble: The detectors: supervised, or objects that run in threads.
        pending: Most uploads in progress at once.
        on_late: Called after a response: with the upload, a superseding verdict if the action
            changed, the late prediction, and the context of the trace.
        shadows: Policies that are evaluated without effect.
        histories: Looks up past verdicts on uploaders; None for nowhere.
        live: Follows the policies that are released while it serves; None for none.
    """

    def __init__(
        self,
        policy: Policy,
        ensemble: Ensemble | Supervisor,
        *,
        pending: int = 256,
        on_late: Callable[[Upload, Verdict | None, Prediction, str], None] | None = None,
        shadows: Sequence[Policy] = (),
        histories: Histories | None = None,
        live: LivePolicy | None = None,
    ) -> None:
        self.policy = policy
        self._live = live
        show_decides(policy, live)
        self._shadows = tuple(shadows)
        self._decider = Decider(policy, shadows, on_capped=count_capped)
        self._histories = histories
        self._limit = pending
        self.on_late = on_late
        self._pending = 0
        #: When each upload in progress began, the oldest first, on the monotonic clock.
        self._began: dict[Task, float] = {}
        self._done: deque[float] = deque(maxlen=1000)
        self._loop = asyncio.get_running_loop()
        self._supervisor = self._supervised(ensemble)

    @property
    def detectors(self) -> Mapping[str, DetectorInfo]:
        """The detectors in use, by name."""
        return self._supervisor.detectors

    def policy_problem(self) -> str | None:
        """Why the newest policy may not decide; None if it does."""
        return None if self._live is None else self._live.problem()

    def detector_problem(self) -> str | None:
        """Why not all detectors score; None if they do."""
        return self._supervisor.problem()

    @property
    def pending(self) -> int:
        """Number of uploads in progress."""
        return self._pending

    def problem(self) -> str | None:
        """Why uploads do not get their verdicts in time; None if they do. From any thread."""
        waited = time.monotonic() - min(tuple(self._began.values()), default=float("inf"))
        deadline = self.policy.deadline
        if waited <= deadline + LATE_SECONDS:
            return None
        return f"an upload has waited for {waited:.0f} s; the policy's deadline is {deadline:g} s"

    def _follow(self) -> None:
        """Take the policy in force; an upload in progress keeps the one that it began with."""
        if self._live is None:
            return
        policy = self._live.current()
        if policy.version != self.policy.version:
            self._decider = self._decider.under(policy)
            self.policy = policy
            if self._histories is not None:
                self._histories.follow(policy)

    def check(self, count: int) -> None:
        """Check that so many more uploads may start.

        Raises:
            Busy: If they may not.
        """
        if self._pending + count > self._limit:
            raise Busy(self._wait_seconds())

    async def moderate(
        self,
        upload: Upload,
        *,
        scored: Upload | None = None,
        cleanup: Callable[[], None] | None = None,
        earlier: Sequence[Verdict] = (),
        reviews: Sequence[Review] = (),
        trace: str = "",
    ) -> Moderated:
        """Decide an upload, by the policy's deadline at the latest.

        Args:
            upload: The upload.
            scored: The upload that detectors see, if its media is stored elsewhere.
            cleanup: Called when the media is no longer needed.
            earlier: For an edit, the verdicts on earlier contents.
            reviews: The reviews of these verdicts.
            trace: The context that the client sent (``quorum.core.tracing``); empty without one.

        Raises:
            Busy: If too many uploads are in progress.
        """
        try:
            self.check(1)
        except Busy:
            if cleanup is not None:
                cleanup()
            raise
        self._follow()
        job = self._job(upload, scored or upload, cleanup)
        job.earlier, job.reviews = earlier, reviews
        if tracing.is_on():
            parent = trace or tracing.root(upload.id, upload.digest)
            job.trace = tracing.span(
                "receive upload", parent, tracing.now_ns(), kind="server", upload_id=upload.id
            )
        self._pending += 1
        self._began[job] = time.monotonic()
        try:
            await self._add_history(job)
            self._supervisor.submit([job])
            self._expire(job)
            made = await job.answer
        finally:
            self._pending -= 1
            del self._began[job]
            if job.timer is not None:
                job.timer.cancel()
        self._done.append(time.monotonic())
        metrics.count_verdict(made.verdict, job.decider.policy.deadline)
        return replace(made, trace=trace_of_case(made.verdict, job.trace))

    async def score(self, upload: Upload, detectors: frozenset[str]) -> tuple[Prediction, ...]:
        """Ask some detectors about an upload, and decide nothing.

        Args:
            upload: The upload.
            detectors: The detectors; all are asked, whatever the cascade.

        Returns:
            The predictions that were made by the policy's deadline.

        Raises:
            Busy: If too many uploads are in progress.
        """
        self.check(1)
        made: list[Prediction] = []
        done = asyncio.Event()

        def take(new: Sequence[Prediction], last: bool) -> None:
            for prediction in new:
                metrics.count_prediction(prediction)
            made.extend(new)
            if last:
                done.set()

        def deliver(_task: Task, new: Sequence[Prediction], last: bool) -> None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(take, new, last)

        seconds = self.policy.deadline
        task = Task(
            upload=upload, deliver=deliver, due=self._loop.time() + seconds, asked=detectors
        )
        self._pending += 1
        self._began[task] = time.monotonic()
        try:
            self._supervisor.submit([task])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), seconds)
        finally:
            self._pending -= 1
            del self._began[task]
        return tuple(made)

    async def _add_history(self, job: Job) -> None:
        if self._histories is None:
            return
        if not any(one.reads_history for one in (self.policy, *self._shadows)):
            return
        try:
            job.uploader = await asyncio.to_thread(self._histories.of, job.upload, job.arrived)
        except BaseException:
            job.clean()
            raise

    def _supervised(self, ensemble: Ensemble | Supervisor) -> Supervisor:
        if isinstance(ensemble, Supervisor):
            return ensemble
        return Supervisor(InThread(ensemble, partial(settled, (self.policy, *self._shadows))))

    async def replace(self, ensemble: Ensemble | Supervisor, seconds: float = 60.0) -> None:
        """Score with another ensemble from now on; uploads in progress finish with the old one."""
        old, self._supervisor = self._supervisor, self._supervised(ensemble)
        await asyncio.to_thread(old.close, seconds)

    async def close(self, seconds: float = 10.0) -> None:
        """Finish the uploads in progress, for no longer than so many seconds."""
        await asyncio.to_thread(self._supervisor.close, seconds)

    def _job(self, upload: Upload, scored: Upload, cleanup: Callable[[], None] | None) -> Job:
        at = self._loop.time()
        policy = self.policy.decides(upload.uploader, upload.id)
        asks = policy.asks(lambda: upload)
        left_out = self._decider.left_out(upload, self._supervisor.versions)
        deadlines = {
            by: at + _seconds(policy, name)
            for name, declared in policy.detectors.items()
            if (detector := self.detectors.get(by := asks.get(name, name))) is not None
            # A shadow never decides, so nothing waits for it.
            and not declared.shadow
            and not detector.shadow
        }
        return Job(
            upload=upload,
            scored=scored,
            arrived=now(),
            answer=self._loop.create_future(),
            awaited=set(deadlines),
            silent=set(self.detectors) - left_out,
            left_out=left_out,
            deadlines=deadlines,
            cleanup=cleanup,
            deliver=self._deliver,
            due=at + self.policy.deadline,
            decider=self._decider,
        )

    def _deliver(self, task: Task, new: Sequence[Prediction], last: bool) -> None:
        assert isinstance(task, Job)
        if last:
            task.clean()
        # The loop may have ended: then nobody waits for the results.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take, task, new, last)

    def _take(self, job: Job, new: Sequence[Prediction], last: bool) -> None:
        for prediction in new:
            job.awaited.discard(prediction.detector)
            job.silent.discard(prediction.detector)
            metrics.count_prediction(prediction)
            if job.answer.done():
                self._late(job, prediction)
            else:
                job.predictions.append(prediction)
        if last:
            job.silent.clear()
            job.case = None
        if not job.awaited:
            self._decide(job)

    def _expire(self, job: Job) -> None:
        """Stop waiting for detectors whose deadline has passed."""
        at = self._loop.time()
        for name in [name for name in job.awaited if job.deadlines[name] <= at]:
            job.awaited.discard(name)
            policy = job.decider.policy.decides(job.upload.uploader, job.upload.id)
            counted = policy.counts_as.get(name, name)
            job.waited = max(job.waited, _seconds(policy, counted))
            metrics.DETECTOR_LATE.labels(name).inc()
        if not job.awaited:
            self._decide(job)
        elif not job.answer.done():
            due = min(job.deadlines[name] for name in job.awaited)
            job.timer = self._loop.call_at(due, self._expire, job)

    def _decide(self, job: Job) -> None:
        if job.answer.done():
            return
        # Not before a deadline that has passed on the loop's clock: the two clocks differ a little.
        at = max(now(), job.arrived + timedelta(seconds=job.waited))
        decided = job.decider.first(
            job.upload,
            job.predictions,
            arrived=job.arrived,
            at=at,
            uploader=job.uploader,
            earlier=job.earlier,
            reviews=job.reviews,
        )
        job.case = decided.case if job.silent else None
        job.answer.set_result(Moderated(decided.verdict, tuple(job.predictions)))

    def _late(self, job: Job, prediction: Prediction) -> None:
        verdict = None
        if job.case is not None:
            verdict = job.decider.late(job.case, prediction, now())
            if not job.silent:
                job.case = None
        if self.on_late is not None:
            trace = "" if verdict is None else trace_of_case(verdict, job.trace)
            self.on_late(job.upload, verdict, prediction, trace)

    def _wait_seconds(self) -> int:
        since = time.monotonic() - RATE_SECONDS
        recent = sum(1 for at in self._done if at >= since)
        rate = max(recent / RATE_SECONDS, 0.1)
        return min(60, max(1, math.ceil(self._pending / rate)))


def _seconds(policy: Policy, name: str) -> float:
    """How long a detector is waited for."""
    return min(policy.detectors[name].deadline, policy.deadline)
