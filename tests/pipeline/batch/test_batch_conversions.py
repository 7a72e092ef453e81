"""Every SQL type has one conversion, or its row is a dead letter: on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import DOUBLE, DOUBLE_PRECISION, FLOAT, REAL, Numeric, create_engine, text
from sqlalchemy.types import TypeEngine

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Upload
from quorum.pipeline.batch.sources import RefusedRow, TableBatch, mysql, postgresql
from quorum.pipeline.batch.sources.conversions import (
    CONVERSIONS,
    FIELDS,
    Sql,
    Unconvertible,
    convert,
    epoch,
)
from quorum.store.ledger import Ledger, TimeRange
from tests.pipeline.batch.runs import actions, run
from tests.store.ledger.postgres_server import running

BERLIN = "Europe/Berlin"
NOON = "2026-01-31T11:00:00+00:00"  # noon of Berlin
#: Values of each kind, odd ones among them.
VALUES: dict[Sql, st.SearchStrategy[Any]] = {
    Sql.TEXT: st.text(),
    Sql.WHOLE: st.integers(),
    Sql.FRACTION: st.floats() | st.decimals(),
    Sql.BOOLEAN: st.booleans(),
    Sql.BYTES: st.binary(),
    Sql.INSTANT: st.datetimes(timezones=st.just(UTC)).map(str) | st.just("infinity"),
    Sql.STAMP: st.datetimes().map(str) | st.just("-infinity"),
    Sql.DATE: st.dates().map(str) | st.just("0044-03-15 BC"),
    Sql.SPAN: st.decimals(),
    Sql.ARRAY: st.lists(st.none() | st.text() | st.integers() | st.lists(st.text())),
    Sql.JSON: st.booleans() | st.text() | st.floats() | st.lists(st.none() | st.text()),
    Sql.OTHER: st.text(),
}


TYPED = st.sampled_from(list(Sql)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind]))


@settings(max_examples=300)
@given(st.sampled_from(list(FIELDS)), TYPED, st.sampled_from([None, ZoneInfo(BERLIN)]))
def test_every_type_of_every_field_is_converted_or_refused(
    name: str, typed: tuple[Sql, Any], zone: ZoneInfo | None
) -> None:
    kind, value = typed
    try:
        made = convert(name, kind, value, zone)
    except Unconvertible as error:
        assert str(error).startswith(f"{name}: ")
        return
    json.dumps(made, allow_nan=False).encode()
    assert kind in CONVERSIONS[FIELDS[name]]


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
@settings(max_examples=20)
@given(at=st.integers(946_684_800, 4_102_444_799))
def test_the_unit_of_an_epoch_is_told_by_its_size(unit: int, at: int) -> None:
    assert epoch(at * unit) == datetime.fromtimestamp(at, UTC)


@pytest.mark.parametrize(
    ("name", "kind", "value", "made"),
    [
        ("duration", Sql.TEXT, "PT1H2M3.5S", 3723.5),
        ("duration", Sql.TEXT, "1:02:03", 3723.0),
        ("duration", Sql.TEXT, "02:03", 123.0),
        ("duration", Sql.TEXT, " 12.5 ", 12.5),
        ("duration", Sql.SPAN, Decimal("90.5"), 90.5),
        ("id", Sql.FRACTION, Decimal("12345678901234567890"), "12345678901234567890"),
        ("id", Sql.FRACTION, 7.0, "7"),
        ("id", Sql.BYTES, b"\x00\xff", "00ff"),
        ("id", Sql.TEXT, "\ufeffu1", "u1"),
        ("tags", Sql.ARRAY, ["a", None, 5], ["a", "5"]),
        ("tags", Sql.TEXT, "a, ,b", ["a", "b"]),
        ("tags", Sql.JSON, ["a", None], ["a"]),
        ("title", Sql.BYTES, "win 😀".encode()[:-1], "win \ufffd"),
        ("published_at", Sql.TEXT, "1769857200000", NOON),
        ("published_at", Sql.FRACTION, 1769857200.0, NOON),
        ("published_at", Sql.DATE, "2026-01-31", "2026-01-30T23:00:00+00:00"),
    ],
)
def test_conversions(name: str, kind: Sql, value: Any, made: Any) -> None:
    assert convert(name, kind, value, ZoneInfo(BERLIN)) == made


@pytest.mark.parametrize(
    ("name", "kind", "value", "told"),
    [
        ("published_at", Sql.INSTANT, "infinity", "infinity"),
        ("published_at", Sql.WHOLE, 5, "no Unix time"),
        ("published_at", Sql.SPAN, 5, "not taken"),
        ("published_at", Sql.DATE, "2026-01-31", "--timezone"),
        ("duration", Sql.FRACTION, float("nan"), "not finite"),
        ("duration", Sql.WHOLE, -1, "less than 0"),
        ("duration", Sql.TEXT, "long", "PT1H2M3S"),
        ("id", Sql.FRACTION, 0.5, "whole"),
        ("id", Sql.TEXT, "u\ufffd", "half a character"),
        ("id", Sql.BOOLEAN, True, "not taken"),
        ("title", Sql.BYTES, b"caf\xe9", "UTF-8"),
        ("title", Sql.JSON, {"en": "x"}, "neither text"),
        ("tags", Sql.ARRAY, [["a"], ["b"]], "neither text"),
    ],
)
def test_what_has_no_conversion_says_why(name: str, kind: Sql, value: Any, told: str) -> None:
    with pytest.raises(Unconvertible, match=told):
        convert(name, kind, value)


def _split(rows: Iterator[bytes | RefusedRow]) -> tuple[dict[str, Any], dict[str, str]]:
    """Uploads by id, and why each other row is none, by its note."""
    made, refused = {}, {}
    for row in rows:
        if isinstance(row, RefusedRow):
            found = json.loads(row.data)
            refused[str(found.get("title") or found["id"])] = row.error
        else:
            upload = Upload.accept(row)
            made[upload.id] = upload
    return made, refused


#: Of each row: its id, and the SQL of its published_at, duration and tags.
ROWS = (
    ("'plain'", "timestamptz '2026-01-31 11:00Z'", "interval '1 min 2.5 s'", "ARRAY['a',NULL,'b']"),
    ("'infinite'", "'infinity'", "NULL", "NULL"),
    ("'past'", "'-infinity'", "NULL", "NULL"),
    ("'caesar'", "'0044-03-15 BC'", "NULL", "NULL"),
    ("'future'", "'294276-12-31 23:59:59Z'", "NULL", "NULL"),
    ("'nested'", "'2026-01-31 11:00Z'", "NULL", "ARRAY[ARRAY['a'],ARRAY['b']]"),
    ("'long'", "'2026-01-31 11:00Z'", "interval '-5 s'", "'{}'"),
    ("NULL", "NULL", "NULL", "NULL"),
)


@pytest.mark.parametrize("type_", [FLOAT(), REAL(), DOUBLE(), DOUBLE_PRECISION(), Numeric(9)])
@pytest.mark.parametrize("kind_of", [postgresql.kind_of, mysql.kind_of])
def test_numbers_with_fractions_are_of_one_kind(
    kind_of: Callable[[Any], Sql], type_: TypeEngine[Any]
) -> None:
    assert kind_of(type_) is Sql.FRACTION


@pytest.mark.postgres
def test_postgresql_types(tmp_path: Path) -> None:
    """One value that a driver refuses costs its own row alone."""
    with running() as server:
        url = server.url()
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            for statement in _statements():
                connection.execute(text(statement))
        engine.dispose()

        table = TableBatch(url, "odd", {"title": "id"})
        for span in (TimeRange(), TimeRange(datetime(2026, 1, 1, tzinfo=UTC))):
            rows = [row for part in table.ranges(span, 3) for row in table.read(part)]
            made, refused = _split(iter([r for r in rows if b'"id"' in _data(r)]))
            assert sorted(made) == ["plain"]
            assert made["plain"].duration == 62.5
            assert made["plain"].tags == ("a", "b")
            assert set(refused) == {"infinite", "past", "caesar", "future", "nested", "long"}
            assert "infinity" in refused["infinite"]
            assert len(rows) == 8

        mapped = {"id": "c", "uploader": "n", "title": "b", "description": "j", "media": "u"}
        for column in (
            "at_s",
            "at_int",
            "at_ms",
            "at_text",
            "at_tz",
            "at_date",
            "at_naive",
            "at_json",
        ):
            table = TableBatch(url, "kinds", {**mapped, "published_at": column}, BERLIN)
            span = TimeRange(
                datetime(2026, 1, 30, 20, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
            )
            made, refused = _split(
                row for part in table.ranges(span, 2) for row in table.read(part)
            )
            assert sorted(made) == ["k1", "k2"], column
            one = made["k1"]
            assert one.uploader == "12345678901234567890", column
            assert (one.title, one.description) == ("win \ufffd", "\ufffd half"), column
            assert one.media == "3f333df6-90a4-4fda-8dd3-9485d27cee36"
            at = "2026-01-30T23:00:00+00:00" if column == "at_date" else NOON
            assert one.published_at.isoformat() == at, column
            later = TimeRange(datetime(2026, 3, 1, tzinfo=UTC))
            found, refused = _split(row for p in table.ranges(later, 2) for row in table.read(p))
            assert not found and not refused, column

        # 300 rows of which the texts of two are no times: the run ends, with two dead letters.
        with Ledger(url, create=True) as ledger:
            told = run("--database", url, "--ledger", url, "--table", "many")
            assert "298 decided" in told
            assert "2 dead letters" in told
            letters = [letter.error for letter in ledger.dead_letters()]
            assert len(letters) == 2 and all("published_at: is no time" in one for one in letters)
        with pytest.raises(ConfigurationError, match="--timezone"):
            TableBatch(url, "kinds", {**mapped, "published_at": "at_date"}).ranges(TimeRange(), 1)


def _data(row: bytes | RefusedRow) -> bytes:
    return row.data if isinstance(row, RefusedRow) else row


def _statements() -> Iterator[str]:
    yield "CREATE TABLE odd (id text, published_at timestamptz, duration interval, tags text[])"
    yield "ALTER TABLE odd ADD uploader int DEFAULT 7"
    for row in ROWS:
        yield f"INSERT INTO odd VALUES ({', '.join(row)})"
    yield "CREATE DOMAIN title_bytes AS bytea"
    yield (
        "CREATE TABLE kinds (c char(8), n numeric(30,0), b title_bytes, j json, u uuid, "
        "at_s bigint, at_int int, at_ms double precision, at_text text, at_tz timestamptz, "
        "at_date date, at_naive timestamp, at_json jsonb)"
    )
    for name in ("k1", "k2"):
        yield (
            f"INSERT INTO kinds VALUES ('{name}', 12345678901234567890, '\\x77696e20f09f98', "
            "'\"\\ud83d half\"', '3f333df6-90a4-4fda-8dd3-9485d27cee36', 1769857200, 1769857200, "
            "1769857200000, '2026-01-31 12:00:00', '2026-01-31 11:00Z', '2026-01-31', "
            "'2026-01-31 12:00', '1769857200')"
        )
    yield (
        "CREATE TABLE many AS SELECT n AS id, 'c' AS uploader, 'fine' AS title, "
        "CASE n WHEN 7 THEN 'soon' WHEN 8 THEN '2026-02-30T12:00:00Z' "
        "ELSE '2026-01-31T12:00:00+01:00' END AS published_at FROM generate_series(1, 300) n"
    )


def test_sqlite_types(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    rows: list[tuple[Any, ...]] = [
        (1, "cut", "CAST(X'77696e20f09f98' AS TEXT)", 1769857200, "12"),
        (2, "latin", "CAST(X'636166e9' AS TEXT)", 1769857200.0, "12"),
        (3, "infinite", "'fine'", 1769857200, 9e999),
        (4, "bytes", "CAST('bad' AS BLOB)", "1769857200123", "PT2M"),
        (5.0, "mark", "char(65279) || 'bad'", "2026-01-31T11:00:00Z", "2:05"),
        (6, "soon", "'fine'", "soon", None),
        (b"\x01\x02", "hex", "12.5", 1769857200, None),
    ]
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE videos (id, uploader, title, published_at TIMESTAMP, duration)")
        for id_, uploader, title, at, duration in rows:
            made.execute(
                f"INSERT INTO videos VALUES (?, ?, {title}, ?, ?)", (id_, uploader, at, duration)
            )
        # Pages go on after an id that is not UTF-8.
        made.executemany(
            "INSERT INTO videos VALUES (CAST(? AS TEXT), 'c', 'fine', '2026-01-31T11:00:00Z', 1)",
            [(b"caf\xe9 %04d" % n,) for n in range(1500)],
        )
    made.close()
    told = run("--database", f"sqlite:///{path}", "--table", "videos")
    assert "1,507 read" in told
    assert "1,503 dead letters" in told
    assert actions(ledger) == {"1": "allow", "4": "remove", "5": "remove", "0102": "allow"}
    case = ledger.get_case("1")
    assert case is not None and case.upload is not None
    assert case.upload.title == "win \ufffd"
    assert case.upload.published_at - datetime(2026, 1, 31, 11, tzinfo=UTC) == timedelta()
    errors = {one.error for one in ledger.dead_letters()}
    assert errors == {
        "title: its text is not UTF-8",
        "duration: its number is not finite",
        "published_at: is no time: write one with its zone, such as 2026-01-31T12:00:00Z",
        "id: its text is not UTF-8",
    }
