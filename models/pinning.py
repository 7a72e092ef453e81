"""Pin the models of settings: an alias of a registry becomes the version that it names now.

A job that pins its settings when it starts scores with one version of each model to its end, on
however many workers. If the registry is unavailable or the model damaged, the last version that
was good here takes its place, and a warning is logged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from quorum.core.errors import ArtifactError, ConfigurationError, QuorumError
from quorum.core.messages import Status, Upload, now
from quorum.core.settings import Settings
from quorum.models.detectors import Detector
from quorum.models.features.extract import Extractor
from quorum.models.installed import load_detector, release
from quorum.models.registry.mlflow_client import registry_address
from quorum.models.registry.mlflow_registry import is_movable, resolve_version
from quorum.models.registry.model_cache import last_good, record_last_good
from quorum.models.runner import score_safely

__all__ = ["Pinned", "pinned"]

_log = logging.getLogger(__name__)

#: A new model scores this many uploads before it is relied on, in at most so many seconds.
_TRIALS = 4
_TRIAL_SECONDS = 60.0

#: Seconds after which a version that could not be used is fetched again: it may be repaired.
_REFUSED_SECONDS = 600.0

#: By detector and reference, when a version could not be used, and why.
_refused: dict[tuple[str, str], tuple[float, str]] = {}


@dataclass(frozen=True, slots=True)
class Pinned:
    """Settings in which no model can move.

    Attributes:
        settings: With the version of each model.
        stale: By detector, why its model may not be the one that its reference names now.
    """

    settings: Settings
    stale: Mapping[str, str] = field(default_factory=dict)

    def with_warnings(self) -> Settings:
        """Log what is stale, and return the settings."""
        for name, why in self.stale.items():
            model = (self.settings.detectors or {})[name].model
            _log.warning("%s goes on with its last good model, %s: %s", name, model, why)
        return self.settings


def pinned(settings: Settings) -> Pinned:
    """Replace each movable reference of the settings by the version that it names now.

    Their models are loaded and tried, so that an unusable one is found before it serves.

    Raises:
        QuorumError: If a model cannot be fetched or used, and no version was good here before.
    """
    if not any(is_movable(chosen.model) for chosen in (settings.detectors or {}).values()):
        return Pinned(settings)
    stale: dict[str, str] = {}
    made = dict(settings.detectors or {})
    for name, chosen in made.items():
        if is_movable(chosen.model):
            reference, why = _usable(name, str(chosen.model), settings)
            made[name] = chosen.model_copy(update={"model": reference})
            if why is not None:
                stale[name] = why
    return Pinned(settings.model_copy(update={"detectors": made}), stale)


def _usable(name: str, reference: str, settings: Settings) -> tuple[str, str | None]:
    """The version that a reference names, or the last good one with the reason."""
    registry = registry_address()
    last = last_good(registry, name, reference)
    try:
        found = resolve_version(reference).reference
        _usable_once(name, found, settings, known_good=found == last)
    except QuorumError as error:
        if last is None:
            raise
        try:
            load_detector(name, _with(settings, name, last))
        except QuorumError:
            raise error from None
        return last, str(error)
    record_last_good(registry, name, reference, found)
    return found, None


def _usable_once(name: str, found: str, settings: Settings, *, known_good: bool) -> None:
    """Load a version and try it; one that failed a moment ago is not fetched again."""
    at, why = _refused.get((name, found), (float("-inf"), ""))
    if time.monotonic() < at + _REFUSED_SECONDS:
        raise ArtifactError(why)
    try:
        detector = load_detector(name, _with(settings, name, found))
        if not known_good:
            _try(detector, found, settings)
    except (ArtifactError, ConfigurationError) as error:
        _refused[name, found] = (time.monotonic(), str(error))
        raise


def _try(detector: Detector, reference: str, settings: Settings) -> None:
    """Let a detector score before it serves.

    Raises:
        ArtifactError: If it cannot.
    """
    plain = Upload(id="trial", uploader="quorum", title="A title to try.", published_at=now())
    uploads = [plain, *(each.upload for each in detector.examples() if not each.upload.media)]
    features = Extractor(detector.needs, settings.media).extract(uploads[:_TRIALS])
    for finding in score_safely(detector, features, _TRIAL_SECONDS):
        if finding.status is Status.FAILED:
            release(detector)
            msg = f"{reference} cannot score for {detector.name}: {finding.reason}"
            raise ArtifactError(msg)


def _with(settings: Settings, name: str, reference: str) -> Settings:
    known = settings.detectors or {}
    chosen = known[name].model_copy(update={"model": reference})
    return settings.model_copy(update={"detectors": {**known, name: chosen}})
