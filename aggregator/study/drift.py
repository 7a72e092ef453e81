"""Drift: whether the distribution of a detector's scores has changed.

A profile is, for each detector and version, a histogram of its scores and the counts of its other
statuses; profiles can be summed and stored as JSON. Two profiles are compared by the population
stability index (PSI), as in credit scoring: below 0.1 the distribution is stable, above 0.25 it has
changed.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from quorum.aggregator.decision.facts import PredictionLike, was_asked
from quorum.aggregator.study.record import PastCase
from quorum.core.errors import InputError
from quorum.core.messages import Verdict

__all__ = ["ALARM", "Drift", "Profile", "Profiles", "drift", "population_stability_index"]

#: Bins are narrow at both ends, where most scores lie.
EDGES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99, 0.997, 0.999)
#: The index above which a distribution has changed.
ALARM: Final = 0.25
#: A share of failed and missing predictions that grew by more than this is an alarm too.
SILENCE_ALARM: Final = 0.05
#: With fewer scores in either profile, the index is noise.
FEWEST: Final = 200


@dataclass(slots=True)
class Profile:
    """The statuses and the score histogram of one detector version.

    Attributes:
        bins: The number of scores between each two ``EDGES``.
        abstained: Abstentions.
        failed: Failed predictions.
        missing: Uploads without a prediction by the deadline (known per detector, not version).
    """

    bins: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    abstained: int = 0
    failed: int = 0
    missing: int = 0

    @property
    def scored(self) -> int:
        """The number of scores."""
        return sum(self.bins)

    @property
    def silent(self) -> float:
        """The share of uploads on which it failed or was missing."""
        asked = self.scored + self.abstained + self.failed + self.missing
        return (self.failed + self.missing) / asked if asked else 0.0


class Profiles:
    """The profiles of all detectors, and the count of verdicts at their deadline."""

    def __init__(self) -> None:
        #: By detector and version; the version is empty for missing predictions.
        self.by_version: dict[tuple[str, str], Profile] = {}
        self.verdicts = 0
        self.at_deadline = 0

    def add(
        self, predictions: Iterable[PredictionLike], missing: Iterable[str], *, at_deadline: bool
    ) -> None:
        """Count the predictions on one upload."""
        self.verdicts += 1
        self.at_deadline += at_deadline
        for one in predictions:
            if not was_asked(one):
                continue
            key = (one.detector, one.version)
            profile = self.by_version.setdefault(key, Profile())
            if one.score is not None:
                profile.bins[bisect_right(EDGES, one.score)] += 1
            elif one.status.value == "abstained":
                profile.abstained += 1
            else:
                profile.failed += 1
        for detector in missing:
            self.by_version.setdefault((detector, ""), Profile()).missing += 1

    def add_verdict(self, verdict: Verdict) -> None:
        """Count a verdict; later revisions are of the same upload and are skipped."""
        if verdict.revision == 1:
            late = verdict.decided_by == "deadline"
            silent = [one.detector for one in verdict.missing if late]
            self.add(verdict.predictions, silent, at_deadline=late)

    def add_case(self, case: PastCase) -> None:
        """Count a past case."""
        self.add(case.predictions, case.missing, at_deadline=bool(case.missing))

    def merge(self, other: Profiles) -> None:
        """Add the counts of others."""
        self.verdicts += other.verdicts
        self.at_deadline += other.at_deadline
        for key, profile in other.by_version.items():
            mine = self.by_version.setdefault(key, Profile())
            mine.bins = [a + b for a, b in zip(mine.bins, profile.bins, strict=True)]
            mine.abstained += profile.abstained
            mine.failed += profile.failed
            mine.missing += profile.missing

    def of(self, detector: str) -> Profile:
        """All versions of a detector together."""
        whole = Profiles()
        for (name, _), profile in self.by_version.items():
            if name == detector:
                one = Profiles()
                one.by_version[detector, ""] = profile
                whole.merge(one)
        return whole.by_version.get((detector, ""), Profile())

    def to_json(self) -> str:
        """The counts as one line of JSON, to store as a reference."""
        detectors = [
            {
                "detector": detector,
                "version": version,
                "bins": profile.bins,
                "abstained": profile.abstained,
                "failed": profile.failed,
                "missing": profile.missing,
            }
            for (detector, version), profile in sorted(self.by_version.items())
        ]
        return json.dumps(
            {
                "edges": EDGES,
                "verdicts": self.verdicts,
                "at_deadline": self.at_deadline,
                "detectors": detectors,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Profiles:
        """Read what ``to_json`` wrote.

        Raises:
            InputError: If it is something else, or was counted in other bins.
        """
        try:
            data = json.loads(text)
            if tuple(data["edges"]) != EDGES:
                msg = "the reference was counted in other bins; count it again"
                raise InputError(msg)
            profiles = cls()
            profiles.verdicts = int(data["verdicts"])
            profiles.at_deadline = int(data["at_deadline"])
            for one in data["detectors"]:
                bins = [int(count) for count in one["bins"]]
                if len(bins) != len(EDGES) + 1:
                    msg = "the reference was counted in other bins; count it again"
                    raise InputError(msg)
                profiles.by_version[one["detector"], one["version"]] = Profile(
                    bins, int(one["abstained"]), int(one["failed"]), int(one["missing"])
                )
        except (ValueError, KeyError, TypeError) as error:
            msg = f"not a reference of score distributions: {type(error).__name__}"
            raise InputError(msg) from None
        return profiles


@dataclass(frozen=True, slots=True)
class Drift:
    """How one detector moved.

    Attributes:
        detector: Which.
        index: The population stability index; None where there are too few scores.
        scores: How many scores there are now, and in the reference.
        silent: The share of uploads that it was silent on, now and in the reference.
        versions: The versions with predictions now, and in the reference.
        alarm: Whether it should be looked at.
    """

    detector: str
    index: float | None
    scores: tuple[int, int]
    silent: tuple[float, float]
    versions: tuple[tuple[str, ...], tuple[str, ...]]
    alarm: bool


def population_stability_index(now: Sequence[int], reference: Sequence[int]) -> float:
    """The population stability index of two histograms with the same bins.

    Each bin counts half a score more, so that an empty bin gives no infinity.
    """
    total = 0.0
    for here, there in zip(now, reference, strict=True):
        p = (here + 0.5) / (sum(now) + 0.5 * len(now))
        q = (there + 0.5) / (sum(reference) + 0.5 * len(reference))
        total += (p - q) * math.log(p / q)
    return total


def drift(now: Profiles, reference: Profiles, alarm: float = ALARM) -> tuple[Drift, ...]:
    """Compare each detector with a reference; sorted by name."""
    names = sorted({name for name, _ in (*now.by_version, *reference.by_version)})
    return tuple(_drift(name, now, reference, alarm) for name in names)


def _drift(name: str, now: Profiles, reference: Profiles, alarm: float) -> Drift:
    here, there = now.of(name), reference.of(name)
    index = None
    if min(here.scored, there.scored) >= FEWEST:
        index = population_stability_index(here.bins, there.bins)
    moved = index is not None and index > alarm
    quiet = here.silent - there.silent > SILENCE_ALARM
    return Drift(
        detector=name,
        index=index,
        scores=(here.scored, there.scored),
        silent=(here.silent, there.silent),
        versions=(_versions(name, now.by_version), _versions(name, reference.by_version)),
        alarm=moved or quiet,
    )


def _versions(name: str, profiles: Mapping[tuple[str, str], Profile]) -> tuple[str, ...]:
    return tuple(sorted(version for one, version in profiles if one == name and version))
