"""Streams as files: what a line is, and what a killed writer leaves behind."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Review, now
from quorum.pipeline.streams.base import Outgoing
from quorum.pipeline.streams.files import FileSink, FileSource, _Append


def read(path: str) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        received = pipeline | FileSource(path, "uploads").transform()
        yield_data = received | beam.Map(lambda one: (one.data, one.stream, one.ack_id))
        assert_that(yield_data, equal_to(EXPECTED))


EXPECTED: list[tuple[bytes, str, str]] = []


def expect(*data: bytes) -> None:
    EXPECTED[:] = [(one, "uploads", "") for one in data]


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (b"", []),
        (b"\n \n\t\r\n", []),
        (b'{"a": 1}\n\n{"b": 2}\n', [b'{"a": 1}', b'{"b": 2}']),
        (b'{"a": 1}\r\n{"b": 2}\r\n', [b'{"a": 1}', b'{"b": 2}']),
        (b'{"a": 1}\n{"torn": ', [b'{"a": 1}', b'{"torn": ']),
        (b"\xff\xfe\x00\n", [b"\xff\xfe\x00"]),
        ('{"a": "ä\u2028\x0c\x85"}\n'.encode(), ['{"a": "ä\u2028\x0c\x85"}'.encode()]),
    ],
    ids=["empty", "blank", "blank between", "crlf", "torn", "not utf-8", "odd line ends"],
)
def test_each_line_that_is_not_blank_is_a_message(
    tmp_path: Path, content: bytes, messages: list[bytes]
) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    expect(*messages)
    read(str(tmp_path / "in.jsonl"))


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "day[1]*.jsonl").write_bytes(b"one\n")
    (tmp_path / "day1x.jsonl").write_bytes(b"other\n")
    expect(b"one")
    read(str(tmp_path / "day[1]*.jsonl"))


def test_a_pattern_reads_all_that_fit(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(f"{name}\n")
    expect(b"a", b"b")
    read(str(tmp_path / "*.jsonl"))


@pytest.mark.parametrize("name", ["absent.jsonl", "*.jsonl", "folder.jsonl"])
def test_what_is_no_file_is_refused_before_anything_starts(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    if name == "*.jsonl":
        (tmp_path / "folder.jsonl").rmdir()
    with pytest.raises(ConfigurationError, match="there is no file"):
        FileSource(str(tmp_path / name), "uploads")


def test_a_file_whose_lines_cannot_be_found_is_refused_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes('{"id": "u1"}\n'.encode("utf-16"))
    with pytest.raises(ConfigurationError, match="iconv -f UTF-16 -t UTF-8"):
        FileSource(str(path), "uploads")
    path.write_bytes(gzip.compress(b"one\n"))
    with pytest.raises(ConfigurationError, match=r"name it in\.jsonl\.gz"):
        FileSource(str(path), "uploads")
    path.rename(tmp_path / "in.jsonl.gz")
    expect(b"one")
    read(str(tmp_path / "in.jsonl.gz"))


def review(number: int) -> Review:
    return Review(upload_id=f"u{number}", verdict_id="v", action="allow", reviewer="a", at=now())


def append(path: Path, *elements: Outgoing) -> None:
    sink = _Append(str(path))
    sink.setup()
    sink.start_bundle()
    for element in elements:
        sink.process(element)
    sink.finish_bundle()


def test_messages_are_appended_as_lines_and_folders_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.jsonl"
    made = [review(n) for n in range(5)]
    append(path, Outgoing(tuple(made[:2])), Outgoing((), ()), Outgoing(tuple(made[2:3])))
    append(path, Outgoing(tuple(made[3:])))
    assert [Review.from_bytes(line) for line in path.read_bytes().splitlines()] == made


def test_a_line_that_a_killed_writer_tore_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"whole": 1}\n{"torn": ')
    append(path, Outgoing((review(1),)))
    append(path, Outgoing((review(2),)))
    lines = path.read_bytes().splitlines()
    assert lines[:2] == [b'{"whole": 1}', b'{"torn": ']
    assert [Review.from_bytes(line).upload_id for line in lines[2:]] == ["u1", "u2"]


def test_ack_ids_are_given_back_after_the_file_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quorum.pipeline.streams import acks

    order: list[str] = []
    synced = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced(file), order.append("sync"))[0])
    monkeypatch.setattr(acks, "acknowledge", order.extend)
    append(tmp_path / "out.jsonl", Outgoing((review(1),), ("r1",)), Outgoing((), ("r2",)))
    assert order == ["sync", "r1", "r2"]


def test_what_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for name in ("folder", "file/out.jsonl"):
        with pytest.raises(ConfigurationError, match="cannot write"):
            FileSink(str(tmp_path / name))
    FileSink(str(tmp_path / "new" / "newer" / "out.jsonl"))
    assert not (tmp_path / "new").exists()
