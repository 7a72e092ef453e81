"""What a batch found, counted: small however many uploads there were, and added up in parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from quorum.core.messages import Prediction, Status, Verdict

__all__ = ["BINS", "AddUp", "Tally"]

#: Bins of equal width from 0 to 1 that scores are counted in.
BINS = 20


@dataclass
class Tally:
    """Counts.

    Attributes:
        read: Uploads that were read.
        decided: Verdicts that were made.
        known: Uploads that had their verdict, and were left alone.
        unchanged: Uploads that were decided again, to the same action.
        dead: Rows that are no uploads.
        actions: Verdicts by action.
        days: Verdicts by the day of publication and action: ``2026-01-31 remove``.
        rules: Verdicts by rule.
        decided_by: Verdicts by what decided.
        statuses: Predictions: ``spam scored``.
        versions: Predictions by version: ``spam abc123``.
        scores: Scores by detector and bin: ``spam 19``.
        errors: Dead letters by their error.
    """

    read: int = 0
    decided: int = 0
    known: int = 0
    unchanged: int = 0
    dead: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    decided_by: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    scores: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def verdict(self, verdict: Verdict, day: str) -> None:
        """Count a verdict."""
        self.decided += 1
        self.actions[verdict.action.value] += 1
        self.days[f"{day} {verdict.action.value}"] += 1
        self.rules[verdict.rule] += 1
        self.decided_by[verdict.decided_by] += 1

    def predictions(self, predictions: Iterable[Prediction]) -> None:
        """Count predictions by detector and status."""
        for one in predictions:
            self.statuses[f"{one.detector} {one.status.value}"] += 1
            self.versions[f"{one.detector} {one.version}"] += 1
            if one.status is Status.SCORED and one.score is not None:
                self.scores[f"{one.detector} {min(BINS - 1, int(one.score * BINS))}"] += 1

    def dead_letter(self, error: str) -> None:
        """Count a row that is no upload."""
        self.dead += 1
        # Not more kinds than a page shows: a table of nonsense could make one for each row.
        key = error if error in self.errors or len(self.errors) < 50 else "others"
        self.errors[key] += 1

    def add(self, other: Tally) -> None:
        """Add another's counts."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            name: dict(value) if isinstance(value, Counter) else value
            for name in self.__dataclass_fields__
            for value in (getattr(self, name),)
        }

    @classmethod
    def from_json(cls, made: Mapping[str, Any]) -> Tally:
        """The counts again; unknown ones are left out."""
        tally = cls()
        for name in cls.__dataclass_fields__:
            value = made.get(name, 0)
            setattr(tally, name, Counter(value) if isinstance(value, dict) else value)
        return tally


class AddUp(beam.CombineFn):
    """Adds tallies up."""

    def create_accumulator(self) -> Tally:
        """See CombineFn."""
        return Tally()

    def add_input(self, mutable_accumulator: Tally, element: Tally) -> Tally:
        """See CombineFn."""
        mutable_accumulator.add(element)
        return mutable_accumulator

    def merge_accumulators(self, accumulators: Iterable[Tally]) -> Tally:
        """See CombineFn."""
        made = Tally()
        for one in accumulators:
            made.add(one)
        return made

    def extract_output(self, accumulator: Tally) -> Tally:
        """See CombineFn."""
        return accumulator
