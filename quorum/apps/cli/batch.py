"""``quorum batch``: moderate stored uploads, in windows of time."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.apps.cli import options
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.verb import verb
from quorum.core.errors import ConfigurationError, InputError
from quorum.core.messages import now
from quorum.pipeline.batch.windows import Window, windows
from quorum.pipeline.engine import Engine
from quorum.store.ledger import Ledger, Run, TimeRange, redacted

if TYPE_CHECKING:
    from quorum.pipeline.batch.outputs import Output
    from quorum.pipeline.batch.sources import BatchSource
    from quorum.pipeline.batch.tally import Tally

__all__ = ["app"]

app = verb()


@dataclass(frozen=True)
class InputOptions:
    """Where the uploads are."""

    database: Annotated[
        str | None,
        typer.Option(
            help="Database to read uploads from: sqlite, postgresql, mysql, or "
            "bigquery://PROJECT/DATASET (default: QUORUM_SOURCE, else the ledger)."
        ),
    ] = None
    table: Annotated[
        str | None,
        typer.Option(
            help="Table of uploads there (default: the ledger's own table).", metavar="NAME"
        ),
    ] = None
    column: Annotated[
        list[str] | None,
        typer.Option(help="Field of an upload and its column, as id=video_id. Repeatable."),
    ] = None
    timezone: Annotated[str | None, typer.Option(help="Time zone of the times that have none.")] = (
        None
    )
    files: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="Read files instead: .jsonl, .csv, .tsv or .parquet; a path, gs://… or s3://…, "
            "with *.",
        ),
    ] = None
    ledger: Annotated[
        str | None, typer.Option(help="Ledger to write to (default: QUORUM_DATABASE).")
    ] = None

    def open(self) -> BatchSource:
        """Open the source.

        Raises:
            ConfigurationError: If the options contradict each other or name nothing.
        """
        from quorum.pipeline.batch.sources import (
            BigQueryBatch,
            FileBatch,
            LedgerBatch,
            TableBatch,
        )

        url = self.database or os.environ.get("QUORUM_SOURCE")
        if self.files is not None:
            if self.table or self.database:
                msg = "give --input, or --database with --table, not both"
                raise ConfigurationError(msg)
            self._check_timezone()
            return FileBatch(self.files, self._columns(), self.timezone)
        if self.table is None:
            if self.column:
                msg = "--column names columns of --table or of --input; give one of them, too"
                raise ConfigurationError(msg)
            return LedgerBatch(url or self.ledger)
        columns = self._columns()
        self._check_timezone()
        given = url or self.ledger or os.environ.get("QUORUM_DATABASE")
        if given is None:
            msg = "give the table's database: --database, or QUORUM_SOURCE"
            raise ConfigurationError(msg)
        if given.startswith("bigquery://"):
            return BigQueryBatch(given, self.table, columns, self.timezone)
        return TableBatch(given, self.table, columns, self.timezone)

    def _columns(self) -> dict[str, str]:
        pairs = [pair.partition("=") for pair in self.column or ()]
        if bad := [field for field, equals, name in pairs if not (field and equals and name)]:
            msg = f"--column {bad[0]!r} must be a field and its column, such as id=video_id"
            raise ConfigurationError(msg)
        return {field: name for field, _, name in pairs}

    def _check_timezone(self) -> None:
        if self.timezone is None:
            return
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            msg = f"no time zone is named {self.timezone!r}; give one such as UTC or Europe/Berlin"
            raise ConfigurationError(msg) from None


@dataclass(frozen=True)
class SpanOptions:
    """Which uploads, by the time of their publication."""

    since: Annotated[
        str | None, typer.Option(help="Published at or after: 2026-01-31T00:00:00Z.")
    ] = None
    until: Annotated[str | None, typer.Option(help="Published before (default: now).")] = None
    window: Annotated[
        Window | None,
        typer.Option(help="The last whole window before --until; with --backfill, each window."),
    ] = None
    backfill: Annotated[
        bool, typer.Option("--backfill", help="All whole windows since --since, oldest first.")
    ] = False

    def spans(self) -> list[TimeRange]:
        """List the ranges of time to moderate, oldest first.

        Raises:
            ConfigurationError: If the options contradict each other or are no times.
        """
        first, last = _time("--since", self.since), _time("--until", self.until)
        if self.backfill and (self.window is None or first is None):
            msg = "--backfill needs --window and --since"
            raise ConfigurationError(msg)
        if self.window is None:
            try:
                return [TimeRange(first, last)]
            except ValueError as error:
                raise ConfigurationError(str(error)) from None
        if first is not None and not self.backfill:
            msg = "--window takes its range from --until alone; with --since, add --backfill"
            raise ConfigurationError(msg)
        return windows(self.window, first, last or now())


@dataclass(frozen=True)
class RunOptions:
    """How the run is done."""

    again: Annotated[
        bool,
        typer.Option("--again", help="Also decide uploads with a verdict again; write changes."),
    ] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, and write nothing.")] = False
    verdicts: Annotated[
        str | None,
        typer.Option(
            help="Also write verdicts to this .jsonl, .csv or .parquet file, here, gs://… or "
            "s3://…, or to bigquery://PROJECT/DATASET/TABLE.",
            metavar="PLACE",
        ),
    ] = None
    predictions: Annotated[
        str | None,
        typer.Option(help="Also write predictions, to such a place.", metavar="PLACE"),
    ] = None
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML report of the run, over all windows.")
    ] = None
    parts: Annotated[int, typer.Option(min=1, help="Ranges that are read in parallel.")] = 4
    runner: options.Runner = None
    allow_open_prism: options.AllowOpenPrism = False
    beam_args: options.BeamArgs = None

    def outputs(self) -> tuple[Output, ...]:
        """Where verdicts and predictions are written beside the ledger.

        Raises:
            ConfigurationError: If a place is none that can be written to.
        """
        from quorum.pipeline.batch.outputs import Output

        chosen = []
        if self.verdicts is not None:
            chosen.append(Output("verdicts", self.verdicts))
        if self.predictions is not None:
            chosen.append(Output("predictions", self.predictions))
        return tuple(chosen)


@app.command()
@expanded
def batch(
    uploads: InputOptions,
    time: SpanOptions,
    policies: options.PolicyOptions,
    how: RunOptions,
    metrics: options.MetricsOptions,
    logs: options.LogOptions,
) -> None:
    """Moderate uploads of a table or of files, and write verdicts to the ledger.

    A run that was killed resumes where it ended when it is started again. If every upload
    becomes a dead letter, the exit code is 65.

    \b
    quorum batch --window hourly                      # the ledger's last whole hour
    quorum batch --table videos --column id=video_id --database postgresql://db/site
    quorum batch --input 'gs://bucket/day-*.jsonl' --report day.html
    quorum batch --input comments.csv --column uploader=author --verdicts verdicts.parquet
    quorum batch --window daily --backfill --since 2026-01-01T00:00:00Z
    """
    logs.configure()
    from quorum.core import health, monitoring, tracing
    from quorum.models.pinning import pinned
    from quorum.pipeline.batch.job import BatchJob
    from quorum.pipeline.batch.report import page
    from quorum.pipeline.batch.run import BatchOptions
    from quorum.pipeline.batch.tally import Tally

    settings, policy, shadows = policies.load()
    live = policies.live(settings, policy)
    decisions = BatchOptions(
        policy=policy,
        settings=pinned(settings).with_warnings(),
        ledger=uploads.ledger,
        dry_run=how.dry_run,
        again=how.again,
        shadows=shadows,
        outputs=how.outputs(),
        live=live,
    )
    source = uploads.open()
    spans = time.spans()
    if not spans:
        typer.echo("no whole window is over between --since and --until: nothing to do")
        return
    if how.report is not None and not how.report.parent.is_dir():
        msg = f"there is no folder {how.report.parent} for the report; create it"
        raise ConfigurationError(msg)
    with Ledger(uploads.ledger) as before:
        last = before.last_run()
    job = BatchJob(
        source,
        decisions,
        how.runner or Engine.DIRECT,
        parts=how.parts,
        beam_args=how.beam_args or (),
        accept_open=how.allow_open_prism,
        report=lambda line: typer.echo(line, err=True),
    )
    tracing.begin("batch")
    monitoring.start(metrics.listen("batch"))
    if live is not None:
        health.register("policy", live.problem)
    done, began = Tally(), now()
    for span in spans:
        run, tally = job.run(span, several=len(spans) > 1)
        typer.echo(_summary(_title(source, span), run, tally, how.dry_run))
        done.add(tally)
        if how.report is not None:
            # Written after each window: if a later one fails, the report so far is there.
            title = _title(source, TimeRange(spans[0].since, span.until))
            how.report.write_text(
                page(replace(run, started_at=began), done, last, title=title), encoding="utf-8"
            )
            typer.echo(f"report: {how.report}")
    if done.read and done.dead >= done.read:
        where = "" if how.dry_run else "; the ledger has their errors"
        msg = f"all {done.read:,} uploads are dead letters{where}"
        raise InputError(msg)


def _time(option: str, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        msg = f"{option} {value!r} must be a time with its zone, such as 2026-01-31T12:00:00Z"
        raise ConfigurationError(msg)
    return at


def _summary(title: str, run: Run, tally: Tally, dry_run: bool) -> str:
    seconds = max(1e-9, (run.ended_at - run.started_at).total_seconds())
    actions = ", ".join(f"{count:,} {action}" for action, count in sorted(tally.actions.items()))
    return (
        f"{title}: "
        f"{tally.read:,} read in {seconds:,.1f} s ({tally.read / seconds:,.0f}/s), "
        f"{tally.decided:,} decided ({actions or 'none'}), {tally.known:,} known, "
        f"{tally.unchanged:,} unchanged, {tally.dead:,} dead letters"
        + (" [dry run: nothing was written]" if dry_run else "")
    )


def _title(source: BatchSource, span: TimeRange) -> str:
    from quorum.pipeline.batch.sources import BigQueryBatch, FileBatch, TableBatch

    match source:
        case BigQueryBatch(address=address, table=table):
            what = f"{table} of {address}"
        case TableBatch(url=url, table=table):
            what = f"{table} of {redacted(url)}"
        case FileBatch(pattern=pattern):
            what = pattern
        case _:
            what = "the ledger's uploads"
    first = f"from {_when(span.since)}" if span.since else "from the beginning"
    last = f"to {_when(span.until)}" if span.until else "on"
    return f"{what}, {first} {last}"


def _when(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
