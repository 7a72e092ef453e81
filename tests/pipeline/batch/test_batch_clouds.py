"""Files of S3, from a stand-in for its service on loopback, and tables of BigQuery."""

from __future__ import annotations

import csv
import io
import json
import logging
import sys
import types
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from quorum.core.errors import ConfigurationError
from quorum.pipeline.batch.sources import BigQueryBatch, RefusedRow
from quorum.store.ledger import Ledger, TimeRange
from tests.pipeline.batch.runs import BEGIN, actions, run, upload


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("boto3", reason="needs quorum-moderation[aws]")
    moto = pytest.importorskip("moto.server", reason="needs moto")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import boto3

    boto3.client("s3").create_bucket(Bucket="uploads")
    FileSystems.set_options(PipelineOptions([]))
    yield "s3://uploads"
    server.stop()


def test_s3(bucket: str, ledger: Ledger) -> None:
    for day in range(2):
        with FileSystems.create(f"{bucket}/in/day-{day}.jsonl") as file:
            file.write(upload(day, "bad" if day else "fine").to_bytes() + b"\n")
    told = run("--input", f"{bucket}/in/day-*.jsonl", "--verdicts", f"{bucket}/out/v.csv")
    assert "2 decided" in told
    assert actions(ledger) == {"u0000": "allow", "u0001": "remove"}
    with FileSystems.open(f"{bucket}/out/v.csv") as written:
        rows = list(csv.DictReader(io.StringIO(written.read().decode())))
    assert {row["upload_id"]: row["action"] for row in rows} == actions(ledger)
    with pytest.raises(ConfigurationError, match="there is no file s3://uploads/other"):
        run("--input", f"{bucket}/other-*.jsonl")


@pytest.mark.parametrize(("place", "extra"), [("gs://b/x.jsonl", "dataflow"), ("s3://b/x", "aws")])
def test_what_a_cloud_needs_is_told(
    place: str, extra: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(patterns: list[str]) -> None:
        msg = "Unable to get filesystem from specified path, please use the correct path"
        raise ValueError(msg)

    monkeypatch.setattr("quorum.pipeline.batch.sources.files.FileSystems.match", absent)
    with pytest.raises(ConfigurationError, match=rf"quorum-moderation\[{extra}\]"):
        run("--input", place)


SCHEMA = {
    "video_id": "INTEGER", "channel": "STRING", "title": "STRING", "created": "TIMESTAMP",
    "plain": "DATETIME", "day": "DATE", "tags": "STRING", "raw": "BYTES", "thing": "RECORD",
}  # fmt: skip


@pytest.fixture
def warehouse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for BigQuery's client, which knows one table."""

    class Client:
        def __init__(self, project: str) -> None:
            pass

        def get_table(self, name: str) -> Any:
            assert name == "project-1.site.videos"
            fields = [
                types.SimpleNamespace(
                    name=name, field_type=kind, mode="REPEATED" if name == "tags" else "NULLABLE"
                )
                for name, kind in SCHEMA.items()
            ]
            return types.SimpleNamespace(schema=fields)

    made = types.ModuleType("google.cloud.bigquery")
    made.Client = Client  # type: ignore[attr-defined]
    import google.cloud

    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", made)
    monkeypatch.setattr(google.cloud, "bigquery", made, raising=False)


COLUMNS = {"id": "video_id", "uploader": "channel", "published_at": "created"}


@pytest.mark.parametrize(
    ("column", "zone", "where"),
    [
        (
            "created",
            None,
            (
                "(`created` >= TIMESTAMP '2026-01-31 12:00:00.000000+00' OR `created` IS NULL)"
                " AND (`created` < TIMESTAMP '2026-01-31 13:00:00.000000+00' OR `created` IS NULL)"
            ),
        ),
        (
            "plain",
            "Europe/Berlin",
            (
                "(`plain` >= DATETIME(TIMESTAMP '2026-01-31 12:00:00.000000+00', 'Europe/Berlin')"
                " OR `plain` IS NULL) AND (`plain` < "
                "DATETIME(TIMESTAMP '2026-01-31 13:00:00.000000+00', 'Europe/Berlin')"
                " OR `plain` IS NULL)"
            ),
        ),
        (
            "day",
            "UTC",
            (
                "(`day` >= DATE '2026-01-30' OR `day` IS NULL)"
                " AND (`day` < DATE '2026-02-01' OR `day` IS NULL)"
            ),
        ),
    ],
    ids=["TIMESTAMP", "DATETIME", "DATE"],
)
def test_the_query_reads_the_window_and_the_columns(
    column: str, zone: str | None, where: str, warehouse: None
) -> None:
    names = COLUMNS | {"published_at": column}
    source = BigQueryBatch("bigquery://project-1/site", "videos", names, zone)
    assert source.query(TimeRange(BEGIN, BEGIN + timedelta(hours=1))) == (
        "SELECT TO_JSON_STRING(STRUCT(`video_id` AS `id`, `channel` AS `uploader`, "
        f"`title` AS `title`, `tags` AS `tags`, `{column}` AS `published_at`)) AS quorum_row "
        f"FROM `project-1`.`site`.`videos` WHERE {where}"
    )


@pytest.mark.parametrize(
    ("address", "columns", "told"),
    [
        ("bigquery://project-1", {}, "names no table"),
        ("bigquery://project-1/site`; DROP", {}, "names no table"),
        ("bigquery://project-1/site", {"published_at": "plain"}, "have no zone"),
        ("bigquery://project-1/site", {"title": "words"}, "no column words for title"),
        ("bigquery://project-1/site", {"colour": "title"}, "no field colour"),
    ],
    ids=["no dataset", "not a name", "no zone", "no column", "no field"],
)
def test_what_bigquery_cannot_be_asked_is_told(
    address: str, columns: dict[str, str], told: str, warehouse: None
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        BigQueryBatch(address, "videos", COLUMNS | columns).ranges(TimeRange(), 1)


def test_rows_of_bigquery_are_decided(
    ledger: Ledger, warehouse: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"id": "9007199254740993", "uploader": "c", "title": "bad", "tags": ["a"],
         "published_at": "2026-01-31T12:00:00Z"},
        {"id": 2, "uploader": "c", "title": "fine", "published_at": "2026-01-31T12:00:00.5Z"},
        {"id": 3, "uploader": "c", "title": "late", "published_at": "2026-01-31T14:00:00Z"},
        {"id": 4, "uploader": None, "title": "nobody", "published_at": "2026-01-31T12:00:00Z"},
        {"id": 5, "uploader": "c", "title": "untimed", "published_at": None},
    ]  # fmt: skip
    asked: list[dict[str, Any]] = []

    def stand_in(**options: Any) -> beam.PTransform:
        asked.append(options)
        return beam.Create([{"quorum_row": json.dumps(row)} for row in rows])

    monkeypatch.setattr(beam.io, "ReadFromBigQuery", stand_in)
    told = run(
        *("--database", "bigquery://project-1/site", "--table", "videos"),
        *(word for field, name in COLUMNS.items() for word in ("--column", f"{field}={name}")),
        *("--since", BEGIN.isoformat(), "--until", (BEGIN + timedelta(hours=1)).isoformat()),
    )
    assert "videos of bigquery://project-1/site" in told
    assert "4 read" in told and "2 dead letters" in told
    assert actions(ledger) == {"9007199254740993": "remove", "2": "allow"}
    assert [options["use_standard_sql"] for options in asked] == [True]


def test_beams_own_source_reads_the_rows(
    ledger: Ledger, warehouse: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Beam's source as it is, but for the jobs of the service: it reads what an export wrote."""
    pytest.importorskip("apitools", reason="needs quorum-moderation[dataflow]")
    import fastavro
    from apache_beam.io.gcp import bigquery
    from apache_beam.io.gcp.internal.clients import bigquery as api

    ran: list[str] = []
    field = {"name": "quorum_row", "type": ["null", "string"]}
    row = {"id": 1, "uploader": "c", "title": "bad", "published_at": "2026-01-31T12:00:00Z"}
    with (tmp_path / "export.avro").open("wb") as file:
        schema = {"type": "record", "name": "Root", "fields": [field]}
        fastavro.writer(file, schema, [{"quorum_row": json.dumps(row)}])

    class Wrapper:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        @staticmethod
        def _bigquery_client(_: Any) -> None: ...

        def clean_up_temporary_dataset(self, _: str) -> None: ...

    source = bigquery._CustomBigQuerySource

    def execute(self: Any, _: Any) -> Any:
        ran.append(self.query.get())
        return api.TableReference(projectId="project-1", datasetId="temporary", tableId="t")

    def export(self: Any, _: Any) -> Any:
        return None, FileSystems.match([str(tmp_path / "export.avro")])[0].metadata_list

    monkeypatch.setattr(bigquery.bigquery_tools, "BigQueryWrapper", Wrapper)
    monkeypatch.setattr(source, "_setup_temporary_dataset", lambda *_: None)
    monkeypatch.setattr(source, "_execute_query", execute)
    monkeypatch.setattr(source, "_export_files", export)
    monkeypatch.setattr(source, "estimate_size", lambda _: 1)
    told = run(
        *("--database", "bigquery://project-1/site", "--table", "videos"),
        *(word for name, column in COLUMNS.items() for word in ("--column", f"{name}={column}")),
        *("--", f"--temp_location={tmp_path}"),
    )
    assert "1 decided (1 remove)" in told
    assert ran and all(query.startswith("SELECT TO_JSON_STRING(STRUCT(") for query in ran)


def test_refused_rows_keep_what_bigquery_wrote(warehouse: None) -> None:
    from quorum.pipeline.batch.sources.bigquery import _Convert
    from quorum.pipeline.batch.sources.conversions import Sql

    convert = _Convert({"id": Sql.FRACTION, "title": Sql.BYTES}, None, TimeRange())
    (made,) = convert.process({"quorum_row": '{"id": "NaN", "title": "aGk="}'})
    assert isinstance(made, RefusedRow)
    assert made.data == b'{"id": "NaN", "title": "aGk="}'
    assert made.error.startswith("id: its number is")
