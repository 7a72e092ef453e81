"""Search by meaning: cases like one, or like some words."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from quorum.apps.console.desk.meaning import Meanings
from quorum.apps.console.pages.base import CurrentSession, PageError, console_of
from quorum.apps.console.pages.rendering import render
from quorum.core.messages import Action
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
    ids = [one.upload_id for one in found]
    known = console.ledger.transact(lambda c: summaries_of(c, ids))
    chosen = next((one for one in Action if one.value == action), None)
    rows = [
        (known[one.upload_id], one.similarity)
        for one in found
        if one.upload_id in known and chosen in (None, known[one.upload_id].action)
    ]
    return render(
        request,
        "like.html",
        rows=rows[:_SHOWN],
        of=of,
        text=wanted,
        action=action,
        on=meanings.most > 0,
        size=meanings.size,
        most=meanings.most,
    )
