"""Moderation in process: uploads in, verdicts out, without a stream.

The plan of the ensemble and the decider are those of the stream and the web service, so that the
same upload, policy and models give the same verdict in every mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.settling import settled
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.messages import Prediction, Upload, Verdict, now
from quorum.core.settings import Settings
from quorum.core.tracing import is_on, root
from quorum.models.configured import choose_detectors
from quorum.models.ensemble import Ensemble
from quorum.models.supervision.launcher import InThread
from quorum.models.supervision.shared import start_supervisor
from quorum.models.supervision.spec import DetectorInfo, EnsembleSpec
from quorum.models.supervision.supervisor import Supervisor
from quorum.pipeline.capped import count_capped
from quorum.pipeline.policies.live import LivePolicy, show_decides
from quorum.pipeline.traced import decided as trace_of_case

__all__ = [
    "Moderated",
    "Moderator",
    "batches",
    "ensemble_of",
]

#: The most uploads that are scored at once: two batches of each of two workers.
TEXT_BATCH = 512

#: The most of them that have media.
MEDIA_BATCH = 64


@dataclass(frozen=True, slots=True)
class Moderated:
    """An upload's verdict, with the predictions in full.

    Attributes:
        verdict: The verdict.
        predictions: Of all detectors, shadow detectors included, with their evidence.
        trace: The context of the case's span (``quorum.core.tracing``); empty where none is made.
    """

    verdict: Verdict
    predictions: tuple[Prediction, ...]
    trace: str = ""


def ensemble_of(settings: Settings, policies: Sequence[Policy]) -> EnsembleSpec:
    """Choose the detectors of a job; none is loaded.

    Args:
        settings: Of the deployment.
        policies: The policy that decides, then the shadow policies; none where nothing is decided.

    Raises:
        ConfigurationError: If a detector is unknown, or a version that a policy rolls out.
        QuorumError: If a movable reference's model cannot be had.
    """
    detectors = choose_detectors(settings)
    running = {one.name for one in detectors if not one.settings.shadow}
    for policy in policies:
        policy.check_versions(running)
    return EnsembleSpec(
        detectors,
        settings.media,
        partial(settled, tuple(policies)),
        settings.cascade,
        settings.workers,
    )


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
    that answers by the policy's deadline is ``quorum.apps.web``. Detectors that the settings choose
    run in supervised children; an ensemble of objects runs in threads.

    Args:
        settings: Of the deployment; its policy decides if none is given.
        policy: The policy that decides.
        ensemble: The detectors; by default those that the settings choose.
        shadows: Shadow policies: verdicts record what each would have decided.
        supervisor: Runs the detectors, and is closed by the caller; by default one is started.
        live: Follows the policies that are released while it works; None for none.

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
        supervisor: Supervisor | None = None,
        live: LivePolicy | None = None,
    ) -> None:
        settings = settings or Settings()
        self.shadows = tuple(shadows)
        self.policy = policy or load_policy(settings.policy)
        self.decider = Decider(self.policy, self.shadows, on_capped=count_capped)
        self._live = live
        show_decides(self.policy, live)
        self._shared = supervisor is not None
        if supervisor is None:
            policies = (self.policy, *self.shadows)
            if ensemble is None:
                supervisor = start_supervisor(ensemble_of(settings, policies))
            else:
                supervisor = Supervisor(InThread(ensemble, partial(settled, policies)))
        self._supervisor = supervisor

    def follow(self) -> None:
        """Take the policy in force: all that is decided until the next call is decided by it."""
        if self._live is not None:
            self.decider = self.decider.under(self._live.current())
            self.policy = self.decider.policy

    @property
    def detectors(self) -> Mapping[str, DetectorInfo]:
        """The detectors, by name."""
        return self._supervisor.detectors

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
        """End the detectors' processes."""
        if not self._shared:
            self._supervisor.close()

    def moderate(self, uploads: Sequence[Upload]) -> list[Moderated]:
        """Decide uploads; the results are in their order."""
        return [one for batch in batches(uploads) for one in self._moderate(batch)]

    def _moderate(self, uploads: Sequence[Upload]) -> list[Moderated]:
        arrived = now()
        self.follow()
        decider = self.decider
        traces = self._traces(uploads)
        predicted = self._score(uploads, traces)
        at = now()
        moderated = []
        for upload, predictions, trace in zip(uploads, predicted, traces, strict=True):
            decided = decider.first(upload, predictions, arrived=arrived, at=at)
            trace_of_case(decided.verdict, trace)
            moderated.append(Moderated(decided.verdict, tuple(predictions)))
        return moderated

    def predict(self, uploads: Sequence[Upload]) -> list[list[Prediction]]:
        """The predictions of all detectors, by upload; skipped detectors abstain."""
        return self._score(uploads, self._traces(uploads))

    def _score(self, uploads: Sequence[Upload], traces: Sequence[str]) -> list[list[Prediction]]:
        running, decider = self._supervisor.versions, self.decider
        return self._supervisor.score(
            uploads, traces=traces, left_out=lambda upload: decider.left_out(upload, running)
        )

    @staticmethod
    def _traces(uploads: Sequence[Upload]) -> list[str]:
        """Where the spans of uploads begin; empty texts where traces are off."""
        return [root(one.id, one.digest) if is_on() else "" for one in uploads]
