"""Read the words that stand in frames, by PP-OCR as the package ``rapidocr`` carries it.

Spam hides in pictures where filters of words do not look. A frame is read only if it differs from
the last one that was read: most of a video's time its captions stand still.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.detectors import Frames
from quorum.models.features.once import once

__all__ = ["OcrLine", "OcrReader", "shared_reader"]

#: Pixels of the longer side of the picture in which words are looked for; they are then read in
#: the frame as it is. 736, as PP-OCR has it, costs four times as much.
_DETECTION_SIDE = 480
#: Below this the reader guesses: leaves and bricks become letters.
_CERTAIN = 0.8
#: A line of fewer letters is a clock, a logo or a guess.
_MIN_LETTERS = 3
#: No more lines of a frame are read: each costs some 15 ms, and a page of small print is not
#: what a video says.
_MAX_LINES = 32
#: Blocks of the grey picture by which frames are compared, (columns, rows), and how far one of
#: them must have changed, of 255. A line of words covers several blocks.
_BLOCKS = (32, 18)
_CHANGED = 12.0


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A line of words in the frames.

    Attributes:
        text: The words, as they were read.
        start: Seconds of the first frame that shows them.
        end: Seconds of the last one.
    """

    text: str
    start: float
    end: float


class OcrReader:
    """Finds and reads lines of words, in Latin and Chinese letters and some more.

    Attributes:
        frames: How many frames it has read, for tests and metrics.
    """

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "Global.text_score": _CERTAIN,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.limit_type": "max",
                "Det.limit_side_len": _DETECTION_SIDE,
                "Det.max_candidates": _MAX_LINES,
            }
        )
        self._lock = threading.Lock()
        self.frames = 0

    def read(self, frames: Frames) -> list[OcrLine]:
        """The lines that stand in frames, each once, in the order in which they appear."""
        found: dict[str, tuple[str, float, float]] = {}
        last: NDArray[np.float32] | None = None
        lines: Sequence[str] = ()
        for pixels, time in zip(frames.pixels, frames.times, strict=True):
            blocks = _blocks_of(pixels)
            if last is None or float(np.abs(blocks - last).max()) > _CHANGED:
                lines = self._lines(pixels)
                last = blocks
            for line in lines:
                key = "".join(line.lower().split())
                text, start, _ = found.get(key, (line, float(time), 0.0))
                found[key] = (text, start, float(time))
        return [OcrLine(*one) for one in found.values()]

    def _lines(self, pixels: NDArray[np.uint8]) -> list[str]:
        with self._lock:  # the engine keeps its options as state
            self.frames += 1
            made = self._engine(np.ascontiguousarray(pixels[:, :, ::-1]))
        lines = (" ".join(str(text).split()) for text in made.txts or ())
        return [line for line in lines if sum(map(str.isalpha, line)) >= _MIN_LETTERS]


def _blocks_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    from PIL import Image

    small = Image.fromarray(pixels).convert("L").resize(_BLOCKS, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


@once
def shared_reader() -> OcrReader:
    """The one reader of this process; loaded at the first call."""
    return OcrReader()
