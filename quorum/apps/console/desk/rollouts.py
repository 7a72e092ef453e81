"""What is rolled out to a share of uploaders, with both sides compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from quorum.aggregator.study.rollout import Outcome, RolloutReport, compare
from quorum.core.messages import now
from quorum.store.ledger import Ledger, LedgerCase, TimeRange
from quorum.store.ledger.statements import in_chunks
from quorum.store.past_cases import draw_sample
from quorum.store.rollouts import PARTS, rollout_outcomes

__all__ = ["MOST_CASES", "WEEK", "Rollouts", "compare_rollouts"]

#: How far back cases are read.
WEEK: Final = timedelta(days=7)

#: Cases that are read for one page; of more, whole uploaders are drawn.
MOST_CASES: Final = 10_000

_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Rollouts:
    """The rollouts of a period.

    Attributes:
        read: The cases that were read.
        of: All cases of the period.
        reports: By what was rolled out: a rule, or the version of a candidate.
    """

    read: int
    of: int
    reports: Mapping[str, RolloutReport]


def compare_rollouts(ledger: Ledger, most: int = MOST_CASES) -> Rollouts:
    """Compare both sides of all that was rolled out in the last week.

    Args:
        ledger: The ledger.
        most: The most cases to read.

    Raises:
        LedgerUnavailable: If the database cannot be reached.
    """
    sample = draw_sample(ledger, TimeRange(now() - WEEK, None), most)
    found: dict[str, list[Outcome]] = defaultdict(list)
    for name, outcome in rollout_outcomes(_cases(ledger, sample.ids)):
        found[name].append(outcome)
    reports = {name: compare(found[name]) for name in sorted(found)}
    return Rollouts(len(sample.ids), sample.frame.uploads, reports)


def _cases(ledger: Ledger, ids: Sequence[str]) -> Iterator[LedgerCase]:
    for chunk in in_chunks(ids, _PAGE):
        yield from ledger.get_cases(chunk, PARTS)
