"""The contract of the streams on files of JSON lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from quorum.pipeline.record import Feed, FileFeed
from tests.pipeline.streams.contract import StreamContract, Transport

_names = itertools.count()


class FileTransport(Transport):
    """Files of a folder."""

    acknowledges = False
    has_attributes = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stream(self, name: str) -> tuple[str, str]:
        path = str(self.folder / f"{next(_names)}-{name}.jsonl")
        return path, path

    def feed(self, address: str) -> Feed:
        return FileFeed(Path(address))

    def crash(self, feed: Feed) -> None:
        feed.close()

    def away(self, address: str) -> AbstractContextManager[None]:
        return self._away(Path(address))

    @contextmanager
    def _away(self, path: Path) -> Iterator[None]:
        """A folder in the file's place."""
        kept = path.with_suffix(".kept")
        path.rename(kept)
        path.mkdir()
        yield
        path.rmdir()
        kept.rename(path)


class TestOnFiles(StreamContract):
    """On a folder."""

    @pytest.fixture
    def transport(self, tmp_path: Path) -> Transport:
        return FileTransport(tmp_path)
