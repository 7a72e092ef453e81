"""What searches of a catalogue look at: its index files, and the works that none covers yet."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import ArtifactError
from quorum.models.copyright.catalogue import records
from quorum.models.copyright.catalogue.database import Database
from quorum.models.copyright.catalogue.state import read_state
from quorum.models.copyright.index.files import IndexFiles
from quorum.models.copyright.index.segments import Hits, Segment, search

__all__ = ["Snapshot", "read_snapshot"]

#: Times that a list of index files is read again which was replaced while they were opened.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of a catalogue; replaced as a whole, so that searches need no lock.

    Attributes:
        segments: Index files, and one in memory of the works that wait.
        files: How many of them are files.
        waiting: Entries that no file covers yet.
        removed: Serial numbers of works in the files that are registered no more.
        version: Digest of the content.
        keep_days: For how long uploads are kept; None where they are not.
    """

    segments: tuple[Segment, ...] = ()
    files: int = 0
    waiting: int = 0
    removed: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    version: str = ""
    keep_days: float | None = None

    def search(self, queries: NDArray[np.uint8], radius: int) -> Hits:
        """All entries within a radius of some hashes, shape (m, 32)."""
        hits = search(self.segments, queries, radius)
        if not len(self.removed):
            return hits
        return hits.where(~np.isin(hits.works, self.removed))


def read_snapshot(database: Database, files: IndexFiles | None) -> Snapshot:
    """The present state.

    Args:
        database: The works.
        files: The index; None to hold it in memory.

    Raises:
        ArtifactError: If an index file is absent or damaged, or covers works that the database
            does not have.
        EngineUnavailable: If the database cannot be reached.
    """
    for left in reversed(range(_TRIES)):
        stamp = files.stamp() if files is not None else None
        try:
            return _read(database, files)
        except ArtifactError:
            # The list may have been replaced, and a file of the old one deleted, meanwhile.
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
                "brought back; make the index anew: quorum catalogue rebuild"
            )
            raise ArtifactError(msg)
        version = (read_state(connection, "content") or "0" * 32)[:12]
        days = read_state(connection, "keep_days")
        waiting = records.entries_from(connection, covered + 1)
        removed = records.removed_serials(connection, covered)
    if len(waiting):
        opened.append(Segment.build(waiting))
    kept = float(days) if days else None
    return Snapshot(tuple(opened), len(parts), len(waiting), removed, version, kept)
