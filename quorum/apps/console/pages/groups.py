"""Pages of groups: the cases of one, the form that decides the selected, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import Connection, select
from starlette.responses import Response

from quorum.apps.console.desk import bulk, groups, queues, standing
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.groups import KINDS, MOST, Group, LargestGroups, Members
from quorum.apps.console.desk.replies import replier
from quorum.apps.console.desk.tasks import ReviewTask, task_from_row
from quorum.apps.console.pages.base import (
    CurrentSession,
    FormFields,
    PageError,
    Reviewer,
    UploadId,
    console_of,
)
from quorum.apps.console.pages.case import replying
from quorum.apps.console.pages.case_view import categories_of
from quorum.apps.console.pages.queue import QueueFilter, shift_for
from quorum.apps.console.pages.rendering import redirect, render
from quorum.apps.console.pages.search import SearchQuery, search_query
from quorum.core.messages import Action
from quorum.store.ledger.console_schema import tasks
from quorum.store.ledger.search import search as find
from quorum.store.ledger.statements import in_chunks

__all__ = ["router"]

router = APIRouter()
_FIRST = 100
_SEARCH_PAGES = 4
_CHUNK = 500

#: What each kind of group is called; those of a page are what its filters choose.
NAMES = {
    "wave": "of one campaign",
    "text": "with the same text",
    "media": "with the same media",
    "work": "that match the same work",
    "link": "with the same link",
    "site": "that link to the same site",
    "uploader": "of the same uploader",
    "queue": "of this queue",
    "search": "found by this search",
}


@router.get("/group")
def group_page(
    request: Request,
    session: CurrentSession,
    queue: QueueFilter,
    query: Annotated[SearchQuery, Depends(search_query)],
    by: str = "",
    of: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    """Show the cases of a group that wait."""
    console, reader = console_of(request), session.user.name
    shown = MOST if request.query_params.get("all") else _FIRST
    if by == "queue":
        found = _of_queue(request, queue, reader, shown)
    elif by == "search":
        found = _of_search(request, query, reader, shown)
    elif by in KINDS and of:
        group = Group(by, of)
        found = console.ledger.transact(lambda c: groups.members_of(c, group, reader, shown))
    else:
        raise PageError(404, f"There is no such group. Groups are by {', '.join(KINDS)}.")
    holds = None
    if by == "wave":
        holds = console.ledger.transact(lambda c: standing.of_campaign(c, of))
    return render(
        request,
        "group.html",
        by=by,
        of=of,
        name=NAMES[by],
        members=found,
        tasks=found.tasks,
        shown=shown,
        most=MOST,
        address=request.url.query,
        standing=holds,
        hours=round(standing.HOLDS.total_seconds() / 3600),
        known=categories_of(console.policy),
        reply="",
        **replying(console, None),
        dwell=int(console.settings.dwell.total_seconds() * 1000),
        category=next(iter(found.categories)) if len(found.categories) == 1 else None,
    )


def _of_queue(request: Request, queue: queues.Queue, reader: str, shown: int) -> Members:
    ledger = console_of(request).ledger
    listed = queues.queue_page(
        ledger, queue, reader, limit=MOST + 1, shift=shift_for(request, reader)
    )
    return _sorted_out(request, listed[:MOST], reader, shown, more=len(listed) > MOST)


def _of_search(request: Request, query: SearchQuery, reader: str, shown: int) -> Members:
    """The cases of a search that wait; of a search with many results only those of the newest."""

    def work(connection: Connection) -> tuple[list[ReviewTask], bool]:
        ids: list[str] = []
        after: str | None = ""
        for _ in range(_SEARCH_PAGES):
            page = find(connection, query.parsed, after=after or "", limit=_CHUNK)
            ids += [row.upload_id for row in page.rows]
            after = page.next
            if after is None:
                break
        found: list[ReviewTask] = []
        for chunk in in_chunks(ids):
            t = tasks.c
            waiting = select(tasks).where(t.upload_id.in_(chunk), t.state == "open")
            found += [task_from_row(row) for row in connection.execute(waiting)]
        found.sort(key=lambda one: (-one.harm, one.id))
        return found, after is not None

    listed, more = console_of(request).ledger.transact(work)
    return _sorted_out(request, listed, reader, shown, more=more)


def _sorted_out(
    request: Request, listed: Sequence[ReviewTask], reader: str, shown: int, *, more: bool
) -> Members:
    ledger = console_of(request).ledger
    kept, left_out = ledger.transact(lambda c: groups.sort_out(c, listed, reader))
    return Members.of(kept, left_out, more=more, shown=shown)


async def selected(request: Request) -> tuple[str, ...]:
    """The tasks that a form selects."""
    form = await request.form()
    return tuple(str(value) for value in form.getlist("task"))


@router.post("/group/decide")
def decide(
    request: Request,
    given: FormFields,
    user: Reviewer,
    chosen: Annotated[tuple[str, ...], Depends(selected)],
) -> Response:
    """Decide the selected cases."""
    console = console_of(request)
    try:
        action = Action(given.get("action", ""))
    except ValueError:
        message = "Choose an action: allow, restrict, second review, or remove."
        raise PageError(422, message) from None
    category = given.get("category") or None
    if category is not None and category not in console.policy.categories:
        raise PageError(422, "The policy in force has no such category; choose another.")
    if category is None and action in (Action.RESTRICT, Action.REMOVE):
        raise PageError(422, "Choose a category: uploaders are told what their upload violates.")
    by = given.get("by", "")
    campaign = given.get("of", "") if by == "wave" and given.get("later") else ""
    if campaign and action is Action.REVIEW:
        message = (
            "A second review decides nothing for later members; untick them, or choose another."
        )
        raise PageError(422, message)
    try:
        made = bulk.decide_many(
            console.ledger,
            chosen,
            user.name,
            action,
            category,
            given.get("note", ""),
            console.settings.undo,
            by if by in KINDS else "selection",
            replier(given.get("reply", ""), console.policy.categories),
            desk=console.settings.desk,
        )
    except Conflict as error:
        raise PageError(409, str(error)) from None
    if campaign:
        note = given.get("note", "")
        standing.stand(console.ledger, made, campaign, user.name, action, category, note)
    return redirect(request, "/group/decided", id=made)


@router.post("/group/stop")
def stop(request: Request, given: FormFields, user: Reviewer) -> Response:
    """End the decision that later members of a campaign get."""
    campaign = given.get("of", "")
    if not standing.stop(console_of(request).ledger, campaign, user.name):
        raise PageError(404, "No decision holds for later members of this campaign.")
    return redirect(request, "/group", by="wave", of=campaign)


@router.get("/group/decided")
def decided(
    request: Request,
    session: CurrentSession,
    made: Annotated[str, Query(alias="id", max_length=256)],
) -> Response:
    """Show a decision on many cases: what was decided, and what was left out and why."""
    found = bulk.load(console_of(request).ledger, made)
    if found is None:
        raise PageError(404, "There is no such decision on several cases.")
    return render(request, "group_decided.html", found=found, name=NAMES.get(found.group))


@router.get("/case/alike")
def alike(request: Request, session: CurrentSession, upload: UploadId) -> Response:
    """Render the groups of a case; the page asks for it once it is shown."""
    ledger, reader = console_of(request).ledger, session.user.name
    found = ledger.transact(lambda c: groups.groups_of(c, upload, reader))
    return render(request, "_groups.html", groups=found, names=NAMES, key=True)


@router.get("/groups/largest")
def largest(request: Request, session: CurrentSession) -> Response:
    """Render the largest groups that wait; the queue asks for it."""
    cache: LargestGroups = request.app.state.largest_groups
    return render(request, "_groups.html", groups=cache.current(), names=NAMES, key=False)
