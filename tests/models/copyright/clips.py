"""Synthetic clips: moving pictures that depend on a seed, and tones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def picture_frames(
    seed: int, seconds: float = 6.0, rate: int = 10, size: tuple[int, int] = (96, 128)
) -> list[NDArray[np.uint8]]:
    """A window that moves over a random landscape: consecutive frames differ slightly."""
    rng = np.random.default_rng(seed)
    height, width = size
    grain = rng.normal(size=(height * 2, width * 3))
    rough = sum(width * gaussian_filter(grain, width) for width in (1, 2, 4, 8, 16, 32))
    land = np.clip(128 + 55 * rough / rough.std(), 0, 255)[None].repeat(3, axis=0)
    frames = []
    for index in range(int(seconds * rate)):
        at = index / rate
        x = int(width * (1 + 0.95 * np.sin(at * 0.25 + seed)))
        y = int(height / 2 * (1 + 0.95 * np.cos(at * 0.35 + seed)))
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


def write_sound(
    path: Path, seed: int | None, seconds: float = 10.0, rate: int = 22_050, speed: float = 1.0
) -> Path:
    """Encode a synthetic tune as AAC, played at a speed; silence without a seed."""
    count = int(seconds * rate)
    samples = np.zeros(count, np.float32)
    if seed is not None:
        rng = np.random.default_rng(seed)
        note = int(rate / 5 / speed)
        for start in range(0, count, note):
            at = np.arange(min(note, count - start)) / rate * speed
            for step in rng.integers(0, 36, 3):
                pitch = 220 * 2 ** (step / 12)
                samples[start : start + note] += np.sin(2 * np.pi * pitch * at) * np.exp(-3 * at)
        samples *= 0.25
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate)
        stream.layout = "mono"
        for start in range(0, count, 1024):
            part = samples[None, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def small(frames: Iterable[NDArray[np.generic]], side: int) -> NDArray[np.uint8]:
    """Frames as a fingerprint keeps their luma, shape (n, side, side)."""
    made = [cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in frames]
    return np.array(made).astype(np.uint8)
