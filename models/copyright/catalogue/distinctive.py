"""Select the distinctive hashes of a work for the index: not black, not flat, not repeated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.catalogue.works import KIND_SOUND, WORK_VIEWS, WorkPrint
from quorum.models.copyright.index.segments import Entries
from quorum.models.fingerprint import pdq
from quorum.models.fingerprint.video import View

__all__ = ["MIN_QUALITY", "entries_of"]

#: PDQ quality below which a hash is mostly noise.
MIN_QUALITY = 30

#: A hash this near to the one before is redundant; of a still picture one in ``_STILL_STRIDE`` is
#: indexed.
_SAME_BITS = 4
_STILL_STRIDE = 8

#: Every second frame of a work is indexed, four a second, and the frames in between where they
#: differ from both neighbours by more than ``_FAST_BITS``.
_FRAME_STRIDE = 2
_FAST_BITS = 20

#: Audio words overlap; every fourth is a candidate, twice a second.
_WORD_STRIDE = 4

#: A local feature this near, in bits, to one of the keyframe before, and in 256ths of the frame's
#: sides, is the same.
_SAME_FEATURE = 24
_SAME_PLACE = 4


def entries_of(serial: int, found: WorkPrint) -> Entries:
    """The index entries of one work.

    Args:
        serial: Serial number of the work.
        found: Fingerprint of the work.
    """
    parts: list[tuple[NDArray[np.uint8], NDArray[np.float32], int]] = []
    good = found.quality >= MIN_QUALITY
    whole = found.views[:, 0]
    for index, view in enumerate(WORK_VIEWS):
        hashes = found.views[:, index]
        chosen = good & _not_redundant(hashes)
        if index:
            # Without bars, active views equal full views; and a published hash list has the same
            # hash in all views.
            same = found.views[:, index - len(WORK_VIEWS) // 2] if view >= View.ACTIVE else whole
            chosen &= (hashes != same).any(axis=1)
        parts.append((hashes[chosen], found.times[chosen], view))
    audio = found.audio
    chosen_words = audio.distinctive()
    chosen_words[np.arange(len(chosen_words)) % _WORD_STRIDE != 0] = False
    at = np.flatnonzero(chosen_words)
    parts.append((audio.words()[at], audio.seconds(at), KIND_SOUND))
    made = [
        Entries(
            np.ascontiguousarray(hashes),
            np.full(len(hashes), serial, np.uint32),
            seconds.astype(np.float32),
            np.full(len(hashes), kind, np.uint8),
        )
        for hashes, seconds, kind in parts
    ]
    return Entries.join([*made, _local_entries(serial, found)])


def _local_entries(serial: int, found: WorkPrint) -> Entries:
    """Local features; of those that stand still, only the first."""
    local = found.local
    if local is None or not len(local):
        return Entries.join([])
    kept = np.ones(len(local), np.bool_)
    first = np.searchsorted(local.frames, np.arange(len(local.times) + 1))
    for before, here, end in zip(first[:-2], first[1:-1], first[2:], strict=True):
        new, old = slice(here, end), slice(before, here)
        apart = pdq.distances(local.descriptors[new, None], local.descriptors[None, old])
        off = np.abs(local.points[new, None].astype(int) - local.points[None, old]).max(axis=2)
        kept[new] = ~((apart <= _SAME_FEATURE) & (off <= _SAME_PLACE)).any(axis=1)
    return Entries(
        np.ascontiguousarray(local.descriptors[kept]),
        np.full(int(kept.sum()), serial, np.uint32),
        local.times[local.frames[kept]],
        local.kinds[kept],
    )


def _not_redundant(hashes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mask of the hashes that other hashes of the same work do not make redundant."""
    rows = np.arange(len(hashes))
    taken: NDArray[np.bool_] = rows % _STILL_STRIDE == 0
    if len(hashes) <= _FRAME_STRIDE:
        return taken
    moved = pdq.distances(hashes[_FRAME_STRIDE:], hashes[:-_FRAME_STRIDE]) > _SAME_BITS
    taken[_FRAME_STRIDE:] |= moved & (rows[_FRAME_STRIDE:] % _FRAME_STRIDE == 0)
    step = pdq.distances(hashes[1:], hashes[:-1])
    taken[1:-1] |= np.minimum(step[:-1], step[1:]) > _FAST_BITS
    return taken
