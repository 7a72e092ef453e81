"""The index files of a folder, and their manifest.

The files are derived from the works and can be rebuilt at any time. The manifest, ``index.json``,
is replaced atomically after a new file is on disk, so that a crash leaves either the old or the new
manifest, each with all of its files.
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
from quorum.models.fingerprint.local import KIND_LOCAL

__all__ = ["IndexFile", "IndexFiles"]

_FORMAT = 1
_MANIFEST = "index.json"
_FOLDER = "segments"
_REPAIR = "run: quorum catalogue rebuild"


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One index file.

    Attributes:
        name: Unique number.
        first: Serial number of the first covered work.
        last: Serial number of the last covered work.
        entries: Number of entries.
        local: Number of them that are local features, in a file of their own; 0 in files of
            before there were any.
    """

    name: int
    first: int
    last: int
    entries: int
    local: int = 0


class IndexFiles:
    """The index files of a folder; one writer at a time, any number of readers.

    Args:
        folder: Their folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifest = folder / _MANIFEST
        self._opened: dict[Path, Segment] = {}

    def stamp(self) -> tuple[int, int]:
        """Changes whenever the manifest is replaced."""
        try:
            status = self._manifest.stat()
        except OSError:
            return (0, 0)
        return (status.st_ino, status.st_mtime_ns)

    def parts(self, catalogue: str) -> list[IndexFile]:
        """Read the manifest, in the order of the works.

        Args:
            catalogue: Unique id of the catalogue whose works the files cover.

        Raises:
            ArtifactError: If it belongs to another catalogue or its format is unknown.
        """
        try:
            manifest = json.loads(self._manifest.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            msg = f"the index of {self.folder} cannot be read ({error}); {_REPAIR}"
            raise ArtifactError(msg) from None
        try:
            if manifest["format"] != _FORMAT:
                msg = f"the index of {self.folder} is of format {manifest['format']}; {_REPAIR}"
                raise ArtifactError(msg)
            if manifest["catalogue"] != catalogue:
                msg = f"the index of {self.folder} is of another catalogue; {_REPAIR}"
                raise ArtifactError(msg)
            return [IndexFile(**each) for each in manifest["parts"]]
        except (KeyError, TypeError):
            msg = f"the index of {self.folder} is of an unknown format; {_REPAIR}"
            raise ArtifactError(msg) from None

    def open(self, parts: Sequence[IndexFile]) -> list[Segment]:
        """Map files into memory; open ones are reused, unlisted ones are closed.

        Segments of local features come after the others.

        Raises:
            ArtifactError: If one is missing, truncated or of another format.
        """
        paths = [self._path(part.name) for part in parts]
        paths += [self._path(part.name, local=True) for part in parts if part.local]
        self._opened = {path: self._opened.get(path) or Segment.open(path) for path in paths}
        return list(self._opened.values())

    def close(self) -> None:
        """Close all files."""
        self._opened = {}

    @property
    def writable(self) -> bool:
        """Whether this process has permission to write."""
        return os.access(self.folder, os.W_OK)

    @contextmanager
    def writing(self, *, wait: bool = True) -> Iterator[bool]:
        """Acquire the writers' lock.

        Args:
            wait: Wait for the lock; otherwise give up if it is taken.

        Yields:
            Whether the lock was acquired.
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
        """Write a new file, append it to the kept ones in the manifest, and delete the others."""
        names = [int(file.stem) for file in (self.folder / _FOLDER).glob("*.index")]
        local = entries.kinds >= KIND_LOCAL
        made = IndexFile(max(names, default=0) + 1, first, last, len(entries), int(local.sum()))
        Segment.build(entries.where(~local)).save(self._path(made.name))
        if made.local:
            Segment.build(entries.where(local)).save(self._path(made.name, local=True))
        parts = [*kept, made]
        manifest = {
            "format": _FORMAT,
            "catalogue": catalogue,
            "parts": [asdict(each) for each in parts],
        }
        part = self._manifest.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(manifest, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._manifest)
        sync_folder(self.folder)
        listed = {self._path(each.name) for each in parts}
        listed |= {self._path(each.name, local=True) for each in parts}
        for path in (self.folder / _FOLDER).iterdir():
            # Merged into the new file, or left by a killed writer.
            if path not in listed:
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete the manifest, so that everything is rebuilt."""
        self._manifest.unlink(missing_ok=True)
        self._opened = {}

    def _path(self, name: int, *, local: bool = False) -> Path:
        return self.folder / _FOLDER / f"{name:08d}.{'local' if local else 'index'}"
