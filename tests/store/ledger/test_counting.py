"""The counts of verdicts over time are those of the verdicts, whatever is written and deleted."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

from sqlalchemy import delete, func, select

from quorum.core.messages import Action
from quorum.store.ledger import Ledger
from quorum.store.ledger.counting import GRAIN, count_verdicts
from quorum.store.ledger.counts_schema import verdict_counts
from quorum.store.ledger.schema import verdicts
from tests.store.ledger.messages_for_ledger import at, upload, verdict

#: The time of the first grain of these tests.
START = at(0) - timedelta(seconds=int(at(0).timestamp()) % GRAIN)


def counted(ledger: Ledger, width: int = GRAIN) -> Counter[tuple[object, ...]]:
    found = ledger.transact(lambda connection: count_verdicts(connection, START, width))
    return Counter({one[:4]: one.number for one in found})


def one_by_one(ledger: Ledger, width: int = GRAIN) -> Counter[tuple[object, ...]]:
    v = verdicts.c
    query = select(v.at, v.action, v.category, v.revision)
    rows = ledger.transact(lambda connection: connection.execute(query).all())
    made: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        place = int((row.at - START).total_seconds()) // width
        made[place, row.action, row.category, row.revision == 1] += 1
    return made


def test_counts_follow_what_is_written_and_deleted(ledger: Ledger) -> None:
    chance = random.Random(4)
    made = []
    for number in range(60):
        ledger.record([upload(number)])
        for revision in range(1, chance.randint(2, 4)):
            action = chance.choice(list(Action))
            more = {"action": action, "category": chance.choice([None, "spam", "violence"])}
            made.append(verdict(number, revision, minutes=chance.randrange(600), **more))
    ledger.record(made)
    expected = one_by_one(ledger)
    assert sum(expected.values()) == len(made)
    assert counted(ledger) == expected
    for width in (GRAIN, 4 * GRAIN, 28 * GRAIN):
        assert counted(ledger, width) == one_by_one(ledger, width)
    # Written again, nothing is counted twice; one of the same id and a later time moves.
    ledger.record(made)
    assert counted(ledger) == expected
    later = made[0].model_copy(update={"at": made[0].at + timedelta(hours=3)})
    ledger.record([later])
    assert counted(ledger) == one_by_one(ledger) != expected
    # Deleted by erasure and by hand.
    ledger.forget("by-1", dry_run=False)
    some = [one.id for one in made[10:20]]
    ledger.transact(
        lambda c: c.execute(delete(verdicts).where(verdicts.c.id.in_(some))), writes=True
    )
    assert counted(ledger) == one_by_one(ledger)
    assert 0 < sum(counted(ledger).values()) < len(made)


def test_retention_leaves_no_counts_behind(ledger: Ledger) -> None:
    ledger.record([upload(1), verdict(1), upload(900), verdict(900)])
    ledger.prune(at(600), dry_run=False)
    query = select(func.count()).select_from(verdict_counts)
    assert ledger.transact(lambda connection: connection.execute(query).scalar()) == 1
    assert counted(ledger) == one_by_one(ledger)
