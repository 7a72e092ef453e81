"""The uploads that were decided while something was rolled out, from the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quorum.aggregator.study.rollout import Outcome
from quorum.store.ledger import LedgerCase
from quorum.store.ledger.reading import Part

__all__ = ["PARTS", "rollout_outcomes"]

#: What must be read of a case.
PARTS: tuple[Part, ...] = ("upload", "verdicts", "reviews")


def rollout_outcomes(cases: Iterable[LedgerCase]) -> Iterator[tuple[str, Outcome]]:
    """Each rollout that the last verdict by software on a case names, with what became of it."""
    for case in cases:
        decided = max(
            (one for one in case.verdicts if one.decided_by != "reviewer"),
            key=lambda verdict: verdict.order,
            default=None,
        )
        if case.upload is None or decided is None or not decided.rollout:
            continue
        review = max(case.current_reviews, key=lambda one: (one.at, one.event_id()), default=None)
        first = min(case.verdicts, key=lambda verdict: verdict.order)
        for name, side in decided.rollout.items():
            yield (
                name,
                Outcome(
                    case.upload.uploader,
                    side == "in",
                    decided.action.value,
                    None if review is None else review.action is not decided.action,
                    first.latency,
                ),
            )
