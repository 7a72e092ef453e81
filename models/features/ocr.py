"""Read text in frames with PP-OCR, from the package ``rapidocr``.

Spam hides in pictures, where text filters do not look. A frame is read only if it differs from
the previously read one, because captions mostly stand still.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.detectors import Frames
from quorum.models.features.once import once
from quorum.models.media.lines import MediaLine

__all__ = ["OcrReader", "shared_reader"]

#: Length of the longer side for text detection, in pixels; recognition uses the full frame.
#: PP-OCR's default, 736, costs four times as much.
_DETECTION_SIDE = 480
#: Minimum confidence; below it leaves and bricks become letters.
_CERTAIN = 0.8
#: Minimum letters of a line; shorter ones are clocks, logos or noise.
_MIN_LETTERS = 3
#: Maximum lines per frame: each costs about 15 ms.
_MAX_LINES = 32
#: Grey blocks by which frames are compared (columns, rows), and the change of a block that counts,
#: of 255. A line of text covers several blocks.
_BLOCKS = (32, 18)
_CHANGED = 12.0


class OcrReader:
    """Detects and recognises lines of text, in Latin, Chinese and some other scripts.

    Attributes:
        frames: Number of frames read, for tests and metrics.
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

    def read(self, frames: Frames) -> list[MediaLine]:
        """Lines of text in the frames of all tracks, without duplicates, as they appear."""
        found: dict[str, tuple[str, float, float]] = {}
        for sight in frames.sights:
            self._read_one(sight, found)
        return [MediaLine(*one) for one in found.values()]

    def _read_one(self, frames: Frames, found: dict[str, tuple[str, float, float]]) -> None:
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

    def _lines(self, pixels: NDArray[np.uint8]) -> list[str]:
        with self._lock:  # the engine keeps its options as mutable state
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
    """The shared OCR reader of this process; loaded on first use."""
    return OcrReader()
