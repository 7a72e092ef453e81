"""Moderation in process: uploads in, verdicts out, without a stream.

It goes through the same features, the same runner and the same case as the stream, so that the
same upload, policy and models give the same verdict behind a request, in a batch and on a
stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.settling import settled
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.messages import Prediction, Upload, Verdict, now
from quorum.core.settings import Settings
from quorum.models.ensemble import Ensemble

__all__ = [
    "Moderated",
    "Moderator",
    "batches",
]

#: The most uploads whose features are made at once: texts of like length are embedded together,
#: and of many texts more are alike (256 at once are twice as fast as 32).
TEXT_BATCH = 256

#: The most of them that have media, whose frames are held in memory.
MEDIA_BATCH = 32


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
        self._plan = self.ensemble.plan(partial(settled, (self.policy, *self.shadows)))

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
        """The predictions of all detectors, by upload; skipped detectors abstain."""
        return [list(state.predictions) for state in self._plan.run(uploads)]
