"""``quorum batch``: moderate what is there already, in windows of time."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.core.errors import ConfigurationError, QuorumError
from quorum.core.logs import configure_logs
from quorum.core.messages import now
from quorum.pipeline.batch.report import page
from quorum.pipeline.batch.run import BatchOptions, ModerateBatch, Window, progress, speed, windows
from quorum.pipeline.batch.sources import BatchSource, FileBatch, LedgerBatch, Range, TableBatch
from quorum.pipeline.batch.tally import Tally
from quorum.pipeline.engines import Engine, launch
from quorum.store.ledger import Ledger, Run, TimeRange, redacted

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def batch(
    database: Annotated[
        str | None,
        typer.Option(
            help="Database to read uploads from; by default QUORUM_SOURCE, else the ledger."
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(help="Table of uploads there; by default the ledger's own.", metavar="NAME"),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Field of an upload and its column: id=video_id; may be repeated."),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of the table's times, where they tell none.")
    ] = None,
    files: Annotated[
        str | None,
        typer.Option("--input", help="Read .jsonl files instead: a path or gs://…, with *."),
    ] = None,
    ledger: Annotated[
        str | None, typer.Option(help="Ledger to write to; by default QUORUM_DATABASE.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Published at or after: 2026-01-31T00:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Published before; by default now.")] = None,
    window: Annotated[
        Window | None,
        typer.Option(help="The last whole window before --until; with --backfill, each of them."),
    ] = None,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="All whole windows from --since on, oldest first.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Also decide anew what has a verdict; writes what changes."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, and write nothing.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write a page (HTML) of the run, of all windows together.")
    ] = None,
    parts: Annotated[int, typer.Option(min=1, help="Ranges that are read in parallel.")] = 4,
    settings: options.SettingsFile = None,
    policy: options.PolicyName = None,
    shadow_policy: options.ShadowPolicies = None,
    runner: options.Runner = None,
    log_format: options.Formatted = "text",
    log_level: options.Level = "info",
    beam_args: options.BeamArgs = None,
) -> None:
    """Moderate uploads of a table or of files; the ledger keeps what was done.

    A run that was killed goes on where it ended when it is started again.

    \b
    quorum batch --window hourly                      # the ledger's last whole hour
    quorum batch --table videos --column id=video_id --database postgresql://db/site
    quorum batch --input 'gs://bucket/day-*.jsonl' --report day.html
    quorum batch --window daily --backfill --since 2026-01-01T00:00:00Z
    """
    configure_logs(log_format, log_level)
    from quorum.aggregator.policy.policy import load_policy
    from quorum.core.settings import load_settings
    from quorum.models.pinning import pinned

    chosen = load_settings(settings)
    how = BatchOptions(
        policy=load_policy(policy or chosen.policy),
        settings=pinned(chosen).tell(),
        ledger=ledger,
        dry_run=dry_run,
        again=again,
        shadows=tuple(load_policy(name) for name in shadow_policy or ()),
    )
    source = _source(database, table, column or [], timezone, files, ledger)
    spans = _spans(since, until, window, backfill=backfill)
    if not spans:
        typer.echo("no whole window is over between --since and --until: nothing to do")
        return
    if report is not None and not report.parent.is_dir():
        msg = f"there is no folder {report.parent} for the report; make it"
        raise ConfigurationError(msg)
    with Ledger(ledger) as before:
        last = before.last_run()
    done, began = Tally(), now()
    for span in spans:
        made, tally = _run(source, span, how, runner or Engine.DIRECT, parts, beam_args or [])
        done.add(tally)
        if report is not None:
            # Anew after each window: it is there, so far, when a later one fails.
            title = _title(source, TimeRange(spans[0].since, span.until))
            report.write_text(
                page(replace(made, started_at=began), done, last, title=title), encoding="utf-8"
            )
            typer.echo(f"report: {report}")


def _source(
    database: str | None,
    table: str | None,
    columns: list[str],
    timezone: str | None,
    files: str | None,
    ledger: str | None,
) -> BatchSource:
    url = database or os.environ.get("QUORUM_SOURCE")
    if files is not None:
        if table or database:
            msg = "give --input, or --database with --table, not both"
            raise ConfigurationError(msg)
        return FileBatch(files)
    if table is None:
        if columns:
            msg = "--column names columns of --table; give both"
            raise ConfigurationError(msg)
        return LedgerBatch(url or ledger)
    pairs = [pair.partition("=") for pair in columns]
    if bad := [field for field, equals, name in pairs if not (field and equals and name)]:
        msg = f"--column {bad[0]!r} must be a field and its column, such as id=video_id"
        raise ConfigurationError(msg)
    if timezone is not None:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            msg = f"no time zone is named {timezone!r}; give one such as UTC or Europe/Berlin"
            raise ConfigurationError(msg) from None
    given = url or ledger or os.environ.get("QUORUM_DATABASE")
    if given is None:
        msg = "give the table's database: --database, or QUORUM_SOURCE"
        raise ConfigurationError(msg)
    return TableBatch(given, table, {field: name for field, _, name in pairs}, timezone)


def _spans(
    since: str | None, until: str | None, window: Window | None, *, backfill: bool
) -> list[TimeRange]:
    first, last = _time("--since", since), _time("--until", until)
    if backfill and (window is None or first is None):
        msg = "--backfill needs --window and --since"
        raise ConfigurationError(msg)
    if window is None:
        try:
            return [TimeRange(first, last)]
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
    if first is not None and not backfill:
        msg = "--window takes its range from --until alone; with --since, add --backfill"
        raise ConfigurationError(msg)
    return windows(window, first, last or now())


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


def _run(
    source: BatchSource,
    span: TimeRange,
    how: BatchOptions,
    engine: Engine,
    parts: int,
    extra: list[str],
) -> tuple[Run, Tally]:
    started = now()
    ranges = source.ranges(span, parts)
    tally = Tally()
    if ranges:
        tally = _launch(source, ranges, how, engine, extra, source.size(span))
    run = Run(uuid.uuid4().hex, started, now(), how.policy.version, tally.as_json())
    if not how.dry_run:
        with Ledger(how.ledger) as ledger:
            ledger.record_run(run)
    seconds = max(1e-9, (run.ended_at - started).total_seconds())
    actions = ", ".join(f"{count:,} {action}" for action, count in sorted(tally.actions.items()))
    typer.echo(
        f"{_title(source, span)}: "
        f"{tally.read:,} read in {seconds:,.1f} s ({tally.read / seconds:,.0f}/s), "
        f"{tally.decided:,} decided ({actions or 'none'}), {tally.known:,} known, "
        f"{tally.unchanged:,} unchanged, {tally.dead:,} dead letters"
        + (" [dry run: nothing was written]" if how.dry_run else "")
    )
    return run, tally


def _title(source: BatchSource, span: TimeRange) -> str:
    match source:
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


def _launch(
    source: BatchSource,
    ranges: list[Range],
    how: BatchOptions,
    engine: Engine,
    extra: list[str],
    total: int | None,
) -> Tally:
    import apache_beam as beam

    with tempfile.TemporaryDirectory(prefix="quorum-batch-") as folder:
        out = Path(folder) / "tally.json"
        where = next((e.split("=", 1)[1] for e in extra if e.startswith("--temp_location=")), "")
        path = f"{where.rstrip('/')}/{uuid.uuid4().hex}.json" if where else str(out)

        def build(pipeline: beam.Pipeline) -> None:
            (
                pipeline
                | "Batch" >> ModerateBatch(source, ranges, how)
                | "As JSON" >> beam.Map(lambda tally: json.dumps(tally.as_json()))
                | "Tally" >> beam.io.WriteToText(path, shard_name_template="")
            )

        with _watched(total), launch(build, engine, streaming=False, extra=extra) as result:
            state = result.wait_until_finish()
        if state not in (None, "DONE"):
            msg = f"the run ended as {state}; start it again, and it goes on where it ended"
            raise QuorumError(msg)
        from apache_beam.io.filesystems import FileSystems

        with FileSystems.open(path) as file:
            return Tally.from_json(json.loads(file.read()))


@contextmanager
def _watched(total: int | None) -> Iterator[None]:
    """Tell how far the run is every few seconds, where it goes on in this process."""
    ended = threading.Event()
    started, begun = time.monotonic(), progress.done

    def watch() -> None:
        while not ended.wait(5.0):
            at = speed(started, begun, total)
            of = f" of {total:,}" if total is not None else ""
            left = f", {at.left:,.0f} s left" if at.left is not None else ""
            typer.echo(f"  {at.done:,}{of} uploads, {at.rate:,.0f}/s{left}", err=True)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
