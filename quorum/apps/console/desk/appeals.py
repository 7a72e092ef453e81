"""Appeals of uploaders, each decided by another reviewer than the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, tuple_

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk.tasks import open_task
from quorum.core.errors import InputError
from quorum.core.messages import Action, digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import appeals, decisions
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.schema import cases, verdicts
from quorum.store.ledger.sealing import shown_title

__all__ = ["MAX_TEXT", "AppealCounts", "AppealRefused", "appeal", "counts", "find_appeal", "newest"]

MAX_TEXT: Final = 4000


class AppealRefused(InputError):
    """An appeal that is not accepted; the text states the reason."""


def appeal(ledger: Ledger, upload_id: str, verdict_id: str, text: str, by: str) -> tuple[str, bool]:
    """Reopen a case for another reviewer than the one who decided it.

    Args:
        ledger: The ledger.
        upload_id: The upload.
        verdict_id: The verdict that the uploader appeals against.
        text: The uploader's reasons.
        by: The platform or the user who submits the appeal.

    Returns:
        The appeal's id, and whether it is new; submitting the same appeal again has no effect.

    Raises:
        AppealRefused: If the verdict does not exist or restricts nothing.
    """
    text = text.replace("\x00", "�").strip()
    if not text or len(text) > MAX_TEXT:
        msg = f"an appeal states its reasons, in 1 to {MAX_TEXT:,} characters"
        raise AppealRefused(msg)
    appeal_id = digest("appeal", upload_id, verdict_id)

    def work(connection: Connection) -> bool:
        if connection.execute(select(appeals.c.id).where(appeals.c.id == appeal_id)).first():
            return False
        case = load_cases(connection, [upload_id], ("upload", "verdicts", "reviews"))[0]
        verdict = next((one for one in case.verdicts if one.id == verdict_id), None)
        if verdict is None:
            msg = "the ledger has no such verdict on this upload"
            raise AppealRefused(msg)
        if verdict.action in (Action.ALLOW, Action.REVIEW):
            msg = f"the verdict is {verdict.action.value}: there is nothing to appeal against"
            raise AppealRefused(msg)
        current = case.verdict or verdict
        if current.action is Action.ALLOW:
            msg = "the upload is allowed now: there is nothing to appeal against"
            raise AppealRefused(msg)
        first = _first_reviewer(connection, upload_id)
        if first is None and case.counted_reviews:
            first = case.counted_reviews[-1].reviewer
        connection.execute(
            insert(appeals).values(
                id=appeal_id,
                upload_id=upload_id,
                verdict_id=verdict_id,
                text=text,
                at=now(),
                state="open",
                first_reviewer=first,
            )
        )
        open_task(connection, "appeal", case.upload, current, key=appeal_id, not_for=first)
        audit.append(connection, by, "appeal.taken", upload_id, verdict=verdict_id)
        return True

    return appeal_id, ledger.transact(work, writes=True)


def _first_reviewer(connection: Connection, upload_id: str) -> str | None:
    d = decisions.c
    query = (
        select(d.reviewer)
        .where(d.upload_id == upload_id, d.state == "published")
        .order_by(d.at.desc())
        .limit(1)
    )
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def find_appeal(ledger: Ledger, appeal_id: str) -> Any:
    """Return the row of an appeal, or None."""
    query = select(appeals).where(appeals.c.id == appeal_id)
    return ledger.transact(lambda connection: connection.execute(query).first())


@dataclass(frozen=True, slots=True)
class AppealCounts:
    """The number of appeals in each state."""

    open: int
    upheld: int
    reversed: int


def counts(ledger: Ledger) -> AppealCounts:
    """Count all appeals by state."""
    query = select(appeals.c.state, func.count()).group_by(appeals.c.state)
    found = ledger.transact(lambda c: {row[0]: int(row[1]) for row in c.execute(query)})
    return AppealCounts(found.get("open", 0), found.get("upheld", 0), found.get("reversed", 0))


def newest(
    ledger: Ledger,
    limit: int = 100,
    *,
    state: str | None = None,
    before: tuple[datetime, str] | None = None,
) -> Sequence[Any]:
    """Return the newest appeals, each with the case's title, uploader and actions.

    Args:
        ledger: The ledger.
        limit: The maximum number of rows.
        state: Only appeals in this state.
        before: Time and id of the last row of the previous page.
    """
    a, c, v = appeals.c, cases.c, verdicts.c
    query = (
        select(appeals, shown_title(), c.uploader, c.action, v.action.label("stopped"))
        .join(cases, c.upload_id == a.upload_id, isouter=True)
        .join(verdicts, v.id == a.verdict_id, isouter=True)
        .order_by(a.at.desc(), a.id.desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(a.state == state)
    if before is not None:
        query = query.where(tuple_(a.at, a.id) < tuple_(*before, types=[a.at.type, a.id.type]))
    return ledger.transact(lambda connection: connection.execute(query).all())
