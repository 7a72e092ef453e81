"""An index of listed hashes in memory: which of them an upload's fingerprint matches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from quorum.models.fingerprint import pdq
from quorum.models.fingerprint.fingerprint import FileDigests, Fingerprint
from quorum.models.fingerprint.video import VideoPrint, View
from quorum.models.known.hashes import Listed

__all__ = ["HashBank", "Match"]

#: Up to so many hashes a linear scan is fast enough, and no compiler is loaded.
_FLAT: Final = 2048


@dataclass(frozen=True, slots=True)
class Match:
    """A listed hash that an upload matches.

    Attributes:
        entries: The hash, once for each source that lists it.
        how: ``exact`` for the same file, ``similar`` for a picture that is alike.
        distance: Bits by which the picture differs; 0 for the same file.
        second: Where the picture is, in seconds; None for the whole file.
        flooded: Whether it matched too much, so that people are asked.
    """

    entries: tuple[Listed, ...]
    how: Literal["exact", "similar"]
    distance: int = 0
    second: float | None = None
    flooded: bool = False


class HashBank:
    """Listed hashes, immutable.

    Args:
        entries: What is listed.
        standings: What people here said of hashes, by kind and value: a denied one never matches.
        distance: The most bits of 256 in which the PDQ hash of a picture may differ.
        quality: The least PDQ quality of a picture that is compared.
    """

    def __init__(
        self,
        entries: Iterable[Listed],
        standings: Mapping[tuple[str, str], str] | None = None,
        *,
        distance: int = 31,
        quality: int = 50,
    ) -> None:
        self._distance, self._quality = distance, quality
        said = standings or {}
        self._denied = {key for key, standing in said.items() if standing == "denied"}
        self._flooded = {key for key, standing in said.items() if standing == "flooded"}
        by_hash: dict[tuple[str, str], list[Listed]] = {}
        for one in entries:
            if (one.kind, one.value) not in self._denied:
                by_hash.setdefault((one.kind, one.value), []).append(one)
        self._exact = {key: tuple(found) for key, found in by_hash.items() if key[0] != "pdq"}
        self._similar = [tuple(found) for key, found in by_hash.items() if key[0] == "pdq"]
        values = b"".join(bytes.fromhex(found[0].value) for found in self._similar)
        # A copy: the compiled loops of the index take arrays that can be written.
        self._hashes = np.frombuffer(values, np.uint8).reshape(-1, 32).copy()
        self._words = self._hashes.view(np.uint64)
        self._tables: tuple[NDArray[np.uint32], NDArray[np.uint32]] | None = None
        if len(self._words) > _FLAT:
            from quorum.models.copyright.index import kernels

            self._tables = kernels.build_tables(self._words.view(np.uint16))

    def __len__(self) -> int:
        return len(self._exact) + len(self._similar)

    def matches(self, found: Fingerprint | FileDigests) -> list[Match]:
        """The listed hashes that a file matches, exact ones first, then the nearest.

        Args:
            found: Its fingerprint; its digests, if it cannot be decoded.
        """
        file = found.file if isinstance(found, Fingerprint) else found
        own = {"sha256": file.sha256, "sha1": file.sha1, "md5": file.md5}
        if any((kind, value) in self._denied for kind, value in own.items()):
            return []  # a person saw exactly this file, and denied it
        exact = [
            Match(self._exact[key], "exact", flooded=key in self._flooded)
            for key in own.items()
            if key in self._exact
        ]
        near = {}
        if isinstance(found, Fingerprint) and len(self._words):
            near = self._near(found)
        return exact + sorted(near.values(), key=lambda one: (one.distance, one.entries[0].value))

    def _near(self, found: Fingerprint) -> dict[int, Match]:
        best: dict[int, Match] = {}
        for sight in found.sights:
            if sight.video is None:
                continue
            for queries, seconds in self._queries(sight.video):
                for frame, row, apart in zip(*self._search(queries), strict=True):
                    known = best.get(int(row))
                    if known is None or apart < known.distance:
                        entries = self._similar[int(row)]
                        key = (entries[0].kind, entries[0].value)
                        best[int(row)] = Match(
                            entries,
                            "similar",
                            int(apart),
                            float(seconds[frame]),
                            key in self._flooded,
                        )
        return best

    def _queries(
        self, video: VideoPrint
    ) -> Iterable[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        clear = video.quality >= self._quality
        for hashes in (video.published, video.mirrored[:, View.FULL]):
            yield np.ascontiguousarray(hashes[clear]), video.times[clear]

    def _search(
        self, queries: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]:
        if self._tables is None:
            apart = pdq.distances(queries[:, None], self._hashes[None])
            frames, rows = np.nonzero(apart <= self._distance)
            found = apart[frames, rows].astype(np.uint8)
            return frames.astype(np.int64), rows.astype(np.uint32), found
        from quorum.models.copyright.index import kernels

        asked = queries.view(np.uint64)
        return kernels.probe(self._words, *self._tables, asked, self._distance)
