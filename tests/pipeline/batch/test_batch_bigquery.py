"""Verdicts and predictions go into BigQuery by Beam's sink, over its REST protocol."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.options.pipeline_options import PipelineOptions

from quorum.core.errors import ConfigurationError, QuorumError
from quorum.pipeline.batch.outputs import COLUMNS, Type
from quorum.store.ledger import Ledger
from tests.pipeline.batch.bigquery_server import BigQueryServer
from tests.pipeline.batch.runs import actions, run, upload

pytest.importorskip("apitools", reason="needs quorum-moderation[dataflow]")
pytest.importorskip("google.cloud.bigquery", reason="needs quorum-moderation[dataflow]")

_Local: Any = LocalFileSystem
TABLE = "moderation.verdicts"
PLACE = "bigquery://project-1/moderation/verdicts"
TYPES = {
    Type.TEXT: "STRING", Type.WHOLE: "INTEGER", Type.NUMBER: "FLOAT", Type.FLAG: "BOOLEAN",
    Type.TIME: "TIMESTAMP", Type.LIST: "STRING",
}  # fmt: skip


@pytest.fixture
def warehouse(monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryServer]:
    """Beam's clients as they are, but for the address and credentials of the service."""
    from apache_beam.io.gcp import bigquery_tools
    from apache_beam.io.gcp.internal.clients import bigquery as api
    from google.auth import credentials
    from google.cloud import bigquery

    server = BigQueryServer()
    anonymous = cast(Any, credentials.AnonymousCredentials)()

    def rest(_: Any) -> Any:
        return api.BigqueryV2(
            url=f"{server.url}/bigquery/v2/", get_credentials=False, response_encoding="utf8"
        )

    class Client(bigquery.Client):  # type: ignore[misc]
        def __init__(self, **given: Any) -> None:
            super().__init__(
                project="project-1",
                credentials=anonymous,
                client_options={"api_endpoint": server.url},
                **given,
            )

    monkeypatch.setattr(bigquery_tools.BigQueryWrapper, "_bigquery_client", staticmethod(rest))
    monkeypatch.setattr(bigquery_tools.gcp_bigquery, "Client", Client)
    yield server
    server.close()


class Bucket(_Local):  # type: ignore[misc]
    """Cloud Storage as a folder of this machine."""

    folder = ""

    @classmethod
    def scheme(cls) -> str:
        return "bucket-on-disk"

    def _at(self, path: str) -> str:
        return path.replace("gs://bucket", self.folder)

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def create(self, path: str, *args: Any, **more: Any) -> Any:
        Path(self._at(path)).parent.mkdir(parents=True, exist_ok=True)
        return super().create(self._at(path), *args, **more)

    def open(self, path: str, *args: Any, **more: Any) -> Any:
        return super().open(self._at(path), *args, **more)

    def exists(self, path: str) -> bool:
        return Path(self._at(path)).exists()

    def mkdirs(self, path: str) -> None:
        Path(self._at(path)).mkdir(parents=True, exist_ok=True)

    def rename(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        super().rename([self._at(one) for one in sources], [self._at(one) for one in targets])

    def match(self, patterns: Sequence[str], limits: Any = None) -> Any:
        found = super().match([self._at(one) for one in patterns], limits)
        for one in (each for result in found for each in result.metadata_list):
            one.path = one.path.replace(self.folder, "gs://bucket")
        return found

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            shutil.rmtree(self._at(path), ignore_errors=True)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse: BigQueryServer) -> str:
    """A place of Cloud Storage that Beam writes to and the service reads from."""
    usual = FileSystems.get_filesystem
    made = Bucket(PipelineOptions([]))
    made.folder = str(tmp_path / "bucket")

    def choose(path: str) -> Any:
        return made if path.startswith("gs://") else usual(path)

    monkeypatch.setattr(FileSystems, "get_filesystem", staticmethod(choose))
    warehouse.bucket = made.folder
    return "gs://bucket/tmp"


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    file = tmp_path / "in.jsonl"
    made = [upload(1, "fine"), upload(2, 'bad "quoted"\n\u00fc\U0001f600')]
    file.write_bytes(b"".join(one.to_bytes() + b"\n" for one in made))
    return file


@pytest.mark.parametrize("way", ["streamed", "loaded"])
def test_verdicts_are_rows_of_a_table_that_is_made(
    way: str, warehouse: BigQueryServer, uploads: Path, ledger: Ledger, bucket: str
) -> None:
    more = ("--", f"--temp_location={bucket}") if way == "loaded" else ()
    for times in (1, 2):  # appended again by a repeated run
        run("--input", str(uploads), "--verdicts", PLACE, *more)
        rows = warehouse.rows[TABLE]
        assert len(rows) == 2 * times
    assert set(actions(ledger)) == {"u0001", "u0002"}
    fields = {one["name"]: (one["type"], one["mode"]) for one in warehouse.tables[TABLE]}
    assert fields == {
        name: (TYPES[type_], "REPEATED" if type_ is Type.LIST else "NULLABLE")
        for name, type_ in COLUMNS["verdicts"].items()
    }
    for row in rows:
        message = json.loads(row["message"])
        assert row["action"] == message["action"] == actions(ledger)[row["upload_id"]]
        assert row["reasons"] == message["reasons"]
        assert (row["id"], row["revision"]) == (message["id"], message["revision"])
    loads = [one for one in warehouse.calls if one == "POST project-1/jobs"]
    inserts = [one for one in warehouse.calls if one.endswith("/insertAll")]
    assert bool(loads) is (way == "loaded")
    assert bool(inserts) is (way == "streamed")


def test_predictions_are_rows_too(warehouse: BigQueryServer, uploads: Path, ledger: Ledger) -> None:
    run("--input", str(uploads), "--predictions", "bigquery://project-1/moderation/predictions")
    rows = warehouse.rows["moderation.predictions"]
    assert {row["upload_id"] for row in rows} == {"u0001", "u0002"}
    assert all(isinstance(row["score"], float) or row["status"] != "scored" for row in rows)


@pytest.mark.parametrize("way", ["streamed", "loaded"])
def test_a_table_of_another_shape_ends_the_run_with_the_reason(
    way: str, warehouse: BigQueryServer, uploads: Path, ledger: Ledger, bucket: str
) -> None:
    warehouse._create(TABLE, [{"name": "upload_id", "type": "STRING", "mode": "NULLABLE"}])
    more = ("--", f"--temp_location={bucket}") if way == "loaded" else ()
    with pytest.raises(QuorumError, match="no such field: id"):
        run("--input", str(uploads), "--verdicts", PLACE, *more)
    assert warehouse.rows[TABLE] == []


def test_files_are_loaded_from_cloud_storage_alone(
    warehouse: BigQueryServer, uploads: Path, ledger: Ledger, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="must begin with gs://"):
        run("--input", str(uploads), "--verdicts", PLACE, "--", f"--temp_location={tmp_path}")
    assert warehouse.calls == []
    assert actions(ledger) == {}
