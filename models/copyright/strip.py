"""Render a match as a picture: frames of the upload above the matching frames of the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from quorum.core.errors import InputError
from quorum.models.copyright.matching.matching import CopyMatch
from quorum.models.features.decoders import pictures_apart
from quorum.models.media.limits import Limits

__all__ = ["strip"]

_WIDTH, _HEIGHT, _LABEL, _HEAD = 192, 108, 18, 24


def strip(upload: Path, work: Path, match: CopyMatch, pairs: int = 6) -> Image.Image:
    """Render paired frames of a match, upload above and work below, with their times.

    A mirrored upload is shown as it is, because the flip is part of the evidence.

    Args:
        upload: The upload's media.
        work: The work's media.
        match: The match.
        pairs: Number of frame pairs.

    Raises:
        InputError: If one of the files cannot be read.
    """
    part = (np.arange(pairs) + 0.5) / pairs
    ours = match.start + part * (match.end - match.start)
    theirs = match.work_start + part * (match.work_end - match.work_start)
    width = pairs * _WIDTH
    made = Image.new("RGB", (width, _HEAD + 2 * (_HEIGHT + _LABEL)), "white")
    draw = ImageDraw.Draw(made)
    head, small = ImageFont.load_default(size=14), ImageFont.load_default(size=12)
    draw.text((4, 3), _fitted(draw, _headline(match), width - 8, head), fill="black", font=head)
    for row, (path, times, name) in enumerate(
        ((upload, ours, "upload"), (work, theirs, match.work.id))
    ):
        top = _HEAD + row * (_HEIGHT + _LABEL)
        for column, (picture, second) in enumerate(_pictures(path, times)):
            left = column * _WIDTH
            made.paste(ImageOps.pad(picture, (_WIDTH, _HEIGHT), color="black"), (left, top))
            clock = _clock(second)
            room = _WIDTH - 16 - int(draw.textlength(clock, font=small))
            label = f"{clock}  {_fitted(draw, name, room, small)}"
            draw.text((left + 4, top + _HEIGHT + 1), label, fill="black", font=small)
    return made


def _headline(match: CopyMatch) -> str:
    return ", ".join(
        [
            f"upload {_clock(match.start)} to {_clock(match.end)}",
            f"work {_clock(match.work_start)} to {_clock(match.work_end)}",
            *match.edits,
            f"probability {match.score:.2f}: {match.work.title} by {match.work.owner}",
        ]
    )


def _fitted(draw: ImageDraw.ImageDraw, text: str, width: int, font: Any) -> str:
    """Truncate a text to a width; the font has Latin letters only."""
    text = text.encode("latin-1", "replace").decode("latin-1")
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(f"{text}...", font=font) > width:
        text = text[:-1]
    return f"{text}..."


def _pictures(path: Path, times: Any) -> list[tuple[Image.Image, float]]:
    """For each requested second the picture that a player shows then, and the second."""
    limits = Limits(max_seconds=float("inf"), bounded=False)
    try:
        return [
            (Image.fromarray(pixels), second)
            for pixels, second in pictures_apart(path, [float(one) for one in times], limits)
        ]
    except InputError as error:
        msg = f"cannot read frames of {path.name}: {error}"
        raise InputError(msg) from None


def _clock(second: float) -> str:
    return f"{int(second // 60)}:{second % 60:04.1f}"
