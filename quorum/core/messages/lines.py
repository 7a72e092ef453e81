"""The lines of a file of messages, whether it is compressed or in another encoding."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Final, Protocol, cast

from quorum.core.errors import InputError
from quorum.core.messages.carriage import GZIP

__all__ = ["Readable", "encoding_of", "json_lines", "marked_encoding", "text_lines"]

#: Bytes that are read at once.
_CHUNK: Final = 1 << 20


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; none at the end."""


def encoding_of(head: bytes) -> str:
    """The encoding of a file of JSON objects, as Python names it, by its first 8 bytes."""
    found = json.detect_encoding(head[:8])
    # Bytes that only look like a mark begin no object: then each line is judged by itself.
    begins = head[:8].decode(found, "ignore").removeprefix("\ufeff")[:1] in tuple("{[ \t\r\n")
    return found if begins and found != "utf-8-sig" else "utf-8"


def json_lines(file: Readable, name: str) -> Iterator[bytes]:
    """Iterate over the lines of a file, in UTF-8, without their line feeds.

    Args:
        file: JSON lines; in gzip, in UTF-8 with or without a byte-order mark, UTF-16 or UTF-32.
        name: The file's name, for errors.

    Raises:
        InputError: If it is in gzip and damaged, or in UTF-16 or UTF-32 and damaged.
    """
    yield from text_lines(file, name, encoding_of)


def marked_encoding(head: bytes) -> str:
    """The encoding of a file of any text, as Python names it, by the mark that it begins with."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8"


def text_lines(file: Readable, name: str, encoding: Callable[[bytes], str]) -> Iterator[bytes]:
    """Iterate over the lines of a file, in UTF-8, without their line feeds.

    Args:
        file: Text, in gzip or not.
        name: The file's name, for errors.
        encoding: Tells the encoding by the first 8 bytes.

    Raises:
        InputError: See ``json_lines``.
    """
    head = _head(file)
    opened: Readable = _Again(head, file)
    if head.startswith(GZIP):
        opened = gzip.GzipFile(fileobj=cast("IO[bytes]", opened))
        head = b""
    try:
        if not head:
            head = _head(opened)
            opened = _Again(head, opened)
        yield from _lines(_in_utf8(opened, encoding(head)))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        msg = f"{name} is gzip that is damaged or ends too early: compress it anew"
        raise InputError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{name} is {encoding(head).upper()[:6]} that is damaged: {error.reason}"
        raise InputError(msg) from None


def _in_utf8(file: Readable, encoding: str) -> Iterator[bytes]:
    """The chunks of a file, in UTF-8."""
    decoder = None
    if encoding != "utf-8":
        # Half a surrogate pair is mended where the message is read.
        decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    while chunk := _some(file):
        yield chunk if decoder is None else _encoded(decoder.decode(chunk))
    if decoder is not None:
        yield _encoded(decoder.decode(b"", final=True))


def _some(file: Readable) -> bytes:
    """What is there already, where the file can tell: a pipe may stay open."""
    made: bytes = getattr(file, "read1", file.read)(_CHUNK)
    return made


def _head(file: Readable) -> bytes:
    """The first bytes, enough to tell compression and encoding."""
    head = b""
    while len(head) < 8 and (more := _some(file)):
        head += more
    return head


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


class _Again(io.RawIOBase):
    """A file of which the head was read already."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if not self._head:
            return self._rest.read(size)
        taken = self._head if size < 0 else self._head[:size]
        self._head = self._head[len(taken) :]
        return taken if size >= 0 else taken + self._rest.read()

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(size) if self._head else _some(self._rest)
