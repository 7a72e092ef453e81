"""A small film of noise, for a first reading before any file comes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["small_film"]


def small_film(path: Path) -> None:
    """Write two seconds of noise, H.264 and AAC in MP4."""
    import av

    chance = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.thread_count = 1
        tone: Any = out.add_stream("aac", rate=48_000)
        tone.layout = "stereo"
        for number in range(16):
            pixels = chance.integers(0, 255, (18, 32, 3), dtype=np.uint8)
            pixels = pixels.repeat(10, 0).repeat(10, 1)
            frame: Any = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 8)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for number in range(94):
            samples = chance.normal(0, 0.1, (2, 1024)).astype(np.float32)
            sound: Any = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            sound.rate, sound.pts, sound.time_base = 48_000, number * 1024, Fraction(1, 48_000)
            out.mux(tone.encode(sound))
        out.mux(tone.encode(None))
