"""The catalogue: registered works, kept so that nothing confirmed is ever lost.

A folder holds ``catalogue.sqlite``, the truth: works, their fingerprints and the list of index
segments; and ``segments/``, immutable index files derived from it. To add a work is one
transaction. Works that no segment covers yet are held in memory by each reader; when they are
many, the writer makes a segment of them, and merges small segments into larger ones.

One process writes at a time, any number read, and each reader sees a change at its next
``refresh``. A catalogue in one JSON file, as the shipped one, is held in memory only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.copyright.database import Database
from models.copyright.index import Entries, Hits, Segment, search
from models.copyright.telling import entries_of
from models.copyright.works import Work, WorkPrint
from quorum.errors import InputError
from quorum.messages import digest

__all__ = ["Catalogue", "Stats"]

#: Entries that wait in memory before the writer makes an index file of them.
_WAITING_ENTRIES = 16_384

#: A segment is merged with the one before it unless that is this many times larger, so that
#: there are few segments and each entry is written few times.
_GROWTH = 4


_PAIR = "SELECT facts, data FROM works JOIN prints USING (serial) WHERE"


@dataclass(frozen=True, slots=True)
class Stats:
    """What a catalogue holds.

    Attributes:
        works: How many are registered.
        seconds: Their length in all.
        entries: Hashes that are looked up.
        segments: Index files.
        waiting: Entries that no index file covers yet.
        bytes: Size on disk; 0 in memory.
        version: Digest of the content.
    """

    works: int
    seconds: float
    entries: int
    segments: int
    waiting: int
    bytes: int
    version: str


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What searches look at; replaced as a whole, so that they need no lock."""

    segments: tuple[Segment, ...]
    waiting: int
    removed: NDArray[np.uint32]
    version: str


class Catalogue:
    """Registered works, searched by their fingerprints.

    Args:
        folder: Where it lies; None to hold it in memory. It is created where it is absent.
        read_only: Never write, and never create.

    Raises:
        ConfigurationError: If there is none to read, or it is of another format.
        ArtifactError: If an index file is absent or damaged; ``rebuild`` makes it anew.
    """

    def __init__(self, folder: str | Path | None = None, *, read_only: bool = False) -> None:
        self._folder = Path(folder) if folder is not None else None
        self._database = Database(self._folder, read_only=read_only)
        self._seen = -1
        self._cache: dict[int, Segment] = {}
        self._snapshot = _Snapshot((), 0, np.zeros(0, np.uint32), "")
        self.refresh()

    def close(self) -> None:
        """Give back the files."""
        self._database.close()
        self._cache.clear()

    @property
    def version(self) -> str:
        """A digest of the works and their rules: the same content gives the same version."""
        return self._snapshot.version

    def refresh(self) -> bool:
        """See what was written since; cheap when nothing was.

        Returns:
            Whether there was something.
        """
        with self._database.lock:
            seen = self._database.changes()
            if seen == self._seen:
                return False
            before = self._snapshot.version
            self._snapshot = self._read_snapshot()
            self._seen = seen
            return before != self._snapshot.version

    def _read_snapshot(self) -> _Snapshot:
        database = self._database
        with database.reading():
            version = database.rows("SELECT value FROM facts WHERE name = 'content'")[0][0][:12]
            rows = database.rows("SELECT name, last FROM segments ORDER BY first")
            opened = {name: self._cache.get(name) or self._open(name) for name, _ in rows}
            covered = rows[-1][1] if rows else 0
            waiting = self._entries(covered + 1, None)
            removed = database.rows(
                "SELECT serial FROM works WHERE removed AND serial <= ?", (covered,)
            )
        self._cache = opened
        segments = [*opened.values(), *([Segment.build(waiting)] if len(waiting) else [])]
        gone = np.array([serial for (serial,) in removed], np.uint32)
        return _Snapshot(tuple(segments), len(waiting), gone, version)

    def _path(self, name: int) -> Path:
        assert self._folder is not None
        return self._folder / "segments" / f"{name:08d}.index"

    def _open(self, name: int) -> Segment:
        return Segment.open(self._path(name))

    def _entries(self, first: int, last: int | None) -> Entries:
        """The entries of the works from one serial number to another."""
        rows = self._database.rows(
            "SELECT serial, data FROM prints JOIN works USING (serial)"
            " WHERE NOT removed AND serial BETWEEN ? AND ? ORDER BY serial",
            (first, last if last is not None else 1 << 62),
        )
        return Entries.join([entries_of(n, WorkPrint.from_bytes(data)) for n, data in rows])

    def search(self, queries: NDArray[np.uint8], radius: int) -> Hits:
        """All entries within a radius of some hashes, shape (m, 32)."""
        snapshot = self._snapshot
        hits = search(snapshot.segments, queries, radius)
        if not len(snapshot.removed):
            return hits
        return hits.where(~np.isin(hits.works, snapshot.removed))

    def exact(self, digests: Iterable[str]) -> tuple[int, ...]:
        """Serial numbers of the works that share an exact digest."""
        wanted = tuple(digests)
        marks = ",".join("?" * len(wanted))
        rows = self._database.rows(
            f"SELECT DISTINCT serial FROM digests WHERE digest IN ({marks}) ORDER BY serial",  # noqa: S608
            wanted,
        )
        return tuple(serial for (serial,) in rows)

    def by_serial(self, serial: int) -> tuple[Work, WorkPrint] | None:
        """A work and its fingerprint; None if it was removed meanwhile."""
        return _pair(self._database.rows(f"{_PAIR} serial = ? AND NOT removed", (serial,)))

    def get(self, id: str) -> tuple[Work, WorkPrint] | None:  # noqa: A002
        """A work and its fingerprint, by its identifier."""
        return _pair(self._database.rows(f"{_PAIR} id = ? AND NOT removed", (id,)))

    def works(self, words: str = "", limit: int | None = None) -> list[Work]:
        """Works whose identifier, title or owner holds some words, in the order of their ids."""
        plain = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        rows = self._database.rows(
            "SELECT facts FROM works WHERE NOT removed AND (id LIKE :like ESCAPE '\\'"
            " OR title LIKE :like ESCAPE '\\' OR owner LIKE :like ESCAPE '\\')"
            " ORDER BY id LIMIT :limit",
            {"like": f"%{plain}%", "limit": -1 if limit is None else limit},
        )
        return [Work.model_validate_json(facts) for (facts,) in rows]

    def stats(self) -> Stats:
        """What the catalogue holds."""
        self.refresh()
        works, seconds, entries = self._database.rows(
            "SELECT count(*), coalesce(sum(seconds), 0), coalesce(sum(entries), 0) FROM works"
            " WHERE NOT removed"
        )[0]
        files = [] if self._folder is None else [f for f in self._folder.rglob("*") if f.is_file()]
        return Stats(
            works,
            seconds,
            entries,
            len(self._cache),
            self._snapshot.waiting,
            sum(file.stat().st_size for file in files),
            self.version,
        )

    def add(self, work: Work, found: WorkPrint) -> None:
        """Register a work; when this returns, no crash can lose it.

        Raises:
            InputError: If there is a work of that identifier.
        """
        self.add_all([(work, found)])

    def add_all(self, works: Sequence[tuple[Work, WorkPrint]]) -> None:
        """Register several works: all of them, or none.

        Raises:
            InputError: If there is a work of one of the identifiers.
        """
        database = self._database
        with database.writing():
            for work, found in works:
                if database.rows("SELECT 1 FROM works WHERE id = ? AND NOT removed", (work.id,)):
                    msg = f"there is a work {work.id} already; remove it first"
                    raise InputError(msg)
                self._insert(work, found)
            waiting = database.rows(
                "SELECT coalesce(sum(entries), 0) FROM works WHERE NOT removed"
                " AND serial > (SELECT coalesce(max(last), 0) FROM segments)"
            )[0][0]
        self._seen = -1
        if waiting > _WAITING_ENTRIES:
            self.compact()

    def _insert(self, work: Work, found: WorkPrint) -> None:
        facts, data = work.model_dump_json(), found.to_bytes()
        content = digest(facts, hashlib.sha256(data).hexdigest())
        entries = len(entries_of(0, found))
        serial = self._database.insert(
            "INSERT INTO works (id, title, owner, facts, content, entries, seconds)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (work.id, work.title, work.owner, facts, content, entries, found.duration),
        )
        self._database.insert("INSERT INTO prints VALUES (?, ?)", (serial, data))
        for each in found.digests:
            self._database.insert("INSERT INTO digests VALUES (?, ?)", (each, serial))
        self._count(content)

    def change(self, work: Work) -> None:
        """Put other facts in the place of a work's: its rule, its exceptions.

        Raises:
            InputError: If there is no work of that identifier.
        """
        with self._database.writing():
            rows = self._database.rows(
                "SELECT serial, content, data FROM works JOIN prints USING (serial)"
                " WHERE id = ? AND NOT removed",
                (work.id,),
            )
            if not rows:
                msg = f"there is no work {work.id}"
                raise InputError(msg)
            serial, before, data = rows[0]
            facts = work.model_dump_json()
            content = digest(facts, hashlib.sha256(data).hexdigest())
            self._database.insert(
                "UPDATE works SET title = ?, owner = ?, facts = ?, content = ? WHERE serial = ?",
                (work.title, work.owner, facts, content, serial),
            )
            self._count(before)
            self._count(content)
        self._seen = -1

    def _count(self, content: str) -> None:
        """Add a work's digest to that of all, or take it away: the order does not matter."""
        (now,) = self._database.rows("SELECT value FROM facts WHERE name = 'content'")[0]
        both = int(now, 16) ^ int(content, 16)
        self._database.insert(
            "UPDATE facts SET value = ? WHERE name = 'content'", (f"{both:032x}",)
        )

    def remove(self, id: str) -> None:  # noqa: A002
        """Take a work out; readers cease to find it at their next refresh.

        Raises:
            InputError: If there is no such work.
        """
        with self._database.writing():
            rows = self._database.rows(
                "SELECT serial, content FROM works WHERE id = ? AND NOT removed", (id,)
            )
            if not rows:
                msg = f"there is no work {id}"
                raise InputError(msg)
            serial, content = rows[0]
            self._database.insert("UPDATE works SET removed = 1 WHERE serial = ?", (serial,))
            self._database.insert("DELETE FROM prints WHERE serial = ?", (serial,))
            self._database.insert("DELETE FROM digests WHERE serial = ?", (serial,))
            self._count(content)
        self._seen = -1

    def compact(self, *, whole: bool = False) -> None:
        """Make index files of the works that wait, and merge small files into larger ones.

        Args:
            whole: Merge all into one, without what was removed.
        """
        if self._folder is None:
            return
        database = self._database
        with database.writing():
            merged = database.rows("SELECT name, first, last, entries FROM segments ORDER BY first")
            (last,) = database.rows("SELECT coalesce(max(serial), 0) FROM works")[0]
            entries = self._entries(merged[-1][2] + 1 if merged else 1, None)
            parts, first, old = [entries], merged[-1][2] + 1 if merged else 1, []
            while merged and (whole or merged[-1][3] < _GROWTH * sum(map(len, parts))):
                name, first, _, _ = merged.pop()
                parts.insert(0, self._living(self._open(name).entries))
                old.append(name)
            if last >= first:
                self._replace(old, first, last, Entries.join(parts))
        self._seen = -1
        self.refresh()
        for name in old:
            self._path(name).unlink(missing_ok=True)

    @staticmethod
    def rebuild(folder: str | Path) -> None:
        """Make the index files of a catalogue anew from its works.

        Raises:
            ConfigurationError: If there is no catalogue.
        """
        database = Database(Path(folder), read_only=False)
        with database.writing():
            database.insert("DELETE FROM segments")
        database.close()
        made = Catalogue(folder)
        made.compact(whole=True)
        made.close()

    def _living(self, entries: Entries) -> Entries:
        removed = self._database.rows("SELECT serial FROM works WHERE removed")
        gone = np.array([serial for (serial,) in removed], np.uint32)
        return entries.where(~np.isin(entries.works, gone))

    def _replace(self, old: Sequence[int], first: int, last: int, entries: Entries) -> None:
        """Put one index file in the place of some, inside a transaction."""
        database = self._database
        name = database.insert(
            "INSERT INTO segments (first, last, entries) VALUES (?, ?, ?)",
            (first, last, len(entries)),
        )
        Segment.build(entries).save(self._path(name))
        for each in old:
            database.insert("DELETE FROM segments WHERE name = ?", (each,))
        database.insert("DELETE FROM works WHERE removed AND serial BETWEEN ? AND ?", (first, last))
        kept = {f"{number:08d}.index" for (number,) in database.rows("SELECT name FROM segments")}
        kept |= {f"{number:08d}.index" for number in old}
        for file in self._path(name).parent.iterdir():
            # Left by a writer that was killed before it could confirm.
            if file.name not in kept:
                file.unlink()


def _pair(rows: Sequence[tuple[str, bytes]]) -> tuple[Work, WorkPrint] | None:
    if not rows:
        return None
    return Work.model_validate_json(rows[0][0]), WorkPrint.from_bytes(rows[0][1])
