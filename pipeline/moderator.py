"""Moderation in process: uploads in, verdicts out, without a stream.

The plan of the ensemble and the decider are those of the stream and the web service, so that the
same upload, policy and models give the same verdict in every mode.
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

#: The most uploads whose features are extracted at once: texts of similar length are embedded
#: together, so that 256 at once are twice as fast as 32.
TEXT_BATCH = 256

#: The most of them that have media, whose frames are held in memory.
MEDIA_BATCH = 32


@dataclass(frozen=True, slots=True)
class Moderated:
    """An upload's verdict, with the predictions in full.

    Attributes:
        verdict: The verdict.
        predictions: Of all detectors, shadow detectors included, with their evidence.
    """

    verdict: Verdict
    predictions: tuple[Prediction, ...]


def batches(uploads: Iterable[Upload]) -> Iterator[list[Upload]]:
    """Split uploads, in their order, into batches whose features are extracted at once."""
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

    May be shared by threads. It waits for every detector up to the detector's timeout; the service
    that answers by the policy's deadline is ``quorum.apps.web``.

    Args:
        settings: Of the deployment; its policy decides if none is given.
        policy: The policy that decides.
        ensemble: The detectors; by default those that the settings choose.
        shadows: Shadow policies: verdicts record what each would have decided.

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
        """Release what the detectors hold."""
        self.ensemble.close()

    def moderate(self, uploads: Sequence[Upload]) -> list[Moderated]:
        """Decide uploads; the results are in their order."""
        return [one for batch in batches(uploads) for one in self._moderate(batch)]

    def _moderate(self, uploads: Sequence[Upload]) -> list[Moderated]:
        arrived = now()
        predicted = self.predict(uploads)
        at = now()
        moderated = []
        for upload, predictions in zip(uploads, predicted, strict=True):
            decided = self.decider.first(upload, predictions, arrived=arrived, at=at)
            moderated.append(Moderated(decided.verdict, tuple(predictions)))
        return moderated

    def predict(self, uploads: Sequence[Upload]) -> list[list[Prediction]]:
        """The predictions of all detectors, by upload; skipped detectors abstain."""
        return [list(state.predictions) for state in self._plan.run(uploads)]
