"""Search by meaning: cases like one, or like some words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from quorum.apps.console.desk.meaning import Alike, Meanings
from quorum.apps.console.pages.base import CurrentSession, PageError, console_of
from quorum.apps.console.pages.rendering import render
from quorum.core.messages import Action
from quorum.store.ledger.statements import in_chunks
from quorum.store.ledger.values import CaseSummary
from quorum.store.ledger.vectors import summaries_of

__all__ = ["router"]

router = APIRouter()

_SHOWN = 50
#: The nearest cases of which those with the chosen action are shown.
_NEAREST = 500


@router.get("/like")
def like(
    request: Request,
    session: CurrentSession,
    upload: Annotated[str, Query(max_length=256)] = "",
    text: Annotated[str, Query(max_length=4000)] = "",
    action: str = "",
) -> Response:
    """Show the cases whose text is nearest in meaning to an upload's, or to some words."""
    console = console_of(request)
    meanings: Meanings = request.app.state.meanings
    wanted, of = text.strip(), None
    found = []
    if meanings.most and upload:
        of = console.ledger.get_cases([upload], ["upload"])[0].upload
        if of is None:
            raise PageError(404, "The ledger has no upload with this id.")
        found = meanings.alike(of, _NEAREST)
    elif meanings.most and wanted:
        found = meanings.alike(wanted, _NEAREST)
    chosen = next((one for one in Action if one.value == action), None)
    rows = console.ledger.transact(lambda c: _shown(c, found, chosen))
    return render(
        request,
        "like.html",
        rows=rows,
        of=of,
        text=wanted,
        action=action,
        on=meanings.most > 0,
        size=meanings.size,
        most=meanings.most,
    )


def _shown(
    connection: Connection, found: Sequence[Alike], action: Action | None
) -> list[tuple[CaseSummary, float]]:
    """The nearest cases with an action, read until a page is full."""
    rows: list[tuple[CaseSummary, float]] = []
    for chunk in in_chunks(found, 2 * _SHOWN):
        known = summaries_of(connection, [one.upload_id for one in chunk])
        pairs = ((known.get(one.upload_id), one.similarity) for one in chunk)
        rows += [(one, near) for one, near in pairs if one and action in (None, one.action)]
        if len(rows) >= _SHOWN:
            break
    return rows[:_SHOWN]
