from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from quorum.core.errors import ConfigurationError
from quorum.pipeline.batch.sources import FileBatch, LedgerBatch, Range, RefusedRow, TableBatch
from quorum.pipeline.batch.sources.columns import Values
from quorum.pipeline.batch.sources.sqlite import SqliteColumns
from quorum.store.ledger import Ledger, LedgerUnavailable, TimeRange
from tests.pipeline.batch.runs import BEGIN, actions, run, upload
from tests.store.ledger.postgres_server import running


def site(path: Path, rows: list[tuple[Any, ...]]) -> str:
    with sqlite3.connect(path) as made:
        made.execute(
            "CREATE TABLE videos (video_id, channel, title, keywords, created TIMESTAMP, x BLOB)"
        )
        made.executemany("INSERT INTO videos VALUES (?,?,?,?,?,NULL)", rows)
    made.close()
    return f"sqlite:///{path}"


def fields(row: bytes | RefusedRow) -> bytes:
    return row.data if isinstance(row, RefusedRow) else row


def ids(row: bytes | RefusedRow) -> str:
    found: str = json.loads(fields(row))["id"]
    return found


COLUMNS = (
    *("--column", "id=video_id", "--column", "uploader=channel"),
    *("--column", "published_at=created", "--column", "tags=keywords"),
)


def test_a_table_of_the_platforms_own(ledger: Ledger, tmp_path: Path) -> None:
    rows: list[tuple[Any, ...]] = [
        (1, "c1", "bad", '["a", "b"]', "2026-01-31T12:00:00Z"),
        ("two", "c1", "fine", "a, b", "2026-01-31 14:00:00+02:00"),
        ("naive", "c1", "fine", None, "2026-01-31 12:00:00"),
        (None, "c1", "no id", None, "2026-01-31T12:00:00Z"),
        ("untimed", "c1", "x", None, None),
        ("nobody", None, "x", None, "2026-01-31T12:00:00Z"),
        ("two", "c1", "again", None, "2026-01-31 14:00:00+02:00"),
        (
            "sql'; DROP TABLE videos; --",
            "c'1",
            "'; DROP TABLE uploads",
            None,
            "2026-01-31T12:00:00Z",
        ),
    ]
    url = site(tmp_path / "site.db", rows)
    told = run("--database", url, "--table", "videos", *COLUMNS)
    assert "8 read" in told
    assert "4 dead letters" in told
    assert actions(ledger) == {
        "1": "remove",
        "two": "allow",
        "sql'; DROP TABLE videos; --": "allow",
    }
    case = ledger.get_case("two")
    assert case is not None and case.upload is not None
    # Two rows of one id and one time: the content that comes last holds.
    assert (case.upload.title, case.upload.tags) == ("again", ())
    assert case.upload.published_at == BEGIN
    letters = list(ledger.dead_letters())
    assert any("published_at" in letter.error for letter in letters)
    assert b"no id" in b"".join(letter.data for letter in letters)
    told = run("--database", url, "--table", "videos", *COLUMNS, "--timezone", "Europe/Berlin")
    assert "1 decided" in told
    berlin = ledger.get_case("naive")
    assert berlin is not None and berlin.upload is not None
    assert berlin.upload.published_at == BEGIN - timedelta(hours=1)


def test_a_table_that_lacks_columns_is_told_before_it_begins(
    ledger: Ledger, tmp_path: Path
) -> None:
    url = site(tmp_path / "site.db", [])
    with pytest.raises(ConfigurationError, match=r"no column id .*--column id=COLUMN"):
        run("--database", url, "--table", "videos")
    with pytest.raises(ConfigurationError, match="no field colour"):
        run("--database", url, "--table", "videos", "--column", "colour=title")
    with pytest.raises(ConfigurationError, match="no column words"):
        run("--database", url, "--table", "videos", *COLUMNS, "--column", "title=words")


def test_times_without_a_zone_are_told_before_anything_is_written(
    ledger: Ledger, tmp_path: Path
) -> None:
    rows = [(f"v{n}", "c", "x", None, f"2026-01-31 12:00:{n:02}") for n in range(9)]
    url = site(tmp_path / "site.db", rows)
    before = ledger.stats()
    with pytest.raises(ConfigurationError, match=r"have no zone; .*--timezone UTC"):
        run("--database", url, "--table", "videos", *COLUMNS)
    assert ledger.stats() == before
    told = run("--database", url, "--table", "videos", *COLUMNS, "--timezone", "UTC")
    assert "9 decided" in told


def test_files_with_bad_lines(ledger: Ledger, tmp_path: Path) -> None:
    lines = [upload(n, "bad").to_bytes() for n in range(30)]
    lines.insert(3, b"not json")
    lines.insert(9, b"\xff\xfe")
    lines.insert(12, b"")
    to_come = upload(99, published_at=datetime(2099, 1, 1, tzinfo=UTC)).to_bytes()
    lines.append(to_come)
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines[:20]) + b"\n")
    (tmp_path / "b.jsonl").write_bytes(b"\n".join(lines[20:]))
    report = tmp_path / "report.html"
    told = run("--input", f"{tmp_path}/*.jsonl", "--report", str(report))
    assert "30 decided (30 remove), 0 known, 0 unchanged, 3 dead letters" in told
    assert {one.data for one in ledger.dead_letters()} == {b"not json", b"\xff\xfe", to_come}
    assert "30" in report.read_text()


def test_gs_files_are_opened_through_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Match:
        metadata_list: list[Any] = []

    def match(patterns: list[str]) -> list[Match]:
        seen.extend(patterns)
        return [Match()]

    monkeypatch.setattr("quorum.pipeline.batch.sources.files.FileSystems.match", match)
    with pytest.raises(ConfigurationError, match="no file gs://bucket/x"):
        FileBatch("gs://bucket/x-*.jsonl").ranges(TimeRange(), 1)
    assert seen == ["gs://bucket/x-*.jsonl"]


@pytest.mark.postgres
def test_postgresql_in_ranges_with_and_without_zones(tmp_path: Path) -> None:
    with running() as server:
        url = server.url()
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE TABLE videos AS SELECT 'v' || n AS id, 'c' || n % 7 AS uploader, "
                    "CASE WHEN n % 3 = 0 THEN 'bad' ELSE 'fine' END AS title, "
                    "ARRAY['a','b'] AS tags, timestamptz '2026-01-31 12:00Z' + n % 50 * "
                    "interval '1 minute' AS published_at, timestamp '2026-01-31 12:00' + n * "
                    "interval '1 second' AS plain FROM generate_series(1, 2500) n"
                )
            )
            connection.execute(text("INSERT INTO videos (id, uploader) VALUES ('w', 'c')"))
            connection.execute(
                text(
                    "CREATE TABLE loose AS SELECT CASE WHEN n % 2 = 0 THEN 'v' || n END AS id, "
                    "'c' AS uploader, timestamptz '2026-01-31 12:00Z' AS published_at "
                    "FROM generate_series(1, 5000) n"
                )
            )
        engine.dispose()
        table = TableBatch(url, "videos")
        ranges = table.ranges(TimeRange(), 4)
        assert len(ranges) == 5
        parts = [[ids(row) for row in table.read(part)] for part in ranges]
        assert all(parts)
        found = [one for part in parts for one in part]
        assert len(found) == len(set(found)) == 2501
        assert table.size(TimeRange(BEGIN, BEGIN + timedelta(minutes=10))) == 500
        loose = TableBatch(url, "loose")
        assert sum(1 for part in loose.ranges(TimeRange(), 2) for _ in loose.read(part)) == 5000
        plain = TableBatch(url, "videos", {"published_at": "plain"})
        with pytest.raises(ConfigurationError, match="--timezone"):
            plain.ranges(TimeRange(), 2)
        zoned = TableBatch(url, "videos", {"published_at": "plain"}, "Europe/Berlin")
        assert zoned.size(TimeRange(BEGIN - timedelta(hours=1), BEGIN)) == 2500
        with Ledger(url, create=True) as ledger:
            told = run("--database", url, "--ledger", url, "--table", "videos")
            assert "2,500 decided" in told
            assert "1 dead letters" in told
            assert ledger.count() == {"remove": 833, "allow": 1667}
            server.stop()
            with pytest.raises(LedgerUnavailable, match="could not be used"):
                run("--database", url, "--ledger", url, "--table", "videos")


@pytest.mark.long
def test_memory_does_not_grow_with_rows(ledger: Ledger) -> None:
    """Reading goes on only as fast as deciding: no stage holds the whole source."""
    seen: list[int] = []
    source = LedgerBatch(None)
    ledger.record([upload(n) for n in range(3000)])
    real = LedgerBatch.read

    def read(self: LedgerBatch, part: Any) -> Iterator[bytes]:
        for index, row in enumerate(real(self, part), 1):
            if index % 500 == 0:
                seen.append(ledger.stats()["verdicts"])
            yield row

    LedgerBatch.read = read  # type: ignore[method-assign]
    try:
        run("--parts", "1")
    finally:
        LedgerBatch.read = real  # type: ignore[method-assign]
    assert source.size(TimeRange()) == 3000
    assert seen == sorted(seen)
    assert seen[-1] > 2000


def test_a_window_of_a_sqlite_table_reads_little_more_than_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times in many forms: each row is in the right window, and few others reach Python."""
    other = timezone(timedelta(hours=-11))
    at = [BEGIN + timedelta(hours=n) for n in range(3000)]
    forms = (
        lambda t: t.isoformat(),
        lambda t: t.strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda t: t.astimezone(other).isoformat(sep=" "),
        lambda t: t.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds"),
        lambda t: t.strftime("%Y%m%dT%H%M%SZ"),
    )
    rows = [
        (f"v{n}", "c", "x", None, forms[n % 5 if n < 100 else n % 4](t)) for n, t in enumerate(at)
    ]
    rows += [("odd", "c", "x", None, "soon"), ("epoch", "c", "x", None, 1769860800)]
    names = {"id": "video_id", "uploader": "channel", "published_at": "created"}
    table = TableBatch(site(tmp_path / "site.db", rows), "videos", names, "UTC")
    looked_at: list[Any] = []
    real = SqliteColumns.values

    def values(self: SqliteColumns, names: Sequence[str], row: Sequence[Any]) -> Values:
        looked_at.append(row)
        return real(self, names, row)

    monkeypatch.setattr(SqliteColumns, "values", values)
    span = TimeRange(BEGIN + timedelta(days=5), BEGIN + timedelta(days=6))
    (part,) = table.ranges(span, 4)
    read = [ids(row) for row in table.read(part)]
    # What is no time is in every window: it ends as a dead letter in the first.
    assert sorted(read) == sorted([*(f"v{n}" for n in range(120, 144)), "odd"])
    assert len(looked_at) < 24 * 3 + 30
    assert table.size(span) == 25
    (part,) = table.ranges(TimeRange(BEGIN, BEGIN + timedelta(hours=1)), 4)
    assert sorted(ids(row) for row in table.read(part)) == ["epoch", "odd", "v0"]
    assert len(list(table.read(table.ranges(TimeRange(), 1)[0]))) == 3002


def test_rows_without_an_id_hide_no_others(tmp_path: Path) -> None:
    time = "2026-01-31T12:00:00Z"
    rows: list[tuple[Any, ...]] = [(None, "c", f"t{n}", None, time) for n in range(2500)]
    rows += [(f"v{n}", "c", "fine", None, time) for n in range(1500)]
    names = {"id": "video_id", "uploader": "channel", "published_at": "created"}
    table = TableBatch(site(tmp_path / "site.db", rows), "videos", names)
    read = [json.loads(fields(row)) for row in table.read(Range(TimeRange()))]
    assert len(read) == 4000
    assert len({row["title"] for row in read if "id" not in row}) == 2500
    assert len({row["id"] for row in read if "id" in row}) == 1500
