"""Other versions of the shipped spam model, for tests of model changes."""

from __future__ import annotations

from pathlib import Path

from quorum.models.registry.artifacts import Artifact, open_artifact, write_artifact
from quorum.models.spam.detector import ARTIFACT


def variant(folder: Path, factor: float) -> Artifact:
    """The shipped model with scaled weights: valid, and another version."""
    shipped = open_artifact(ARTIFACT)
    names = sorted(shipped.manifest.files)
    tensors = {name: shipped.tensors(name) for name in names if name.endswith(".safetensors")}
    for arrays in tensors.values():
        for key, array in arrays.items():
            if array.dtype.kind == "f":
                arrays[key] = array * array.dtype.type(factor)
    return write_artifact(
        folder,
        detector="spam",
        tensors=tensors,
        documents={name: shipped.document(name) for name in names if name.endswith(".json")},
        metrics={"roc_auc": 0.9, "by_video": {"Video 1": 0.8}, "split": "none", "rows": 3},
        calibration=dict(shipped.manifest.calibration),
        licence="Apache-2.0",
        embedding=shipped.manifest.embedding,
    )
