"""Decisions of people on uploaders' accounts.

A decision rests on one upload of the account: it is published as a review of that upload, and the
verdict that follows carries it, as it carries what a rule decides on an account. A ban waits until
a second person confirms it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection, Row, and_, insert, or_, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import Permission, User
from quorum.apps.console.accounts.audited import order_digest
from quorum.apps.console.accounts.names import folded
from quorum.apps.console.accounts.separation import one_person
from quorum.apps.console.desk.claims import lock_case
from quorum.apps.console.desk.decisions import Conflict
from quorum.core.messages import Action, Review, Verdict, digest, now
from quorum.store.ledger import Ledger, LedgerCase
from quorum.store.ledger.accounts_schema import account_appeals, account_orders
from quorum.store.ledger.console_schema import decisions
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.statements import lock_name

__all__ = [
    "MAX_REASON",
    "Order",
    "OrderAction",
    "confirm",
    "log_order",
    "order",
    "order_from_row",
    "place",
    "refuse",
    "undo",
]

OrderAction = Literal["warn", "suspend", "ban", "none"]

#: Characters of the reason that the account's owner reads.
MAX_REASON: Final = 2000


@dataclass(frozen=True, slots=True)
class Order:
    """What a person decides on an account; a row of ``account_orders``."""

    id: str
    uploader: str
    upload_id: str
    verdict_id: str
    action: OrderAction
    until: datetime | None
    reason: str
    reviewer: str
    at: datetime
    second: str | None
    second_at: datetime | None
    state: str
    due_at: datetime | None
    error: str | None
    appeal: str | None

    def review(self, verdict: Verdict) -> Review:
        """The review that carries it; it leaves the upload as the verdict has it."""
        return Review(
            upload_id=self.upload_id,
            verdict_id=self.verdict_id,
            action=verdict.action,
            reviewer=self.reviewer,
            labels=() if verdict.category is None else (verdict.category,),
            reply=self.reason if self.action == "none" else None,
            account=self.action,
            account_until=self.until,
            account_reason=self.reason,
            at=self.at if self.second_at is None else self.second_at,
        )


def order_from_row(row: Row[Any]) -> Order:
    """Convert a row of ``account_orders``."""
    return Order(**row._mapping)


def place(
    ledger: Ledger,
    upload_id: str,
    user: User,
    action: str,
    reason: str,
    undo_for: timedelta,
    *,
    until: datetime | None = None,
) -> Order:
    """Warn, suspend or lift; propose a ban, which a second person confirms.

    Args:
        ledger: The ledger.
        upload_id: The upload that the decision rests on; for ``none``, the one whose verdict
            decides on the account.
        user: Who decides.
        action: An ``OrderAction``.
        reason: A sentence for the account's owner.
        undo_for: How long it can be undone.
        until: When a suspension ends; None until a person lifts it.

    Raises:
        Conflict: If it cannot be decided; the text states why, and nothing was changed.
    """
    return ledger.transact(
        lambda c: order(c, upload_id, user, action, reason, undo_for, until=until), writes=True
    )


def order(
    connection: Connection,
    upload_id: str,
    user: User,
    action: str,
    reason: str,
    undo_for: timedelta,
    *,
    until: datetime | None = None,
    appeal: str | None = None,
) -> Order:
    """``place`` in a transaction; with an appeal, the decision answers it."""
    at, reason = now(), reason.replace("\x00", "\ufffd").strip()
    if action not in get_args(OrderAction):
        msg = "Choose what happens to the account: warn, suspend, ban, or lift."
        raise Conflict(msg)
    if not reason or len(reason) > MAX_REASON:
        msg = f"State the reason for the account's owner, in 1 to {MAX_REASON:,} characters."
        raise Conflict(msg)
    if until is not None and (action != "suspend" or until <= at):
        msg = "Only a suspension ends by itself, on a day to come."
        raise Conflict(msg)
    lock_case(connection, upload_id)
    (case,) = load_cases(connection, [upload_id], ("upload", "verdicts", "reviews"))
    verdict = _ground(connection, case)
    assert case.upload is not None
    uploader = case.upload.uploader
    lock_name(connection, f"account {uploader}")
    _check_alone(connection, uploader)
    if action == "none" and appeal is None:
        _check_lift(connection, case, verdict, user)
    ban = action == "ban"
    made = Order(
        id=digest("account order", uploader, upload_id, user.name, str(at)),
        uploader=uploader,
        upload_id=upload_id,
        verdict_id=verdict.id,
        action=action,  # type: ignore[arg-type]
        until=until,
        reason=reason,
        reviewer=user.name,
        at=at,
        second=None,
        second_at=None,
        state="proposed" if ban else "waiting",
        due_at=None if ban else at + undo_for,
        error=None,
        appeal=appeal,
    )
    connection.execute(insert(account_orders), {n: getattr(made, n) for n in Order.__slots__})
    log_order(connection, user.name, "account.proposed" if ban else "account.decided", made)
    return made


def _ground(connection: Connection, case: LedgerCase) -> Verdict:
    """The verdict in force on the upload that a decision rests on.

    Raises:
        Conflict: If a review that leaves it as it is would change it, or there is none.
    """
    verdict = case.verdict
    if verdict is None or case.upload is None:
        msg = "The ledger has no decided upload of this id; choose another one."
        raise Conflict(msg)
    if verdict.action is Action.REVIEW or verdict.decided_by == "cap":
        msg = "This upload waits for a reviewer: decide it first, or choose another one."
        raise Conflict(msg)
    if verdict.plan is not None or (verdict.model_extra or {}).get("territories"):
        msg = (
            "The verdict on this upload differs by territory, or changes with time, and a decision "
            "on the account would end that: choose another upload, or decide this one again first."
        )
        raise Conflict(msg)
    d = decisions.c
    waits = select(d.reviewer).where(d.upload_id == case.upload_id, d.state == "waiting")
    if (who := connection.execute(waits).scalars().first()) is not None:
        msg = f"A decision by {who} on this upload is about to be published; try again then."
        raise Conflict(msg)
    return verdict


def _check_alone(connection: Connection, uploader: str) -> None:
    o = account_orders.c
    query = select(o.reviewer, o.state).where(
        o.uploader == uploader, o.state.in_(("proposed", "waiting"))
    )
    row = connection.execute(query).first()
    if row is not None:
        what = "proposed a ban" if row.state == "proposed" else "decided"
        msg = f"{row.reviewer} {what} on this account already; that is confirmed or undone first."
        raise Conflict(msg)


def _check_lift(connection: Connection, case: LedgerCase, verdict: Verdict, user: User) -> None:
    if verdict.account is None:
        msg = "The verdict in force on this upload decides nothing on the account any more."
        raise Conflict(msg)
    o = account_orders.c
    query = (
        select(o.reviewer)
        .where(o.upload_id == case.upload_id, o.state == "published", o.action != "none")
        .order_by(o.at.desc())
        .limit(1)
    )
    author = connection.execute(query).scalar_one_or_none()
    if verdict.account.review is None or user.may(Permission.LEAD):
        return
    if author is None or folded(author) != folded(user.name):
        msg = f"{author or 'Another reviewer'} decided on this account; a lead can lift that."
        raise Conflict(msg)


def confirm(ledger: Ledger, order_id: str, user: User, undo_for: timedelta) -> Order:
    """Confirm a ban as the second person.

    Raises:
        Conflict: If they may not, or the upload's verdict is another one by now.
    """

    def work(connection: Connection) -> Order:
        found = _proposed(connection, order_id)
        if (why := one_person(connection, found.reviewer, user.name)) is not None:
            msg = f"A second person must confirm a ban: {why}."
            raise Conflict(msg)
        lock_case(connection, found.upload_id)
        (case,) = load_cases(connection, [found.upload_id], ("upload", "verdicts", "reviews"))
        if _ground(connection, case).id != found.verdict_id:
            msg = (
                "The upload that the ban rests on has a newer verdict: refuse the ban, and propose "
                "it anew if it is still right."
            )
            raise Conflict(msg)
        at = now()
        return _change(
            connection,
            user.name,
            "account.confirmed",
            found,
            state="waiting",
            second=user.name,
            second_at=at,
            due_at=at + undo_for,
        )

    return ledger.transact(work, writes=True)


def refuse(ledger: Ledger, order_id: str, user: User) -> Order:
    """Refuse a proposed ban, or take back one's own.

    Raises:
        Conflict: If it is not proposed any more, or the user is neither its author nor a lead.
    """

    def work(connection: Connection) -> Order:
        found = _proposed(connection, order_id)
        if folded(found.reviewer) != folded(user.name) and not user.may(Permission.LEAD):
            msg = "A lead refuses a ban that another reviewer proposed."
            raise Conflict(msg)
        return _change(
            connection,
            user.name,
            "account.refused",
            found,
            state="refused",
            second=user.name,
            second_at=now(),
        )

    return ledger.transact(work, writes=True)


def _proposed(connection: Connection, order_id: str) -> Order:
    query = select(account_orders).where(account_orders.c.id == order_id)
    row = connection.execute(query.with_for_update()).first()
    if row is None or row.state != "proposed":
        msg = "This ban is not proposed any more: it was confirmed, refused or taken back."
        raise Conflict(msg)
    return order_from_row(row)


def undo(ledger: Ledger, order_id: str, user: User) -> Order:
    """Take back what was decided, while it is not published; a confirmed ban is proposed again.

    Raises:
        Conflict: If it is too late, or another person decided it.
    """

    def work(connection: Connection) -> Order:
        o = account_orders.c
        mine = or_(
            and_(o.second.is_(None), o.reviewer == user.name),
            and_(o.second.is_not(None), o.second == user.name),
        )
        query = select(account_orders).where(
            o.id == order_id, o.state == "waiting", o.due_at > now(), mine
        )
        row = connection.execute(query.with_for_update()).first()
        if row is None:
            msg = "It is too late to undo this: it is being published. Lift it instead."
            raise Conflict(msg)
        found = order_from_row(row)
        if found.appeal is not None:
            connection.execute(
                update(account_appeals)
                .where(account_appeals.c.id == found.appeal)
                .values(state="open", reviewer=None, decided_at=None, statement=None)
            )
        if found.second is None:
            return _change(connection, user.name, "account.undone", found, state="undone")
        return _change(
            connection,
            user.name,
            "account.unconfirmed",
            found,
            state="proposed",
            second=None,
            second_at=None,
            due_at=None,
        )

    return ledger.transact(work, writes=True)


def _change(connection: Connection, actor: str, event: str, found: Order, **values: Any) -> Order:
    connection.execute(
        update(account_orders).where(account_orders.c.id == found.id).values(**values)
    )
    query = select(account_orders).where(account_orders.c.id == found.id)
    changed = order_from_row(connection.execute(query).one())
    log_order(connection, actor, event, changed)
    return changed


def log_order(connection: Connection, actor: str, event: str, one: Order) -> None:
    """Append the line of an order to the audit log, with the digest of its row."""
    row = {name: getattr(one, name) for name in Order.__slots__}
    audit.append(
        connection,
        actor,
        event,
        one.upload_id,
        order=one.id,
        action=one.action,
        until=None if one.until is None else one.until.isoformat(),
        row=order_digest(row),
    )
