"""Train a detector on a user's own data.

A detector that can be trained so names its trainer, ``module:function``, in its attribute
``trainer``; the function takes what ``Trainer`` says. Splits are by source where there are several
sources, else by text, so that alike texts never stand on both sides.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ConfigurationError, InputError
from quorum.models.detectors import Detector
from quorum.models.features.text import text_of
from quorum.models.scoring.calibration import Platt, expected_calibration_error, prevalence_weights
from quorum.models.training.dataset import Labelled

__all__ = ["Trainer", "calibrated", "folds_of", "normalised", "trainer_of"]

_FOLDS = 5


class Trainer(Protocol):
    """Trains, measures out of fold, calibrates out of fold, and writes an artifact."""

    def __call__(
        self, data: Labelled, out: Path, seed: int, progress: Callable[[str], None]
    ) -> dict[str, Any]:
        """Returns the figures."""


def trainer_of(kind: type[Detector]) -> Trainer:
    """The trainer that a detector names.

    Raises:
        ConfigurationError: If it names none.
    """
    name = getattr(kind, "trainer", None)
    if name is None:
        msg = f"{kind.name} cannot be trained from here; its card describes how it was made"
        raise ConfigurationError(msg)
    module, _, function = name.partition(":")
    made: Trainer = getattr(importlib.import_module(module), function)
    return made


def normalised(data: Labelled) -> list[str]:
    """The normalised words of each example, as the detector will see them.

    Raises:
        InputError: If none of them has words.
    """
    texts = [text_of(upload)[0].normalised for upload in data.uploads]
    if not any(texts):
        msg = f"{data.origin.name}: none of the examples has words to train on"
        raise InputError(msg)
    return texts


def folds_of(
    texts: list[str], labels: NDArray[np.int64], sources: list[str], seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Indices to train on and to leave out, by source if there are at least three.

    Raises:
        InputError: If there are too few examples of either kind.
    """
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold

    if min(int(labels.sum()), int((1 - labels).sum())) < _FOLDS:
        msg = f"training needs at least {_FOLDS} examples with the harm and {_FOLDS} without"
        raise InputError(msg)
    names = sorted(set(sources))
    if 3 <= len(names) <= 10:
        for kept, left in LeaveOneGroupOut().split(labels, labels, sources):
            if 0 < labels[kept].sum() < len(kept):
                yield kept, left
        return
    groups = sources if len(names) > 10 else texts
    yield from StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed).split(
        labels, labels, groups
    )


def calibrated(
    odds: NDArray[np.float64], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> tuple[Platt, dict[str, Any]]:
    """A calibration of log-odds out of fold, and its error on folds that it has not seen.

    Raises:
        InputError: If the log-odds do not rise with the labels.
    """
    made = np.zeros(len(odds))
    try:
        for fold in sorted(set(folds.tolist())):
            out = folds == fold
            made[out] = Platt.fit(odds[~out], labels[~out]).apply(odds[out])
        final = Platt.fit(odds, labels)
    except ValueError as error:
        raise InputError(str(error)) from None
    weights = prevalence_weights(labels, final.prevalence)
    gap = expected_calibration_error(made, labels, weights)
    return final, {**final.as_document(), "expected_calibration_error": round(gap, 4)}
