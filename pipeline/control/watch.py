"""Follow a job on a cluster: its problems as health, its figures as metrics, its end as the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from quorum.core import health, metrics
from quorum.core.errors import EngineUnavailable, QuorumError
from quorum.pipeline.control.status import (
    JobService,
    JobState,
    JobStatus,
    JobSummary,
    Limits,
    patiently,
    problem,
)

__all__ = ["Behind", "JobWatch", "await_handed_over", "ended_error", "follow"]

_log = logging.getLogger(__name__)

#: Why a job is behind, with how far; None if it is not.
Behind = Callable[[], str | None]

_HAND_OVER_SECONDS = 120.0
_POLL_SECONDS = 0.5


class JobWatch:
    """Asks an engine again and again how a job is.

    Attributes:
        job: The job.
        status: What was found last; None before the first answer.

    Args:
        service: The engine.
        job: The job.
        limits: What is still well.
        behind: Asked each time whether the job is behind; None where nobody knows.
        seconds: Between the questions.
    """

    def __init__(
        self,
        service: JobService,
        job: JobSummary,
        limits: Limits | None = None,
        behind: Behind | None = None,
        seconds: float = 5.0,
    ) -> None:
        self.job = job
        self._service = service
        self._limits = limits or Limits()
        self._behind = behind
        self._seconds = seconds
        self.status: JobStatus | None = None
        self._away = ""

    def problem(self) -> str | None:
        """Why the job is not well, by what was found last; a check of health."""
        if self._away:
            return self._away
        if self.status is None:
            return None
        found = problem(self.status, self._limits, datetime.now(UTC))
        if found is None and self._behind is not None and not self.status.summary.state.ended:
            found = self._behind()
        return found

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Be a check of this process' health until the block ends."""
        end = health.register("job", self.problem)
        try:
            yield
        finally:
            end()

    def look(self) -> JobState:
        """Ask once, and note the answer in health and metrics; the job's state.

        Raises:
            NoSuchJob: If the engine knows the job no longer.
        """
        try:
            self.status = self._service.status(self.job.id)
            self._away = ""
        except EngineUnavailable as error:
            self._away = str(error)
            metrics.JOB_RUNNING.set(0)
            return JobState.UNKNOWN
        _measure(self.status)
        return self.status.summary.state

    def wait(self, stop: threading.Event) -> JobStatus | None:
        """Follow the job until it ends.

        Problems are logged when they come and when they go.

        Returns:
            What is known at its end; None if ``stop`` was set before.

        Raises:
            NoSuchJob: If the engine knows the job no longer.
        """
        while not stop.is_set():
            state = self.look()
            if state.ended:
                return self.status
            health.problems()
            stop.wait(self._seconds)
        return None


def _measure(status: JobStatus) -> None:
    metrics.JOB_RUNNING.set(float(status.summary.state is JobState.RUNNING))
    if status.restarts is not None:
        metrics.JOB_RESTARTS.set(status.restarts.number)
    if status.checkpoint is not None:
        age = datetime.now(UTC) - status.checkpoint.at
        metrics.JOB_CHECKPOINT_AGE.set(max(0.0, age.total_seconds()))
        metrics.JOB_CHECKPOINT_BYTES.set(status.checkpoint.size)


def follow(watch: JobWatch, stop: threading.Event) -> None:
    """Wait until a job ends, telling its problems by log, health and metrics.

    Args:
        watch: Asks how it is.
        stop: Ends the wait.

    Raises:
        QuorumError: If it ended otherwise than it was asked to, or the engine forgot it.
    """
    with watch.registered():
        ended = watch.wait(stop)
    if ended is None:
        # Its open cases are the cluster's: they would end with it.
        _log.info("this client ends, and the job goes on; `quorum jobs stop` stops it")
        return
    if error := ended_error(ended):
        raise error
    _log.info("the job %s ended as %s", watch.job.id, ended.summary.state.value)


def ended_error(status: JobStatus) -> QuorumError | None:
    """The error of a job that ended otherwise than it was asked to; None for none."""
    state = status.summary.state
    if state.well:
        return None
    because = f": {status.error}" if status.error and state is JobState.FAILED else ""
    return QuorumError(
        f"the job {status.summary.id} ended as {state.value}{because}; what it had not "
        "acknowledged will be delivered again"
    )


def await_handed_over(
    result: Any, service: JobService, name: str, stop: threading.Event
) -> JobSummary | None:
    """Wait until the engine has a job that was handed over, and has begun it.

    Args:
        result: Beam's ``PipelineResult``.
        service: The engine.
        name: The job's name.
        stop: Ends the wait.

    Returns:
        The job; None if ``stop`` was set.

    Raises:
        QuorumError: If the engine did not take it, or it failed at once.
    """
    end = time.monotonic() + _HAND_OVER_SECONDS
    before = patiently(service.jobs, _HAND_OVER_SECONDS)
    known = {one.id for one in before if one.name == name and one.state.ended}
    failed = threading.Event()
    reasons: list[str] = []
    threading.Thread(target=_watch_client, args=(result, failed, reasons), daemon=True).start()
    while not stop.is_set():
        late = failed.is_set()
        for one in patiently(service.jobs, _HAND_OVER_SECONDS):
            if one.name != name or one.id in known or one.state is JobState.STARTING:
                continue
            if one.state is JobState.FAILED and (
                error := ended_error(patiently(partial(service.status, one.id), _HAND_OVER_SECONDS))
            ):
                raise error
            return one
        if late:
            msg = f"the engine took no job: {reasons[0]}"
            raise QuorumError(msg)
        if time.monotonic() > end:
            msg = f"the job {name} did not begin within {_HAND_OVER_SECONDS:.0f} s"
            raise QuorumError(msg)
        stop.wait(_POLL_SECONDS)
    return None


def _watch_client(result: Any, failed: threading.Event, reasons: list[str]) -> None:
    """Note why Beam's job server did not hand a job over."""
    try:
        state = result.wait_until_finish()
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reasons.append(lines[-1][:400] if lines else type(error).__name__)
    else:
        reasons.append(f"it ended as {state}")
    failed.set()
