"""Run a detector over labelled uploads, and recalibrate it on its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from quorum.core.errors import ArtifactError, InputError
from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Detector, Finding
from quorum.models.features.extract import Extractor
from quorum.models.registry.artifacts import Artifact, write_artifact
from quorum.models.runner import score_safely
from quorum.models.scoring.calibration import (
    Platt,
    expected_calibration_error,
    fit_log_odds,
    prevalence_weights,
)
from quorum.models.training.dataset import Labelled

__all__ = ["Recalibration", "recalibrated", "run", "slices_of", "words_of"]

_BATCH = 32
#: Scores this near to 0 and 1 are as good as certain; their log-odds would be infinite.
_EDGE = 1e-6


def run(
    detectors: Sequence[Detector],
    data: Labelled,
    progress: Callable[[int], None] = lambda done: None,
    *,
    timeout: float = 300.0,
) -> list[list[Finding]]:
    """Findings of each detector on all examples; features are made once for all of them.

    Args:
        detectors: The detectors.
        data: The examples; their own folders are allowed for media.
        progress: Called with the number of examples that are done.
        timeout: Seconds for a batch of one detector.
    """
    needs = frozenset().union(*(one.needs for one in detectors))
    extractor = Extractor(needs, MediaAccess(folders=data.folders))
    found: list[list[Finding]] = [[] for _ in detectors]
    for start in range(0, len(data.uploads), _BATCH):
        batch = extractor.extract(data.uploads[start : start + _BATCH])
        for detector, findings in zip(detectors, found, strict=True):
            findings.extend(score_safely(detector, batch, timeout))
        progress(min(start + _BATCH, len(data.uploads)))
    return found


def slices_of(data: Labelled) -> Mapping[str, list[str]]:
    """The slices of an evaluation: by source, language, length of the text, field and kind."""
    from quorum.models.features.text import language_of

    def length(words: int) -> str:
        bounds = ((5, "0 to 5 words"), (20, "6 to 20 words"), (60, "21 to 60 words"))
        return next((name for most, name in bounds if words <= most), "61 words or more")

    texts = ["\n".join(filter(None, words_of(one))) for one in data.uploads]
    slices = {
        "source": data.sources,
        "language": [
            one.language or language_of(text) or "unknown"
            for one, text in zip(data.uploads, texts, strict=True)
        ],
        "length": [length(len(text.split())) for text in texts],
        "field": [_fields(one) for one in data.uploads],
    }
    return slices | ({"kind": list(data.kinds)} if data.kinds else {})


def words_of(upload: Upload) -> tuple[str, ...]:
    """All words of an upload: title, description, tags, comments; some may be empty."""
    return (upload.title, upload.description, *upload.tags, *upload.comments)


def _fields(upload: Upload) -> str:
    """Where the evidence of an upload stands."""
    there = [name for name in ("title", "description", "tags", "comments") if getattr(upload, name)]
    return ", ".join([*there, *(["media"] if upload.media else [])]) or "none"


@dataclass(frozen=True, slots=True)
class Recalibration:
    """A new calibration, and how far from their word probabilities were before and after."""

    artifact: Artifact
    before: float
    after: float


def recalibrated(
    held: Artifact,
    scores: ArrayLike,
    labels: ArrayLike,
    out: Path,
    origin: str,
    seed: int = 0,
    prevalence: float | None = None,
) -> Recalibration:
    """Write a copy of an artifact whose scores are probabilities on a user's own data.

    Platt scaling of the log-odds; the order of scores does not change. ``after`` is measured on
    five folds that the calibration has not seen.

    Args:
        held: The artifact.
        scores: What its detector gave, from 0 to 1.
        labels: 1 for the harm.
        out: Folder of the copy.
        origin: What the data is, for the manifest.
        seed: Of the folds.
        prevalence: The share of harm at which scores are probabilities; None for that of the data.

    Raises:
        InputError: If the scores do not rise with the labels, or only absurdly.
        ArtifactError: If the artifact keeps no calibration that can be changed.
    """
    from sklearn.model_selection import StratifiedKFold

    truth = np.asarray(labels, dtype=np.int64)
    given = np.clip(np.asarray(scores, dtype=np.float64), _EDGE, 1 - _EDGE)
    odds = np.log(given / (1 - given))
    share = float(truth.mean()) if prevalence is None else prevalence
    folds = min(5, int(truth.sum()), int((1 - truth).sum()))
    if folds < 2:
        msg = "a calibration needs at least two examples with the harm and two without"
        raise InputError(msg)
    made = np.zeros(len(truth))
    try:
        for kept, left in StratifiedKFold(folds, shuffle=True, random_state=seed).split(
            odds, truth
        ):
            made[left] = Platt.fit(odds[kept], truth[kept], share).apply(odds[left])
        step = fit_log_odds(given, truth, share)
    except ValueError as error:
        raise InputError(str(error)) from None
    weights = None if prevalence is None else prevalence_weights(truth, prevalence)
    before = expected_calibration_error(given, truth, weights)
    after = expected_calibration_error(made, truth, weights)
    document = held.document("model.json")
    document["calibration"] = _composed(document.get("calibration"), step, held)
    artifact = _copy(held, document, out, {
        "method": "platt, twice", "on": origin, "prevalence": round(share, 4),
        "expected_calibration_error": round(after, 4), "split": f"{folds} folds",
    })  # fmt: skip
    return Recalibration(artifact, before, after)


def _composed(calibration: Any, step: Platt, held: Artifact) -> dict[str, Any]:
    """One calibration after another: again Platt scaling."""
    if not isinstance(calibration, dict):
        msg = f"the artifact {held.folder} keeps no calibration that can be changed"
        raise ArtifactError(msg)
    if "slope" not in calibration:
        return {name: _composed(one, step, held) for name, one in calibration.items()}
    first = Platt.from_document(calibration)
    slope, offset = step.slope * first.slope, step.slope * first.offset + step.offset
    return Platt(slope, offset, step.prevalence).as_document()


def _copy(held: Artifact, document: Any, out: Path, calibration: dict[str, Any]) -> Artifact:
    if out.resolve() == held.folder.resolve():
        msg = f"{out} is the artifact itself; name another folder for the copy"
        raise InputError(msg)
    manifest = held.manifest
    return write_artifact(
        out,
        detector=manifest.detector,
        tensors={},
        documents={"model.json": document},
        others=[held.file(name) for name in manifest.files if name != "model.json"],
        training_data=manifest.training_data,
        metrics=manifest.metrics,
        calibration=calibration,
        licence=manifest.licence,
        seed=manifest.seed,
        embedding=manifest.embedding,
    )
