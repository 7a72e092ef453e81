"""Files of the platform's own as a source: CSV, Parquet and JSON lines with other names."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quorum.core.errors import ConfigurationError, InputError
from quorum.pipeline.batch.sources import FileBatch, RefusedRow
from quorum.store.ledger import Ledger, TimeRange
from tests.pipeline.batch.runs import BEGIN, actions, run

NAMES = {"id": "video_id", "uploader": "channel", "published_at": "created"}
OPTIONS = [word for field, name in NAMES.items() for word in ("--column", f"{field}={name}")]
HEADER = "video_id,channel,title,created,tags"
ROW = "1,c,fine,2026-01-31T12:00:00Z,"


def read(path: Path, span: TimeRange | None = None, zone: str | None = None) -> list[Any]:
    """The uploads of a file as dictionaries, and its refused rows."""
    source = FileBatch(str(path), NAMES, zone)
    parts = source.ranges(span or TimeRange(), 4)
    rows = [row for part in parts for row in source.read(part)]
    return [row if isinstance(row, RefusedRow) else json.loads(row) for row in rows]


def test_one_bad_row_of_a_csv_takes_no_other_with_it(ledger: Ledger, tmp_path: Path) -> None:
    rows = [
        HEADER,
        '1,c,"bad, ""really""",2026-01-31T12:00:00Z,"a, b"',
        '2,c,"two',
        'lines",2026-01-31 14:00:00+02:00,',
        "3,c,ragged",
        ",c,no id,2026-01-31T12:00:00Z,",
        "",
        "5,c,soon,soon,",
        f'6,c,"{"x" * 3_000_000}",2026-01-31T12:00:00Z,',
        "7,c,fine,1769860800,",
    ]
    file = tmp_path / "site.csv"
    file.write_bytes("\r\n".join(rows).encode() + b"\r\n8,c,\xff,2026-01-31T12:00:00Z,\r\n")
    told = run("--input", str(file), *OPTIONS)
    assert "8 read" in told and "3 decided" in told and "5 dead letters" in told
    assert actions(ledger) == {"1": "remove", "2": "allow", "7": "allow"}
    case = ledger.get_case("1")
    assert case is not None and case.upload is not None
    assert (case.upload.title, case.upload.tags) == ('bad, "really"', ("a", "b"))
    assert case.upload.published_at == BEGIN
    letters = {letter.error: letter.data for letter in ledger.dead_letters()}
    ragged = next(error for error in letters if error.startswith("the row has 3 cells"))
    assert letters[ragged] == b"3,c,ragged\r"
    assert any("title: its text is not UTF-8" in error for error in letters)
    assert "0 decided (none), 3 known" in run("--input", str(file), *OPTIONS)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("plain.csv", f"{HEADER}\n{ROW}".encode()),
        ("excel.csv", f"{HEADER}\n{ROW}\n".replace(",", ";").encode("utf-8-sig")),
        ("named.csv", f"sep=|\n{HEADER}\n{ROW}\n".replace(",", "|").encode()),
        ("tabs.tsv", f"{HEADER}\n{ROW}\n".replace(",", "\t").encode("utf-16")),
        ("wide.csv", f"{HEADER}\n{ROW}\n".encode("utf-32")),
        ("packed.csv.gz", gzip.compress(f"{HEADER}\n{ROW}\n".encode())),
        ("hidden.csv", gzip.compress(f"{HEADER}\n{ROW}\n".encode())),
        ("quoted.csv", f'"video_id", "channel" ,title,created,tags\n{ROW}\n'.encode()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_ways_that_csv_is_written(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    (made,) = read(tmp_path / name)
    assert made == {
        "id": "1", "uploader": "c", "title": "fine", "published_at": BEGIN.isoformat()
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", r"has no column video_id for id \(it has a, b\); .*--column id=COLUMN"),
        ("video_id,channel,created,created\n", "has two columns created"),
        (f"{HEADER}\n1,c,x,2026-01-31 12:00:00,\n", "have no zone; name it: --timezone UTC"),
    ],
    ids=["empty", "other columns", "a column twice", "no zone"],
)
def test_a_csv_that_cannot_be_used_is_told_before_it_begins(
    data: str, told: str, ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "site.csv").write_text(data)
    with pytest.raises(ConfigurationError, match=told):
        run("--input", str(tmp_path / "site.csv"), *OPTIONS)
    assert not list(ledger.dead_letters())


def test_the_types_of_parquet(tmp_path: Path) -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
    naive = at.replace(tzinfo=None)
    columns = {
        "video_id": pa.array([2**60, 2, None], pa.int64()),
        "channel": pa.array(["c", "d", "c"]).dictionary_encode(),
        "title": pa.array([b"fine", b"\xff", b"x"], pa.binary()),
        "tags": pa.array([["a", None], [], None], pa.list_(pa.string())),
        "duration": pa.array([Decimal("1.5"), Decimal(-1), None], pa.decimal128(9, 2)),
        "created": pa.array([at, at + timedelta(days=1), at], pa.timestamp("ns", "Asia/Tokyo")),
        "plain": pa.array([naive] * 3, pa.timestamp("ms")),
        "day": pa.array([date(2026, 1, 31)] * 3),
        "length": pa.array([time(1, 2, 3, 500_000)] * 3, pa.time64("us")),
        "far": pa.array([2**62] * 3, pa.timestamp("us", "UTC")),
    }
    file = tmp_path / "site.parquet"
    pq.write_table(pa.table(columns), file, row_group_size=2)
    assert len(FileBatch(str(file), NAMES).ranges(TimeRange(), 1)) == 2
    first, second, third = read(file)
    assert first == {
        "id": str(2**60),
        "uploader": "c",
        "title": "fine",
        "tags": ["a"],
        "duration": 1.5,
        "published_at": at.isoformat(),
    }
    assert second.error == "title: its bytes are not UTF-8; duration: it is less than 0"
    assert "id" not in third
    assert [row["id"] for row in read(file, TimeRange(BEGIN, BEGIN + timedelta(hours=1)))[:1]] == [
        str(2**60)
    ]

    def with_time(column: str, zone: str | None, **more: str) -> dict[str, Any]:
        source = FileBatch(str(file), {**NAMES, "published_at": column, **more}, zone)
        row = next(iter(source.read(source.ranges(TimeRange(), 1)[0])))
        return json.loads(row) if isinstance(row, bytes) else {"error": row.error}

    berlin = with_time("plain", "Europe/Berlin", duration="length")
    assert berlin["published_at"] == (at - timedelta(hours=1)).isoformat()
    assert berlin["duration"] == 3723.5
    assert with_time("day", "UTC")["published_at"] == "2026-01-31T00:00:00+00:00"
    assert "published_at: is no time" in with_time("far", None)["error"]
    with pytest.raises(ConfigurationError, match="have no zone"):
        with_time("plain", None)
    with pytest.raises(ConfigurationError, match="no column words for title"):
        with_time("created", None, title="words")
    (tmp_path / "torn.parquet").write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"torn\.parquet cannot be read as Parquet"):
        read(tmp_path / "torn.parquet")


def test_json_lines_with_names_of_the_platforms_own(tmp_path: Path) -> None:
    file = tmp_path / "site.jsonl"
    lines = [
        '{"video_id": 7, "channel": "c", "created": 1769860800000, "tags": ["a", 1], "x": {}}',
        '{"video_id": 8, "channel": {"name": "c"}, "created": "2026-01-31T12:00:00Z"}',
        "[1]",
        "{",
    ]
    file.write_text("\n".join(lines))
    first, second, third, fourth = read(file)
    assert first == {
        "id": "7", "uploader": "c", "published_at": BEGIN.isoformat(), "tags": ["a", "1"]
    }  # fmt: skip
    assert second.error == "uploader: its JSON is neither text nor a number"
    assert isinstance(third, RefusedRow) and isinstance(fourth, RefusedRow)
    assert fourth.data == b"{"
    with pytest.raises(ConfigurationError, match="no field colour"):
        FileBatch(str(file), {**NAMES, "colour": "x"}).ranges(TimeRange(), 1)
