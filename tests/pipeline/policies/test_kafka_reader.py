"""Policies that are released on a topic of Kafka: each process finds the newest, and keeps it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("confluent_kafka", reason="needs Kafka's client: the extra kafka")

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.core.identity import Admission
from quorum.pipeline.policies import kafka_reader
from quorum.pipeline.policies.live import LivePolicy, PolicyWatcher, watcher_of
from quorum.pipeline.policies.readers import KafkaReader, open_reader
from quorum.pipeline.policies.releasing import send, topic_of
from quorum.pipeline.streams.kafka_topic import KafkaRecord, KafkaTopic
from tests.kafka_mock import KafkaMock
from tests.pipeline.policies.test_live import (
    KEY,
    OTHER,
    PUBLISHERS,
    REVIEWER,
    START,
    STRICTER,
    release,
    signed,
)

NAMES = count()


@pytest.fixture(scope="module")
def mock() -> Iterator[KafkaMock]:
    with KafkaMock() as made:
        yield made


@pytest.fixture
def topic(mock: KafkaMock) -> str:
    name = f"t{next(NAMES)}-policies"
    mock.topic(name)
    return f"kafka://{mock.brokers}/{name}"


def version(reader: KafkaReader) -> str:
    found = reader.read()
    assert found is not None
    return found.version


def test_the_newest_release_is_there_for_whoever_reads_next(topic: str) -> None:
    first = KafkaReader(topic, Admission())
    assert first.read() is None
    # In whatever order and partition they come.
    for one in (release(OTHER, 2), release(STRICTER, 1), release(OTHER, 2)):
        send(signed(one), topic)
    for reader in (first, KafkaReader(topic, Admission()), first):
        assert version(reader) == OTHER.version
    send(signed(release(STRICTER, 3)), topic)
    assert version(first) == STRICTER.version
    assert version(KafkaReader(topic, Admission())) == STRICTER.version


@pytest.mark.parametrize("key", [None, REVIEWER], ids=["unsigned", "a reviewer's"])
def test_what_is_forged_changes_nothing(topic: str, key: object) -> None:
    send(signed(release(STRICTER), KEY), topic)
    send(signed(release(OTHER, 1), key), topic)  # type: ignore[arg-type]
    assert KafkaTopic(topic).send([KafkaRecord("x", b"nonsense", {})]) == [""]
    reader = open_reader(topic, PUBLISHERS)
    assert isinstance(reader, KafkaReader)
    assert version(reader) == STRICTER.version


def test_a_job_follows_it_from_its_first_decision(topic: str) -> None:
    send(signed(release(STRICTER)), topic)
    live = LivePolicy(START, topic)
    copy = pickle.loads(pickle.dumps(live))
    assert copy.current() == STRICTER
    assert copy.problem() is None
    watcher_of(live).close()


def test_brokers_that_are_away_keep_the_last_good_one(
    topic: str, mock: KafkaMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_reader, "_ANSWER_SECONDS", 1.0)
    watcher = PolicyWatcher(KafkaReader(topic, Admission()), START)
    send(signed(release(STRICTER)), topic)
    _until(watcher, STRICTER.version)
    mock.down()
    try:
        with pytest.raises(EngineUnavailable, match=f"cannot read {topic}"):
            KafkaReader(topic, Admission()).read()
        watcher.step()
        assert watcher.policy == STRICTER
    finally:
        mock.up()
    # Back: what is released then is followed.
    send(signed(release(OTHER, 1)), topic)
    _until(watcher, OTHER.version)


def _until(watcher: PolicyWatcher, wanted: str) -> None:
    for _ in range(60):
        watcher.step()
        if watcher.policy.version == wanted:
            return
    pytest.fail(f"{watcher.policy.version} decides, not {wanted}: {watcher.problem()}")


def test_a_topic_that_is_not_there_is_told_with_the_mend(mock: KafkaMock) -> None:
    reader = KafkaReader(f"kafka://{mock.brokers}/absent-policies", Admission())
    with pytest.raises(EngineUnavailable, match=r"absent-policies.*quorum topics create"):
        reader.read()


def test_it_has_no_group() -> None:
    with pytest.raises(ConfigurationError, match="leave out what stands after the topic"):
        open_reader("kafka://b/policies?group=mine", {})
    assert topic_of("kafka://b/policies?group=mine") == "kafka://b:9092/policies"
    with pytest.raises(ConfigurationError, match=r"projects/P/topics/T or to kafka://"):
        topic_of("projects/p/subscriptions/s")


def test_publish_puts_a_policy_in_force_there(topic: str, tmp_path: Path) -> None:
    from quorum.apps.cli.policy import app

    file = tmp_path / "stricter.yaml"
    file.write_text(STRICTER.text)
    done = CliRunner().invoke(app, ["publish", str(file), "--to", topic, "--no-ledger"])
    assert done.exit_code == 0, done.output
    assert version(KafkaReader(topic, Admission())) == STRICTER.version
