from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
from hypothesis import given
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from quorum.apps.cli.schemas import generated, schemas, stale
from quorum.core.errors import MalformedMessage
from quorum.core.messages import MESSAGES, Prediction, Upload, Verdict, prediction_id, schema
from tests.core.strategies import messages

FOLDER = Path(__file__).parents[3] / "docs" / "schemas"
VALIDATORS = {
    message.kind: Draft202012Validator(
        json.loads((FOLDER / f"{message.kind}.schema.json").read_text(encoding="utf-8")),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    for message in MESSAGES
}
AT = "2026-01-31T12:00:00Z"
UPLOAD = {"id": "u1", "uploader": "ana", "published_at": AT}
PREDICTION = {"id": "p", "upload_id": "u", "detector": "d", "version": "1", "at": AT}
VERDICT = {
    "id": "v",
    "upload_id": "u",
    "action": "allow",
    "revision": 1,
    "policy_version": "1",
    "rule": "default",
    "reasons": [],
    "decided_by": "policy",
    "at": AT,
    "latency": 0.1,
}

app = typer.Typer()
app.command()(schemas)


def run(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_the_committed_schemas_are_current():
    assert stale(FOLDER) == [], "run: quorum schemas"


@pytest.mark.parametrize("message", MESSAGES)
def test_a_schema_is_a_schema(message):
    Draft202012Validator.check_schema(schema(message))


@given(messages)
def test_what_we_send_is_valid(message):
    VALIDATORS[message.kind].validate(json.loads(message.to_bytes()))


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (Upload, UPLOAD),
        (Upload, UPLOAD | {"language": None, "tags": [], "x-new": {"a": [None]}}),
        (Prediction, PREDICTION | {"status": "scored", "score": 1}),
        (Prediction, PREDICTION | {"status": "abstained", "reason": "no media", "score": None}),
        (Verdict, VERDICT),
    ],
)
def test_what_a_schema_accepts_is_read(message, data):
    VALIDATORS[message.kind].validate(data)
    assert message.from_bytes(json.dumps(data).encode())


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (Upload, {"id": "u1"}),
        (Upload, []),
        (Upload, UPLOAD | {"id": ""}),
        (Upload, UPLOAD | {"id": "x" * 257}),
        (Upload, UPLOAD | {"published_at": "yesterday"}),
        (Upload, UPLOAD | {"published_at": "2026-01-31T12:00:00"}),
        (Upload, UPLOAD | {"published_at": 1769860800}),
        (Upload, UPLOAD | {"tags": "music"}),
        (Upload, UPLOAD | {"territories": ["de"]}),
        (Upload, UPLOAD | {"duration": -1}),
        (Upload, UPLOAD | {"duration": "12"}),
        (Upload, UPLOAD | {"duration": True}),
        (Prediction, PREDICTION | {"status": "scored", "score": True}),
        (Prediction, PREDICTION | {"status": "scored", "score": "0.5"}),
        (Prediction, PREDICTION | {"status": "scored", "score": 0.5, "shadow": "yes"}),
        (Prediction, PREDICTION | {"status": "scored", "score": 0.5, "labels": {"a": "1"}}),
        (Prediction, PREDICTION | {"status": "scored"}),
        (Prediction, PREDICTION | {"status": "scored", "score": 2}),
        (Prediction, PREDICTION | {"status": "failed"}),
        (Prediction, PREDICTION | {"status": "failed", "reason": ""}),
        (Prediction, PREDICTION | {"status": "failed", "reason": "no", "score": 0.5}),
        (Verdict, VERDICT | {"action": "delete"}),
        (Verdict, VERDICT | {"revision": 0}),
        (Verdict, VERDICT | {"revision": "1"}),
        (Verdict, VERDICT | {"decided_by": "chance"}),
    ],
)
def test_what_a_schema_refuses_is_refused(message, data):
    assert not VALIDATORS[message.kind].is_valid(data)
    with pytest.raises(MalformedMessage):
        message.from_bytes(json.dumps(data).encode())


def test_the_command_writes_all_and_then_finds_them_current(tmp_path):
    folder = tmp_path / "new" / "schemas"
    assert run("--folder", str(folder)).exit_code == 0
    assert {file.name for file in folder.iterdir()} == set(generated())
    result = run("--folder", str(folder), "--check")
    assert result.exit_code == 0
    assert "7 schemas" in result.output


def test_check_names_what_is_stale_and_writes_nothing(tmp_path):
    run("--folder", str(tmp_path))
    (tmp_path / "upload.schema.json").write_text("{}")
    (tmp_path / "prediction.schema.json").write_bytes(b"\xff")
    (tmp_path / "review.schema.json").unlink()
    (tmp_path / "gone.schema.json").write_text("{}")
    result = run("--folder", str(tmp_path), "--check")
    assert result.exit_code == 1
    for name in ("upload", "prediction", "review", "gone"):
        assert f"{name}.schema.json is not what the code says" in result.output
    assert "verdict" not in result.output
    assert (tmp_path / "upload.schema.json").read_text() == "{}"
    assert run("--folder", str(tmp_path)).exit_code == 0
    assert stale(tmp_path) == []
    assert not (tmp_path / "gone.schema.json").exists()


@pytest.mark.parametrize(
    ("kind", "text"),
    re.findall(
        r"```json (\S+)\n(.*?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.DOTALL
    ),
)
def test_the_examples_of_the_page_are_messages(kind, text):
    VALIDATORS[kind].validate(json.loads(text))
    (message,) = (each for each in MESSAGES if each.kind == kind)
    read = message.from_bytes(text.encode())
    if isinstance(read, Prediction):
        assert read.id == prediction_id(read.upload_id, read.detector, read.version)
