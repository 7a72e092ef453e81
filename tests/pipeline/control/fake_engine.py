"""An engine in memory, whose jobs behave as a test says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from quorum.core.errors import QuorumError
from quorum.core.messages import now
from quorum.pipeline.control.records import Command
from quorum.pipeline.control.status import (
    Checkpoint,
    JobState,
    JobStatus,
    JobSummary,
    NoSuchJob,
    Restarts,
)

__all__ = ["Behaviour", "FakeEngine", "dies", "restarts", "runs", "well"]

#: From how often it was looked at to how a job is.
Behaviour = Callable[[JobSummary, int], JobStatus]

BEGIN = datetime(2026, 11, 26, tzinfo=UTC)


def runs(summary: JobSummary, looks: int) -> JobStatus:
    """A checkpoint at each look."""
    made = Checkpoint(BEGIN + timedelta(seconds=looks), 10, f"chk-{summary.id}-{looks}")
    return JobStatus(summary, Restarts(0), made, 1.0)


def well(summary: JobSummary, looks: int) -> JobStatus:
    """A checkpoint a moment ago."""
    return JobStatus(summary, Restarts(0), Checkpoint(now(), looks), 1.0)


def restarts(summary: JobSummary, looks: int) -> JobStatus:
    """Restarted again and again, after one checkpoint."""
    made = Checkpoint(BEGIN, 10, f"chk-{summary.id}-1") if summary.id.startswith("once") else None
    return JobStatus(summary, Restarts(looks), made, 1.0, error="no module")


def dies(summary: JobSummary, looks: int) -> JobStatus:
    """Failed at once."""
    ended = JobSummary(summary.id, summary.name, JobState.FAILED)
    return JobStatus(ended, Restarts(0), None, 1.0, error="the state does not fit")


class FakeEngine:
    """See ``JobService``; ``start`` starts a command whose first word names a behaviour."""

    def __init__(self, **behaviours: Behaviour) -> None:
        self._behaviours = behaviours
        self._jobs: dict[str, tuple[JobSummary, Behaviour]] = {}
        self._looks: dict[str, int] = {}
        self.stopped: list[str] = []
        self.started: list[tuple[str, str]] = []
        self.refuses_to_stop = ""

    def begin(self, job: str, behaviour: Behaviour) -> JobSummary:
        summary = JobSummary(job, "quorum", JobState.RUNNING, BEGIN)
        self._jobs[job] = (summary, behaviour)
        return summary

    def start(self, command: Command, state: str) -> str:
        name = command.words[0]
        self.started.append((name, state))
        if name not in self._behaviours:
            msg = "no worker pool listens"
            raise QuorumError(msg)
        return self.begin(f"{name}-{len(self.started)}", self._behaviours[name]).id

    def jobs(self) -> list[JobSummary]:
        return [self.status(job).summary for job in self._jobs]

    def status(self, job: str) -> JobStatus:
        if job not in self._jobs:
            msg = f"no job {job}"
            raise NoSuchJob(msg)
        summary, behaviour = self._jobs[job]
        self._looks[job] = self._looks.get(job, 0) + 1
        return behaviour(summary, self._looks[job])

    def stop(self, job: str, *, seconds: float) -> str:
        if self.refuses_to_stop:
            raise QuorumError(self.refuses_to_stop)
        self._end(job, JobState.FINISHED)
        return f"savepoint-{job}"

    def cancel(self, job: str) -> None:
        self._end(job, JobState.CANCELLED)

    def _end(self, job: str, state: JobState) -> None:
        before = self.status(job)
        ended = JobSummary(job, "quorum", state)
        self.stopped.append(job)
        self._jobs[job] = (
            ended,
            lambda summary, _: JobStatus(summary, before.restarts, before.checkpoint, 1.0),
        )
