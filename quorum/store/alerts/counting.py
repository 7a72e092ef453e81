"""Counts what is watched, in windows that end now and the same windows of earlier weeks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, case, func, select

from quorum.aggregator.study.drift import EDGES
from quorum.core.alert_settings import AlertSettings
from quorum.core.messages import Action
from quorum.store.alerts.values import Reading, Share, Signal, Spread
from quorum.store.ledger import Ledger
from quorum.store.ledger.schema import predictions, reviews, verdicts

__all__ = ["Counts"]

#: Counts are kept for parts of so many seconds: a window that slides reads one new part.
PART: Final = 300
#: The last while is not counted yet: recording lags.
LAG: Final = timedelta(seconds=60)
#: Parts older than this do not change any more.
SETTLED: Final = timedelta(minutes=30)
_WEEK: Final = timedelta(days=7)
#: A name that is watched: a thousand rules are the most that a policy may have.
_NAMES: Final = 1000

#: What was counted of a part: a number for each key.
_Part = Counter[tuple[str, ...]]


class Counts:
    """Counts of verdicts, predictions and reviews, kept from one look to the next.

    Args:
        ledger: The ledger.
        settings: What is watched, and the windows.
    """

    def __init__(self, ledger: Ledger, settings: AlertSettings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._kept: dict[tuple[str, datetime], _Part] = {}
        #: The parts that this look read, which the next one reads again.
        self._read: dict[tuple[str, datetime], _Part] = {}

    def readings(self, at: datetime) -> list[Reading]:
        """Count all that is watched, for the windows that end at a time.

        Raises:
            LedgerUnavailable: If the database cannot be reached.
        """
        watch = self._settings.watch
        end = _floor(at - LAG)
        self._read = {}
        found: list[Reading] = []
        if "rule" in watch or "removals" in watch:
            weeks = self._weeks("verdicts", end, self._settings.window)
            found += [one for one in _of_verdicts(weeks) if one.signal.kind in watch]
        if "failures" in watch or "drift" in watch:
            weeks = self._weeks("predictions", end, self._settings.window)
            found += [one for one in _of_predictions(weeks) if one.signal.kind in watch]
        if "overturned" in watch:
            weeks = self._weeks("reviews", end, self._settings.review_window)
            found.append(_of_reviews(weeks))
        self._kept = self._read
        return found

    def _weeks(self, what: str, end: datetime, minutes: int) -> list[_Part]:
        """The window that ends now, and the same one of each earlier week."""
        return [
            self._window(what, end - _WEEK * week, minutes, end)
            for week in range(self._settings.weeks + 1)
        ]

    def _window(self, what: str, end: datetime, minutes: int, now: datetime) -> _Part:
        total: _Part = Counter()
        for number in range(1, minutes * 60 // PART + 1):
            start = end - timedelta(seconds=PART * number)
            kept = self._kept.get((what, start))
            if kept is None:
                kept = self._ledger.transact(partial(_COUNT[what], start=start))
            if now - start > SETTLED:
                self._read[what, start] = kept
            total.update(kept)
        return total


def _floor(at: datetime) -> datetime:
    return datetime.fromtimestamp(at.timestamp() // PART * PART, UTC)


def _verdicts_of(connection: Connection, start: datetime) -> _Part:
    """First verdicts of the machine, by rule and action."""
    v = verdicts.c
    query = (
        select(v.rule, v.action, func.count())
        .where(v.at >= start, v.at < start + timedelta(seconds=PART))
        .where(v.revision == 1, v.decided_by != "reviewer")
        .group_by(v.rule, v.action)
    )
    return Counter({(rule, action): count for rule, action, count in connection.execute(query)})


def _predictions_of(connection: Connection, start: datetime) -> _Part:
    """Predictions by detector, status, and for scores the bin of ``EDGES``."""
    p = predictions.c
    score = func.coalesce(p.score, -1.0)
    place: Any = sum((case((score >= edge, 1), else_=0) for edge in EDGES), start=0)
    found: _Part = Counter()
    for detector in _detectors(connection):
        query = (
            select(p.status, place.label("place"), func.count())
            .where(p.detector == detector)
            .where(p.at >= start, p.at < start + timedelta(seconds=PART))
            .group_by(p.status, "place")
        )
        for status, number, count in connection.execute(query):
            found[detector, status, str(number)] += count
    return found


def _detectors(connection: Connection) -> Iterator[str]:
    """Each detector that has predictions; the index is skipped through, not read."""
    last = ""
    while True:
        query = select(func.min(predictions.c.detector)).where(predictions.c.detector > last)
        found = connection.execute(query).scalar()
        if found is None:
            return
        last = str(found)
        yield last


def _reviews_of(connection: Connection, start: datetime) -> _Part:
    """Reviews by action, of verdicts that stopped something."""
    r, v = reviews.c, verdicts.c
    query = (
        select(r.action, func.count())
        .join(verdicts, v.id == r.verdict_id)
        .where(r.at >= start, r.at < start + timedelta(seconds=PART))
        .where(v.action != Action.ALLOW.value)
        .group_by(r.action)
    )
    return Counter({(action,): count for action, count in connection.execute(query)})


_COUNT: Final = {
    "verdicts": _verdicts_of,
    "predictions": _predictions_of,
    "reviews": _reviews_of,
}


def _of_verdicts(weeks: list[_Part]) -> list[Reading]:
    totals = [one.total() for one in weeks]
    rules = [_by(one, 0) for one in weeks]
    actions = [_by(one, 1) for one in weeks]
    found = [
        _shares(Signal("rule", rule), [one[rule] for one in rules], totals)
        for rule in _names(rules)
    ]
    removed = [one[Action.REMOVE.value] for one in actions]
    return [*found, _shares(Signal("removals"), removed, totals)]


def _of_predictions(weeks: list[_Part]) -> list[Reading]:
    found = []
    for detector in _names([_by(one, 0) for one in weeks]):
        totals, failed, spreads = [], [], []
        for week in weeks:
            own = {key: count for key, count in week.items() if key[0] == detector}
            totals.append(sum(own.values()))
            failed.append(sum(count for key, count in own.items() if key[1] == "failed"))
            bins = [0] * (len(EDGES) + 1)
            for (_, status, place), count in own.items():
                if status == "scored":
                    bins[int(place)] += count
            spreads.append(Spread(tuple(bins)))
        found.append(_shares(Signal("failures", detector), failed, totals))
        found.append(Reading(Signal("drift", detector), spreads[0], tuple(spreads[1:])))
    return found


def _of_reviews(weeks: list[_Part]) -> Reading:
    allowed = [one[(Action.ALLOW.value,)] for one in weeks]
    return _shares(Signal("overturned"), allowed, [one.total() for one in weeks])


def _shares(signal: Signal, hits: list[int], totals: list[int]) -> Reading:
    shares = [Share(*both) for both in zip(hits, totals, strict=True)]
    return Reading(signal, shares[0], tuple(shares[1:]))


def _by(part: Mapping[tuple[str, ...], int], place: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for key, count in part.items():
        found[key[place]] += count
    return found


def _names(weeks: Iterable[Counter[str]]) -> list[str]:
    """The names of all weeks: what is silent now was heard before."""
    return sorted(set().union(*weeks))[:_NAMES]
