"""What a supervised ensemble is made of, and what its supervisor must know of each detector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from quorum.core.messages import Prediction, Upload
from quorum.core.settings import DetectorSettings, MediaAccess, WorkerSettings
from quorum.models.configured import ConfiguredDetector
from quorum.models.detectors import Feature
from quorum.models.ensemble import Ensemble
from quorum.models.plan import Plan, Score, Settled

__all__ = ["DetectorInfo", "EnsembleSpec", "describe", "plan_of"]


class DetectorInfo(BaseModel):
    """A detector that runs in a child.

    Attributes:
        name: Its name.
        version: Its version.
        needs: The features that it needs.
        settings: How it is run.
        remote: Whether it waits for a server: then its time does not follow from the work.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    needs: frozenset[Feature]
    settings: DetectorSettings
    remote: bool = False

    @property
    def shadow(self) -> bool:
        """Whether its predictions decide nothing."""
        return self.settings.shadow


def _unsettled(_upload: Upload, _predictions: Sequence[Prediction]) -> str | None:
    return None


@dataclass(frozen=True)
class EnsembleSpec:
    """An ensemble that is loaded elsewhere; cheap to pickle.

    Attributes:
        detectors: Its detectors, not loaded.
        media: Where media may be fetched from.
        settled: Decides which uploads the second stage of a cascade skips; by default none.
        cascade: See ``Settings.cascade``.
        workers: The limits of the children.
        key: Names it in all processes: a copy has the same one.
    """

    detectors: tuple[ConfiguredDetector, ...]
    media: MediaAccess
    settled: Settled = _unsettled
    cascade: bool | tuple[str, ...] = False
    workers: WorkerSettings = field(default_factory=WorkerSettings)
    key: str = field(default_factory=lambda: uuid4().hex)

    def load(self) -> Ensemble:
        """Load the ensemble in this process.

        Raises:
            QuorumError: If a detector cannot be loaded.
        """
        ensemble = Ensemble(self.detectors, self.media, self.cascade)
        for configured in self.detectors:
            _ = configured.detector
        return ensemble


def plan_of(ensemble: Ensemble, settled: Settled) -> Plan:
    """The plan of an ensemble whose time a supervisor keeps: no step has a timeout of its own."""
    plan = ensemble.plan(settled)
    return Plan(
        tuple(
            tuple(_untimed(step) if isinstance(step, Score) else step for step in phase)
            for phase in plan.phases
        )
    )


def _untimed(step: Score) -> Score:
    settings = step.detector.settings.model_copy(update={"timeout": math.inf})
    return replace(step, detector=replace(step.detector, settings=settings))


def describe(detectors: Mapping[str, ConfiguredDetector]) -> tuple[DetectorInfo, ...]:
    """Describe detectors that are loaded."""
    return tuple(
        DetectorInfo(
            name=one.name,
            version=one.detector.version,
            needs=one.detector.needs,
            settings=one.settings,
            remote=one.detector.remote,
        )
        for one in detectors.values()
    )
