from __future__ import annotations

import importlib.util
import time
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from google.pubsub_v1.types import PubsubMessage
from typer.testing import CliRunner

from quorum.apps.cli.topics import app
from quorum.core.messages import Upload, Verdict
from quorum.messages import SigningKey, verify_signature
from quorum.pipeline.streams.pubsub_clients import publisher_client, subscriber_client
from quorum.pipeline.streams.topics import planned

FILE = Path(__file__).parents[2] / "examples" / "platform_backend.py"
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def backend():
    spec = importlib.util.spec_from_file_location("platform_backend", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def verdict(revision: int, seconds: int, action: str, upload: str = "u1") -> Verdict:
    return Verdict(
        id=f"v{revision}-{seconds}-{action}",
        upload_id=upload,
        action=action,
        revision=revision,
        policy_version="1",
        rule="default",
        reasons=("because",),
        decided_by="policy",
        at=AT + timedelta(seconds=seconds),
        latency=0.1,
    )


def test_the_greatest_revision_and_time_counts_in_any_order(backend):
    first, again, second = (
        verdict(1, 0, "allow"),
        verdict(1, 5, "review"),
        verdict(2, 3, "remove"),
    )
    for order in permutations([first, again, second, first, second]):
        verdicts = backend.Verdicts()
        taken = [each for each in order if verdicts.take(each)]
        assert verdicts.by_upload == {"u1": second}
        assert len(taken) == len(set(taken)), "a verdict was applied twice"
        assert taken[-1] == second


def test_each_upload_has_its_own_verdict(backend):
    verdicts = backend.Verdicts()
    assert verdicts.take(verdict(1, 0, "allow", "u1"))
    assert verdicts.take(verdict(1, 0, "remove", "u2"))
    assert verdicts.by_upload["u1"].action == "allow"


class Message:
    """What the subscriber hands to a callback."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.answer = ""

    def ack(self) -> None:
        self.answer = "ack"

    def nack(self) -> None:
        self.answer = "nack"


def test_verdicts_are_acknowledged_once_kept_and_others_are_given_back(
    backend, monkeypatch, capsys
):
    given = {}

    class Client:
        def subscribe(self, subscription, callback):
            given[subscription] = callback

    monkeypatch.setattr(backend.pubsub_v1, "SubscriberClient", Client)
    verdicts = backend.Verdicts()
    backend.watch("projects/p/subscriptions/verdicts", verdicts)
    callback = given["projects/p/subscriptions/verdicts"]
    messages = [
        Message(verdict(2, 0, "remove").to_bytes()),
        Message(verdict(1, 0, "allow").to_bytes()),
        Message(b"{}"),
    ]
    for message in messages:
        callback(message)
    assert [message.answer for message in messages] == ["ack", "ack", "nack"]
    shown = capsys.readouterr()
    assert shown.out == "u1: remove. because\n"
    assert "not a verdict" in shown.err


@pytest.mark.parametrize("key", [None, SigningKey.new("platform", "k1")])
def test_publishing_waits_for_the_broker(backend, monkeypatch, key):
    monkeypatch.delenv("QUORUM_SIGNING_KEY_FILE", raising=False)
    monkeypatch.setenv("QUORUM_SIGNING_KEY", key.text if key else "")
    sent, waited = [], []

    class Future:
        def result(self, timeout):
            waited.append(timeout)

    class Client:
        def publish(self, topic, data, **attributes):
            sent.append((topic, data, attributes))
            return Future()

    monkeypatch.setattr(backend.pubsub_v1, "PublisherClient", Client)
    upload = Upload(id="u1", uploader="ana", published_at=AT)
    assert backend.publish("projects/p/topics/uploads", [upload.to_bytes(), b"\n"]) == 1
    assert len(waited) == 1
    topic, data, attributes = sent[0]
    assert topic == "projects/p/topics/uploads"
    assert Upload.from_bytes(data) == upload
    assert attributes["ce-id"] == "u1"
    assert attributes["ce-type"] == "quorum.upload.v1"
    assert ("quorum-signature" in attributes) == bool(key)
    if key:
        assert verify_signature(key.public, data, attributes)


EXAMPLES = FILE.parent / "uploads.jsonl"


def test_of_the_shipped_examples_those_that_are_uploads_go_out_with_whole_addresses(
    backend, capsys
):
    lines = list(backend.readable(EXAMPLES.read_bytes().splitlines(), EXAMPLES.parent))
    uploads = [Upload.from_bytes(line) for line in lines]
    assert len(uploads) == 59
    media = [upload.media for upload in uploads if upload.media]
    assert media and all(one.startswith("file:///") for one in media)
    assert (EXAMPLES.parent / "media" / "bunny-again.mkv").as_uri() in media
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and all("not a valid upload" in line for line in told)


@pytest.mark.emulator
def test_on_the_topics_and_subscriptions_that_topics_create_prints(
    backend, emulator, monkeypatch, capsys
):
    """The names are taken from what the command prints in a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    made = CliRunner().invoke(app, ["create", "--project", "a-project-with-a-long-name"])
    assert made.exit_code == 0, made.output
    listed = made.output.split("\n\n")[0].splitlines()
    names = {line.split()[1].rsplit("/", 1)[-1]: line for line in listed}
    plan = planned("a-project-with-a-long-name", "quorum")
    everything = [*plan.topics, *(one.path for one in plan.subscriptions)]
    assert [line.split()[1] for line in listed] == everything
    assert len(names) == 11
    assert "(made, for the platform's backend)" in names["quorum-verdicts-platform"]
    path = {name: line.split()[1] for name, line in names.items()}

    read = subscriber_client()
    backend.main("publish", path["quorum-uploads"], str(EXAMPLES))
    assert "published 59 of 61 lines" in capsys.readouterr().out
    came = 0
    while came < 59:
        pulled = read.pull(subscription=path["quorum-uploads-stream"], max_messages=100, timeout=30)
        came += len(pulled.received_messages)
    assert came == 59

    verdicts = backend.Verdicts()
    watching = backend.watch(path["quorum-verdicts-platform"], verdicts)
    sent = verdict(1, 0, "remove")
    publisher_client().publish(
        topic=path["quorum-verdicts"], messages=[PubsubMessage(data=sent.to_bytes())]
    )
    end = time.monotonic() + 30
    while not verdicts.by_upload and time.monotonic() < end:
        time.sleep(0.05)
    watching.cancel()
    watching.result(30)
    assert verdicts.by_upload == {"u1": sent}
