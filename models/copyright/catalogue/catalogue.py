"""The catalogue: durable storage and search of registered works.

The source of truth is a database: a SQLite file in the catalogue's folder, or the ledger's
database. Adding a work is one transaction. The folder also holds index files, which are derived
from the works. Each reader indexes the works that no file covers yet in memory; when there are
many, they are written to a file, and small files are merged into larger ones.

There is one writer at a time and any number of readers; a reader sees changes at its next
``refresh``. A catalogue in a JSON file, such as the shipped one, is held in memory only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorum.models.copyright.catalogue import records
from quorum.models.copyright.catalogue.database import Database
from quorum.models.copyright.catalogue.snapshot import Snapshot, read_snapshot
from quorum.models.copyright.catalogue.state import count_change, read_state, write_state
from quorum.models.copyright.catalogue.uploads import KeptUploads
from quorum.models.copyright.catalogue.works import Work, WorkPrint
from quorum.models.copyright.index.files import IndexFiles
from quorum.models.copyright.index.segments import Entries, Hits

__all__ = ["Catalogue", "Stats"]

#: Entries without an index file that trigger a compaction.
_WAITING_ENTRIES = 16_384

#: A segment is merged with its predecessor unless that is this many times larger (size-tiered
#: compaction), so that there are few segments and each entry is rewritten few times.
_GROWTH = 4

#: Size of the cache of works that were compared in full.
_CACHE_BYTES = 128 * 2**20


@dataclass(frozen=True, slots=True)
class Stats:
    """Statistics of a catalogue.

    Attributes:
        works: Registered works.
        seconds: Their total length.
        entries: Indexed hashes.
        segments: Index files.
        waiting: Entries without an index file.
        bytes: Size of the folder on disk; 0 in memory.
        version: Digest of the content.
    """

    works: int
    seconds: float
    entries: int
    segments: int
    waiting: int
    bytes: int
    version: str


class Catalogue:
    """Registered works, searchable by fingerprint.

    Args:
        folder: Folder of its files, created if missing; None for a catalogue in memory.
        database: URL of the ledger's database, or ``ledger`` for that of ``QUORUM_DATABASE``, to
            store the works there; by default they are stored in the folder.
        read_only: Never write works, and never create a catalogue.

    Raises:
        ConfigurationError: If there is no catalogue to read, or its format is unsupported.
        ArtifactError: If an index file is missing or damaged; ``rebuild`` repairs it.
        EngineUnavailable: If the database cannot be reached.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        database: str | None = None,
        *,
        read_only: bool = False,
    ) -> None:
        self._folder = Path(folder) if folder is not None else None
        self._url = database
        if database is not None:
            self._database = Database.at(database)
        elif self._folder is None:
            self._database = Database.memory()
        else:
            self._database = Database.file(self._folder / "catalogue.sqlite", read_only=read_only)
        self._files = IndexFiles(self._folder) if self._folder is not None else None
        if self._folder is not None and not read_only:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._loaded_state: object = None
        self._cache: OrderedDict[int, tuple[Work, WorkPrint]] = OrderedDict()
        self._snapshot = Snapshot()
        try:
            self.refresh()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close files and connections."""
        self._database.close()
        if self._files is not None:
            self._files.close()

    @property
    def version(self) -> str:
        """Digest of the works and their rules; equal content gives an equal version."""
        return self._snapshot.version

    def refresh(self) -> bool:
        """Load changes since the last call; cheap if there are none.

        Returns:
            Whether the content changed.

        Raises:
            ArtifactError: If an index file is missing or damaged.
            EngineUnavailable: If the database cannot be reached; the previous state remains.
        """
        with self._lock:
            with self._database.reading() as connection:
                changes = read_state(connection, "changes")
            stamp = self._files.stamp() if self._files is not None else (0, 0)
            if (changes, stamp) == self._loaded_state:
                return False
            before = self._snapshot.version
            self._snapshot = read_snapshot(self._database, self._files)
            self._cache.clear()
            self._loaded_state = (changes, stamp)
            changed = before != self._snapshot.version
        if self._snapshot.waiting > _WAITING_ENTRIES and self._files and self._files.writable:
            self.compact(wait=False)
        return changed

    def search(self, queries: NDArray[np.uint8], radius: int) -> Hits:
        """All entries within a Hamming radius of the given hashes, shape (m, 32)."""
        return self._snapshot.search(queries, radius)

    def search_local(self, queries: NDArray[np.uint8], radius: int) -> Hits:
        """Most local features within a Hamming radius of the given ones, shape (m, 32)."""
        return self._snapshot.search_local(queries, radius)

    def exact(self, digests: Iterable[str]) -> tuple[int, ...]:
        """Serial numbers of the works that share an exact digest."""
        with self._database.reading() as connection:
            return records.serials_of(connection, tuple(digests))

    def by_serial(self, serial: int) -> tuple[Work, WorkPrint] | None:
        """A work and its fingerprint; None if it was removed."""
        with self._lock:
            known = self._cache.get(serial)
            if known is not None:
                self._cache.move_to_end(serial)
                return known
        with self._database.reading() as connection:
            pair = records.find_pair(connection, serial=serial)
        if pair is not None:
            with self._lock:
                self._cache[serial] = pair
                held = sum(found.nbytes for _, found in self._cache.values())
                while held > _CACHE_BYTES and len(self._cache) > 1:
                    held -= self._cache.popitem(last=False)[1][1].nbytes
        return pair

    def get(self, id: str) -> tuple[Work, WorkPrint] | None:  # noqa: A002
        """A work and its fingerprint by identifier; None if there is none."""
        with self._database.reading() as connection:
            return records.find_pair(connection, id=id)

    def works(self, words: str = "", limit: int | None = None) -> list[Work]:
        """Works whose identifier, title or owner contains a text, ordered by identifier."""
        with self._database.reading() as connection:
            return records.find_works(connection, words, limit)

    def stats(self) -> Stats:
        """Current statistics."""
        self.refresh()
        with self._database.reading() as connection:
            works, seconds, entries = records.count_works(connection)
        files = [] if self._folder is None else [f for f in self._folder.rglob("*") if f.is_file()]
        return Stats(
            works,
            seconds,
            entries,
            self._snapshot.files,
            self._snapshot.waiting,
            sum(file.stat().st_size for file in files),
            self.version,
        )

    def add(self, work: Work, found: WorkPrint) -> None:
        """Register a work durably.

        Raises:
            InputError: If the identifier is taken.
        """
        self.add_all([(work, found)])

    def add_all(self, works: Sequence[tuple[Work, WorkPrint]]) -> None:
        """Register several works in one transaction.

        Raises:
            InputError: If an identifier is taken.
        """
        with self._database.writing() as connection:
            name = read_state(connection, "name")
            parts = self._files.parts(name) if self._files is not None else []
            for work, found in works:
                records.add_work(connection, work, found)
            covered = parts[-1].last if parts else 0
            waiting = records.waiting_entries(connection, covered)
        if waiting > _WAITING_ENTRIES:
            self.compact()

    def change(self, work: Work) -> None:
        """Replace the metadata of a work, such as its rule and exceptions.

        Raises:
            InputError: If there is no work with this identifier.
        """
        with self._database.writing() as connection:
            records.change_work(connection, work)

    def remove(self, id: str) -> None:  # noqa: A002
        """Remove a work; readers stop finding it at their next refresh.

        Raises:
            InputError: If there is no such work.
        """
        with self._database.writing() as connection:
            records.remove_work(connection, id)

    def renew(self, id: str, found: WorkPrint) -> None:  # noqa: A002
        """Replace the fingerprint of a work; its metadata stays.

        Raises:
            InputError: If there is no such work.
        """
        with self._database.writing() as connection:
            records.renew_work(connection, id, found)

    def permit(self, id: str, uploader: str) -> bool:  # noqa: A002
        """Add an exception: the uploader may use the work.

        Returns:
            Whether the exception is new.

        Raises:
            InputError: If there is no such work.
        """
        with self._database.writing() as connection:
            return records.permit(connection, id, uploader)

    def keep_uploads(self, days: float) -> None:
        """Let detectors keep the fingerprints of uploads for a number of days."""
        with self._database.writing() as connection:
            write_state(connection, "keep_days", f"{days:g}")
            count_change(connection)

    def kept_uploads(self) -> KeptUploads | None:
        """The kept fingerprints; None if the catalogue does not keep them.

        Raises:
            EngineUnavailable: If their database cannot be reached.
        """
        days = self._snapshot.keep_days
        if days is None:
            return None
        if self._url is not None:
            return KeptUploads(Database.at(self._url), days)
        if self._folder is None:
            return KeptUploads(self._database, days)
        return KeptUploads(Database.file(self._folder / "uploads.sqlite", lasting=False), days)

    def compact(self, *, whole: bool = False, wait: bool = True) -> None:
        """Write waiting works to index files, and merge small files into larger ones.

        Args:
            whole: Merge all files into one, without removed works.
            wait: Wait for another process that compacts; otherwise return at once.
        """
        if self._files is None:
            return
        with self._files.writing(wait=wait) as mine:
            if not mine:
                return
            with self._database.reading() as connection:
                name = read_state(connection, "name")
                parts = self._files.parts(name)
                last = records.last_serial(connection)
                first = parts[-1].last + 1 if parts else 1
                waiting = records.entries_from(connection, first)
                removed = records.removed_serials(connection, last)
            merged = [waiting]
            while parts and (whole or parts[-1].entries < _GROWTH * sum(map(len, merged))):
                old = parts.pop()
                first = old.first
                for opened in IndexFiles(self._files.folder).open([old]):
                    merged.insert(0, opened.entries.where(~np.isin(opened.entries.works, removed)))
            if last >= first:
                self._files.put(name, parts, first, last, Entries.join(merged))
        self.refresh()

    @classmethod
    def rebuild(cls, folder: str | Path, database: str | None = None) -> None:
        """Build the index files of a catalogue again from its works.

        Raises:
            ConfigurationError: If there is no catalogue.
        """
        files = IndexFiles(Path(folder))
        if database is None:
            Database.file(files.folder / "catalogue.sqlite", read_only=True).close()
        with files.writing():
            files.clear()
        made = cls(folder, database)
        made.compact(whole=True)
        made.close()
