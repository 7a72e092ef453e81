"""The index files of one folder, and the list of them.

The files are made from the works and can be made anew at any time. The list, ``index.json``, is
replaced as a whole after a new file is on disk, so that a crash leaves the old list or the new
one, each with all of its files.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from quorum.core.errors import ArtifactError
from quorum.models.copyright.index.segments import Entries, Segment, sync_folder

__all__ = ["IndexFile", "IndexFiles"]

_FORMAT = 1
_LIST = "index.json"
_FOLDER = "segments"


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One index file.

    Attributes:
        name: Its number; none is given twice.
        first: Serial number of the first work that it covers.
        last: Of the last one.
        entries: Hashes in it.
    """

    name: int
    first: int
    last: int
    entries: int


class IndexFiles:
    """The index files of a folder; one process writes at a time, any number read.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._list = folder / _LIST
        self._opened: dict[int, Segment] = {}

    def stamp(self) -> tuple[int, int]:
        """Differs when the list was replaced."""
        try:
            told = self._list.stat()
        except OSError:
            return (0, 0)
        return (told.st_ino, told.st_mtime_ns)

    def parts(self, catalogue: str) -> list[IndexFile]:
        """The list, in the order of the works.

        Args:
            catalogue: The name of the catalogue whose works the files cover.

        Raises:
            ArtifactError: If it is of another catalogue or of an unknown format.
        """
        try:
            told = json.loads(self._list.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            msg = f"the index of {self.folder} cannot be read ({error}); {_MEND}"
            raise ArtifactError(msg) from None
        try:
            if told["format"] != _FORMAT:
                msg = f"the index of {self.folder} is of format {told['format']}; {_MEND}"
                raise ArtifactError(msg)
            if told["catalogue"] != catalogue:
                msg = f"the index of {self.folder} is of another catalogue; {_MEND}"
                raise ArtifactError(msg)
            return [IndexFile(**each) for each in told["parts"]]
        except (KeyError, TypeError):
            msg = f"the index of {self.folder} is of an unknown format; {_MEND}"
            raise ArtifactError(msg) from None

    def open(self, parts: Sequence[IndexFile]) -> list[Segment]:
        """Map files into memory; those that are open stay so, others are given back.

        Raises:
            ArtifactError: If one is absent, cut short or of another format.
        """
        opened = {
            part.name: self._opened.get(part.name) or Segment.open(self._path(part.name))
            for part in parts
        }
        self._opened = opened
        return list(opened.values())

    def close(self) -> None:
        """Give back the files."""
        self._opened = {}

    @property
    def writable(self) -> bool:
        """Whether this process may write them."""
        return os.access(self.folder, os.W_OK)

    @contextmanager
    def writing(self, *, wait: bool = True) -> Iterator[bool]:
        """Be the one who writes.

        Args:
            wait: For another one who does; else give up.

        Yields:
            Whether this process is the one.
        """
        (self.folder / _FOLDER).mkdir(parents=True, exist_ok=True)
        with (self.folder / "index.lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    def put(
        self, catalogue: str, kept: Sequence[IndexFile], first: int, last: int, entries: Entries
    ) -> None:
        """Write one more file, and list it after those that are kept; others are deleted."""
        names = [int(file.stem) for file in (self.folder / _FOLDER).glob("*.index")]
        made = IndexFile(max(names, default=0) + 1, first, last, len(entries))
        Segment.build(entries).save(self._path(made.name))
        parts = [*kept, made]
        told = {
            "format": _FORMAT,
            "catalogue": catalogue,
            "parts": [asdict(each) for each in parts],
        }
        part = self._list.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._list)
        sync_folder(self.folder)
        listed = {self._path(each.name) for each in parts}
        for path in (self.folder / _FOLDER).iterdir():
            # Merged into the new one, or left by a writer that was killed.
            if path not in listed:
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget the list, so that all is made anew."""
        self._list.unlink(missing_ok=True)
        self._opened = {}

    def _path(self, name: int) -> Path:
        return self.folder / _FOLDER / f"{name:08d}.index"


_MEND = "make it anew: quorum catalogue rebuild"
