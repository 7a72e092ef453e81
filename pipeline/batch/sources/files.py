"""Files of JSON lines as a source of a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from apache_beam.io.filesystems import FileSystems

from quorum.core.errors import ConfigurationError, MalformedMessage
from quorum.core.messages import MAX_MESSAGE_BYTES, Upload
from quorum.core.messages.carriage import plain_json
from quorum.core.messages.lines import json_lines
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
        with FileSystems.open(part.path) as file:
            for line in json_lines(file, part.path):
                if line.strip() and not (bounded and _outside(line, part.span)):
                    yield line


def _outside(line: bytes, span: TimeRange) -> bool:
    """Whether a line has a time outside the range; one without a time is read and refused later."""
    try:
        plain, _ = plain_json(line, Upload.kind, MAX_MESSAGE_BYTES)
        return is_outside(json.loads(plain)["published_at"], span)
    except (MalformedMessage, ValueError, KeyError, TypeError, RecursionError):
        return False
