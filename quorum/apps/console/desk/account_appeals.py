"""Appeals against decisions on accounts, each decided by a person who had no part in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, tuple_, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import User
from quorum.apps.console.accounts.separation import one_person
from quorum.apps.console.desk import account_orders as orders
from quorum.apps.console.desk.appeals import MAX_TEXT, AppealRefused
from quorum.apps.console.desk.decisions import Conflict
from quorum.core.messages import AccountState, digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.accounts_schema import account_appeals, account_orders
from quorum.store.ledger.reading import load_cases

__all__ = ["appeal_account", "counts", "decide_appeal", "find_account_appeal", "newest"]


def appeal_account(
    ledger: Ledger, upload_id: str, verdict_id: str, text: str, by: str
) -> tuple[str, bool]:
    """Take an appeal of an account's owner.

    Args:
        ledger: The ledger.
        upload_id: The upload whose verdict decides on the account.
        verdict_id: That verdict.
        text: The owner's reasons.
        by: The platform or the user who submits the appeal.

    Returns:
        The appeal's id, and whether it is new; submitting the same appeal again has no effect.

    Raises:
        AppealRefused: If there is no such decision, or it does not hold.
    """
    text = text.replace("\x00", "\ufffd").strip()
    if not text or len(text) > MAX_TEXT:
        msg = f"an appeal states its reasons, in 1 to {MAX_TEXT:,} characters"
        raise AppealRefused(msg)
    appeal_id = digest("account appeal", upload_id, verdict_id)

    def work(connection: Connection) -> bool:
        a, o = account_appeals.c, account_orders.c
        if connection.execute(select(a.id).where(a.id == appeal_id)).first():
            return False
        (case,) = load_cases(connection, [upload_id], ("upload", "verdicts"))
        verdict = next((one for one in case.verdicts if one.id == verdict_id), None)
        if verdict is None or verdict.account is None:
            msg = "the ledger has no such verdict on this upload, or it decides on no account"
            raise AppealRefused(msg)
        current = case.verdict
        if current is None or current.account is None:
            msg = "the decision on the account was lifted: there is nothing to appeal against"
            raise AppealRefused(msg)
        if current.account.state is not AccountState.HOLDS:
            msg = "the decision on the account is proposed, and does not hold yet"
            raise AppealRefused(msg)
        query = (
            select(o.reviewer, o.second)
            .where(o.upload_id == upload_id, o.state == "published", o.action != "none")
            .order_by(o.at.desc())
            .limit(1)
        )
        first = connection.execute(query).first() if current.account.review else None
        connection.execute(
            insert(account_appeals).values(
                id=appeal_id,
                uploader=current.account.uploader,
                upload_id=upload_id,
                verdict_id=verdict_id,
                text=text,
                at=now(),
                state="open",
                first_reviewer=None if first is None else first.reviewer,
                second=None if first is None else first.second,
            )
        )
        audit.append(connection, by, "account.appealed", upload_id, verdict=verdict_id)
        return True

    return appeal_id, ledger.transact(work, writes=True)


def decide_appeal(
    ledger: Ledger, appeal_id: str, user: User, statement: str, undo: timedelta, *, lift: bool
) -> str:
    """Uphold the decision on the account, or lift it; returns the account.

    Args:
        ledger: The ledger.
        appeal_id: The appeal.
        user: Who decides; neither who decided on the account nor who confirmed that.
        statement: What its owner is told.
        undo: How long lifting can be undone.
        lift: Whether the decision is lifted.

    Raises:
        Conflict: If they may not, or the appeal is decided already.
    """
    statement = statement.replace("\x00", "\ufffd").strip()
    if not statement or len(statement) > orders.MAX_REASON:
        msg = f"State what the owner is told, in 1 to {orders.MAX_REASON:,} characters."
        raise Conflict(msg)

    def work(connection: Connection) -> str:
        a = account_appeals.c
        query = select(account_appeals).where(a.id == appeal_id).with_for_update()
        row = connection.execute(query).first()
        if row is None or row.state != "open":
            msg = "This appeal was decided meanwhile."
            raise Conflict(msg)
        for first in (row.first_reviewer, row.second):
            if first is not None and (why := one_person(connection, first, user.name)):
                msg = f"Another person must decide this appeal: {why}."
                raise Conflict(msg)
        if lift:
            (case,) = load_cases(connection, [row.upload_id], ("upload", "verdicts"))
            if case.verdict is not None and case.verdict.account is not None:
                orders.order(
                    connection, row.upload_id, user, "none", statement, undo, appeal=appeal_id
                )
        state = "reversed" if lift else "upheld"
        connection.execute(
            update(account_appeals)
            .where(a.id == appeal_id)
            .values(state=state, reviewer=user.name, decided_at=now(), statement=statement)
        )
        audit.append(connection, user.name, "account.appeal-decided", row.upload_id, state=state)
        return str(row.uploader)

    return ledger.transact(work, writes=True)


def find_account_appeal(ledger: Ledger, appeal_id: str) -> Any:
    """Return the row of an appeal, or None."""
    query = select(account_appeals).where(account_appeals.c.id == appeal_id)
    return ledger.transact(lambda connection: connection.execute(query).first())


def counts(connection: Connection) -> dict[str, int]:
    """Count the appeals by state."""
    a = account_appeals.c
    query = select(a.state, func.count()).group_by(a.state)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def newest(
    connection: Connection,
    limit: int = 50,
    *,
    state: str | None = None,
    before: tuple[datetime, str] | None = None,
) -> Sequence[Any]:
    """Return the newest appeals.

    Args:
        connection: A transaction.
        limit: The most rows.
        state: Only appeals in this state.
        before: Time and id of the last row of the previous page.
    """
    a = account_appeals.c
    query = select(account_appeals).order_by(a.at.desc(), a.id.desc()).limit(limit)
    if state is not None:
        query = query.where(a.state == state)
    if before is not None:
        query = query.where(tuple_(a.at, a.id) < tuple_(*before, types=[a.at.type, a.id.type]))
    return connection.execute(query).all()
