"""Finds copies of certain contents among uploads: equal coded content, or content that is alike.

Equal content shares an exact digest. A still picture is alike another if their PDQ hashes differ in
at most 31 of 256 bits and both are of a quality of at least 50, as PDQ's authors recommend (Meta,
"The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019), mirrored too.
Video and sound are alike if the matcher of the catalogue finds one in the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import OwnerRule, Work, WorkPrint
from quorum.models.fingerprint.fingerprint import Fingerprint
from quorum.models.fingerprint.pdq import BITS
from quorum.models.fingerprint.video import VideoPrint, View

__all__ = ["PDQ_BITS", "Copy", "Originals", "still_distance"]

#: The most bits by which the PDQ hashes of like pictures differ, and the least quality.
PDQ_BITS: Final = 31
_PDQ_QUALITY: Final = 50


@dataclass(frozen=True, slots=True)
class Copy:
    """An upload that shows an original.

    Attributes:
        original: The original's name.
        how: ``identical`` for equal coded content, ``similar`` for content that is alike.
        score: 1 for equal content; else the probability of a copy or, of still pictures, the
            share of equal bits.
    """

    original: str
    how: Literal["identical", "similar"]
    score: float


def still_distance(one: Fingerprint, other: Fingerprint) -> int | None:
    """The least number of bits by which two still pictures differ; None if one is not comparable.

    Args:
        one: A fingerprint, with all ways to see its file.
        other: Another one, which may be mirrored.
    """
    distances = [
        _bits(here, there)
        for here in map(_still, one.sights)
        for there in map(_still, other.sights)
        if here is not None and there is not None
    ]
    return min(distances, default=None)


def _still(sight: Fingerprint) -> VideoPrint | None:
    found = sight.video
    if found is None or len(found) != 1 or found.quality[0] < _PDQ_QUALITY:
        return None
    return found


def _bits(one: VideoPrint, other: VideoPrint) -> int:
    pairs = (
        (one.published[0], other.published[0]),
        (one.views[0, View.FULL], other.mirrored[0, View.FULL]),
    )
    return min(int(np.bitwise_count(here ^ there).sum()) for here, there in pairs)


class Originals:
    """Contents whose copies are looked for.

    Args:
        found: Their fingerprints, by name.
    """

    def __init__(self, found: Mapping[str, Fingerprint]) -> None:
        self._found = dict(found)
        self._works = Catalogue()
        rule = OwnerRule(min_seconds=0)
        self._works.add_all(
            [
                (Work(id=name, title=name, owner="", rule=rule), WorkPrint.of(one))
                for name, one in self._found.items()
            ]
        )
        self._works.refresh()

    def close(self) -> None:
        """Free the index."""
        self._works.close()

    def copies_in(self, upload: Fingerprint) -> list[Copy]:
        """What of the originals an upload shows, one for each of them."""
        found: dict[str, Copy] = {}
        digests = upload.digests()
        for name, original in self._found.items():
            if digests & original.digests():
                found[name] = Copy(name, "identical", 1.0)
            elif (bits := still_distance(original, upload)) is not None and bits <= PDQ_BITS:
                found[name] = Copy(name, "similar", 1 - bits / BITS)
        from quorum.models.copyright.matching.matching import find_matches

        for match in find_matches(upload, self._works):
            known = found.get(match.work.id)
            if known is None or (known.how == "similar" and known.score < match.score):
                found[match.work.id] = Copy(match.work.id, "similar", match.score)
        return [found[name] for name in sorted(found)]
