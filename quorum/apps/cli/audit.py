"""``quorum audit``: check the console's audit log for tampering."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quorum.apps.cli.verb import verb
from quorum.core.errors import QuorumError

__all__ = ["app"]

app = verb("Check the console's audit log.")

Database = Annotated[
    str | None,
    typer.Option(help="The ledger; by default QUORUM_DATABASE, else sqlite:///quorum.db."),
]


class AuditBroken(QuorumError):
    """The audit log, or what it records, was changed from outside."""


@app.callback()
def _root() -> None:
    """Check the console's audit log."""


@app.command()
def verify(
    database: Database = None,
    head: Annotated[
        str | None,
        typer.Option(help="The end that an earlier check printed; it must still be in the log."),
    ] = None,
    anchors: Annotated[
        Path | None,
        typer.Option(help="The file of anchors; by default the one of QUORUM_AUDIT_ANCHORS."),
    ] = None,
) -> None:
    """Check the log, its anchors, and the users and decisions that it records.

    The key is that of QUORUM_AUDIT_KEY or QUORUM_AUDIT_KEY_FILE.

    \b
    quorum audit verify --database sqlite:///quorum.db
    """
    from quorum.apps.console.accounts import audit
    from quorum.apps.console.accounts.anchors import read_anchors
    from quorum.apps.console.accounts.audit_key import anchors_file
    from quorum.store.ledger import Ledger

    file = anchors or anchors_file()
    written = [] if file is None else read_anchors(file)
    with Ledger(database) as ledger:
        found = audit.verify(ledger, written)
        known = head is None or audit.contains(ledger, head)
    if found.broken is not None:
        msg = f"the audit log is broken: {found.broken}; {found.lines:,} lines before it hold"
        raise AuditBroken(msg)
    if not known:
        msg = "the audit log is whole, but does not hold that end: it was cut short or replaced"
        raise AuditBroken(msg)
    typer.echo(f"the audit log is whole: {found.lines:,} lines, ending in {found.head}")
    for line in found.open:
        typer.echo(f"not checked: {line}", err=True)


@app.command("new-key")
def new_key(
    to: Annotated[
        Path | None, typer.Option(help="New file for the key, which only its owner may read.")
    ] = None,
) -> None:
    """Make a key for the audit log, to be kept outside the database.

    \b
    quorum audit new-key --to audit.key
    """
    from quorum.apps.console.accounts.audit_key import AuditKey
    from quorum.core.private_files import write_secret

    key = AuditKey.new()
    if to is None:
        typer.echo("the key, which is stored nowhere, for QUORUM_AUDIT_KEY:", err=True)
        typer.echo(key.text)
    else:
        write_secret(to, key.text)
        typer.echo(f"wrote the key to {to}, for QUORUM_AUDIT_KEY_FILE", err=True)


@app.command()
def adopt(database: Database = None) -> None:
    """Take in users and decisions of earlier versions as they are now; look at them before.

    \b
    quorum audit adopt --database sqlite:///quorum.db
    """
    from quorum.apps.console.accounts import audit
    from quorum.store.ledger import Ledger

    with Ledger(database) as ledger:
        count = audit.adopt(ledger, "command line")
    typer.echo(f"the audit log now holds the content of {count:,} more users and decisions")
