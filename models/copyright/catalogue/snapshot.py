"""The state that searches use: index files, and an in-memory index of newer works."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError
from quorum.models.copyright.catalogue import records
from quorum.models.copyright.catalogue.database import Database
from quorum.models.copyright.catalogue.state import read_state
from quorum.models.copyright.index.files import IndexFiles
from quorum.models.copyright.index.segments import Hits, Segment, search, search_nearly
from quorum.models.fingerprint.local import KIND_LOCAL

__all__ = ["Snapshot", "read_snapshot"]

#: Attempts to open the index files while another process replaces their list.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An immutable state of a catalogue; searches need no lock.

    Attributes:
        segments: Index files, and one segment in memory of the waiting works.
        local: The same of local features.
        files: How many index files there are.
        waiting: Entries without an index file.
        removed: Serial numbers of removed works that index files still contain.
        version: Digest of the content.
        keep_days: Retention of uploads; None if they are not kept.
    """

    segments: tuple[Segment, ...] = ()
    local: tuple[Segment, ...] = ()
    files: int = 0
    waiting: int = 0
    removed: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    version: str = ""
    keep_days: float | None = None

    def search(self, queries: NDArray[np.uint8], radius: int) -> Hits:
        """All entries within a Hamming radius of the given hashes, shape (m, 32)."""
        return self._registered(search(self.segments, queries, radius))

    def search_local(self, queries: NDArray[np.uint8], radius: int) -> Hits:
        """Most local features within a Hamming radius of the given ones, shape (m, 32)."""
        return self._registered(search_nearly(self.local, queries, radius))

    def _registered(self, hits: Hits) -> Hits:
        if not len(self.removed):
            return hits
        return hits.where(~np.isin(hits.works, self.removed))


def read_snapshot(database: Database, files: IndexFiles | None) -> Snapshot:
    """Load the current state.

    Args:
        database: Database of the works.
        files: Index files; None for an index in memory.

    Raises:
        ArtifactError: If an index file is missing or damaged, or the index is newer than the
            database.
        EngineUnavailable: If the database cannot be reached.
    """
    for left in reversed(range(_TRIES)):
        stamp = files.stamp() if files is not None else None
        try:
            return _read(database, files)
        except ArtifactError:
            # Another process may have replaced the list and deleted an old file meanwhile.
            if not left or files is None or stamp == files.stamp():
                raise
    raise AssertionError


def _read(database: Database, files: IndexFiles | None) -> Snapshot:
    with database.reading() as connection:
        name = read_state(connection, "name")
    parts = files.parts(name) if files is not None else []
    opened = files.open(parts) if files is not None else []
    covered = parts[-1].last if parts else 0
    with database.reading() as connection:
        if records.last_serial(connection) < covered:
            msg = (
                "the index covers works that the database does not have: an older state was "
                "restored; run: quorum catalogue rebuild"
            )
            raise ArtifactError(msg)
        version = (read_state(connection, "content") or "0" * 32)[:12]
        days = read_state(connection, "keep_days")
        waiting = records.entries_from(connection, covered + 1)
        removed = records.removed_serials(connection, covered)
    whole, local = opened[: len(parts)], opened[len(parts) :]
    is_local = waiting.kinds >= KIND_LOCAL
    for segments, chosen in ((whole, ~is_local), (local, is_local)):
        if chosen.any():
            segments.append(Segment.build(waiting.where(chosen)))
    kept = float(days) if days else None
    return Snapshot(tuple(whole), tuple(local), len(parts), len(waiting), removed, version, kept)
