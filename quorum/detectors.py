"""The contract of detectors, and what their authors need: ``docs/write-a-detector.md``.

A detector scores one harm. Quorum finds it by the entry point ``quorum.detectors``, so that a
plug-in is a package of its own. Its tests inherit ``DetectorContract``, which needs pytest.

This module is public: its names keep their meaning within a minor version. To import it is cheap:
what needs a large library is imported at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from quorum.core.errors import ArtifactError, ConfigurationError
from quorum.core.messages import Evidence, Status, Upload, Usage
from quorum.core.settings import Settings
from quorum.models.detectors import (
    Audio,
    Detector,
    Example,
    Feature,
    Features,
    Finding,
    Frames,
    Motion,
    Speech,
    Text,
)

if TYPE_CHECKING:
    from quorum.models.contract import DetectorContract
    from quorum.models.features.embedding import shared_embedder
    from quorum.models.registry.artifacts import (
        Artifact,
        Manifest,
        TrainingData,
        open_artifact,
        write_artifact,
    )
    from quorum.models.scoring.calibration import Platt

__all__ = [
    "Artifact",
    "ArtifactError",
    "Audio",
    "ConfigurationError",
    "Detector",
    "DetectorContract",
    "Evidence",
    "Example",
    "Feature",
    "Features",
    "Finding",
    "Frames",
    "Manifest",
    "Motion",
    "Platt",
    "Settings",
    "Speech",
    "Status",
    "Text",
    "TrainingData",
    "Upload",
    "Usage",
    "open_artifact",
    "shared_embedder",
    "write_artifact",
]

_LAZY = {
    "Artifact": "quorum.models.registry.artifacts",
    "DetectorContract": "quorum.models.contract",
    "Manifest": "quorum.models.registry.artifacts",
    "Platt": "quorum.models.scoring.calibration",
    "TrainingData": "quorum.models.registry.artifacts",
    "open_artifact": "quorum.models.registry.artifacts",
    "shared_embedder": "quorum.models.features.embedding",
    "write_artifact": "quorum.models.registry.artifacts",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
