"""Four eyes: whether two accounts may stand for two people.

Two accounts are taken for one person if they have one name, if one of them ever set the other's
password, or if a third account holds the passwords of both. Who set a password is read from the
audit log, so that it holds for accounts of earlier versions, and cannot be unset.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from quorum.apps.console.accounts.names import folded
from quorum.core.messages import now
from quorum.store.ledger.console_schema import audit_log, users

__all__ = ["COOLING", "one_person"]

#: A password that another account set counts as known to it until its user has changed it, and for
#: this long in any case: in a week the user of an account that was taken over notices.
COOLING: Final = timedelta(days=7)

_BY_OTHERS: Final = ("user.created", "user.changed")
_BY_THEMSELVES: Final = "user.password"


def one_person(connection: Connection, first: str, second: str) -> str | None:
    """Return why two accounts may be one person's; None if they count as two.

    Args:
        connection: A transaction.
        first: The name of the account that acted first.
        second: The name of the account that is to be the second pair of eyes.
    """
    one, other = folded(first), folded(second)
    if one == other:
        return "they are one account"
    of_one, of_other = _setters(connection, one), _setters(connection, other)
    if one in of_other:
        return f"{first} has set the password of {second}"
    if other in of_one:
        return f"{second} has set the password of {first}"
    both = {name for name in of_one.keys() & of_other.keys() if of_one[name] and of_other[name]}
    accounts = {folded(name) for name in connection.execute(select(users.c.name)).scalars()}
    # The command line is no account: who may use it may write the database as well.
    if held := sorted(both & accounts):
        return (
            f"{held[0]} has set the passwords of both; each must change their own, and "
            f"{COOLING.days} days must pass"
        )
    return None


def _setters(connection: Connection, name: str) -> dict[str, bool]:
    """The accounts that ever set a user's password, each with whether it may know it now."""
    known = connection.execute(select(users.c.name)).scalars()
    spelled = [each for each in known if folded(each) == name] or [name]
    log = audit_log.c
    rows = connection.execute(
        select(log.at, log.actor, log.event, log.details)
        .where(log.subject.in_(spelled), log.event.in_((*_BY_OTHERS, _BY_THEMSELVES)))
        .order_by(log.number)
    )
    set_at: dict[str, datetime] = {}
    changed_at: datetime | None = None
    for row in rows:
        if row.event == _BY_THEMSELVES:
            changed_at = datetime.fromisoformat(row.at)
        elif json.loads(row.details).get("password") and folded(row.actor) != name:
            set_at[folded(row.actor)] = datetime.fromisoformat(row.at)
    return {
        who: changed_at is None or changed_at < at or now() < at + COOLING
        for who, at in set_at.items()
    }
