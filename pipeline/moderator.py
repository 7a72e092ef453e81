"""Moderation in process: uploads in, verdicts out, without a stream.

It goes through the same features, the same runner and the same case as the stream, so that the
same upload, policy and models give the same verdict behind a request, in a batch and on a
stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.settling import settled
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.messages import Prediction, Upload, Verdict, now
from quorum.core.settings import DetectorSettings, MediaAccess, Settings
from quorum.models.cascade import Cascade, ask
from quorum.models.configured import ConfiguredDetector, warm_up
from quorum.models.detectors import Detector

__all__ = [
    "Ensemble",
    "Moderated",
    "Moderator",
    "batches",
]

#: The most uploads whose features are made at once: texts of like length are embedded together,
#: and of many texts more are alike (256 at once are twice as fast as 32).
TEXT_BATCH = 256

#: The most of them that have media, whose frames are held in memory.
MEDIA_BATCH = 32


class Ensemble:
    """The detectors that run together, and the features that they share.

    Args:
        members: The detectors.
        media: Where media may be fetched from.
        cascade: Which of them are asked first; see ``Settings.cascade``.

    Attributes:
        members: The detectors, by name.
        cascade: The order in which they are asked, and their features.

    Raises:
        ConfigurationError: If a detector cannot be loaded with its settings, or the cascade names
            one that is not there.
        ArtifactError: If a model is absent, altered or of an unknown format.
    """

    def __init__(
        self,
        members: Iterable[ConfiguredDetector],
        media: MediaAccess,
        cascade: bool | Sequence[str] = False,
    ) -> None:
        self.members: Mapping[str, ConfiguredDetector] = {member.name: member for member in members}
        self.cascade = Cascade(tuple(self.members.values()), cascade, media)

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Load the detectors that the settings choose.

        Where a model's reference may move, its detector is the version that it names now.

        Raises:
            ConfigurationError: If a name is unknown or a setting cannot be used.
            ArtifactError: If a model is absent, altered or of an unknown format.
            EngineUnavailable: If a model is in a registry that cannot be reached, and none of it
                was good here before.
        """
        from quorum.models.installed import load_detector, selected
        from quorum.models.pinning import pinned

        settings = pinned(settings).tell()
        members = [
            ConfiguredDetector.of(load_detector(name, settings), chosen)
            for name, chosen in selected(settings).items()
        ]
        return cls(members, settings.media, settings.cascade)

    @classmethod
    def of(cls, detectors: Iterable[Detector], settings: Settings | None = None) -> Self:
        """An ensemble of detectors that are there already; settings are found by their names."""
        settings = settings or Settings()
        known = settings.detectors or {}
        members = [
            ConfiguredDetector.of(detector, known.get(detector.name, DetectorSettings()))
            for detector in detectors
        ]
        return cls(members, settings.media, settings.cascade)

    def warm_up(self) -> None:
        """Score once, so that the first upload does not wait for what is made at first use."""
        warm_up(self.members.values())

    def close(self) -> None:
        """Give back what the detectors hold."""
        for member in self.members.values():
            member.detector.close()


@dataclass(frozen=True, slots=True)
class Moderated:
    """An upload's verdict, with all that was said of it in full.

    Attributes:
        verdict: The verdict.
        predictions: Those of all detectors that answered, with their evidence, shadows too.
    """

    verdict: Verdict
    predictions: tuple[Prediction, ...]


def batches(uploads: Iterable[Upload]) -> Iterator[list[Upload]]:
    """The uploads in their order, in batches that are worth making features of at once."""
    batch: list[Upload] = []
    media = 0
    for upload in uploads:
        if len(batch) == TEXT_BATCH or (upload.media and media == MEDIA_BATCH):
            yield batch
            batch, media = [], 0
        batch.append(upload)
        media += bool(upload.media)
    if batch:
        yield batch


class Moderator:
    """One ensemble and one policy: uploads in, verdicts out.

    May be shared by threads. Nothing is waited for but the detectors' own time-outs; a service
    that must answer by the policy's deadline is ``quorum.apps.web``.

    Args:
        settings: The deployment's; its policy is used where none is given.
        policy: Decides.
        ensemble: The detectors; by default those that the settings choose.
        shadows: Policies that only watch: verdicts tell what each would have decided.

    Raises:
        ConfigurationError: If a setting or the policy cannot be used.
        ArtifactError: If a model is absent, altered or of an unknown format.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        policy: Policy | None = None,
        ensemble: Ensemble | None = None,
        shadows: Sequence[Policy] = (),
    ) -> None:
        settings = settings or Settings()
        self.shadows = tuple(shadows)
        self.policy = policy or load_policy(settings.policy)
        self.decider = Decider(self.policy, self.shadows)
        self.ensemble = ensemble or Ensemble.load(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the detectors hold."""
        self.ensemble.close()

    def moderate(self, uploads: Sequence[Upload]) -> list[Moderated]:
        """The verdict of each upload, in their order."""
        made: list[Moderated] = []
        for batch in batches(uploads):
            made += self._moderate(batch)
        return made

    def _moderate(self, uploads: Sequence[Upload]) -> list[Moderated]:
        arrived = now()
        said = self.predict(uploads)
        at = now()
        made = []
        for upload, predictions in zip(uploads, said, strict=True):
            decided = self.decider.first(upload, predictions, arrived=arrived, at=at)
            made.append(Moderated(decided.verdict, tuple(predictions)))
        return made

    def predict(self, uploads: Sequence[Upload]) -> list[list[Prediction]]:
        """What each detector says of each upload, by upload; or why it was not asked."""
        cascade = self.ensemble.cascade
        states = cascade.begin(uploads)
        for member in cascade.first:
            states = ask(member, states)
        if cascade.second:
            states = cascade.go_on(states, self._settled)
            for member in cascade.first:
                states = ask(member, states, again=True)
            for member in cascade.second:
                states = ask(member, states)
        return [list(state.predictions) for state in states]

    def _settled(self, upload: Upload, said: Sequence[Prediction]) -> str | None:
        return settled((self.policy, *self.shadows), upload, said)
