"""Films with known scenes, frames and words, which Chromium plays."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FPS = 25
SIZE = (480, 270)
#: The seconds and colour of each scene, and the words in it.
SCENES = (
    (4, (24, 60, 130), "CHEAP PILLS HERE"),
    (4, (170, 40, 30), ""),
    (4, (30, 120, 60), "CALL THIS NUMBER"),
)


def film(path: Path) -> Path:
    """Write a film of 12 s; a white bar moves on with each frame."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "g": "25"})
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        number = 0
        for seconds, colour, words in SCENES:
            picture = Image.new("RGB", SIZE, colour)
            ImageDraw.Draw(picture).text(
                (30, 100), words, fill=(255, 255, 255), font=ImageFont.load_default(44)
            )
            still = np.asarray(picture)
            for _ in range(seconds * FPS):
                frame = still.copy()
                frame[-12:, number % SIZE[0] : number % SIZE[0] + 6] = 255
                out.mux(video.encode(av.VideoFrame.from_ndarray(frame)))
                number += 1
        out.mux(video.encode(None))
    return path
