"""What a transparency report asks, and the figures that answer it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from quorum.store.ledger.values import TimeRange

__all__ = ["Asked", "Complaints", "Figures", "Measures", "Notices", "Share", "merged"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is about.

    Attributes:
        period: The reporting period.
        language: Only uploads in this language (``de`` has ``de-AT``, too); empty for all.
        territory: Only uploads shown in this country; empty for all.
    """

    period: TimeRange
    language: str = ""
    territory: str = ""


@dataclass(slots=True)
class Measures:
    """Measures of one category and ground.

    Attributes:
        total: All.
        detected: Those after detection with solely automated means.
        solely_automated: Those without a person.
        removed: The upload is not visible.
        disabled: It is not visible in some territories.
        restricted: It is visible with limits, which the platform knows.
        suspended: The uploader's account was suspended as well.
        ended: People banned the uploader's account.
    """

    total: int = 0
    detected: int = 0
    solely_automated: int = 0
    removed: int = 0
    disabled: int = 0
    restricted: int = 0
    suspended: int = 0
    ended: int = 0

    def add(self, other: Measures) -> None:
        """Add another count."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Notices:
    """Notices of illegal content in one category, all or of trusted flaggers.

    Attributes:
        received: Notices.
        items: Contents that they name.
        hours: Hours from each notice to its decision.
        on_law: Restrictions because the content is illegal.
        on_terms: Restrictions because it is against the terms.
        automated: Notices that were answered without a person.
        by_person: Notices that a person decided.
    """

    received: int = 0
    items: set[str] = field(default_factory=set)
    hours: list[float] = field(default_factory=list)
    on_law: set[str] = field(default_factory=set)
    on_terms: set[str] = field(default_factory=set)
    automated: int = 0
    by_person: int = 0

    @property
    def median(self) -> float | None:
        """Median hours; None without a decision."""
        return statistics.median(self.hours) if self.hours else None


@dataclass(frozen=True, slots=True)
class Complaints:
    """Appeals of the period, by outcome; ``hours`` is the median of the decided ones."""

    total: int = 0
    upheld: int = 0
    partly: int = 0
    reversed: int = 0
    omitted: int = 0
    hours: float | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """An estimated share: ``value`` is None where nothing was looked at."""

    value: float | None
    looked_at: int


@dataclass(slots=True)
class Figures:
    """All counts of a report.

    Attributes:
        asked: What it is about.
        own: Own-initiative measures by ground (``law`` or ``terms``) and statement category.
        all_measures: Measures on notices too.
        notices: Notices by statement category.
        trusted: Those of trusted flaggers.
        complaints: Appeals.
        precision: Of the automated measures that a person looked at, the share that stood.
        accuracy: Of uploads drawn for labelling, the weighted share that was right.
        recall: Of drawn uploads that a person would restrict, the weighted share that was.
        unfounded: Reporters suspended for unfounded notices.
        reviewers: Persons who decided in the period.
        detectors: Detectors with versions that made predictions in the period.
        unnamed: Categories that the policy does not define, counted as ``other-violation-tc``.
        first_verdict: The earliest verdict that the ledger still has.
    """

    asked: Asked
    own: dict[tuple[str, str], Measures] = field(default_factory=dict)
    all_measures: Measures = field(default_factory=Measures)
    notices: dict[str, Notices] = field(default_factory=dict)
    trusted: dict[str, Notices] = field(default_factory=dict)
    complaints: Complaints = field(default_factory=Complaints)
    precision: Share = Share(None, 0)
    accuracy: Share = Share(None, 0)
    recall: Share = Share(None, 0)
    unfounded: int = 0
    reviewers: int = 0
    detectors: tuple[str, ...] = ()
    unnamed: frozenset[str] = frozenset()
    first_verdict: datetime | None = None

    def own_total(self, ground: str) -> Measures:
        """The own-initiative measures of a ground."""
        return _sum(one for (kind, _), one in self.own.items() if kind == ground)


def _sum(many: Iterable[Measures]) -> Measures:
    total = Measures()
    for one in many:
        total.add(one)
    return total


def merged(many: Iterable[Notices]) -> Notices:
    """The sum of notices of several categories."""
    total = Notices()
    for one in many:
        total.received += one.received
        total.items |= one.items
        total.hours += one.hours
        total.on_law |= one.on_law
        total.on_terms |= one.on_terms
        total.automated += one.automated
        total.by_person += one.by_person
    return total
