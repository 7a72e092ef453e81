"""Clips made on the spot: moving pictures that differ by their seed, and tones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def picture_frames(
    seed: int, seconds: float = 6.0, rate: int = 10, size: tuple[int, int] = (96, 128)
) -> list[NDArray[np.uint8]]:
    """A window that wanders over a random landscape: frames of one clip differ, and follow."""
    rng = np.random.default_rng(seed)
    height, width = size
    land = rng.normal(size=(3, height * 2, width * 3))
    land = np.stack([gaussian_filter(channel, 9) for channel in land])
    land = (land - land.min()) / (land.max() - land.min()) * 255
    frames = []
    for index in range(int(seconds * rate)):
        at = index / rate
        x = int(width * (1 + 0.95 * np.sin(at * 1.1 + seed)))
        y = int(height / 2 * (1 + 0.95 * np.cos(at * 1.7 + seed)))
        window = land[:, y : y + height, x : x + width]
        frames.append(np.ascontiguousarray(window.transpose(1, 2, 0)).astype(np.uint8))
    return frames


def write_video(
    path: Path, frames: Iterable[NDArray[np.uint8]], rate: int = 10, crf: int = 26
) -> Path:
    """Encode RGB frames as H.264."""
    with av.open(str(path), "w") as container:
        stream = None
        for pixels in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=rate)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": str(crf), "preset": "veryfast"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        assert stream is not None
        container.mux(stream.encode())
    return path


def remux(source: Path, target: Path) -> Path:
    """Copy the coded packets of all streams into another container."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return target
