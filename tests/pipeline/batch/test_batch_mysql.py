"""Tables of MySQL, read from a real server."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from quorum.core.errors import ConfigurationError
from quorum.pipeline.batch.sources import RefusedRow, TableBatch
from quorum.store.ledger import Ledger, TimeRange, database_url
from tests.pipeline.batch.mysql_server import running
from tests.pipeline.batch.runs import BEGIN, actions, run

TABLES = """
CREATE TABLE videos (
  video_id BIGINT PRIMARY KEY, channel VARCHAR(40) CHARACTER SET latin1 NOT NULL,
  title TEXT, about MEDIUMBLOB, keywords SET('a', 'b'), areas JSON, seconds TIME(1),
  lang ENUM('de', 'en'), created TIMESTAMP NULL, plain DATETIME(3), day DATE, price DECIMAL(20, 3)
);
INSERT INTO videos VALUES
  (9007199254740993, 'käse', 'bad 🎬', 'fine', 'a,b', '["DE"]', '01:02:03.5', 'de',
   '2026-01-31 12:00:00', '2026-01-31 13:00:00.25', '2026-01-31', 1769860800),
  (2, 'c', 'fine', x'ff', '', NULL, '-00:00:01', 'en', '2026-01-31 12:10:00', NULL, NULL, NULL),
  (3, 'c', 'fine', NULL, NULL, '[1, null]', '838:59:59', NULL, '0000-00-00 00:00:00',
   '0000-00-00 00:00:00', '0000-00-00', 7);
CREATE TABLE loose (id VARCHAR(9), uploader INT, published_at TIMESTAMP);
INSERT INTO loose SELECT IF(MOD(seq, 2), 'a', 'A'), 7, '2026-01-31 12:00:00' FROM seq_1_to_2500;
"""
COLUMNS = {
    "id": "video_id",
    "uploader": "channel",
    "description": "about",
    "tags": "keywords",
    "territories": "areas",
    "duration": "seconds",
    "language": "lang",
}


def test_mysql(ledger: Ledger, tmp_path: Path) -> None:
    with running() as url:
        engine = create_engine(url.replace("mysql:", "mysql+pymysql:"))
        with engine.begin() as connection:
            connection.execute(text("SET time_zone = '+00:00', sql_mode = ''"))
            for statement in TABLES.split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement)
        engine.dispose()
        table = TableBatch(url, "videos", {**COLUMNS, "published_at": "created"})
        (part,) = table.ranges(TimeRange(), 4)
        second, third, first = table.read(part)
        assert isinstance(first, bytes)
        assert json.loads(first) == {
            "id": "9007199254740993",
            "uploader": "käse",
            "title": "bad 🎬",
            "description": "fine",
            "tags": ["a", "b"],
            "territories": ["DE"],
            "duration": 3723.5,
            "language": "de",
            "published_at": BEGIN.isoformat(),
        }
        assert isinstance(second, RefusedRow)
        assert second.error == ("description: its bytes are not UTF-8; duration: it is less than 0")
        assert json.loads(second.data)["description"] == "ff"
        assert isinstance(third, RefusedRow)
        assert "published_at: is no time" in third.error

        # A window has its rows, and those that have no time; so have times of the zone asked for.
        hour = TimeRange(BEGIN, BEGIN + timedelta(minutes=5))
        assert table.size(hour) == 2
        for column, zone in (("plain", "Europe/Berlin"), ("price", None), ("day", "UTC")):
            other = TableBatch(url, "videos", {**COLUMNS, "published_at": column}, zone)
            begin = BEGIN.replace(hour=0) if column == "day" else BEGIN
            found = [
                one
                for one in other.read(other.ranges(TimeRange(begin, begin + timedelta(1)), 1)[0])
                if isinstance(one, bytes)
            ]
            assert [json.loads(one)["id"] for one in found] == ["9007199254740993"], column
        with pytest.raises(ConfigurationError, match=r"have no zone; .*--timezone UTC"):
            TableBatch(url, "videos", {**COLUMNS, "published_at": "plain"}).ranges(TimeRange(), 1)

        # Ids that a collation holds for equal hide none of each other.
        loose = TableBatch(url, "loose")
        assert sum(1 for part in loose.ranges(TimeRange(), 2) for _ in loose.read(part)) == 2500

        told = run(
            *("--database", url, "--table", "videos", "--column", "published_at=created"),
            *(word for field, name in COLUMNS.items() for word in ("--column", f"{field}={name}")),
        )
        assert "s3cret-word" not in told
        assert "3 read" in told and "2 dead letters" in told
        assert actions(ledger) == {"9007199254740993": "remove"}
        with pytest.raises(ConfigurationError, match="no table nothing"):
            run("--database", url, "--table", "nothing")
        with pytest.raises(ConfigurationError, match="mysql is only read from"):
            database_url(url)
