"""Disguises of a copy: perspective, new crops, layouts and screen recordings, drawn at random.

Each disguise takes decoded frames and a random generator, so that a seed gives the same parameters
again and another seed gives others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["DISGUISES", "RATE", "frames_of", "write_frames"]

#: Frames per second of the disguised uploads.
RATE = 15
#: Height at which works are disguised, as sent by phones.
_HEIGHT = 360

Pixels = NDArray[np.uint8]
Disguise = Callable[[list[Pixels], list[Pixels], np.random.Generator], list[Pixels]]


def frames_of(path: Path, start: float = 0.0, seconds: float = 10.0) -> list[Pixels]:
    """Frames of a part of a film at ``RATE`` a second, RGB, 360 lines high."""
    kept: list[Pixels] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        first = None
        for frame in container.decode(stream):
            if frame.time is None:
                continue
            first = frame.time if first is None else first
            at = frame.time - first - start
            if at >= seconds:
                break
            while at >= len(kept) / RATE:
                width = round(frame.width * _HEIGHT / frame.height / 2) * 2
                kept.append(
                    frame.reformat(width, _HEIGHT, "rgb24", interpolation="AREA").to_ndarray()
                )
    return kept


def write_frames(path: Path, frames: list[Pixels], crf: int = 28) -> Path:
    """Encode frames as H.264."""
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        for index, pixels in enumerate(frames):
            made = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(pixels[:height, :width]), format="rgb24"
            )
            made.pts, made.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(made))
        container.mux(stream.encode())
    return path


def _looped(frames: list[Pixels], count: int) -> Iterator[Pixels]:
    for index in range(count):
        yield frames[index % len(frames)]


def _scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    return cv2.resize(pixels, (max(2, width), max(2, height)), interpolation=cv2.INTER_AREA)


def _corners(width: float, height: float) -> NDArray[np.float32]:
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def keystone(frames: list[Pixels], _: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    """Move the corners: one side shorter by 2 to 10 % on each axis; black or cropped corners."""
    height, width = frames[0].shape[:2]
    across, down = rng.uniform(0.02, 0.10, 2) * rng.choice([-1, 1], 2)
    to = _corners(width, height)
    # One side is shorter by the share: half of it at each of its ends.
    side = (0, 1) if across > 0 else (3, 2)
    to[side[0], 0] += abs(across) * width / 2
    to[side[1], 0] -= abs(across) * width / 2
    side = (0, 3) if down > 0 else (1, 2)
    to[side[0], 1] += abs(down) * height / 2
    to[side[1], 1] -= abs(down) * height / 2
    if rng.random() < 0.5:
        # Zoomed so that no black corner is left.
        low, high = to.max(axis=0).copy(), to.min(axis=0).copy()
        low = np.sort(to, axis=0)[1]
        high = np.sort(to, axis=0)[2]
        to = (to - low) / (high - low) * (width, height)
    turn = cv2.getPerspectiveTransform(_corners(width, height), to.astype(np.float32))
    return [
        cv2.warpPerspective(each, turn, (width, height), flags=cv2.INTER_AREA) for each in frames
    ]


def recrop(
    frames: list[Pixels], _: list[Pixels], rng: np.random.Generator, aspect: float = 9 / 16
) -> list[Pixels]:
    """Take a part of another shape from anywhere in the frame, at the full height if it fits."""
    height, width = frames[0].shape[:2]
    share = rng.uniform(0.88, 1.0)
    tall = share * min(height, width / aspect)
    wide = tall * aspect
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - tall)
    cut = (slice(int(top), int(top + tall)), slice(int(left), int(left + wide)))
    out = (round(480 * aspect / 2) * 2, 480)
    return [cv2.resize(each[cut], out, interpolation=cv2.INTER_LINEAR) for each in frames]


def square(frames: list[Pixels], other: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    """The same as 1:1."""
    return recrop(frames, other, rng, 1.0)


def _placed(
    frames: list[Pixels], other: list[Pixels], rng: np.random.Generator, area: float
) -> list[Pixels]:
    """The first in a rectangle of this share of the area of the second, anywhere in it."""
    height, width = 360, 640
    tall, wide = frames[0].shape[:2]
    scale = min(np.sqrt(area * height * width / (tall * wide)), height / tall, width / wide)
    size = (int(wide * scale), int(tall * scale))
    if rng.random() < 0.6:  # a corner, with a margin
        left = int(rng.choice([0.03, 0.97]) * (width - size[0]))
        top = int(rng.choice([0.03, 0.97]) * (height - size[1]))
    else:
        left, top = (int(rng.uniform(0, room)) for room in (width - size[0], height - size[1]))
    made = []
    for mine, back in zip(frames, _looped(other, len(frames)), strict=True):
        pixels = _scaled(back, width, height)
        pixels[top : top + size[1], left : left + size[0]] = _scaled(mine, *size)
        made.append(pixels)
    return made


def picture_in_picture(
    frames: list[Pixels], other: list[Pixels], rng: np.random.Generator
) -> list[Pixels]:
    """The work in a sixth to a third of another video."""
    return _placed(frames, other, rng, rng.uniform(1 / 6, 1 / 3))


def reaction(frames: list[Pixels], other: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    """The work with somebody who watches it: in a corner of it, beside it, above or below it."""
    tall, wide = frames[0].shape[:2]
    layout = rng.choice(["corner", "beside", "stacked"])
    made = []
    if layout == "corner":
        share = rng.uniform(0.25, 0.35)
        size = (int(wide * share), int(tall * share))
        left = int(rng.choice([0.03, 0.97]) * (wide - size[0]))
        top = int(rng.choice([0.03, 0.97]) * (tall - size[1]))
        for mine, who in zip(frames, _looped(other, len(frames)), strict=True):
            pixels = mine.copy()
            pixels[top : top + size[1], left : left + size[0]] = _scaled(who, *size)
            made.append(pixels)
        return made
    first = rng.random() < 0.5
    for mine, who in zip(frames, _looped(other, len(frames)), strict=True):
        if layout == "beside":
            pixels = np.zeros((360, 640, 3), np.uint8)
            room = int(640 * 0.62)
            high = min(360, int(tall * room / wide))
            w = int(wide * high / tall)
            x = 0 if first else 640 - w
            y = (360 - high) // 2
            pixels[y : y + high, x : x + w] = _scaled(mine, w, high)
            rest = 640 - w
            who_high = min(360, int(who.shape[0] * rest / who.shape[1]))
            x = w if first else 0
            y = (360 - who_high) // 2
            pixels[y : y + who_high, x : x + rest] = _scaled(who, rest, who_high)
        else:
            w = 360
            high = min(400, int(tall * w / wide))
            w = int(wide * high / tall)
            pixels = np.zeros((640, 360, 3), np.uint8)
            rest = 640 - high
            y, z = (0, high) if first else (rest, 0)
            x = (360 - w) // 2
            pixels[y : y + high, x : x + w] = _scaled(mine, w, high)
            shown = _scaled(who, 360, max(rest, int(who.shape[0] * 360 / who.shape[1])))[:rest]
            pixels[z : z + len(shown)] = shown
        made.append(pixels)
    return made


def screen(frames: list[Pixels], _: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    """Filmed from a screen: a border, keystone, moire, noise, glare and another contrast."""
    height, width = 360, 640
    share = rng.uniform(0.72, 0.92)
    tall, wide = frames[0].shape[:2]
    scale = share * min(height / tall, width / wide)
    size = np.array([wide * scale, tall * scale])
    room = np.array([width, height]) - size
    to = _corners(*size) + rng.uniform(0.3, 0.7, 2) * room
    to += rng.uniform(-0.04, 0.04, (4, 2)) * size
    turn = cv2.getPerspectiveTransform(_corners(wide, tall), to.astype(np.float32))
    wall = rng.integers(20, 180, 3).astype(np.float32)
    bezel = cv2.getPerspectiveTransform(
        _corners(wide, tall), (to + (to - to.mean(axis=0)) * 0.05).astype(np.float32)
    )
    frame = cv2.warpPerspective(np.ones((tall, wide), np.float32), bezel, (width, height))
    inside = cv2.warpPerspective(np.ones((tall, wide), np.float32), turn, (width, height))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wave, angle = rng.uniform(3, 9), rng.uniform(0, np.pi)
    moire = 1 + rng.uniform(0.04, 0.12) * np.sin(
        2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / wave
    )
    glare = 1 + rng.uniform(0, 0.35) * np.exp(
        -(((x - rng.uniform(0, width)) / 200) ** 2) - ((y - rng.uniform(0, height)) / 150) ** 2
    )
    gamma, noise = rng.uniform(0.8, 1.3), rng.uniform(3, 9)
    back = wall[None, None] * (1 - frame[..., None]) + 12 * frame[..., None]
    made = []
    for mine in frames:
        seen = cv2.warpPerspective(mine, turn, (width, height), flags=cv2.INTER_AREA)
        lit = 255 * (seen.astype(np.float32) / 255) ** gamma * (moire * glare)[..., None]
        # The camera moves a little.
        shown = lit * inside[..., None] + back * (1 - inside[..., None])
        shown = shown + rng.normal(0, noise, (height, width, 1))
        shift = np.array([[1, 0, rng.normal(0, 0.6)], [0, 1, rng.normal(0, 0.6)]], np.float32)
        made.append(cv2.warpAffine(np.clip(shown, 0, 255).astype(np.uint8), shift, (width, height)))
    return made


def _mirror(frames: list[Pixels], _: list[Pixels], __: np.random.Generator) -> list[Pixels]:
    return [np.ascontiguousarray(each[:, ::-1]) for each in frames]


def _bright(frames: list[Pixels], _: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    gain, lift = rng.uniform(0.75, 1.2), rng.uniform(-25, 35)
    return [np.clip(each * gain + lift, 0, 255).astype(np.uint8) for each in frames]


def _faster(frames: list[Pixels], _: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    speed = rng.uniform(0.9, 1.2)
    at = (np.arange(int(len(frames) / speed)) * speed).astype(int)
    return [frames[index] for index in at]


def _caption(frames: list[Pixels], _: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    top = rng.random() < 0.5
    made = []
    for each in frames:
        pixels = each.copy()
        height, width = pixels.shape[:2]
        band = int(height * 0.14)
        part = pixels[:band] if top else pixels[height - band :]
        part[:] = 0
        size = width / 640
        cv2.putText(
            part, "WAIT FOR THE ENDING", (width // 20, band * 2 // 3), 0, size, (255, 255, 255), 2
        )
        made.append(pixels)
    return made


def _logo(frames: list[Pixels], _: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    height, width = frames[0].shape[:2]
    radius = int(min(height, width) * rng.uniform(0.08, 0.16))
    at = (int(rng.uniform(0.1, 0.9) * width), int(rng.uniform(0.1, 0.9) * height))
    made = []
    for each in frames:
        pixels = each.copy()
        cv2.circle(pixels, at, radius, (220, 40, 40), -1)
        cv2.circle(pixels, at, radius * 2 // 3, (250, 250, 250), -1)
        made.append(pixels)
    return made


def _bars(frames: list[Pixels], _: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    bar = int(len(frames[0]) * rng.uniform(0.1, 0.2))
    return [cv2.copyMakeBorder(each, bar, bar, 0, 0, cv2.BORDER_CONSTANT) for each in frames]


_SHAPES: tuple[Disguise, ...] = (keystone, square, recrop)
_COVERS: tuple[Disguise, ...] = (_mirror, _bright, _faster, _caption, _logo, _bars)


def two(frames: list[Pixels], other: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    """Two edits at once: one of the shape, one of the picture."""
    for chosen in (rng.choice(_SHAPES), rng.choice(_COVERS)):  # type: ignore[arg-type]
        frames = chosen(frames, other, rng)
    return frames


def three(frames: list[Pixels], other: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    """Three edits at once."""
    covers = rng.choice(len(_COVERS), 2, replace=False)
    for chosen in (_COVERS[covers[0]], rng.choice(_SHAPES), _COVERS[covers[1]]):  # type: ignore[arg-type]
        frames = chosen(frames, other, rng)
    return frames


def part(frames: list[Pixels], other: list[Pixels], rng: np.random.Generator) -> list[Pixels]:
    """Three seconds of it, disguised by one change of shape, between two parts of another video."""
    count = min(3 * RATE, len(frames))
    first = int(rng.uniform(0, len(frames) - count))
    mine = rng.choice(_SHAPES)(frames[first : first + count], other, rng)  # type: ignore[arg-type]
    height, width = mine[0].shape[:2]
    around = [_scaled(each, width, height) for each in _looped(other, 4 * RATE)]
    return [*around, *mine, *around]


#: Disguises by name.
DISGUISES: dict[str, Disguise] = {
    "keystone": keystone,
    "re-crop 9:16": recrop,
    "re-crop 1:1": square,
    "screen recording": screen,
    "picture in picture": picture_in_picture,
    "reaction": reaction,
    "two edits": two,
    "three edits": three,
    "3 s, one edit": part,
}
