"""Features over time of past cases: point in time, without a look ahead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from quorum.aggregator.features.table import FeatureTable
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.record import PastCase

__all__ = ["with_features"]


def with_features(cases: Iterable[PastCase], policies: Iterable[Policy]) -> list[PastCase]:
    """The cases, each with its values of the policies' features.

    Uploads are counted in the order in which they were published, and each value counts only what
    was published before, as in the stream. A value that was recorded under the same definition is
    kept: it may count uploads that are not among the cases.

    Args:
        cases: Past cases, in any order; that order is kept.
        policies: Those whose features are needed.
    """
    table = FeatureTable(policies)
    known = list(cases)
    if not table:
        return known
    for at in sorted(range(len(known)), key=lambda one: known[one].upload.published_at):
        case = known[at]
        known[at] = replace(case, features={**table.take(case.upload), **case.features})
    return known
