"""The quality of reviews: agreement between reviewers, accuracy on golden cases."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.orm import aliased

from quorum.core.intervals import wilson
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions, golden_answers

__all__ = ["Accuracy", "Agreement", "Quality", "agreement", "cohens_kappa", "measure"]

_MOST = 5000


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of independent decisions on the same cases.

    Attributes:
        pairs: The number of cases with two decisions.
        agreed: The number of cases with the same action.
        kappa: Cohen's kappa; None if undefined because only one action was ever chosen.
        table: The number of cases by first and second action.
    """

    pairs: int
    agreed: int
    kappa: float | None
    table: dict[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One reviewer's accuracy on golden cases, with a 95 % Wilson interval."""

    reviewer: str
    right: int
    total: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quality:
    """The figures of the quality page; ``speed`` is (reviewer, decisions, median seconds)."""

    agreement: Agreement
    by_pair: tuple[tuple[str, str, Agreement], ...]
    accuracy: tuple[Accuracy, ...]
    speed: tuple[tuple[str, int, float | None], ...]


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Compute Cohen's kappa (Educational and Psychological Measurement 20, 1960).

    Args:
        pairs: The first and the second choice for each case.
    """
    count = len(pairs)
    if not count:
        return None
    observed = sum(first == second for first, second in pairs) / count
    firsts, seconds = Counter(one for one, _ in pairs), Counter(two for _, two in pairs)
    expected = sum(firsts[name] * seconds[name] for name in firsts) / count**2
    return None if math.isclose(expected, 1.0) else (observed - expected) / (1 - expected)


def agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Compute the agreement of pairs of actions."""
    same = sum(first == second for first, second in pairs)
    return Agreement(len(pairs), same, cohens_kappa(pairs), dict(Counter(pairs)))


def measure(ledger: Ledger) -> Quality:
    """Measure the quality of the newest few thousand decisions."""
    return ledger.transact(_measure)


def _measure(connection: Connection) -> Quality:
    first, second = aliased(decisions), aliased(decisions)
    query = (
        select(first.c.reviewer, first.c.action, second.c.reviewer, second.c.action)
        .join(second, first.c.upload_id == second.c.upload_id)
        .where(
            second.c.kind == "double",
            second.c.state == "kept",
            first.c.kind == "review",
            first.c.state == "published",
            first.c.verdict_id == second.c.verdict_id,
        )
        .order_by(second.c.at.desc())
        .limit(_MOST)
    )
    rows = connection.execute(query).all()
    by_pair: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for one, chose, other, also in rows:
        # The same two people are one pair, whoever decided first.
        key = (one, other) if one <= other else (other, one)
        by_pair[key].append((chose, also) if one <= other else (also, chose))
    return Quality(
        agreement([(row[1], row[3]) for row in rows]),
        tuple((*names, agreement(found)) for names, found in sorted(by_pair.items())),
        _accuracy(connection),
        _speed(connection),
    )


def _accuracy(connection: Connection) -> tuple[Accuracy, ...]:
    query = (
        select(decisions.c.reviewer, decisions.c.action, golden_answers.c.action)
        .join(golden_answers, golden_answers.c.upload_id == decisions.c.upload_id)
        .where(decisions.c.kind == "golden", decisions.c.state == "kept")
        .order_by(decisions.c.at.desc())
        .limit(_MOST)
    )
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for reviewer, chose, right in connection.execute(query):
        counts[reviewer][0] += chose == right
        counts[reviewer][1] += 1
    return tuple(
        Accuracy(name, right, total, *wilson(right, total))
        for name, (right, total) in sorted(counts.items())
    )


def _speed(connection: Connection) -> tuple[tuple[str, int, float | None], ...]:
    d = decisions.c
    query = (
        select(d.reviewer, d.seconds)
        .where(d.state.in_(("published", "kept")))
        .order_by(d.due_at.desc())
        .limit(_MOST)
    )
    counts: Counter[str] = Counter()
    found: dict[str, list[float]] = defaultdict(list)
    for reviewer, seconds in connection.execute(query):
        counts[reviewer] += 1
        # A decision on many cases has no time for each.
        if seconds is not None:
            found[reviewer].append(seconds)
    return tuple(
        (name, count, sorted(found[name])[len(found[name]) // 2] if found[name] else None)
        for name, count in sorted(counts.items())
    )
