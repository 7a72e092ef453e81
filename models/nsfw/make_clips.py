"""Generate the two drawn clips that the NSFW detector's examples use.

``python -m quorum.models.nsfw.make_clips``. The shapes are the result of a random search for an
abstract picture that open_nsfw scores high.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

FOLDER = Path(__file__).parent / "clips"
BACKGROUND = (126, 163, 126)
#: One ellipse a row: x, y, width, height, red, green, blue.
ELLIPSES = (
    (127, 167, 118, 55, 197, 130, 181),
    (121, 139, 173, 177, 185, 143, 90),
    (157, 241, 199, 135, 196, 140, 132),
    (320, 55, 212, 119, 249, 200, 78),
    (238, 147, 239, 105, 279, 180, 125),
    (62, 208, 197, 107, 220, 166, 126),
    (251, -34, 87, 89, 285, 100, 116),
)


def shapes() -> NDArray[np.uint8]:
    """The picture that the model flags as explicit."""
    image = Image.new("RGB", (256, 256), BACKGROUND)
    draw = ImageDraw.Draw(image)
    for x, y, width, height, *colour in ELLIPSES:
        box = (x, y, x + max(4, width), y + max(4, height))
        draw.ellipse(box, fill=tuple(min(255, max(0, part)) for part in colour))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(4)))


def gradient(moment: float) -> NDArray[np.uint8]:
    """A moving blue gradient."""
    row = 128 + 100 * np.sin(np.arange(256) / 40 + 2 * moment)
    image = np.zeros((256, 256, 3), np.uint8)
    image[..., 2] = row.astype(np.uint8)[None, :]
    image[..., 1] = np.arange(256, dtype=np.uint8)[:, None] // 2
    return image


def write(path: Path, pictures: list[NDArray[np.uint8]]) -> None:
    """Write pictures as a clip of four frames a second."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=4, options={"crf": "18"})
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 4)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


if __name__ == "__main__":
    plain = [gradient(index / 4) for index in range(8)]
    write(FOLDER / "plain.mp4", plain)
    write(FOLDER / "shapes.mp4", plain + [shapes()] * 8 + plain[:4])
