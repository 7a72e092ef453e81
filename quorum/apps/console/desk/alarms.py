"""What is behind: the stream, its detectors, the publisher of reviews, the ledger itself.

Each alarm says since when, and what that means for the work of whoever reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, exists, func, select

from quorum.aggregator.policy.policy import Policy
from quorum.store.ledger.accounts_schema import account_orders
from quorum.store.ledger.console_schema import decisions
from quorum.store.ledger.schema import cases, dead_letters, predictions

__all__ = [
    "NAMES",
    "Alarm",
    "Bounds",
    "digest_of",
    "ledger_away",
    "measure",
    "unanswered",
    "undecided",
]

#: All alarms, the gravest first; they are label values of a metric.
NAMES: Final = (
    *("ledger", "worker", "publisher", "verdicts", "uploads", "copies", "stream", "detectors"),
)

#: Kinds of decisions that become reviews, and so new verdicts.
PUBLIC_KINDS: Final = ("review", "second", "appeal", "report", "notice", "again")

#: Decisions and uploads from before are no longer told: nobody waits for them at this desk.
_OLDEST: Final = timedelta(days=7)
_UNDECIDED: Final = 200


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that is behind.

    Attributes:
        name: One of ``NAMES``.
        grave: Whether decisions or verdicts do not take effect meanwhile.
        since: Since when.
        what: What is behind, as a sentence.
        means: What that means for the reviewer's work, as sentences.
    """

    name: str
    grave: bool
    since: datetime
    what: str
    means: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """From when on something is behind.

    Attributes:
        answer: A published decision has led to a verdict by then, and an upload past its deadline.
        publish: A decision that could not be published left by then.
        quiet: Detectors were heard within this time; None where uploads come seldom.
    """

    answer: timedelta = timedelta(seconds=60)
    publish: timedelta = timedelta(seconds=10)
    quiet: timedelta | None = timedelta(minutes=30)


def digest_of(alarms: Iterable[Alarm]) -> str:
    """A short text that differs where two lists of alarms do."""
    told = "\n".join(f"{one.name} {one.since.isoformat()} {one.what}" for one in alarms)
    return hashlib.sha256(told.encode()).hexdigest()[:16] if told else ""


def ledger_away(since: datetime) -> Alarm:
    """The database does not answer."""
    return Alarm(
        "ledger",
        grave=True,
        since=since,
        what="The database does not answer.",
        means="Pages do not open and decisions cannot be saved. What you typed is kept in this "
        "browser: leave the page open, and go on when this line is gone.",
    )


def measure(
    connection: Connection,
    policy: Policy,
    bounds: Bounds,
    waiting: Mapping[str, datetime],
    at: datetime,
) -> list[Alarm]:
    """Find what is behind, the gravest first.

    Args:
        connection: A connection to the ledger.
        policy: The policy in force, whose detectors are listened for.
        bounds: From when on something is behind.
        waiting: Uploads without a verdict, each with the time since when that is known.
        at: The time.
    """
    found = [
        _unpublished(connection, bounds, at),
        _unanswered(connection, bounds, at),
        _undecided(policy, bounds, waiting, at),
        _unheard(connection, policy, bounds, at),
    ]
    return [one for one in found if one is not None]


def undecided(connection: Connection, at: datetime) -> list[str]:
    """Uploads of the last days that have neither a verdict nor a dead letter."""
    c = cases.c
    lost = exists().where(dead_letters.c.upload_id == c.upload_id)
    query = (
        select(c.upload_id)
        .where(c.at.is_(None), c.published_at > at - _OLDEST, ~lost)
        .limit(_UNDECIDED)
    )
    return list(connection.execute(query).scalars())


def unanswered(connection: Connection, bounds: Bounds, at: datetime) -> tuple[int, datetime | None]:
    """Count published decisions that another verdict should have followed, and the first's time.

    Decisions on accounts count, too: each is published as a review of an upload, and its verdict
    carries it.
    """
    d, c = decisions.c, cases.c
    query = (
        select(func.count(), func.min(d.due_at))
        .select_from(decisions)
        .join(cases, c.upload_id == d.upload_id)
        .where(
            d.state == "published",
            d.kind.in_(PUBLIC_KINDS),
            d.due_at < at - bounds.answer,
            d.due_at > at - _OLDEST,
            c.verdict_id == d.verdict_id,
            # Who confirms a verdict waits for no other.
            c.action != d.action,
        )
    )
    count, first = connection.execute(query).one()
    o = account_orders.c
    on_accounts = (
        select(func.count(), func.min(o.due_at))
        .select_from(account_orders)
        .join(cases, c.upload_id == o.upload_id)
        .where(
            o.state == "published",
            o.due_at < at - bounds.answer,
            o.due_at > at - _OLDEST,
            c.verdict_id == o.verdict_id,
        )
    )
    more, also = connection.execute(on_accounts).one()
    return int(count) + int(more), min((one for one in (first, also) if one), default=None)


def _unanswered(connection: Connection, bounds: Bounds, at: datetime) -> Alarm | None:
    count, first = unanswered(connection, bounds, at)
    if first is None:
        return None
    return Alarm(
        "verdicts",
        grave=True,
        since=first,
        what=f"{_many(count, 'published decision')} led to no verdict yet.",
        means="The stream that makes verdicts is not running, or is behind: what was removed is "
        "still visible, and what was allowed is still held. No decision is lost; you can go on.",
    )


def _unpublished(connection: Connection, bounds: Bounds, at: datetime) -> Alarm | None:
    d = decisions.c
    query = select(func.count(), func.min(d.due_at)).where(
        d.state == "waiting", d.error.is_not(None), d.due_at < at - bounds.publish
    )
    o = account_orders.c
    on_accounts = select(func.count(), func.min(o.due_at)).where(
        o.state == "waiting", o.error.is_not(None), o.due_at < at - bounds.publish
    )
    found = [connection.execute(one).one() for one in (query, on_accounts)]
    count = sum(int(one[0]) for one in found)
    first = min((one[1] for one in found if one[1] is not None), default=None)
    if first is None:
        return None
    return Alarm(
        "publisher",
        grave=True,
        since=first,
        what=f"{_many(count, 'decision')} could not be published.",
        means="They wait in the ledger and are tried again; the platform does not know them yet. "
        "You can go on deciding.",
    )


def _undecided(
    policy: Policy, bounds: Bounds, waiting: Mapping[str, datetime], at: datetime
) -> Alarm | None:
    bound = timedelta(seconds=policy.deadline) + bounds.answer
    late = [since for since in waiting.values() if at - since > bound]
    if not late:
        return None
    more = "or more " if len(late) >= _UNDECIDED else ""
    return Alarm(
        "uploads",
        grave=True,
        since=min(late),
        what=f"{len(late):,} {more}upload{'' if len(late) == 1 else 's'} wait for a verdict past "
        "the deadline.",
        means="The stream that decides is not running, or is behind: new cases do not reach the "
        "queue. What is in the queue can be decided.",
    )


def _unheard(connection: Connection, policy: Policy, bounds: Bounds, at: datetime) -> Alarm | None:
    if bounds.quiet is None:
        return None
    p = predictions.c
    heard: dict[str, datetime | None] = {}
    for name, one in policy.detectors.items():
        if not one.shadow:
            query = select(func.max(p.at)).where(p.detector == name)
            heard[name] = connection.execute(query).scalar_one()
    times = [time for time in heard.values() if time is not None]
    if not times:
        # Nothing was ever recorded, or none of these detectors is in use.
        return None
    newest = max(times)
    if at - newest > bounds.quiet:
        return Alarm(
            "stream",
            grave=False,
            since=newest,
            what="No detector was heard since then.",
            means="Either no uploads came, or the stream is not running. The queue shows what came "
            "before; new uploads may not reach it.",
        )
    silent = {
        name: time for name, time in heard.items() if time is not None and at - time > bounds.quiet
    }
    if not silent:
        return None
    return Alarm(
        "detectors",
        grave=False,
        since=min(silent.values()),
        what=f"Not heard: {', '.join(sorted(silent))}.",
        means="New cases are judged without them: look for these harms yourself.",
    )


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
