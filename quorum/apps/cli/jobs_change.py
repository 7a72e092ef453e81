"""The verbs of ``quorum jobs`` that put another job in the place of one: with its state."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.apps.cli.jobs_options import JobName, Place
from quorum.apps.cli.parameters import expanded
from quorum.core.errors import ConfigurationError, QuorumError

if TYPE_CHECKING:
    from quorum.pipeline.control.records import Command, StartedJob
    from quorum.pipeline.control.status import JobSummary
    from quorum.pipeline.control.upgrade import Times

__all__ = ["drain", "resume", "rollback", "upgrade"]

#: Seconds for a cluster that is asked to end a job to have its slots free.
_READY_SECONDS = 60.0

Within = Annotated[
    float, typer.Option(help="Seconds until a version must run and have checkpoints.")
]
Given = Annotated[
    list[str] | None,
    typer.Argument(
        help="After `--`: the new version's command, from its verb on (stream --uploads …), or the "
        "whole of it from another installation (/opt/quorum-0.4/bin/quorum stream …).",
        show_default=False,
    ),
]


@expanded
def upgrade(
    job: JobName,
    place: Place,
    command: Given = None,
    within: Within = 300.0,
    no_way_back: Annotated[
        bool,
        typer.Option(
            "--no-way-back",
            help="Upgrade a job that was started from elsewhere: should the new version not get "
            "going, its state is kept, and nothing runs.",
        ),
    ] = False,
) -> None:
    """Put a new version in the place of a job, with its open cases; go back if it does not run.

    On Flink: a savepoint, the job is stopped, the new command starts from it. Without a command,
    the job is started anew as it was, by this version. On Dataflow the service replaces the job.

    \b
    quorum jobs upgrade 9f1c --flink-master jobmanager:8081 -- stream --policy strict.yaml …
    """
    from quorum.pipeline.control.records import Command
    from quorum.pipeline.control.status import find_job

    service = place.service()
    summary = find_job(service, job)
    known = place.recorded(summary.name)
    if command:
        new = Command.here(_whole(command))
    elif known:
        words = (*_this_installation(), *known.command.words[3:])
        new = Command(words, known.command.folder)
    else:
        msg = f"{summary.name} was not started from this machine: give its command after `--`"
        raise ConfigurationError(msg)
    if place.flink_master is None:
        _replace_on_dataflow(place, summary, new, within)
        return
    if known is None and not no_way_back:
        msg = (
            f"{summary.name} was not started from this machine, so that there is no way back to "
            "it; upgrade where it was started, or accept that with --no-way-back"
        )
        raise ConfigurationError(msg)
    _replaced(place, summary, new, known.command if known else Command(), within)


@expanded
def rollback(job: JobName, place: Place, within: Within = 300.0) -> None:
    """Put the version before the last upgrade back in the place of a job, with its open cases.

    \b
    quorum jobs rollback 9f1c --flink-master jobmanager:8081
    """
    from quorum.pipeline.control.status import find_job

    summary = find_job(place.flink(), job)
    known = place.recorded(summary.name)
    if known is None or not known.before:
        msg = f"no version before this one of {summary.name} is known on this machine"
        raise ConfigurationError(msg)
    _replaced(place, summary, known.before, known.command, within)


@expanded
def resume(
    job: Annotated[str, typer.Argument(help="The job's name, or its id.")],
    place: Place,
    state: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="A savepoint or checkpoint; by default the state with which the job was stopped, "
            "else the last checkpoint that the cluster kept.",
            show_default=False,
        ),
    ] = None,
    within: Within = 300.0,
) -> None:
    """Start a job again that was stopped, or that its cluster has forgotten, with its open cases.

    After the loss of a JobManager without high availability the cluster knows no job any more; the
    last checkpoint is in its folder.

    \b
    quorum jobs resume 9f1c --flink-master jobmanager:8081
    """
    from quorum.pipeline.control.launching import start_from
    from quorum.pipeline.control.records import changing, recorded, recorded_jobs
    from quorum.pipeline.control.retained import last_checkpoint
    from quorum.pipeline.control.upgrade import Times, await_going

    service = place.flink()
    every = recorded_jobs(service.place)
    known = [one for one in every if job in (one.name, one.job)]
    known = known or [one for one in every if len(job) >= 4 and one.job.startswith(job)]
    if len(known) != 1:
        names = ", ".join(one.name for one in known or every) or "none"
        msg = (
            f"{job} fits several jobs: {names}; give a name"
            if known
            else f"{job} was not started from this machine; of this cluster were: {names}"
        )
        raise ConfigurationError(msg)
    name = known[0].name
    with changing(service.place, name):
        if running := service.cluster.running(name):
            msg = f"{name} runs already, as {running}"
            raise ConfigurationError(msg)
        record = _known(recorded(service.place, name), name)
        state = state or record.state
        state = state or last_checkpoint(service.cluster.checkpoint_folder(), record.job)
        typer.echo(f"starting from {state}", err=True)
        made = start_from(record.command, state)
        if reason := await_going(service, made, Times(going=within)):
            msg = f"the job {made} does not get going, and was left as it is: {reason}"
            raise QuorumError(msg)
    typer.echo(made)


@expanded
def drain(job: JobName, place: Place) -> None:
    """Pull no more uploads, decide the cases that are open, and end the job.

    Uploads wait in their subscription for the next version, which starts without state. It lasts
    as long as the policy's deadline, or its orphan_wait where reviews or predictions are read.

    \b
    quorum jobs drain 9f1c --flink-master jobmanager:8081
    """
    from quorum.pipeline.control.dataflow_jobs import DataflowJobs
    from quorum.pipeline.control.launching import plain, with_options
    from quorum.pipeline.control.records import changing, keep_state
    from quorum.pipeline.control.status import find_job, patiently
    from quorum.pipeline.control.upgrade import await_ended, stopped

    service = place.service()
    summary = find_job(service, job)
    if isinstance(service, DataflowJobs):
        service.drain(summary.id)
        await_ended(service, summary.id, 24 * 3600.0, 10.0)
        return
    with changing(service.place, summary.name):
        known = _known(place.recorded(summary.name), summary.name)
        state = stopped(service, summary.id, tell=partial(typer.echo, err=True))
        keep_state(service.place, summary.name, state)
        patiently(partial(service.cluster.check, allow_loss=True), _READY_SECONDS)
        beam = [f"--savepoint_path={state}"] if state else []
        whole = with_options(plain(known.command.words), ["--finish-open"], beam)
        folder = known.command.folder or None
        ended = subprocess.run(whole, check=False, stdin=subprocess.DEVNULL, cwd=folder)  # noqa: S603
        if ended.returncode:
            msg = (
                f"the open cases are not decided; their state is {state or 'nowhere'}: unless a "
                f"job runs still, quorum jobs resume {summary.name}"
            )
            raise QuorumError(msg)
        keep_state(service.place, summary.name, "")


def _replaced(place: Place, summary: JobSummary, new: Command, old: Command, within: float) -> None:
    from quorum.pipeline.control.launching import start_from
    from quorum.pipeline.control.records import changing, keep_state
    from quorum.pipeline.control.upgrade import Times, replace_job

    times: Times = Times(going=within)
    service = place.flink()
    with changing(service.place, summary.name):
        made = replace_job(
            service,
            summary,
            new,
            old,
            start=partial(start_from, seconds=within),
            tell=partial(typer.echo, err=True),
            kept=partial(keep_state, service.place, summary.name),
            times=times,
        )
    typer.echo(made)


def _replace_on_dataflow(place: Place, summary: JobSummary, new: Command, within: float) -> None:
    from quorum.pipeline.control.launching import start_update
    from quorum.pipeline.control.upgrade import Times, await_going

    service = place.service()
    made = start_update(new, summary.name, seconds=within)
    if reason := await_going(service, made, Times(going=within)):
        msg = f"the new version {made} does not get going: {reason}; "
        state = service.status(summary.id).summary.state
        raise QuorumError(msg + f"the old one, {summary.id}, is {state.value}")
    typer.echo(made)


def _whole(command: Sequence[str]) -> tuple[str, ...]:
    """A command from its interpreter on."""
    if command[0] in ("stream", "detect", "decide"):
        return (*_this_installation(), *command)
    return tuple(command)


def _this_installation() -> tuple[str, ...]:
    return (sys.executable, "-m", "quorum")


def _known(record: StartedJob | None, name: str) -> StartedJob:
    if record is None:
        msg = f"{name} was not started from this machine, which does not know its command"
        raise ConfigurationError(msg)
    return record
