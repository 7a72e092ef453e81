"""What is known of a job on a cluster, and what is wrong with it, whichever engine runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from quorum.core.errors import ConfigurationError, EngineUnavailable, QuorumError

__all__ = [
    "Checkpoint",
    "JobService",
    "JobState",
    "JobStatus",
    "JobSummary",
    "Limits",
    "NoSuchJob",
    "Restarts",
    "find_job",
    "moment",
    "patiently",
    "problem",
]


T = TypeVar("T")

_POLL_SECONDS = 0.5


class NoSuchJob(QuorumError):
    """A job that the engine does not know, or no longer."""


class JobState(StrEnum):
    """The state of a job, in one word for all engines."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    FINISHED = "finished"
    """It ended by itself, or was stopped with its state kept."""
    DRAINED = "drained"
    REPLACED = "replaced"
    """Another job has taken over its state."""
    CANCELLED = "cancelled"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self in _ENDED

    @property
    def well(self) -> bool:
        """Whether a job that ended so has done what was asked of it."""
        return self in (JobState.FINISHED, JobState.DRAINED, JobState.REPLACED)


_ENDED = frozenset(
    {
        JobState.FINISHED,
        JobState.DRAINED,
        JobState.REPLACED,
        JobState.CANCELLED,
        JobState.FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A line of a list of jobs.

    Attributes:
        id: The engine's id of it.
        name: Its name, of which one job runs at a time.
        state: Its state.
        started: When it was started; None if the engine does not say.
    """

    id: str
    name: str
    state: JobState
    started: datetime | None = None


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often a job was restarted in the last hour.

    Attributes:
        number: The number.
        at_least: Whether there may have been more: the engine keeps the last few only.
    """

    number: int
    at_least: bool = False

    def __str__(self) -> str:
        return f"at least {self.number}" if self.at_least else str(self.number)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last checkpoint of a job that was completed.

    Attributes:
        at: When.
        size: Bytes of the state that it refers to.
        path: Where it is; empty if it does not outlive the job.
    """

    at: datetime
    size: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What an engine tells of a job.

    Attributes:
        summary: Its id, name, state and start.
        restarts: Restarts in the last hour; None if the engine does not tell them.
        checkpoint: The last one completed; None if there is none, or the engine shows none.
        checkpoint_every: Seconds between checkpoints; None if the engine makes none that it shows.
        checkpoint_error: Why the last one failed, if it failed after the last completed one.
        throughput: Uploads, predictions and reviews that enter the decision in a second; None if
            the engine does not tell.
        error: What failed last, in one line; empty for nothing.
        error_at: When.
        began_from: Where the state is that it was started from, or restarted from last; empty for
            none.
    """

    summary: JobSummary
    restarts: Restarts | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_every: float | None = None
    checkpoint_error: str = ""
    throughput: float | None = None
    error: str = ""
    error_at: datetime | None = None
    began_from: str = ""

    @property
    def state(self) -> str:
        """Where the state of a job is once it has ended; empty for nowhere."""
        return (self.checkpoint.path if self.checkpoint else "") or self.began_from


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still well.

    Attributes:
        restarts: Restarts in an hour from which on a job is not well.
        checkpoint_seconds: Age of the last checkpoint from which on a job is not well, if that is
            more than ten intervals.
        behind_seconds: Age of the oldest message that waits from which on a job is not well.
    """

    restarts: int = 3
    checkpoint_seconds: float = 60.0
    behind_seconds: float = 300.0


class JobService(Protocol):
    """Jobs of one engine, by its interface over HTTP."""

    def jobs(self) -> list[JobSummary]:
        """All jobs that the engine knows, newest first.

        Raises:
            EngineUnavailable: If it does not answer.
        """

    def status(self, job: str) -> JobStatus:
        """What is known of a job.

        Args:
            job: Its id.

        Raises:
            NoSuchJob: If the engine does not know it.
            EngineUnavailable: If it does not answer.
        """

    def stop(self, job: str, *, seconds: float) -> str:
        """Stop a job with its state kept.

        Args:
            job: Its id.
            seconds: How long that may take.

        Returns:
            Where the state is: what a job is started from.

        Raises:
            QuorumError: If the state could not be kept; the job runs on.
        """

    def cancel(self, job: str) -> None:
        """End a job at once; what it did not acknowledge is delivered again."""


def find_job(service: JobService, wanted: str) -> JobSummary:
    """The job of this id, beginning of an id, or name; one that runs goes before one that ended.

    Raises:
        NoSuchJob: If there is none.
        ConfigurationError: If several fit.
    """
    jobs = service.jobs()
    fitting = [one for one in jobs if wanted in (one.id, one.name)]
    fitting = fitting or [one for one in jobs if len(wanted) >= 4 and one.id.startswith(wanted)]
    running = [one for one in fitting if not one.state.ended]
    chosen = running or fitting[:1]
    if not chosen:
        msg = (
            f"there is no job {wanted}; `quorum jobs list` shows those that there are, and `quorum "
            "jobs resume` starts one again that its cluster has forgotten"
        )
        raise NoSuchJob(msg)
    if len(chosen) > 1:
        msg = f"{wanted} fits several jobs: {', '.join(one.id for one in chosen)}; give a whole id"
        raise ConfigurationError(msg)
    return chosen[0]


def patiently(ask: Callable[[], T], seconds: float) -> T:
    """Ask an engine again while it does not answer, as one does that is busy or restarted.

    Args:
        ask: The question.
        seconds: How long it may be away.

    Raises:
        EngineUnavailable: If it is away for longer.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except EngineUnavailable:
            if time.monotonic() > end:
                raise
            time.sleep(_POLL_SECONDS)


def problem(status: JobStatus, limits: Limits, at: datetime) -> str | None:
    """Why a job is not well, with the engine's reason, in a sentence without a full stop.

    Args:
        status: What the engine tells.
        limits: What is still well.
        at: The present.
    """
    because = f": {status.error}" if status.error else ""
    state = status.summary.state
    if state.ended and not state.well:
        return f"the job ended as {state.value}{because}"
    if state.ended:
        return f"the job has ended ({state.value})"
    if status.restarts is not None and status.restarts.number >= limits.restarts:
        return f"the job was restarted {status.restarts} times in the last hour{because}"
    if state is JobState.RESTARTING:
        return f"the job is being restarted{because}"
    return _without_checkpoint(status, limits, at)


def _without_checkpoint(status: JobStatus, limits: Limits, at: datetime) -> str | None:
    if status.checkpoint_every is None:
        return None
    last = status.checkpoint.at if status.checkpoint else None
    begin = max((one for one in (last, status.summary.started) if one is not None), default=None)
    longest = timedelta(seconds=max(limits.checkpoint_seconds, 10 * status.checkpoint_every))
    if begin is None or at - begin < longest:
        return None
    reason = status.checkpoint_error or status.error
    because = f": {reason}" if reason else ""
    return (
        f"the job has had no checkpoint for {(at - begin).total_seconds():.0f} s, so that nothing "
        f"is acknowledged{because}"
    )


def moment(milliseconds: object) -> datetime | None:
    """A time that an engine gives in milliseconds since the epoch; None for none."""
    if not isinstance(milliseconds, int | float) or milliseconds <= 0:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
