"""``quorum audit``: check the console's audit log for tampering."""

from __future__ import annotations

from typing import Annotated

import typer

from quorum.core.errors import QuorumError

__all__ = ["app"]

app = typer.Typer(
    rich_markup_mode=None, pretty_exceptions_enable=False, help="Check the console's audit log."
)


class AuditBroken(QuorumError):
    """The audit log was changed from outside."""


@app.callback()
def _root() -> None:
    """Check the console's audit log."""


@app.command()
def verify(
    database: Annotated[
        str | None,
        typer.Option(help="The ledger; by default QUORUM_DATABASE, else sqlite:///quorum.db."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(help="The end that an earlier check printed; it must still be in the log."),
    ] = None,
) -> None:
    r"""Check each line of the log and the chain that they make.

    Write the printed end down elsewhere: a log cut short before it no longer holds it.

    \b
    quorum audit verify --database sqlite:///quorum.db
    """
    from quorum.apps.console.accounts import audit
    from quorum.store.ledger import Ledger

    with Ledger(database) as ledger:
        found = audit.verify(ledger)
        known = head is None or audit.contains(ledger, head)
    if found.broken is not None:
        msg = f"the audit log is broken: {found.broken}; {found.lines:,} lines before it hold"
        raise AuditBroken(msg)
    if not known:
        msg = "the audit log is whole, but does not hold that end: it was cut short or replaced"
        raise AuditBroken(msg)
    typer.echo(f"the audit log is whole: {found.lines:,} lines, ending in {found.head}")
