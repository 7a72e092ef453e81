"""What was seen of an upload's pictures: told in the evidence, and held against the score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quorum.core.messages import SEEN, Evidence
from quorum.models.detectors import Finding, Frames

__all__ = ["seen", "told_of", "unread"]


def seen(frames: Frames, looks: Sequence[NDArray[np.float64]]) -> Evidence:
    """The evidence of how much was seen: the least share of all tracks, and their names.

    Args:
        frames: The frames of the upload.
        looks: For each of ``frames.sights`` the seconds of the frames that were looked at.
    """
    share = min(
        (one.share_seen(times) for one, times in zip(frames.sights, looks, strict=True)),
        default=0.0,
    )
    names = "; ".join(filter(None, (one.name for one in frames.sights)))
    length = max(frames.length, frames.duration)
    return Evidence(
        kind="video",
        field=SEEN,
        what=f"seen: {share:.0%} of {length:.1f} s of {names or 'the media'}",
        start=0.0,
        end=max(0.0, frames.duration),
        weight=round(share, 4),
    )


def told_of(what: str, frames: Frames) -> str:
    """What was found, with the name of its track if a player would choose another one."""
    chosen = "played by default" in frames.name and " on black" not in frames.name
    usual = chosen or not frames.name
    return what if usual else f"{what} in {frames.name}"


def unread(frames: Frames, score: float) -> Finding:
    """The finding where a track could not be read, and the others show nothing."""
    reason = "; ".join(frames.unread)[:500]
    return Finding.failed(f"{reason}; the readable part scores {score:.2f}")
