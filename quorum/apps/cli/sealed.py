"""``quorum sealed``: list, show, report and export sealed cases of child-abuse material."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from quorum.apps.cli import options
from quorum.apps.cli.exported import OutFile, check_out, plain, write_rows
from quorum.apps.cli.ledger_holds import By, who
from quorum.apps.cli.verb import verb
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now

__all__ = ["app"]

app = verb(
    "Sealed cases: apparent child-abuse material, whose media nobody is shown.\n\n"
    "Example: quorum sealed list"
)

Case = Annotated[str, typer.Argument(metavar="CASE", help="Its id, or the beginning of it.")]


@app.command("list")
def list_cases(
    every: Annotated[bool, typer.Option("--all", help="Reported and denied ones, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="The most lines.")] = 200,
    database: options.LedgerDatabase = None,
) -> None:
    """List the cases that wait for a report, the most urgent first.

    Example: quorum sealed list --all
    """
    from quorum.store.ledger import Ledger
    from quorum.store.sealed.reading import sealed_rows
    from quorum.store.sealed.values import OPEN

    query, at = sealed_rows(open_only=not every).limit(limit), now()
    with Ledger(database) as ledger:
        rows = ledger.transact(lambda connection: connection.execute(query).all())
    for row in sorted(rows, key=lambda one: (one.state not in OPEN, one.due_at or one.sealed_at)):
        flooded = "  in quarantine" if row.flooded and row.state in OPEN else ""
        typer.echo(f"{row.id[:16]}  {row.state:9}  {_clock(row, at)}{flooded}")
    typer.echo(f"{len(rows):,} cases")


def _clock(row: Any, at: datetime) -> str:
    from quorum.store.sealed.values import tone

    if row.due_at is not None:
        marked = {"well": "", "near": " (near)", "late": " (OVERDUE)"}
        return f"report by {row.due_at.isoformat()}{marked[tone(row.sealed_at, row.due_at, at)]}"
    if row.preserved_until is not None:
        ended = " (ENDED)" if row.preserved_until <= at else ""
        return f"kept until {row.preserved_until.isoformat()}{ended}"
    return "-"


@app.command()
def show(case: Case, database: options.LedgerDatabase = None) -> None:
    """Show one case as a line of JSON, with its matches and its log.

    Example: quorum sealed show 3f9a0c12
    """
    from quorum.store.ledger import Ledger
    from quorum.store.sealed.changing import found
    from quorum.store.sealed.reading import with_logs

    with Ledger(database) as ledger:
        told = ledger.transact(lambda c: next(with_logs(c, [found(c, case)])))
    typer.echo(json.dumps(told, default=plain))


@app.command()
def seal(
    upload: Annotated[str, typer.Argument(help="The upload's id.")],
    by: By = None,
    settings: options.SettingsFile = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Seal an upload that a person suspects: it leaves the queues, and its media is shown no more.

    Example: quorum sealed seal v-123
    """
    from quorum.apps.console.desk import sealed as desk
    from quorum.core.settings import load_settings
    from quorum.store.ledger import Ledger
    from quorum.store.sealed.values import SealedRules

    rules = SealedRules.of(load_settings(settings).child_safety)
    with Ledger(database) as ledger:
        typer.echo(f"sealed as case {desk.seal(ledger, upload, rules, who(by))}")


@app.command()
def report(
    case: Case,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder; by default child_safety.reports of the settings."),
    ] = None,
    by: By = None,
    settings: options.SettingsFile = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Write the package of a report, in the elements of NCMEC's CyberTipline API.

    Nothing is sent. The folder of the case has report.xml, file-details.xml, log.jsonl, and
    manifest.json with the steps; it has no media.

    \b
    quorum sealed report 3f9a0c12 --out reports --settings quorum.yaml
    quorum sealed reported 3f9a0c12 --number 4564654
    """
    from quorum.apps.console.desk import sealed as desk
    from quorum.core.settings import load_settings
    from quorum.store.ledger import Ledger

    chosen = load_settings(settings).child_safety
    folder = out if out is not None else None if chosen.reports is None else Path(chosen.reports)
    if folder is None:
        msg = "name the folder: --out FOLDER, or child_safety.reports in the settings"
        raise ConfigurationError(msg)
    with Ledger(database) as ledger:
        typer.echo(f"wrote {desk.write_package(ledger, case, chosen, folder, who(by))}")


@app.command()
def reported(
    case: Case,
    number: Annotated[str, typer.Option(help="The number that the report got.")],
    by: By = None,
    settings: options.SettingsFile = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Note that a case was reported: it is then preserved for a year.

    Example: quorum sealed reported 3f9a0c12 --number 4564654
    """
    from quorum.apps.console.desk import sealed as desk
    from quorum.core.settings import load_settings
    from quorum.store.ledger import Ledger
    from quorum.store.sealed.values import SealedRules

    rules = SealedRules.of(load_settings(settings).child_safety)
    with Ledger(database) as ledger:
        until = desk.reported(ledger, case, number, rules, who(by))
    typer.echo(f"kept against erasure until {until.isoformat()}")


@app.command()
def export(
    out: OutFile = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Export sealed cases: CSV, or JSON lines with logs and matches.

    Example: quorum sealed export --out sealed.csv
    """
    from quorum.store.ledger import Ledger
    from quorum.store.sealed.reading import COLUMNS, every_sealed

    check_out(out)
    with Ledger(database) as ledger:
        count = write_rows(out, COLUMNS, every_sealed(ledger))
    typer.echo(f"{count:,} cases", err=True)
