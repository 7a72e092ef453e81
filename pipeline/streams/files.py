"""Streams as files of JSON lines: a source and a sink that need no broker."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam import coders

from quorum.core.errors import ConfigurationError
from quorum.core.messages.carriage import GZIP
from quorum.core.messages.lines import encoding_of
from quorum.core.tracing import now_ns
from quorum.pipeline.streams.base import Outgoing, Received, Sink, Source
from quorum.pipeline.streams.publishing import published

__all__ = ["FileSink", "FileSource"]


def _received(line: bytes, stream: str) -> Iterator[Received]:
    if line.strip():
        yield Received(data=line.rstrip(b"\r"), stream=stream)


class FileSource(Source):
    """Reads each line that is not blank as a message, until the end of the file.

    Args:
        path: A path or pattern of Beam's file systems (``gs://`` with the extra ``dataflow``).
        stream: The stream of the messages.

    Raises:
        ConfigurationError: If no local file has this path or matches this pattern, or one is in
            UTF-16, or in gzip without a name that says so.
    """

    bounded = True
    has_attributes = False

    def __init__(self, path: str, stream: str) -> None:
        self.path = path
        self.stream = stream
        if "://" in path:
            return
        # The name of a file may look like a pattern.
        found = [path] if Path(path).is_file() else glob.glob(path)  # noqa: PTH207
        files = [Path(one) for one in found if Path(one).is_file()]
        if not files:
            msg = f"there is no file {path!r} to read {stream} from"
            raise ConfigurationError(msg)
        if files == [Path(path)]:
            self.path = glob.escape(path)
        for file in files:
            _check_form(file)

    def transform(self) -> beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]:
        """See Source."""
        return _ReadLines(self.path, self.stream)


def _check_form(file: Path) -> None:
    """Refuse a file whose lines Beam would not find; one named ``*.gz`` is decompressed."""
    with file.open("rb") as opened:
        head = opened.read(8)
    if head.startswith(GZIP):
        if file.suffix != ".gz":
            msg = f"{file} is gzip: name it {file.name}.gz, or decompress it"
            raise ConfigurationError(msg)
    elif (encoding := encoding_of(head)) != "utf-8":
        name = encoding.upper()[:6]
        msg = f"{file} is {name}: convert it to UTF-8, such as with iconv -f {name} -t UTF-8"
        raise ConfigurationError(msg)


class _ReadLines(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Received]]):
    def __init__(self, path: str, stream: str) -> None:
        super().__init__()
        self.path = path
        self.stream = stream

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Received]:
        received: beam.PCollection[Received] = (
            begin
            | "Lines" >> beam.io.ReadFromText(self.path, coder=coders.BytesCoder())
            | "Receive" >> beam.FlatMap(_received, self.stream).with_output_types(Received)
        )
        return received


class FileSink(Sink):
    """Appends each message as a line, and syncs the file before it acks source messages.

    Args:
        path: A local file; it and its folder are created if they are absent.

    Raises:
        ConfigurationError: If the file cannot be written to.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        file = Path(path)
        there = next(each for each in (file, *file.absolute().parents) if each.exists())
        if file.is_dir() or (there != file and not there.is_dir()) or not os.access(there, os.W_OK):
            msg = f"cannot write to {path!r}: permission denied, or not a regular file in a folder"
            raise ConfigurationError(msg)

    def transform(self) -> beam.PTransform[beam.PCollection[Outgoing], Any]:
        """See Sink."""
        return beam.ParDo(_Append(self.path))


class _Append(beam.DoFn):
    def __init__(self, path: str) -> None:
        self.path = path

    def setup(self) -> None:
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)

    def start_bundle(self) -> None:
        self._lines: list[bytes] = []
        self._ack_ids: list[str] = []
        self._traced: list[Outgoing] = []
        self._begin = now_ns()

    def process(self, element: Outgoing) -> None:
        self._lines += [message.to_bytes() + b"\n" for message in element.messages]
        self._ack_ids += element.ack_ids
        if element.trace and element.messages:
            self._traced.append(element)

    def finish_bundle(self) -> None:
        if self._lines:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                data = memoryview(_break_after_torn(file) + b"".join(self._lines))
                while data:
                    data = data[os.write(file, data) :]
                os.fsync(file)
            finally:
                os.close(file)
        for one in self._traced:
            published(one.messages[0].kind, len(one.messages), one.trace, self._begin)
        if self._ack_ids:
            from quorum.pipeline.streams.acks import acknowledge

            acknowledge(self._ack_ids)


def _break_after_torn(file: int) -> bytes:
    """A line feed if the last line has none: a process was killed while writing it."""
    size = os.fstat(file).st_size
    return b"" if size == 0 or os.pread(file, 1, size - 1) == b"\n" else b"\n"
