"""Uploaders' accounts: what is known of one, and what verdicts decide on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from quorum.aggregator.case.history import Strike, counted_actions, strikes_of
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.statements.statement import account_statement
from quorum.apps.console.desk.account_orders import Order, order_from_row
from quorum.core.messages import AccountAction, AccountState, AccountVerdict, Action, now
from quorum.store.ledger import LedgerCase
from quorum.store.ledger.accounts_schema import account_appeals, account_orders, account_verdicts
from quorum.store.ledger.past_verdicts import newest_verdicts
from quorum.store.ledger.schema import cases
from quorum.store.ledger.sealing import unsealed

__all__ = [
    "COUNTED",
    "AccountDecision",
    "AccountFile",
    "all_decisions",
    "current",
    "decision_from_row",
    "load_account",
    "preview",
]

_LISTED: Final = 50
#: An account may have half a million uploads: so many of each action are counted.
COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class AccountDecision:
    """What a verdict decides on an account.

    Attributes:
        verdict_id: The verdict.
        upload_id: The upload that it is on.
        account: The decision.
        at: When it was decided.
        current: Whether that verdict is in force.
    """

    verdict_id: str
    upload_id: str
    account: AccountVerdict
    at: datetime
    current: bool

    def shuts(self, at: datetime) -> bool:
        """Whether it suspends or bans the account at a time."""
        one = self.account
        return (
            self.current
            and one.state is AccountState.HOLDS
            and one.action is not AccountAction.WARN
            and (one.until is None or one.until > at)
        )


@dataclass(frozen=True, slots=True)
class AccountFile:
    """All that the page of an account shows.

    Attributes:
        uploader: The account.
        by_action: How many of its uploads each action holds on, ``COUNTED`` and one at most.
        strikes: What counts against it, the weightiest first.
        total: The sum of its strikes now.
        forecast: The same sum after some days, by the days.
        decided: What verdicts decide on it, the newest first.
        orders: What people decided in the console, the newest first.
        appeals: Appeals against decisions on it, the newest first.
        grounds: Uploads that a decision may rest on, those removed first: id, title, action.
    """

    uploader: str
    by_action: Mapping[str, int]
    strikes: Sequence[Strike]
    total: float
    forecast: Mapping[int, float]
    decided: Sequence[AccountDecision]
    orders: Sequence[Order]
    appeals: Sequence[Any]
    grounds: Sequence[Any]

    def shut(self, at: datetime) -> AccountDecision | None:
        """What keeps the account shut for longest; None if it may upload."""
        found = [one for one in self.decided if one.shuts(at)]
        return max(
            found,
            key=lambda one: (
                one.account.action is AccountAction.BAN,
                one.account.until is None,
                one.account.until or at,
            ),
            default=None,
        )


def decision_from_row(row: Row[Any]) -> AccountDecision:
    """Convert a row of ``account_verdicts``, with the column ``current``."""
    account = AccountVerdict.model_validate(json.loads(row.body))
    return AccountDecision(row.verdict_id, row.upload_id, account, row.at, bool(row.current))


def current() -> ColumnElement[bool]:
    """The condition that the verdict of a row of ``account_verdicts`` is in force.

    No join: PostgreSQL takes one on upload and verdict for a join of few rows, and of a million
    cases reads all to find the newest 50.
    """
    a, c = account_verdicts.c, cases.c
    verdict = select(c.verdict_id).where(c.upload_id == a.upload_id).scalar_subquery()
    return verdict == a.verdict_id


def all_decisions() -> Select[Any]:
    """A query of ``account_verdicts`` with whether the verdict of each is in force."""
    return select(account_verdicts, current().label("current"))


def load_account(connection: Connection, policy: Policy, uploader: str) -> AccountFile | None:
    """What is known of an account; None if nothing is.

    Args:
        connection: A transaction.
        policy: Its ``strikes`` define what counts.
        uploader: The account.
    """
    a, c, o, p = account_verdicts.c, cases.c, account_orders.c, account_appeals.c
    by_action = {}
    for action in Action:
        these = select(c.upload_id).where(
            c.uploader == uploader, c.action == action.value, c.at.is_not(None)
        )
        few = select(func.count()).select_from(these.limit(COUNTED + 1).subquery())
        if count := connection.execute(few).scalar_one():
            by_action[action.value] = int(count)
    decided = connection.execute(
        all_decisions().where(a.uploader == uploader).order_by(a.at.desc()).limit(_LISTED)
    ).all()
    if not by_action and not decided:
        return None
    at = now()
    known = newest_verdicts(connection, uploader, counted_actions(policy))
    strikes = strikes_of(policy, known, at)
    rates = policy.strikes
    total = sum(one.worth for one in strikes)
    forecast = {
        days: total * float(0.5 ** (days * 86400 / rates.half_life)) for days in (30, 90, 365)
    }
    orders = connection.execute(
        select(account_orders).where(o.uploader == uploader).order_by(o.at.desc()).limit(_LISTED)
    )
    appeals = connection.execute(
        select(account_appeals).where(p.uploader == uploader).order_by(p.at.desc()).limit(_LISTED)
    )
    return AccountFile(
        uploader=uploader,
        by_action=by_action,
        strikes=strikes,
        total=total,
        forecast=forecast,
        decided=[decision_from_row(row) for row in decided],
        orders=[order_from_row(row) for row in orders],
        appeals=appeals.all(),
        grounds=_grounds(connection, uploader),
    )


def _grounds(connection: Connection, uploader: str) -> list[Any]:
    """The uploads that a decision may rest on: of the severest action first, the newest of each."""
    c = cases.c
    found: list[Any] = []
    for action in (Action.REMOVE, Action.RESTRICT, Action.ALLOW):
        query = (
            select(c.upload_id, c.title, c.action, c.at, c.verdict_id)
            .where(c.uploader == uploader, c.action == action.value)
            .where(unsealed(c.upload_id), c.decided_by != "cap")
            .order_by(c.at.desc())
            .limit(_LISTED - len(found))
        )
        found += connection.execute(query).all()
    return found


def preview(case: LedgerCase, action: str, reason: str, until: datetime | None) -> str:
    """The statement of reasons as the account's owner gets it; the reason alone for ``none``.

    Args:
        case: The upload that the decision rests on.
        action: An ``OrderAction``.
        reason: The reason.
        until: When a suspension ends.
    """
    verdict, upload = case.verdict, case.upload
    if verdict is None or upload is None or not reason.strip():
        return ""
    if action not in set(AccountAction):
        return reason.strip()
    account = AccountVerdict(
        id="preview",
        uploader=upload.uploader,
        action=AccountAction(action),
        state=AccountState.HOLDS,
        revision=verdict.revision + 1,
        rule="review",
        reason=reason.strip(),
        until=until if action == "suspend" else None,
        review="preview",
    )
    return account_statement(verdict.model_copy(update={"account": account}), upload.language)
