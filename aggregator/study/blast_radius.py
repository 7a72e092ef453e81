"""The blast radius of a policy: how many uploads, uploaders and views it would change.

Past cases are decided again (``backtest``), and the changes are counted by upload, by uploader, and
by the views that the uploads have. Where the cases are a sample, whole uploaders were drawn, and
each figure is an estimate for all cases of the period, with an interval.

Of shares the interval is Wilson's with the effective number of draws: the number of independent
uploads that would tell the share as precisely as the drawn uploaders do (Kish, Survey Sampling,
1965; Korn and Graubard, Survey Methodology 24, 1998, for intervals). Of views it is the normal one
of a ratio. Both shrink with the part of all uploaders that was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from quorum.aggregator.decision.rules import SEVERITY
from quorum.aggregator.study.backtest import Retried
from quorum.aggregator.study.ratio import ratio
from quorum.core.intervals import wilson
from quorum.core.messages import Action

__all__ = ["BlastRadius", "Estimate", "Frame", "RadiusCounter", "views_of"]

#: The quantile of the intervals: 95 %.
_Z: Final = 1.96
#: The most views that are believed of one upload.
_MOST_VIEWS: Final = 1e12


@dataclass(frozen=True, slots=True)
class Frame:
    """All decided cases of a period, of which some may be drawn.

    Attributes:
        uploads: How many there are.
        uploaders: How many uploaders they have.
    """

    uploads: int
    uploaders: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of uploads, uploaders or views, with its 95 % interval.

    Attributes:
        value: The number.
        low: The lower end; ``value`` where everything was counted.
        high: The upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """What a policy would change of the cases of a period.

    Attributes:
        frame: All decided cases of the period.
        read: How many of them were decided again.
        sampled: Whether these are a sample.
        uploads: Uploads whose action changes.
        uploaders: Uploaders with such an upload.
        views: The views of these uploads; None if no upload says how many it has.
        views_of_all: The views of all uploads; None as for ``views``.
        milder: Uploads whose action becomes milder.
        severer: Uploads whose action becomes more severe.
        changes: Uploads by action before and after.
        reworded: Uploads that keep their action, for another harm or in other territories.
    """

    frame: Frame
    read: int
    sampled: bool
    uploads: Estimate
    uploaders: Estimate
    views: Estimate | None
    views_of_all: Estimate | None
    milder: Estimate
    severer: Estimate
    changes: Mapping[tuple[str, str], Estimate]
    reworded: Estimate

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""

        def told(one: Estimate | None) -> dict[str, float] | None:
            if one is None:
                return None
            return {"value": round(one.value), "low": round(one.low), "high": round(one.high)}

        named = ("uploads", "uploaders", "views", "views_of_all", "milder", "severer", "reworded")
        return {
            "of": {"uploads": self.frame.uploads, "uploaders": self.frame.uploaders},
            "read": self.read,
            "sampled": self.sampled,
            **{name: told(getattr(self, name)) for name in named},
            "changes": [
                {"before": before, "after": after, "uploads": told(one)}
                for (before, after), one in self.changes.items()
            ],
        }


@dataclass
class RadiusCounter:
    """Counts cases that were decided again.

    Attributes:
        frame: All cases of the period; None if the cases that are added are all.
    """

    frame: Frame | None = None
    _read: int = 0
    _weighted: bool = False
    _with_views: int = 0
    #: By uploader: how many uploads it has.
    _counts: dict[str, float] = field(default_factory=dict)
    #: By measure and uploader: what is above zero.
    _sums: dict[str, dict[str, float]] = field(default_factory=dict)
    _pairs: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)

    def count(self, tried: Retried, weight: float = 1.0) -> None:
        """Count one case.

        Args:
            tried: The case, with both decisions.
            weight: How many uploads of its uploader it stands for.
        """
        facts = tried.case.facts
        uploader = str(facts.get("uploader") or facts["id"])
        before, after = tried.before, tried.decision.action.value
        self._read += 1
        self._weighted = self._weighted or weight != 1.0
        self._counts[uploader] = self._counts.get(uploader, 0.0) + weight
        views = views_of(facts)
        if views is not None:
            self._with_views += 1
            self._add("views_of_all", uploader, views * weight)
        if before == after:
            if _reworded(tried):
                self._add("reworded", uploader, weight)
            return
        self._add("uploads", uploader, weight)
        self._add("views", uploader, (views or 0.0) * weight)
        milder = _severity(after) < _severity(before)
        self._add("milder" if milder else "severer", uploader, weight)
        pair = self._pairs.setdefault((before, after), {})
        pair[uploader] = pair.get(uploader, 0.0) + weight

    def _add(self, name: str, uploader: str, value: float) -> None:
        sums = self._sums.setdefault(name, {})
        sums[uploader] = sums.get(uploader, 0.0) + value

    def result(self) -> BlastRadius:
        """The figures for all cases of the period."""
        frame = self.frame or Frame(self._read, len(self._counts))
        uploads = self._uploads(frame, self._sums.get("uploads", {}))
        views = of_all = None
        if self._with_views:
            views = self._views(frame, "views", uploads)
            of_all = self._views(frame, "views_of_all", uploads)
        pairs = sorted(self._pairs.items(), key=lambda item: (-sum(item[1].values()), item[0]))
        return BlastRadius(
            frame=frame,
            read=self._read,
            sampled=not self._complete(frame),
            uploads=uploads,
            uploaders=self._uploaders(frame),
            views=views,
            views_of_all=of_all,
            milder=self._uploads(frame, self._sums.get("milder", {})),
            severer=self._uploads(frame, self._sums.get("severer", {})),
            changes={pair: self._uploads(frame, sums) for pair, sums in pairs},
            reworded=self._uploads(frame, self._sums.get("reworded", {})),
        )

    def _complete(self, frame: Frame) -> bool:
        return not self._weighted and self._read >= frame.uploads

    def _left(self, frame: Frame) -> float:
        """The part of all uploaders that was not drawn, which the variance is multiplied by."""
        if self._weighted:
            # Of some uploaders a part alone was read: that error does not shrink.
            return 1.0
        return max(0.0, 1.0 - len(self._counts) / max(1, frame.uploaders))

    def _draws(self, sums: Mapping[str, float]) -> list[tuple[float, float]]:
        return [(sums.get(name, 0.0), number) for name, number in self._counts.items()]

    def _uploads(self, frame: Frame, sums: Mapping[str, float]) -> Estimate:
        """Uploads of the period, from those of the drawn uploaders."""
        seen = sum(sums.values())
        if self._complete(frame):
            return Estimate(seen, seen, seen)
        mean, variance = ratio(self._draws(sums))
        if mean is None:
            return Estimate(0.0, 0.0, float(frame.uploads))
        mean = min(1.0, mean)
        variance *= self._left(frame)
        number = float(len(self._counts)) / max(1e-9, self._left(frame))
        if 0.0 < variance < math.inf and 0.0 < mean < 1.0:
            number = mean * (1.0 - mean) / variance
        low, high = wilson(mean * number, number, _Z)
        return _within(mean, low, high, frame.uploads)

    def _uploaders(self, frame: Frame) -> Estimate:
        hits, drawn = len(self._sums.get("uploads", {})), len(self._counts)
        if self._complete(frame):
            return Estimate(hits, hits, hits)
        if not drawn:
            return Estimate(0.0, 0.0, float(frame.uploaders))
        left = max(1e-9, 1.0 - drawn / max(1, frame.uploaders))
        low, high = wilson(hits / left, drawn / left, _Z)
        return _within(hits / drawn, low, high, frame.uploaders)

    def _views(self, frame: Frame, name: str, changed: Estimate) -> Estimate:
        sums = self._sums.get(name, {})
        seen = sum(sums.values())
        if self._complete(frame):
            return Estimate(seen, seen, seen)
        mean, variance = ratio(self._draws(sums))
        value = (mean or 0.0) * frame.uploads
        if not seen:
            # Nothing was seen, which says nothing of the views of what was not drawn: an upload
            # among those that may change has as many as others.
            others, _ = ratio(self._draws(self._sums.get("views_of_all", {})))
            return Estimate(0.0, 0.0, changed.high * (others or 0.0))
        half = _Z * math.sqrt(variance * self._left(frame)) * frame.uploads
        return Estimate(value, max(0.0, value - half), value + half)


def views_of(facts: Mapping[str, Any]) -> float | None:
    """The views of an upload, if its producer sends them as ``views``; None if not."""
    given = facts.get("views")
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:
        return None
    return float(min(given, _MOST_VIEWS))


def _within(mean: float, low: float, high: float, total: int) -> Estimate:
    return Estimate(mean * total, min(low, mean) * total, max(high, mean) * total)


def _reworded(tried: Retried) -> bool:
    """Whether the uploader is told of another harm, or other territories, for the same action."""
    earlier, now = tried.earlier, tried.decision
    if earlier is None:
        return False
    return (earlier.category, earlier.territories) != (now.category, now.territories)


def _severity(action: str) -> int:
    """The place of an action from mild to severe; of ``undecided`` before all."""
    return SEVERITY[Action(action)] if action in {one.value for one in Action} else -1
