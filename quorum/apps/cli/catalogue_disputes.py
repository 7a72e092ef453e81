"""``quorum catalogue dispute`` and ``settle``: disputes of uploaders about matches."""

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
    reason: Annotated[str, typer.Option(help="The uploader's reason.")],
    by: Annotated[str, typer.Option(help="Who submits the dispute.")] = "cli",
    ledger: InLedger = None,
) -> None:
    """Send a case to review because the uploader disputes a match.

    A reviewer who has not decided the case before sees both sides: the registration and rule of
    the owner, and the reason of the uploader. Platforms submit disputes to the console's
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
    """Record the exceptions of won disputes in a catalogue outside the ledger's database.

    If the catalogue is in the ledger's database, the console records them with the decision. The
    command is idempotent.

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
