"""``quorum ledger hold``, ``release`` and ``holds``: what erasure and retention must keep."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from quorum.store.ledger.holds import active_holds, newest_holds

__all__ = ["By", "hold", "list_holds", "release", "who"]

_MOST = 1000

By = Annotated[str | None, typer.Option(help="Who does it; by default this system's user.")]


def hold(
    why: Annotated[str, typer.Option(help="The reason, such as a court's file number.")],
    upload: Annotated[str | None, typer.Option(help="Hold this upload.")] = None,
    uploader: Annotated[
        str | None, typer.Option(help="Hold all uploads of this uploader, those to come too.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            help="When it ends by itself (UTC unless with a zone); by default never.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
        ),
    ] = None,
    by: By = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Hold an upload or an uploader: `ledger forget` and `ledger prune` then keep it.

    A hold is written to the audit log. An edit still replaces an upload's content.

    \b
    quorum ledger hold --upload v-123 --why "court of Berlin, 12 O 34/26"
    quorum ledger hold --uploader u-7 --why "police file 99" --until 2027-06-30
    """
    from quorum.apps.console.desk.holding import place

    if (upload is None) == (uploader is None):
        msg = "name what to hold: either --upload ID or --uploader NAME"
        raise ConfigurationError(msg)
    kind, subject = ("upload", upload) if upload is not None else ("uploader", uploader)
    if until is not None and until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    with Ledger(database) as ledger:
        made, known = place(ledger, kind, subject or "", why=why, by=who(by), until=until)
    end = "until it is released" if made.until is None else f"until {made.until.isoformat()}"
    typer.echo(f"hold {made.id}: the {kind} {subject} is kept {end}")
    if not known:
        typer.echo(f"the ledger knows no such {kind} yet; it is kept from when it comes")


def release(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="Its id; see ledger holds.")],
    why: Annotated[str, typer.Option(help="The reason.")],
    by: By = None,
    database: options.LedgerDatabase = None,
) -> None:
    """End a legal hold, which is written to the audit log.

    Example: quorum ledger release 0f3a9c… --why "12 O 34/26 is closed"
    """
    from quorum.apps.console.desk.holding import release as end
    from quorum.apps.console.desk.holding import waiting_erasure

    with Ledger(database) as ledger:
        ended = end(ledger, hold_id, why=why, by=who(by))
        uploader = waiting_erasure(ledger, ended)
    typer.echo(f"released {ended.id}: the {ended.kind} {ended.subject}")
    if uploader is not None:
        typer.echo(
            f"the erasure of {uploader} was asked for while it was held: finish it with "
            f"quorum ledger forget {uploader} --yes"
        )


def list_holds(
    every: Annotated[bool, typer.Option("--all", help="Those that ended, too.")] = False,
    database: options.LedgerDatabase = None,
) -> None:
    """List the legal holds in force.

    Example: quorum ledger holds --all
    """
    at = now()
    with Ledger(database) as ledger:
        found = ledger.transact(lambda c: newest_holds(c, _MOST) if every else active_holds(c, at))
    for one in found:
        state = "released" if one.released_at else "in force" if one.holds(at) else "ended"
        until = "" if one.until is None else f" until {one.until.isoformat()}"
        day = one.placed_at.date().isoformat()
        typer.echo(f"{one.id}  {state}{until}  {one.kind} {one.subject}")
        typer.echo(f"    by {one.placed_by} on {day}: {one.why}")
    typer.echo(f"{len(found):,} holds")


def who(by: str | None) -> str:
    """Who does it: the name that was given, else this system's user."""
    if by:
        return by
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"
