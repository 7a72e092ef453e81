"""Costly detectors only where they can still change the action.

Detectors stand in tiers, cheap ones first. After each tier the caller's policy is asked whether
anything that the later tiers may say could change the action; where not, they are not run, and
their features (frames, sound) are not even made. Off unless a caller uses it: a prediction that
was not made is not there for reports, tuning and drift either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from models.base import Detector
from models.features.extract import Costs, Extractor
from models.runner import predict, score_safely
from quorum.messages import Prediction, Upload
from quorum.settings import MediaAccess

__all__ = ["Cascade", "Judged", "Settled"]

#: Whether the action of an upload is settled: given what was said so far, and the detectors that
#: have not been asked. ``aggregator.decision.weigh`` tells it; a removal is settled in any case,
#: for nothing is more severe.
Settled = Callable[[Upload, Sequence[Prediction], frozenset[str]], bool]


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of one upload.

    Attributes:
        predictions: Of the detectors that were run.
        skipped: Names of those that were not, since the action was settled.
    """

    predictions: tuple[Prediction, ...]
    skipped: frozenset[str]


class Cascade:
    """Runs tiers of detectors.

    Args:
        tiers: Detectors, cheap ones first.
        media: Where media may come from.
        timeout: Seconds for one batch of one detector.
    """

    def __init__(
        self, tiers: Sequence[Sequence[Detector]], media: MediaAccess, timeout: float = 30.0
    ) -> None:
        self._tiers = [tuple(tier) for tier in tiers if tier]
        self._extractors = [
            Extractor(frozenset().union(*(one.needs for one in tier)), media)
            for tier in self._tiers
        ]
        self._timeout = timeout

    @property
    def costs(self) -> list[Costs]:
        """What the features of each tier have cost so far."""
        return [extractor.costs for extractor in self._extractors]

    def run(self, uploads: Sequence[Upload], settled: Settled, at: datetime) -> list[Judged]:
        """Judge a batch, in its order.

        Args:
            uploads: The uploads.
            settled: Asked after each tier but the last.
            at: The time that the predictions carry, in UTC.
        """
        said: list[list[Prediction]] = [[] for _ in uploads]
        left: list[frozenset[str]] = [frozenset()] * len(uploads)
        open_ = list(range(len(uploads)))
        for number, (tier, extractor) in enumerate(zip(self._tiers, self._extractors, strict=True)):
            if not open_:
                break
            batch = extractor.extract([uploads[index] for index in open_])
            for detector in tier:
                start = time.perf_counter()
                findings = score_safely(detector, batch, self._timeout)
                share = (time.perf_counter() - start) / len(batch)
                for index, features, finding in zip(open_, batch, findings, strict=True):
                    said[index].append(predict(detector, features, finding, at, share))
            later = frozenset(one.name for tier in self._tiers[number + 1 :] for one in tier)
            if later:
                done = [
                    index for index in open_ if settled(uploads[index], tuple(said[index]), later)
                ]
                for index in done:
                    left[index] = later
                open_ = [index for index in open_ if index not in set(done)]
        return [
            Judged(tuple(predictions), skipped)
            for predictions, skipped in zip(said, left, strict=True)
        ]
