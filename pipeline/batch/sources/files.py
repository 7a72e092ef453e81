"""Files of JSON lines as a source of a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apache_beam.io.filesystems import FileSystems

from quorum.core.errors import ConfigurationError
from quorum.pipeline.batch.sources.base import BatchSource, Range, is_outside
from quorum.store.ledger import TimeRange

__all__ = ["FileBatch"]


@dataclass(frozen=True)
class FileBatch(BatchSource):
    """Files of JSON lines, here or where Beam's file systems reach (``gs://``).

    Attributes:
        pattern: A path; ``*`` stands for any part of a name.
    """

    pattern: str

    def ranges(self, span: TimeRange, count: int) -> list[Range]:
        """See BatchSource."""
        try:
            found = FileSystems.match([self.pattern])[0].metadata_list
        except Exception as error:
            msg = f"cannot look for {self.pattern}: {error}"
            raise ConfigurationError(msg) from None
        if not found:
            msg = f"there is no file {self.pattern}"
            raise ConfigurationError(msg)
        return [Range(span, item.path) for item in found]

    def read(self, part: Range) -> Iterator[bytes]:
        """See BatchSource."""
        bounded = part.span.since is not None or part.span.until is not None
        with FileSystems.open(part.path) as lines:
            for line in _lines(lines):
                if line.strip() and not (bounded and _outside(line, part.span)):
                    yield line


def _lines(file: Any) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(1 << 20):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _outside(line: bytes, span: TimeRange) -> bool:
    """Whether a line has a time outside the range; one without a time is read and refused later."""
    try:
        return is_outside(json.loads(line)["published_at"], span)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
