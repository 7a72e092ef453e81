"""The decided cases of a period, or a sample of them, as a trial of a policy reads them.

A sample has whole uploaders: those with the lowest places by a hash (``place_of``), as many as a
bound allows. So it is the same whoever draws it, and each uploader's history is whole.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.rollout import place_of
from quorum.aggregator.study.blast_radius import Frame
from quorum.aggregator.study.features import with_features
from quorum.aggregator.study.record import PastCase
from quorum.store.histories import history_before
from quorum.store.ledger import Ledger, TimeRange
from quorum.store.ledger.reading import Part, within
from quorum.store.ledger.schema import cases
from quorum.store.ledger.statements import in_chunks

__all__ = ["CaseSample", "draw_sample", "read_sample"]

_SALT: Final = "blast-radius"
#: The part of the bound that one uploader may take, so that no single one is the sample; a few
#: uploads are always read whole.
_EACH: Final = 100
_FEW: Final = 10
_PAGE: Final = 200
_PARTS: Final[tuple[Part, ...]] = ("upload", "predictions", "verdicts", "reviews")


@dataclass(frozen=True, slots=True)
class CaseSample:
    """The cases that are read of a period.

    Attributes:
        frame: All decided cases of the period whose upload is recorded.
        ids: The uploads, in the order of their verdicts.
        weights: How many uploads each stands for, where that is not one.
    """

    frame: Frame
    ids: Sequence[str]
    weights: Mapping[str, float]


def draw_sample(ledger: Ledger, period: TimeRange, most: int) -> CaseSample:
    """Choose the cases of a period to read: all, or whole uploaders by hash.

    Of an uploader with more than a hundredth of the bound (and more than ten), that many are chosen
    by hash, and each stands for several.

    Args:
        ledger: The ledger.
        period: When the current verdicts were made.
        most: The most cases to read; at least ten.

    Raises:
        LedgerUnavailable: If the database cannot be reached.
    """
    return ledger.transact(lambda connection: _draw(connection, period, most))


def _draw(connection: Connection, period: TimeRange, most: int) -> CaseSample:
    chosen = (cases.c.at.is_not(None), cases.c.uploader.is_not(None), *within(cases.c.at, period))
    total, many = connection.execute(
        select(func.count(), func.count(cases.c.uploader.distinct())).where(*chosen)
    ).one()
    frame = Frame(int(total), int(many))
    query = select(cases.c.upload_id, cases.c.uploader, cases.c.at).where(*chosen)
    if frame.uploads <= most:
        rows = connection.execute(query.order_by(cases.c.at, cases.c.upload_id))
        return CaseSample(frame, [row.upload_id for row in rows], {})
    each = max(_FEW, most // _EACH)
    counts = select(cases.c.uploader, func.count()).where(*chosen).group_by(cases.c.uploader)
    taken = _lowest(connection.execute(counts.execution_options(yield_per=5000)), most, each)
    names = sorted(taken)
    found: list[tuple[datetime, str]] = []
    weights: dict[str, float] = {}
    for chunk in in_chunks(names, _PAGE):
        page = query.where(cases.c.uploader.in_(chunk))
        places: dict[str, list[tuple[float, datetime, str]]] = {}
        for upload_id, uploader, at in connection.execute(page):
            places.setdefault(uploader, []).append((place_of(_SALT, upload_id), at, upload_id))
        for known in places.values():
            kept = heapq.nsmallest(each, known)
            found += [(at, upload_id) for _, at, upload_id in kept]
            if len(kept) < len(known):
                weights |= {upload_id: len(known) / len(kept) for _, _, upload_id in kept}
    return CaseSample(frame, [upload_id for _, upload_id in sorted(found)], weights)


def _lowest(counts: Iterable[Any], most: int, each: int) -> set[str]:
    """The uploaders of the lowest places whose uploads are within the bound, in bounded memory."""
    heap: list[tuple[float, str, int]] = []
    total = 0
    for uploader, number in counts:
        size = min(number, each)
        heapq.heappush(heap, (-place_of(_SALT, uploader), uploader, size))
        total += size
        while total > most:
            total -= heapq.heappop(heap)[2]
    return {uploader for _, uploader, _ in heap}


def read_sample(
    ledger: Ledger, sample: CaseSample, candidate: Policy, base: Policy | None = None
) -> Iterator[tuple[PastCase, float]]:
    """Read the cases of a sample, each with the number of uploads that it stands for.

    Where a rule of a policy reads the uploader's history, it is the one at the time of the verdict.
    Features over time that a verdict recorded are kept; others are counted over the cases that are
    read.

    Raises:
        LedgerUnavailable: If the database cannot be reached.
    """
    policies = [candidate] if base is None else [candidate, base]
    found = _read(ledger, sample, policies)
    if any(one.has_features for one in policies):
        found = iter(with_features(found, policies))
    for case in found:
        yield case, sample.weights.get(str(case.facts["id"]), 1.0)


def _read(ledger: Ledger, sample: CaseSample, policies: Sequence[Policy]) -> Iterator[PastCase]:
    reads_history = next((one for one in policies if one.reads_history), None)
    for chunk in in_chunks(sample.ids, _PAGE):
        for case in ledger.get_cases(chunk, _PARTS):
            if case.upload is None:
                continue
            known = None
            if reads_history is not None and case.verdict is not None:
                known = history_before(ledger, reads_history, case.upload, case.verdict.at)
            yield PastCase.gather(
                case.upload,
                case.current_predictions,
                case.verdicts,
                case.current_reviews,
                known,
            )
