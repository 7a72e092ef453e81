"""Which hashes of a work say enough to be looked up by: not black, not flat, not a still."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.catalogue.works import KIND_SOUND, WORK_VIEWS, WorkPrint
from quorum.models.copyright.index.segments import Entries
from quorum.models.fingerprint import pdq
from quorum.models.fingerprint.video import View

__all__ = ["MIN_QUALITY", "entries_of"]

#: PDQ's quality under which a hash is more noise than picture.
MIN_QUALITY = 30

#: A frame this near to the one before adds nothing that a search would not find already; of a
#: still, one in this many is taken.
_SAME_BITS = 4
_STILL_STRIDE = 8

#: Of the frames of a work, every second one is looked up, four a second; one between them as
#: well where the picture changes so fast that it is further than this from both.
_FRAME_STRIDE = 2
_FAST_BITS = 20

#: Words of sound overlap; every fourth item starts one that is looked up, twice a second.
_WORD_STRIDE = 4


def entries_of(serial: int, found: WorkPrint) -> Entries:
    """The index entries of one work.

    Args:
        serial: Its serial number.
        found: Its fingerprint.
    """
    parts: list[tuple[NDArray[np.uint8], NDArray[np.float32], int]] = []
    good = found.quality >= MIN_QUALITY
    whole = found.views[:, 0]
    for index, view in enumerate(WORK_VIEWS):
        hashes = found.views[:, index]
        chosen = good & _new(hashes)
        if index:
            # Without bars, a view of the active area is that of the whole frame; and a list that
            # others published has one hash for all views.
            same = found.views[:, index - len(WORK_VIEWS) // 2] if view >= View.ACTIVE else whole
            chosen &= (hashes != same).any(axis=1)
        parts.append((hashes[chosen], found.times[chosen], view))
    audio = found.audio
    telling = audio.distinctive()
    telling[np.arange(len(telling)) % _WORD_STRIDE != 0] = False
    at = np.flatnonzero(telling)
    parts.append((audio.words()[at], audio.seconds(at), KIND_SOUND))
    return Entries.join(
        [
            Entries(
                np.ascontiguousarray(hashes),
                np.full(len(hashes), serial, np.uint32),
                seconds.astype(np.float32),
                np.full(len(hashes), kind, np.uint8),
            )
            for hashes, seconds, kind in parts
        ]
    )


def _new(hashes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which hashes are looked up: those that others of the same work do not stand for."""
    rows = np.arange(len(hashes))
    taken = rows % _STILL_STRIDE == 0
    if len(hashes) <= _FRAME_STRIDE:
        return taken
    moved = pdq.distances(hashes[_FRAME_STRIDE:], hashes[:-_FRAME_STRIDE]) > _SAME_BITS
    taken[_FRAME_STRIDE:] |= moved & (rows[_FRAME_STRIDE:] % _FRAME_STRIDE == 0)
    step = pdq.distances(hashes[1:], hashes[:-1])
    taken[1:-1] |= np.minimum(step[:-1], step[1:]) > _FAST_BITS
    return taken
