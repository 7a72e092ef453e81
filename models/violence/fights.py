"""The decision whether pictures show a fight: by what they show, and by how they move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from quorum.models.registry.artifacts import Artifact
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.scoring.timeline import smoothed

__all__ = ["FIGHTS", "MOTION", "Fights", "Moving", "pairs"]

#: The artifact's files of the heads.
FIGHTS, MOTION = "fights.safetensors", "motion.safetensors"

_Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Moving:
    """What movement adds.

    Attributes:
        head: Judges the statistics of a window.
        together: Judges the log-odds of what is shown and of how it moves; calibrated.
    """

    head: DenseLogistic
    together: DenseLogistic


@dataclass(frozen=True, slots=True, eq=False)
class Fights:
    """Judges the pictures of a track.

    Attributes:
        head: Judges a scene by what it shows.
        calibration: Of these log-odds, where no movement is known.
        smoothing: Width of the moving average over scenes, and over windows.
        moving: Judges by movement, too; None if it was trained without.
    """

    head: DenseLogistic
    calibration: Platt
    smoothing: int
    moving: Moving | None = None

    def odds(
        self, scenes: NDArray[np.floating[Any]], windows: NDArray[np.floating[Any]] | None
    ) -> tuple[_Scores, _Scores | None]:
        """Log-odds of each scene by what it shows, and of each window by how it moves.

        Args:
            scenes: Features of the scenes, shape (n, d).
            windows: Statistics of the windows, shape (m, k); None if no movement is known.
        """
        shown = smoothed(self.head.decide(scenes), self.smoothing)
        if self.moving is None or windows is None or not len(windows):
            return shown, None
        return shown, smoothed(self.moving.head.decide(windows), self.smoothing)

    def scores(
        self, scenes: NDArray[np.floating[Any]], windows: NDArray[np.floating[Any]] | None
    ) -> tuple[_Scores, _Scores | None]:
        """Probability of a fight by scene and by window; the arguments are those of ``odds``.

        Of the two, what is shown is judged with the most violent movement, and each movement with
        what is shown most violently: the maximum of both is the same, and is the score.
        """
        shown, moves = self.odds(scenes, windows)
        if self.moving is None or moves is None:
            return self.calibration.apply(shown), None
        decide = self.moving.together.decide
        return (
            np.asarray(expit(decide(pairs(shown, np.full(len(shown), moves.max()))))),
            np.asarray(expit(decide(pairs(np.full(len(moves), shown.max()), moves)))),
        )

    def tensors(self) -> dict[str, Any]:
        """The artifact's files of weights."""
        made: dict[str, Any] = {FIGHTS: self.head.as_tensors()}
        if self.moving is not None:
            made[MOTION] = self.moving.head.as_tensors()
        return made

    def as_document(self) -> dict[str, Any]:
        """The calibration of an artifact."""
        made: dict[str, Any] = {"frames": self.calibration.as_document()}
        if self.moving is not None:
            shown, moves = self.moving.together.coefficients
            made["motion"] = {
                "shown": float(shown),
                "moves": float(moves),
                "offset": self.moving.together.intercept,
            }
        return made

    @classmethod
    def restore(cls, held: Artifact, calibration: Mapping[str, Any], smoothing: int) -> Self:
        """Read what ``tensors`` and ``as_document`` made."""
        moving = None
        if MOTION in held.manifest.files:
            told = calibration["motion"]
            together = DenseLogistic(
                np.array([told["shown"], told["moves"]], np.float64), float(told["offset"])
            )
            moving = Moving(DenseLogistic.restore(held.tensors(MOTION)), together)
        return cls(
            DenseLogistic.restore(held.tensors(FIGHTS)),
            Platt.from_document(dict(calibration["frames"])),
            smoothing,
            moving,
        )


def pairs(shown: _Scores, moves: _Scores) -> _Scores:
    """Log-odds by what is shown and by movement side by side, shape (n, 2)."""
    return np.stack([shown, moves], axis=1)
