"""``quorum catalogue dispute`` and ``settle``: an uploader contradicts a match."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quorum.apps.cli.catalogue_options import Folder, InDatabase
from quorum.core.errors import InputError
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.store.ledger import Ledger

__all__ = ["dispute", "settle"]

InLedger = Annotated[
    str | None, typer.Option("--ledger", help="The ledger; by default QUORUM_DATABASE.")
]


def dispute(
    upload: Annotated[str, typer.Argument(help="The upload's id.")],
    reason: Annotated[str, typer.Option(help="What the uploader says.")],
    by: Annotated[str, typer.Option(help="Who passes it on.")] = "cli",
    ledger: InLedger = None,
) -> None:
    """Put a case into review, since the uploader disputes a match.

    A reviewer who has not decided it before sees both sides: what the owner registered and
    asked for, and what the uploader says. A platform sends the same to the console's
    /api/appeals. A decision to allow records an exception for this uploader and work.

    Example: quorum catalogue dispute video-7 --reason 'I have a licence: contract 12 of March'
    """
    from quorum.apps.console.desk import disputes

    with Ledger(ledger) as opened:
        made, new = disputes.dispute(opened, upload, reason, by)
    typer.echo(f"dispute {made} {'waits for a reviewer' if new else 'is known already'}")


def settle(
    ledger: InLedger = None,
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Record the exceptions that disputes won, in a catalogue outside of the ledger's database.

    Where the catalogue lies in the ledger's database, the console does so with the decision.
    Doing it again changes nothing.

    Example: quorum catalogue settle --ledger sqlite:///quorum.db
    """
    from quorum.apps.console.desk import disputes

    opened = Catalogue(catalogue, database)
    with Ledger(ledger) as past:
        for work, uploader in disputes.won(past):
            try:
                if opened.permit(work, uploader):
                    typer.echo(f"{uploader} may use {work}")
            except InputError as error:
                typer.echo(str(error), err=True)
