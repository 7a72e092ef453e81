"""A new version of a job in the place of a running one, with its state, and the way back."""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from quorum.core.errors import ConfigurationError, EngineUnavailable, QuorumError
from quorum.pipeline.control.records import Command
from quorum.pipeline.control.status import (
    JobService,
    JobState,
    JobStatus,
    JobSummary,
    Limits,
    NoSuchJob,
    patiently,
    problem,
)

__all__ = [
    "Start",
    "Times",
    "UpgradeFailed",
    "await_ended",
    "await_going",
    "replace_job",
    "stopped",
]

#: Seconds for which an engine may be away.
_AWAY_SECONDS = 120.0

#: Starts a command from a state; returns the id of the job.
Start = Callable[[Command, str], str]


class UpgradeFailed(QuorumError):
    """A new version that did not get going; the old one runs again."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long the parts of an upgrade may take, in seconds.

    Attributes:
        state: Until the state is kept.
        going: Until a job is going.
        steady: For which a job is watched after its first checkpoint.
        poll: Between looks at it.
    """

    state: float = 600.0
    going: float = 300.0
    steady: float = 5.0
    poll: float = 1.0


def replace_job(
    service: JobService,
    job: JobSummary,
    new: Command,
    old: Command,
    *,
    start: Start,
    tell: Callable[[str], None],
    kept: Callable[[str], None],
    times: Times | None = None,
) -> str:
    """Stop a job with its state kept, and start the new version from it.

    A new version that does not get going is ended, and the old one started again: from the state
    of the last checkpoint, so that nothing is lost that the new one had acknowledged.

    Args:
        service: The engine.
        job: The job that runs.
        new: The command of the new version.
        old: The command of the old one; empty if there is no way back.
        start: Starts a command from a state.
        tell: Is told of each step.
        kept: Is told where the state is while nothing runs.
        times: How long the steps may take.

    Returns:
        The id of the new job.

    Raises:
        UpgradeFailed: If the new version did not get going, and the old one runs again.
        QuorumError: If the job could not be stopped (it runs on), or neither version gets going;
            the text says where the state is.
    """
    times = times or Times()
    state = stopped(service, job.id, tell=tell, times=times)
    kept(state)
    known: set[str] | None = {one.id for one in patiently(service.jobs, times.going)}
    made = ""
    try:
        made = start(new, state)
        tell(f"started {made} from it")
        reason = await_going(service, made, times)
    except ConfigurationError as error:  # nothing was started
        reason, known = str(error), None
    except QuorumError as error:
        reason = str(error)
    if not reason:
        return made
    tell(f"the new version does not get going: {reason}")
    if not made and known is not None:
        made = _left_over(service, job.name, known)
    state = _ended_with_state(service, made, state, times)
    kept(state)
    if not old:
        msg = f"the new version did not get going ({reason}), and there is no way back known: "
        raise QuorumError(msg + _by_hand(state))
    try:
        back = start(old, state)
        tell(f"started the old version again as {back}, from {state}")
        not_back = await_going(service, back, times)
    except QuorumError as error:
        not_back = str(error)
    if not_back:
        msg = f"neither the new version got going ({reason}) nor the old one again ({not_back}): "
        raise QuorumError(msg + _by_hand(state))
    msg = f"the new version did not get going: {reason}; the old one runs again, as {back}"
    raise UpgradeFailed(msg)


def _by_hand(state: str) -> str:
    if not state:
        return "it had no state; start a job without"
    return f"the state is {state}; start from there (after `--`: --savepoint_path={state})"


def stopped(
    service: JobService, job: str, *, tell: Callable[[str], None], times: Times | None = None
) -> str:
    """Stop a job with its state kept, also one that is not well and so cannot keep it.

    Such a job is ended where its last checkpoint is: it acknowledged nothing since.

    Args:
        service: The engine.
        job: The job's id.
        tell: Is told what was done.
        times: How long that may take.

    Returns:
        Where its state is; empty if it had no checkpoint, and so acknowledged nothing.

    Raises:
        QuorumError: If it ended by itself before, or its state could not be kept; then it runs on.
    """
    times = times or Times()
    status = service.status(job)
    if status.summary.state.well:
        msg = (
            f"the job {job} has ended ({status.summary.state.value}); `quorum jobs resume` starts "
            "it again with the state that it left"
        )
        raise QuorumError(msg)
    if not status.summary.state.ended:
        try:
            state = service.stop(job, seconds=times.state)
        except QuorumError as error:
            status = patiently(partial(service.status, job), times.going)
            # An engine that shows no checkpoints has none to end it at.
            if (
                status.checkpoint_every is None
                or problem(status, Limits(), datetime.now(UTC)) is None
            ):
                raise
            tell(f"{error}; it is not well, and is ended at its last checkpoint")
            service.cancel(job)
        else:
            tell(f"stopped {job}; its state is {state}")
            await_ended(service, job, times.going, times.poll)
            return state
    await_ended(service, job, times.going, times.poll)
    state = patiently(partial(service.status, job), times.going).state
    tell(f"ended {job}; its state is {state or 'nowhere, and nothing was acknowledged'}")
    return state


def await_going(service: JobService, job: str, times: Times) -> str:
    """Wait until a job runs and has completed checkpoints for a while.

    Returns:
        Why it does not get going; empty if it does.
    """
    end = time.monotonic() + times.going
    first: JobStatus | None = None
    since = 0.0
    status: JobStatus | None = None
    while time.monotonic() < end:
        try:
            status = service.status(job)
        except EngineUnavailable:
            time.sleep(times.poll)
            continue
        except NoSuchJob as error:
            return str(error)
        if _is_hopeless(status):
            return problem(status, Limits(), datetime.now(UTC)) or status.error or "it ended"
        if not _is_going(status):
            first = None
        elif first is None or first.restarts != status.restarts:
            first, since = status, time.monotonic()
        elif time.monotonic() - since >= times.steady and first.checkpoint != status.checkpoint:
            return ""
        time.sleep(times.poll)
    found = problem(status, Limits(), datetime.now(UTC)) if status else None
    return found or f"it has no checkpoint after {times.going:.0f} s"


def _is_hopeless(status: JobStatus) -> bool:
    restarts = status.restarts.number if status.restarts else 0
    return status.summary.state.ended or restarts >= Limits().restarts


def _is_going(status: JobStatus) -> bool:
    if status.summary.state is not JobState.RUNNING:
        return False
    if status.checkpoint is None:
        return status.checkpoint_every is None
    return status.error_at is None or status.checkpoint.at > status.error_at


def await_ended(service: JobService, job: str, seconds: float, poll: float = 1.0) -> None:
    """Wait until a job has ended, or its engine has forgotten it.

    Raises:
        QuorumError: If it has not.
    """
    end = time.monotonic() + seconds
    with suppress(NoSuchJob):
        while not patiently(partial(service.status, job), seconds).summary.state.ended:
            if time.monotonic() > end:
                msg = f"the job {job} has not ended after {seconds:.0f} s"
                raise QuorumError(msg)
            time.sleep(poll)


def _left_over(service: JobService, name: str, known: Set[str]) -> str:
    """The job that a start left behind though it failed; empty for none."""
    with suppress(QuorumError):
        for one in patiently(service.jobs, _AWAY_SECONDS):
            if one.name == name and one.id not in known:
                return one.id
    return ""


def _ended_with_state(service: JobService, job: str, state: str, times: Times) -> str:
    """End a job that is not well; where the state is then."""
    if not job:
        return state
    with suppress(NoSuchJob):
        if not patiently(partial(service.status, job), times.going).summary.state.ended:
            service.cancel(job)
            await_ended(service, job, times.going, times.poll)
        return patiently(partial(service.status, job), times.going).state or state
    return state
