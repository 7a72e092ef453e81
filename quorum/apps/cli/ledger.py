"""``quorum ledger``: create, migrate and prune the database, erase an uploader, hold rows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from quorum.apps.cli.ledger_holds import hold, list_holds, release
from quorum.apps.cli.ledger_transparency import transparency
from quorum.apps.cli.verb import verb
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.store.ledger import Ledger, Pruned, database_url, redacted
from quorum.store.ledger.revisions import migration_sql, wanted_revision

__all__ = ["app"]

app = verb(
    "The database of uploads, predictions, verdicts and reviews.\n\n"
    "Example: quorum ledger init --database sqlite:///quorum.db"
)

Database = Annotated[
    str | None,
    typer.Option(
        help="URL of the database; by default QUORUM_DATABASE, else sqlite:///quorum.db. "
        "Put a URL with a password in QUORUM_DATABASE, not here."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without, only count what would go.")]


@app.command()
def init(database: Database = None) -> None:
    """Make the ledger's tables in an empty database.

    Example: quorum ledger init
    """
    url = database_url(database)
    found = _revision(database)
    if found is not None:
        msg = f"{redacted(url)} holds a ledger already; bring it up with: quorum ledger migrate"
        raise ConfigurationError(msg)
    Ledger(database, create=True).close()
    typer.echo(f"made the ledger {redacted(url)} at revision {wanted_revision()}")


@app.command()
def migrate(
    database: Database = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the statements, and run none.")
    ] = False,
) -> None:
    """Bring the tables to this version of Quorum; back the database up first.

    Example: quorum ledger migrate --dry-run
    """
    found = _revision(database)
    if dry_run:
        typer.echo(migration_sql(database_url(database), found))
        return
    if _absent(database):
        where = redacted(database_url(database))
        msg = f"there is no database {where}; make it with: quorum ledger init"
        raise ConfigurationError(msg)
    Ledger(database, create=True).close()
    before = "empty" if found is None else f"at revision {found}"
    typer.echo(f"{redacted(database_url(database))} was {before}, is at {wanted_revision()}")


@app.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, help="Days to keep a case after its last event.")],
    keep_dead_letters: Annotated[
        int | None, typer.Option(min=1, help="Days to keep dead letters; by default as --keep.")
    ] = None,
    database: Database = None,
    yes: Yes = False,
) -> None:
    """Retention: take the cases of which nothing happened for so many days.

    What a legal hold covers stays, and is named.

    Example: quorum ledger prune --keep 365 --keep-dead-letters 30 --yes
    """
    at = now()
    letters = at - timedelta(days=keep_dead_letters) if keep_dead_letters else None
    with Ledger(database) as ledger:
        taken = ledger.prune(at - timedelta(days=keep), letters_before=letters, dry_run=not yes)
    _show(taken, done=yes)


@app.command()
def forget(
    uploader: Annotated[str | None, typer.Argument(help="The uploader.")] = None,
    notice: Annotated[
        str | None, typer.Option(help="Erase who sent this legal notice instead, and their words.")
    ] = None,
    database: Database = None,
    yes: Yes = False,
) -> None:
    """Erasure: take all of one uploader, and keep a replay from bringing it back.

    What a legal hold covers stays, and is named: run it again when the hold has ended. With
    --notice, who sent that legal notice is erased; its states, times and decisions stay as proof.

    \b
    quorum ledger forget uploader-4711 --yes
    quorum ledger forget --notice 3f9a0c12 --yes
    """
    if (uploader is None) == (notice is None):
        msg = "name whom to forget: either UPLOADER or --notice ID"
        raise ConfigurationError(msg)
    if notice is not None:
        _forget_sender(database, notice, done=yes)
        return
    assert uploader is not None
    with Ledger(database) as ledger:
        taken = ledger.forget(uploader, dry_run=not yes)
    _show(taken.rows, done=yes)
    if taken.unread:
        typer.echo(
            f"{taken.unread:,} dead letters name no uploader and may hold some of theirs: "
            "take them by age with quorum ledger prune --keep-dead-letters"
        )


def _forget_sender(database: str | None, notice: str, *, done: bool) -> None:
    from quorum.apps.console.desk.noticed import forget_person, sender_known

    with Ledger(database) as ledger:
        known = forget_person(ledger, notice, "command line") if done else False
        known = known if done else sender_known(ledger, notice)
    if not known:
        typer.echo("who sent it was erased already")
    elif done:
        typer.echo("erased who sent it; its states, times and decisions stay")
    else:
        typer.echo("who sent it would go; add --yes to do it")


@app.command()
def stats(database: Database = None) -> None:
    """Count the rows, and the cases by their current action.

    Example: quorum ledger stats
    """
    with Ledger(database) as ledger:
        counts, actions = ledger.stats(), ledger.count()
    table = Table("table", "rows")
    for name, count in counts.items():
        table.add_row(name.replace("_", " "), f"{count:,}")
    for action, count in sorted(actions.items(), key=lambda item: str(item[0])):
        table.add_row(f"cases: {action}", f"{count:,}")
    Console().print(table)


def _absent(database: str | None) -> bool:
    """Whether the database is a file that does not exist."""
    url = database_url(database)
    return url.drivername == "sqlite" and not Path(url.database or ".").exists()


def _revision(database: str | None) -> str | None:
    if _absent(database):
        return None
    ledger = Ledger(database, check_schema=False)
    try:
        return ledger.revision()
    finally:
        ledger.close()


def _show(taken: Pruned, *, done: bool) -> None:
    for name in Pruned.tables():
        count = getattr(taken, name)
        if count:
            typer.echo(f"{name.replace('_', ' '):14}{count:>12,}")
    outcome = "rows taken" if done else "rows would go; add --yes to do it"
    typer.echo(f"{taken.total:,} {outcome}")
    if taken.held:
        stay = "stay" if done else "would stay"
        typer.echo(f"{len(taken.held):,} uploads {stay}: legal holds cover them (ledger holds)")
        for upload_id in taken.held:
            typer.echo(f"  held: {upload_id}")


app.command()(hold)
app.command()(release)
app.command("holds")(list_holds)
app.command()(transparency)
