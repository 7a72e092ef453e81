"""Plans: the steps by which an ensemble scores a batch of uploads, whatever runs them.

A plan is a sequence of phases. The steps of a phase are independent of each other; each step maps
a batch of scoring states to a batch of scoring states. The Beam pipeline runs each step as a
transform, the web service runs each step on a micro-batcher, and the in-process moderator runs
them in a loop. ``quorum.models.ensemble`` makes the plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from quorum.core.messages import Prediction, Upload
from quorum.core.settings import MediaAccess
from quorum.models.configured import ConfiguredDetector, needs_of
from quorum.models.detectors import OF_MEDIA, Feature, Features
from quorum.models.features.extract import Costs, Extractor

__all__ = [
    "Extract",
    "ExtractFurther",
    "Plan",
    "Score",
    "ScoringState",
    "Settle",
    "Settled",
    "Step",
]

#: Returns why the action of an upload is settled, given its predictions so far; None if it is not.
Settled = Callable[[Upload, Sequence[Prediction]], str | None]

_EMBEDDING = frozenset({Feature.EMBEDDING})


@dataclass(frozen=True, slots=True)
class ScoringState:
    """An upload on its way through a plan.

    Attributes:
        upload: The upload.
        features: Its features so far. ``features.upload`` is the upload from which they are made:
            a service that has a copy of the media puts the upload with the copy's address there.
        predictions: Its predictions so far, at most one of each detector.
        settled: Why the second stage does not score it; empty if it does.
        text_changed: Whether its media changes the text that the first stage scored.
        unreadable: Why its media must not be read; empty if it may be read.
        asked: Whether certain detectors are asked for: then the action that they could change is of
            no concern, and nothing is settled.
    """

    upload: Upload
    features: Features
    predictions: tuple[Prediction, ...] = ()
    settled: str = ""
    text_changed: bool = False
    unreadable: str = ""
    asked: bool = False

    @classmethod
    def of(cls, upload: Upload) -> Self:
        """The state of an upload before the first step."""
        return cls(upload, Features(upload))

    def prediction_of(self, detector: str) -> Prediction | None:
        """The prediction of a detector; None if it has none."""
        return next((one for one in self.predictions if one.detector == detector), None)

    def with_prediction(self, prediction: Prediction) -> ScoringState:
        """Add a prediction; it replaces an earlier one of the same detector.

        It is of the upload's content, even if it was made from a copy of the media elsewhere.
        """
        made = prediction.of_content(self.upload.digest)
        others = (one for one in self.predictions if one.id != made.id)
        return replace(self, predictions=(*others, made))


class Step(ABC):
    """One step of a plan. Steps can be pickled; models are loaded at the first run."""

    @property
    @abstractmethod
    def name(self) -> str:
        """A name that is unique in the plan."""

    @abstractmethod
    def run(self, states: Sequence[ScoringState]) -> list[ScoringState]:
        """Map a batch of states to as many states, in the same order."""


@dataclass(frozen=True)
class Extract(Step):
    """Extracts the features that some detectors need.

    Attributes:
        detectors: These detectors.
        media: Where media may be fetched from.
        without: Features that are left to a later step.
    """

    detectors: tuple[ConfiguredDetector, ...]
    media: MediaAccess
    without: frozenset[Feature] = frozenset()
    name: str = "Extract features"

    @cached_property
    def _extractor(self) -> Extractor:
        return Extractor(needs_of(self.detectors) - self.without, self.media)

    @property
    def costs(self) -> list[Costs]:
        """The work that this process has done for it."""
        return [self._extractor.costs]

    def run(self, states: Sequence[ScoringState]) -> list[ScoringState]:
        """See ``Step``."""
        extracted = self._extractor.extract(
            [state.features.upload for state in states], [state.unreadable for state in states]
        )
        return [
            replace(state, features=features)
            for state, features in zip(states, extracted, strict=True)
        ]


@dataclass(frozen=True)
class ExtractFurther(Step):
    """Settles uploads, and extracts the features of the second stage of those that are not.

    Media features of the first stage are kept, and the embedding of an upload's own text is
    computed once.

    Attributes:
        first: The detectors of the first stage.
        second: The detectors of the second stage.
        media: Where media may be fetched from.
        settled: Decides which uploads are settled.
    """

    first: tuple[ConfiguredDetector, ...]
    second: tuple[ConfiguredDetector, ...]
    media: MediaAccess
    settled: Settled
    name: str = "Extract further features"

    @cached_property
    def _kept(self) -> frozenset[Feature]:
        return needs_of(self.first).intersection(OF_MEDIA)

    @cached_property
    def _with_embedding(self) -> Extractor:
        return Extractor(needs_of((*self.first, *self.second)) - self._kept, self.media)

    @cached_property
    def _without_embedding(self) -> Extractor:
        needs = needs_of((*self.first, *self.second))
        return Extractor(
            needs - self._kept - _EMBEDDING, self.media, embeds_speech=needs >= _EMBEDDING
        )

    @property
    def costs(self) -> list[Costs]:
        """The work that this process has done for it."""
        return [self._with_embedding.costs, self._without_embedding.costs]

    def run(self, states: Sequence[ScoringState]) -> list[ScoringState]:
        """See ``Step``."""
        result = [
            state
            if state.asked
            else replace(state, settled=self.settled(state.upload, state.predictions) or "")
            for state in states
        ]
        unsettled = [index for index, state in enumerate(result) if not state.settled]
        embedded = [i for i in unsettled if result[i].features.embedding is not None]
        others = [i for i in unsettled if result[i].features.embedding is None]
        self._extend(result, embedded, self._without_embedding, self._kept | _EMBEDDING)
        self._extend(result, others, self._with_embedding, self._kept)
        return result

    @staticmethod
    def _extend(
        states: list[ScoringState],
        indexes: Sequence[int],
        extractor: Extractor,
        kept: frozenset[Feature],
    ) -> None:
        if not indexes:
            return
        extracted = extractor.extract(
            [states[index].features.upload for index in indexes],
            [states[index].unreadable for index in indexes],
        )
        for index, features in zip(indexes, extracted, strict=True):
            before = states[index].features
            states[index] = replace(
                states[index],
                features=_merged(before, features, kept),
                text_changed=_text(features) != _text(before) or features.speech is not None,
            )


@dataclass(frozen=True)
class Settle(Step):
    """Settles further uploads, by all predictions so far, before the last stage.

    Attributes:
        settled: Decides which uploads are settled.
    """

    settled: Settled
    name: str = "Settle"

    def run(self, states: Sequence[ScoringState]) -> list[ScoringState]:
        """See ``Step``."""
        return [
            state
            if state.asked or state.settled
            else replace(state, settled=self.settled(state.upload, state.predictions) or "")
            for state in states
        ]


@dataclass(frozen=True)
class Score(Step):
    """Adds the predictions of one detector.

    Attributes:
        detector: The detector.
        rescore: Whether it scores again the uploads whose text was changed by their media.
    """

    detector: ConfiguredDetector
    rescore: bool = False

    @property
    def name(self) -> str:
        """A name that is unique in the plan."""
        return f"{'Rescore' if self.rescore else 'Score'} {self.detector.name}"

    def applies(self, state: ScoringState) -> bool:
        """Whether the detector scores this upload."""
        return state.text_changed if self.rescore else not state.settled

    def skip(self, state: ScoringState) -> ScoringState:
        """The state after this step of an upload to which it does not apply."""
        if self.rescore:
            return state
        return state.with_prediction(self.detector.skipped(state.upload, state.settled))

    def run(self, states: Sequence[ScoringState]) -> list[ScoringState]:
        """See ``Step``."""
        result = [state if self.applies(state) else self.skip(state) for state in states]
        scored = [index for index, state in enumerate(states) if self.applies(state)]
        size = self.detector.settings.max_batch
        for start in range(0, len(scored), size):
            part = scored[start : start + size]
            predictions = self.detector.score([states[index].features for index in part])
            for index, prediction in zip(part, predictions, strict=True):
                result[index] = states[index].with_prediction(prediction)
        return result


@dataclass(frozen=True, slots=True)
class Plan:
    """The order in which an ensemble scores uploads.

    Attributes:
        phases: One after another; the steps of a phase are independent of each other. A phase is
            one step of extraction, or steps of scoring.
    """

    phases: tuple[tuple[Step, ...], ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in an order in which they may run one after another."""
        return tuple(step for phase in self.phases for step in phase)

    def run(self, uploads: Iterable[Upload]) -> list[ScoringState]:
        """Run all steps on a batch of uploads, in this thread."""
        states = [ScoringState.of(upload) for upload in uploads]
        for step in self.steps:
            states = step.run(states)
        return states


def _merged(before: Features, after: Features, kept: frozenset[Feature]) -> Features:
    """The later features, except those that are kept of the earlier ones."""
    return replace(
        after,
        **{feature.value: getattr(before, feature.value) for feature in kept},
        absent={**after.absent, **{one: why for one, why in before.absent.items() if one in kept}},
        partial={
            **after.partial,
            **{one: why for one, why in before.partial.items() if one in kept},
        },
    )


def _text(features: Features) -> tuple[str, str]:
    """The text that detectors score, or why there is none."""
    if features.text is not None:
        return features.text.normalised, ""
    return "", features.absent.get(Feature.TEXT, "")
