"""The editor of policies: what the checker says as one types, and what may come next."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from quorum.aggregator.study.checked import check_text
from quorum.aggregator.study.completion import complete
from quorum.apps.console.desk import drafts
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.policy_history import golden_of
from quorum.apps.console.pages.base import FormFields, Lead, PageError, console_of
from quorum.apps.console.pages.rendering import redirect, render
from quorum.core.errors import PolicyError

__all__ = ["Turns", "router"]

router = APIRouter()

#: Characters of a policy, and of its golden cases, that are checked while one types.
MOST_LIVE: Final = 64 * 1024

_BUSY: Final = "Too many checks at once; the next one comes in a moment."


class Turns:
    """Bounds how often each user asks, and how many are answered at the same time.

    Args:
        most: Questions of one user in ``seconds``.
        seconds: The time.
        together: Questions that are answered at the same time.
    """

    def __init__(self, most: int = 40, seconds: float = 20.0, together: int = 2) -> None:
        self._most = most
        self._seconds = seconds
        self._free = threading.Semaphore(together)
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, user: str, at: float | None = None) -> bool:
        """Take a turn, which ``give`` gives back; False if it is not this user's now."""
        at = time.monotonic() if at is None else at
        with self._lock:
            times = self._asked.setdefault(user, deque())
            self._asked.move_to_end(user)
            while len(self._asked) > 1000:
                self._asked.popitem(last=False)
            while times and times[0] <= at - self._seconds:
                times.popleft()
            if len(times) >= self._most:
                return False
            times.append(at)
        return self._free.acquire(timeout=2.0)

    def give(self) -> None:
        """Give a turn back."""
        self._free.release()


_CHECKS: Final = Turns()
_WORDS: Final = Turns(most=120)


@router.get("/policy/edit")
def edit(
    request: Request,
    user: Lead,
    id: Annotated[str, Query(max_length=256)] = "",  # noqa: A002
) -> Response:
    """Show the editor, with the text of a draft or of the policy in force."""
    console = console_of(request)
    given = {"name": "", "reason": "", "text": console.policy.text, "golden": ""}
    if id:
        row = drafts.get(console.ledger, id)
        if row is None:
            raise PageError(404, "There is no such draft.")
        given |= {"name": row.name, "text": row.text, "golden": row.golden or ""}
    else:
        given["golden"] = golden_of(console.ledger, console.policy)
    return _editor(request, given)


def _editor(
    request: Request, given: Mapping[str, str], status: int = 200, message: str = ""
) -> Response:
    console = console_of(request)
    checked = check_text(given["text"], given["golden"], console.policy)
    return render(
        request,
        "policy_edit.html",
        status,
        checked=checked,
        message=message,
        most=MOST_LIVE,
        **given,
    )


@router.post("/policy")
def save(request: Request, given: FormFields, user: Lead) -> Response:
    """Save a draft."""
    ledger = console_of(request).ledger
    text, golden = (given.get(name, "").replace("\r\n", "\n") for name in ("text", "golden"))
    name, reason = given.get("name", ""), given.get("reason", "")
    try:
        draft_id = drafts.save(ledger, name, text, user.name, reason, golden)
    except PolicyError as error:
        message = "\n".join(error.lines)
    except Conflict as error:
        message = str(error)
    else:
        return redirect(request, "/policy/draft", id=draft_id)
    fields = {"text": text, "golden": golden, "name": name, "reason": reason}
    return _editor(request, fields, 422, message)


@router.post("/policy/check")
def check(request: Request, given: FormFields, user: Lead) -> Response:
    """Check a text that is being written; what ``check_text`` finds, as JSON."""
    text, golden = (given.get(name, "").replace("\r\n", "\n") for name in ("text", "golden"))
    if max(len(text), len(golden)) > MOST_LIVE:
        msg = f"Beyond {MOST_LIVE:,} characters a text is checked when it is saved."
        return JSONResponse({"message": msg}, 413)
    if not _CHECKS.take(user.name):
        return JSONResponse({"message": _BUSY}, 429, {"retry-after": "2"})
    try:
        return JSONResponse(check_text(text, golden, console_of(request).policy).to_json())
    finally:
        _CHECKS.give()


@router.post("/policy/words")
def words(request: Request, given: FormFields, user: Lead) -> Response:
    """What may come at a place of a text, as JSON."""
    text, at = given.get("text", ""), given.get("at", "")
    if len(text) > MOST_LIVE or not at.isdecimal() or len(at) > 6:
        return JSONResponse({"message": "There is no such place."}, 413)
    if not _WORDS.take(user.name):
        return JSONResponse({"message": _BUSY}, 429, {"retry-after": "2"})
    try:
        found = complete(text, int(at), console_of(request).policy.text)
    finally:
        _WORDS.give()
    items = [{"text": one.text, "told": one.told} for one in found.items]
    return JSONResponse({"start": found.start, "items": items})
