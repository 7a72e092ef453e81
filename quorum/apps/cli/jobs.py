"""``quorum jobs``: jobs on a cluster listed, shown, followed and stopped; more is beside this."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from quorum.apps.cli import options
from quorum.apps.cli.jobs_change import drain, resume, rollback, upgrade
from quorum.apps.cli.jobs_options import AsJson, JobName, Place, subscriptions_of
from quorum.apps.cli.jobs_restore import restore
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.verb import verb
from quorum.core.errors import QuorumError

if TYPE_CHECKING:
    from quorum.pipeline.control.backlog import Backlog
    from quorum.pipeline.control.status import JobStatus

__all__ = ["app"]

app = verb(
    "Jobs on a Flink cluster or on Dataflow: list, show, stop, upgrade, restore.\n\n"
    "Example: quorum jobs list --flink-master jobmanager:8081"
)


@app.command("list")
@expanded
def list_jobs(
    place: Place,
    every: Annotated[bool, typer.Option("--all", help="Also jobs that have ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """The jobs that run, and what is wrong with them.

    \b
    quorum jobs list --flink-master jobmanager:8081
    quorum jobs list --project P --region europe-west1
    """
    from quorum.pipeline.control.records import recorded_jobs

    service = place.service()
    found = [one for one in service.jobs() if every or not one.state.ended]
    statuses = [service.status(one.id) for one in found]
    if as_json:
        typer.echo(json.dumps([_document(one) for one in statuses], indent=2))
        return
    if not statuses:
        known = ", ".join(one.name for one in recorded_jobs(service.place))
        mend = f"; started from here were: {known} (`quorum jobs resume NAME`)" if known else ""
        typer.echo(f"no job runs there{mend}", err=True)
        return
    table = Table("job", "name", "state", "restarts in an hour", "checkpoint", "problem")
    for one in statuses:
        table.add_row(
            one.summary.id,
            one.summary.name,
            one.summary.state.value,
            "-" if one.restarts is None else str(one.restarts),
            _checkpoint(one),
            _problem(one) or "",
        )
    Console(width=None if Console().is_terminal else 240).print(table)


@app.command()
@expanded
def show(
    job: JobName,
    place: Place,
    subscription: Annotated[
        list[str] | None,
        typer.Option(
            help="Also what waits in this subscription; by default those that the job was started "
            "with, if it was from this machine. Repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
    check: Annotated[
        bool, typer.Option("--check", help="End with 1 if something is wrong with it.")
    ] = False,
) -> None:
    """State, restarts, checkpoint, backlog, throughput and last error of a job.

    \b
    quorum jobs show 9f1c --flink-master jobmanager:8081
    """
    from quorum.pipeline.control.backlog import read_backlog
    from quorum.pipeline.control.status import find_job

    service = place.service()
    summary = find_job(service, job)
    status = service.status(summary.id)
    known = place.recorded(summary.name)
    paths = subscription or (subscriptions_of(known.command.words) if known else [])
    backlogs = [read_backlog(one) for one in paths]
    if as_json:
        document = _document(status)
        document["backlog"] = [asdict(one) for one in backlogs]
        document["version"] = known.version if known else None
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(status, backlogs, known.version if known else "")
    found = _problem(status)
    if check and found:
        raise QuorumError(found)


def _print(status: JobStatus, backlogs: Sequence[Backlog], version: str) -> None:
    summary = status.summary
    rows = [
        ("job", summary.id),
        ("name", summary.name),
        ("state", summary.state.value),
        ("started", summary.started.isoformat(timespec="seconds") if summary.started else "-"),
        ("version", version or "not known: started from another machine"),
        (
            "restarts",
            "not told by this engine"
            if status.restarts is None
            else f"{status.restarts} in the last hour",
        ),
        ("checkpoint", _checkpoint(status)),
        (
            "throughput",
            "not told by this engine"
            if status.throughput is None
            else f"{status.throughput:.1f} messages/s into the decision",
        ),
        *(("backlog", _waiting(one)) for one in backlogs),
        *([] if backlogs else [("backlog", "not known: name a --subscription")]),
        ("last error", _error(status)),
        ("problem", _problem(status) or "none"),
    ]
    for name, value in rows:
        typer.echo(f"{name + ':':<13}{value}")


@app.command()
@expanded
def wait(
    job: JobName,
    place: Place,
    metrics: options.MetricsOptions,
    logs: options.LogOptions,
) -> None:
    """Follow a job until it ends, and end as it does; SIGTERM ends the wait alone.

    Its problems are logged, and are health and metrics of this process, for probes and alerts.

    \b
    quorum jobs wait 9f1c --flink-master jobmanager:8081 --metrics-port 9464
    """
    logs.configure()
    import signal
    import threading

    from quorum.core import monitoring
    from quorum.pipeline.control.backlog import behind
    from quorum.pipeline.control.status import Limits, find_job
    from quorum.pipeline.control.watch import JobWatch, follow

    service = place.service()
    summary = find_job(service, job)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    known = place.recorded(summary.name)
    paths = subscriptions_of(known.command.words) if known else []
    lag = partial(behind, paths, Limits().behind_seconds) if paths else None
    watch = JobWatch(service, summary, behind=lag)
    monitoring.start(metrics.listen("jobs"))
    follow(watch, stop)


@app.command()
@expanded
def stop(
    job: JobName,
    place: Place,
    within: Annotated[float, typer.Option(help="Seconds until its state must be kept.")] = 600.0,
) -> None:
    """Stop a job with its state kept, and print where: a savepoint, or Dataflow's snapshot.

    A job on Flink that is not well, and can take no savepoint, ends at its last checkpoint.

    \b
    quorum jobs stop 9f1c --flink-master jobmanager:8081
    quorum jobs resume 9f1c --flink-master jobmanager:8081
    """
    from quorum.pipeline.control.records import changing, keep_state
    from quorum.pipeline.control.status import find_job
    from quorum.pipeline.control.upgrade import Times, stopped

    service = place.service()
    summary = find_job(service, job)
    with changing(service.place, summary.name):
        tell = partial(typer.echo, err=True)
        state = stopped(service, summary.id, tell=tell, times=Times(state=within))
        keep_state(service.place, summary.name, state)
    typer.echo(state)


def _document(status: JobStatus) -> dict[str, Any]:
    made = asdict(status)
    made.update(made.pop("summary"))
    made["problem"] = _problem(status)
    return {name: _plain(value) for name, value in made.items()}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case dict():
            return {name: _plain(one) for name, one in value.items()}
    return value


def _problem(status: JobStatus) -> str | None:
    from quorum.pipeline.control.status import Limits, problem

    return problem(status, Limits(), datetime.now(UTC))


def _checkpoint(status: JobStatus) -> str:
    if status.checkpoint is None:
        return "none" if status.checkpoint_every else "not shown by this engine"
    age = (datetime.now(UTC) - status.checkpoint.at).total_seconds()
    return f"{max(0.0, age):.0f} s old, {status.checkpoint.size:,} bytes"


def _error(status: JobStatus) -> str:
    if not status.error:
        return "none"
    at = status.error_at.isoformat(timespec="seconds") if status.error_at else "-"
    return f"{at} {status.error}"


def _waiting(backlog: Backlog) -> str:
    if backlog.unknown:
        return f"{backlog.subscription}: not known ({backlog.unknown})"
    oldest = "-" if backlog.oldest is None else f"{backlog.oldest:.0f} s"
    count = "-" if backlog.messages is None else f"{backlog.messages:,}"
    return f"{backlog.subscription}: {count} messages, the oldest {oldest} old"


for change in (drain, upgrade, rollback, resume):
    app.command(context_settings={"ignore_unknown_options": True})(change)
app.command()(restore)
