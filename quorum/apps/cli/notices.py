"""``quorum notices``: list, show and export legal notices with their clocks."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quorum.apps.cli import options
from quorum.apps.cli.exported import OutFile, check_out, plain, write_rows
from quorum.apps.cli.verb import verb
from quorum.core.errors import ConfigurationError, EngineUnavailable, InputError
from quorum.core.messages import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorum.core.settings import CatalogueSettings
    from quorum.store.notices.values import Clock, Kind

__all__ = ["app"]

app = verb(
    "Legal notices: intimate images, copyright, counter-notices.\n\nExample: quorum notices list"
)

KindOption = Annotated[
    str | None, typer.Option("--kind", help="Only intimate, copyright or counter.")
]


@app.command("list")
def list_notices(
    kind: KindOption = None,
    every: Annotated[bool, typer.Option("--all", help="Those that are answered, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="The most lines.")] = 200,
    database: options.LedgerDatabase = None,
) -> None:
    """List the notices that wait, each with its clock, the most urgent first.

    Example: quorum notices list --kind intimate
    """
    from quorum.store.ledger import Ledger
    from quorum.store.notices.reading import clock_of, notices_of
    from quorum.store.notices.values import OPEN

    chosen, at = _kind(kind), now()
    query = notices_of(chosen, open_only=not every).limit(limit)
    with Ledger(database) as ledger:
        rows = ledger.transact(lambda connection: connection.execute(query).all())
    for row in sorted(rows, key=lambda one: (one.state not in OPEN, one.due_at or one.at)):
        clock = _told(clock_of(row), at)
        typer.echo(f"{row.id[:16]}  {row.kind:9}  {row.state:9}  {clock}")
        typer.echo(f"    {row.upload_id or row.location}, came {row.at.isoformat()}")
    typer.echo(f"{len(rows):,} notices")


def _told(clock: Clock | None, at: datetime) -> str:
    if clock is None:
        return "-"
    if clock.earliest is not None and at < clock.earliest:
        return f"put back from {clock.earliest.isoformat()} to {clock.due.isoformat()}"
    marked = {"well": "", "near": " (near)", "late": " (OVERDUE)"}[clock.tone(at)]
    return f"due {clock.due.isoformat()}{marked}"


@app.command()
def show(
    notice: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    as_json: Annotated[bool, typer.Option("--json", help="As one line of JSON.")] = False,
    database: options.LedgerDatabase = None,
) -> None:
    """Show one notice with its clock, its log and its copies, without who sent it.

    Example: quorum notices show 3f9a0c12 --json
    """
    from quorum.store.ledger import Ledger
    from quorum.store.notices.reading import clock_of, find_notice, with_logs

    def work(connection: Any) -> tuple[Any, dict[str, Any]] | None:
        row = find_notice(connection, notice)
        return None if row is None else (row, next(with_logs(connection, [row])))

    with Ledger(database) as ledger:
        found = ledger.transact(work)
    if found is None:
        msg = f"there is no notice {notice!r}; list them with: quorum notices list --all"
        raise InputError(msg)
    row, told = found
    if as_json:
        typer.echo(json.dumps(told, default=plain))
        return
    for name, value in told.items():
        if name not in ("log", "copies") and value not in (None, ""):
            typer.echo(f"{name:12} {plain(value)}")
    typer.echo(f"{'clock':12} {_told(clock_of(row), now())}")
    for event in told["log"]:
        facts = {k: v for k, v in event.items() if k not in ("at", "event", "actor")}
        when = event["at"].isoformat()
        typer.echo(f"  {when}  {event['event']:13} {event['actor']}  {json.dumps(facts)}")
    for copy in told["copies"]:
        typer.echo(f"  copy {copy['upload_id']}: {copy['how']}, {copy['state']}")


@app.command()
def export(
    out: OutFile = None,
    kind: KindOption = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Export notices, oldest first: CSV, or JSON lines with logs and copies.

    It has nothing of who sent a notice, and none of their words.

    \b
    quorum notices export --out notices.csv
    quorum notices export --kind counter --out counters.jsonl
    """
    from quorum.store.ledger import Ledger
    from quorum.store.notices.reading import COLUMNS, every_notice

    check_out(out)
    chosen = _kind(kind)
    with Ledger(database) as ledger:
        count = write_rows(out, COLUMNS, every_notice(ledger, chosen))
    typer.echo(f"{count:,} notices", err=True)


def _kind(text: str | None) -> Kind | None:
    from quorum.store.notices.values import KINDS

    found = next((one for one in KINDS if one == text), None)
    if text is not None and found is None:
        msg = f"--kind {text}: there are {', '.join(KINDS)}"
        raise ConfigurationError(msg)
    return found


@app.command()
def letters(
    file: Annotated[
        Path | None, typer.Argument(help="A file of your letters; without one, those that ship.")
    ] = None,
    settings: options.SettingsFile = None,
) -> None:
    """Print the letters that ship as a file to change, or check yours and show each as it is sent.

    \b
    quorum notices letters > letters.yaml
    quorum notices letters letters.yaml
    """
    from quorum.core.settings import load_settings
    from quorum.store.notices.letter_templates import load_letters, shipped_file
    from quorum.store.notices.letters import examples
    from quorum.store.notices.values import NoticeRules

    if file is None:
        typer.echo(shipped_file().read_text("utf-8"), nl=False)
        return
    own = load_letters(file)
    chosen = load_settings(settings).notices.model_copy(update={"letters": None})
    rules = replace(NoticeRules.of(chosen), letters=own)
    for one in examples(rules, now()):
        marks = [one.language, None if one.own else "ships"]
        told = "".join(f", {mark}" for mark in marks if mark is not None)
        typer.echo(f"{one.kind} {one.letter.event} to the {one.letter.to}{told}")
        typer.echo(f"    {one.letter.text}")
    typer.echo(f"{file}: {len(own.own)} letters", err=True)


@app.command()
def sweep(
    catalogue: Annotated[
        Path | None,
        typer.Option(help="The catalogue's folder; by default that of the settings."),
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=1, help="Go on, and sweep each so many seconds.")
    ] = None,
    settings: options.SettingsFile = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Look for copies of removed intimate images among uploads kept and to come.

    It compares fingerprints that the catalogue keeps (`quorum catalogue keep`). The console then
    removes identical copies by the decision on the notice, and asks a person about similar ones.

    \b
    quorum notices sweep --catalogue catalogue
    quorum notices sweep --settings quorum.yaml --every 60

    `quorum console --sweep-seconds 60` does the same within the console.
    """
    from quorum.core.settings import load_settings
    from quorum.models.copyright.catalogue.catalogue import Catalogue
    from quorum.store.ledger import Ledger, LedgerUnavailable
    from quorum.store.notices.sweeping import sweep as run
    from quorum.store.notices.values import NoticeRules

    chosen = load_settings(settings)
    folder, where = _catalogue(catalogue, chosen.catalogue)
    rules = NoticeRules.of(chosen.notices)
    opened = Catalogue(folder, where)
    try:
        with Ledger(database) as ledger:
            while True:
                try:
                    done = run(ledger, opened, rules, _progress())
                except (EngineUnavailable, LedgerUnavailable) as error:
                    if every is None:
                        raise
                    typer.echo(f"{error}; the next sweep is in {every:g} s", err=True)
                    time.sleep(every)
                    continue
                if sys.stderr.isatty():
                    typer.echo("\r\033[K", err=True, nl=False)
                typer.echo(
                    f"{done.originals:,} removed contents compared with {done.compared:,} "
                    f"uploads: {done.found:,} new copies"
                )
                for name in done.without:
                    typer.echo(f"no fingerprint is kept of the content of {name[:16]}", err=True)
                if every is None:
                    return
                time.sleep(every)
    finally:
        opened.close()


def _progress() -> Callable[[int, int], bool]:
    """Tells how far a sweep is: on a terminal all the time, else each ten seconds."""
    told = time.monotonic()

    def tell(done: int, total: int) -> bool:
        nonlocal told
        terminal = sys.stderr.isatty()
        if time.monotonic() - told >= (0.2 if terminal else 10.0):
            told = time.monotonic()
            typer.echo(
                f"\r{done:,} of {total:,} uploads"
                if terminal
                else f"{done:,} of {total:,} uploads",
                err=True,
                nl=not terminal,
            )
        return True

    return tell


def _catalogue(
    given: Path | None, configured: str | CatalogueSettings | None
) -> tuple[str | None, str | None]:
    """The folder and the database of the catalogue.

    Raises:
        ConfigurationError: If none is named.
    """
    if given is not None:
        return str(given), None
    if configured is None:
        msg = (
            "name the catalogue that keeps uploads: --catalogue FOLDER, or `catalogue` in settings"
        )
        raise ConfigurationError(msg)
    if isinstance(configured, str):
        return configured, None
    return configured.folder, configured.database
