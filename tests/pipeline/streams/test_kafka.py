"""Addresses of Kafka, its clients' security, what a topic refuses, and jobs that cannot start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.core.messages import Review, now
from quorum.pipeline.engines import Acknowledge
from quorum.pipeline.streams.address import AddressKind, KafkaAddress, parse_address
from quorum.pipeline.streams.base import Outgoing
from quorum.pipeline.streams.check import check_streams
from quorum.pipeline.streams.flink_source import FlinkPubSubSource
from quorum.pipeline.streams.kafka_clients import consumer_client, security
from quorum.pipeline.streams.kafka_topic import KafkaRecord, KafkaTopic, key_of
from quorum.pipeline.streams.open import source
from tests.kafka_mock import KafkaMock
from tests.pipeline.streams.contract import publish

pytest.importorskip("confluent_kafka", reason="needs Kafka's client: the extra kafka")

PASSWORD = "s3cret-of-kafka"


@pytest.fixture(scope="module")
def mock() -> Iterator[KafkaMock]:
    with KafkaMock() as made:
        yield made


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("kafka://b/t", "kafka://b:9092/t"),
        ("kafka://b:1,c/t?group=g", "kafka://b:1,c:9092/t?group=g"),
        ("kafka://[::1]:9/t?group=g&deliveries=5", "kafka://[::1]:9/t?group=g&deliveries=5"),
    ],
)
def test_an_address_names_brokers_topic_and_group(text: str, found: str) -> None:
    parsed = parse_address(text)
    assert (parsed.kind, str(parsed)) == (AddressKind.KAFKA, found)
    assert str(KafkaAddress.parse(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "kafka:b/t",
        "kafka://b",
        "kafka:///t",
        "kafka://b:99999/t",
        "kafka://b/t/u",
        "kafka://b/..",
        "kafka://b/t?group=",
        "kafka://b/t?group=a|b",
        "kafka://b/t?deliveries=2",
        "kafka://b/t?acks=0",
    ],
)
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Kafka|after the topic"):
        parse_address(text)


def test_a_password_in_an_address_is_refused_and_not_quoted() -> None:
    with pytest.raises(ConfigurationError, match="QUORUM_KAFKA_SASL_PASSWORD") as told:
        parse_address(f"kafka://ada:{PASSWORD}@b/t")
    assert PASSWORD not in str(told.value)


def test_each_reader_has_a_group_of_its_own_unless_the_address_names_one() -> None:
    stream = source("kafka://b/t", "uploads", reader="stream")
    decide = source("kafka://b/t", "uploads", reader="decide")
    named = source("kafka://b/t?group=mine", "uploads", reader="decide")
    assert [each.subscription for each in (stream, decide, named)] == [
        "kafka://b:9092/t?group=t-stream",
        "kafka://b:9092/t?group=t-decide",
        "kafka://b:9092/t?group=mine",
    ]


def test_on_flink_it_acknowledges_at_the_checkpoint_and_dataflow_does_not_read_it() -> None:
    found = source("kafka://b/t", "uploads", acknowledge=Acknowledge.CHECKPOINT)
    assert isinstance(found, FlinkPubSubSource)
    assert found.path == "kafka://b:9092/t?group=t-stream"
    with pytest.raises(ConfigurationError, match="reads Pub/Sub alone"):
        source("kafka://b/t", "uploads", native=True)


def test_what_the_environment_says_of_security_implies_the_rest(tmp_path: Path) -> None:
    assert security({}) == {"security.protocol": "PLAINTEXT"}
    assert security({"QUORUM_KAFKA_SSL_CA": "/ca"})["security.protocol"] == "SSL"
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    found = security(
        {"QUORUM_KAFKA_SASL_USERNAME": "ada", "QUORUM_KAFKA_SASL_PASSWORD_FILE": str(secret)}
    )
    assert found == {
        "sasl.username": "ada",
        "sasl.password": PASSWORD,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
    }
    token = security({"QUORUM_KAFKA_SASL_OAUTH_TOKEN_URL": "https://idp/token"})
    assert (token["sasl.mechanism"], token["sasl.oauthbearer.method"]) == ("OAUTHBEARER", "oidc")


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"QUORUM_KAFKA_SASL_PASWORD": PASSWORD}, "did you mean QUORUM_KAFKA_SASL_PASSWORD"),
        (
            {"QUORUM_KAFKA_SASL_PASSWORD": PASSWORD, "QUORUM_KAFKA_SECURITY_PROTOCOL": "SSL"},
            "uses no SASL",
        ),
        ({"QUORUM_KAFKA_SECURITY_PROTOCOL": "TLS"}, "must be one of"),
        (
            {"QUORUM_KAFKA_SASL_PASSWORD": PASSWORD, "QUORUM_KAFKA_SASL_PASSWORD_FILE": "/f"},
            "are both set",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_without_the_value(
    environment: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as error:
        security(environment)
    assert PASSWORD not in str(error.value)


def test_a_password_is_in_no_log_and_no_error(
    mock: KafkaMock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name, value in {"USERNAME": "ada", "PASSWORD": PASSWORD, "MECHANISM": "PLAIN"}.items():
        monkeypatch.setenv(f"QUORUM_KAFKA_SASL_{name}", value)
    monkeypatch.setattr("quorum.pipeline.streams.kafka_admin._SECONDS", 1.0)
    # The mock speaks no TLS: the handshake fails, and the error says so.
    with pytest.raises((ConfigurationError, EngineUnavailable)) as told:
        check_streams([f"kafka://{mock.brokers}/t"])
    monkeypatch.setenv("QUORUM_KAFKA_SASL_MECHANISM", "NONE-SUCH")
    with pytest.raises(ConfigurationError, match="configuration") as refused:
        consumer_client(mock.brokers, "g")
    assert PASSWORD not in caplog.text + str(told.value) + str(refused.value)


def test_a_topic_that_is_not_there_is_told_with_the_command_that_makes_it(mock: KafkaMock) -> None:
    mock.topic("there")
    check_streams([f"kafka://{mock.brokers}/there"])
    with pytest.raises(ConfigurationError, match=r"no Kafka topic .*/absent") as told:
        check_streams([f"kafka://{mock.brokers}/there", f"kafka://{mock.brokers}/absent"])
    assert f"quorum topics create --kafka {mock.brokers}" in str(told.value)


def test_a_broker_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorum.pipeline.streams.kafka_admin._SECONDS", 1.0)
    with pytest.raises(EngineUnavailable, match=r"Kafka at 127\.0\.0\.1:9 does not answer"):
        check_streams(["kafka://127.0.0.1:9/t"])


def review(note: str) -> Review:
    return Review(
        upload_id="u", verdict_id="v", action="allow", reviewer="ada", note=note, at=now()
    )


def test_one_refused_message_takes_nothing_else_with_it(
    mock: KafkaMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    given_up: list[str] = []
    monkeypatch.setattr("quorum.pipeline.streams.kafka_sink.acknowledge", done.extend)
    monkeypatch.setattr("quorum.pipeline.streams.kafka_sink.abandon", given_up.extend)
    mock.topic("refusing")
    large = review("x" * 11_000_000)
    publish(
        f"kafka://{mock.brokers}/refusing",
        *(Outgoing((one,), (str(n),)) for n, one in enumerate([review("a"), large, review("b")])),
        Outgoing((), ("nothing to say",)),
    )
    assert (done, given_up) == (["0", "2", "nothing to say"], ["1"])


def test_nothing_is_acknowledged_of_what_no_broker_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = KafkaTopic("kafka://127.0.0.1:9/t", 0.5)
    told: list[Exception] = []
    with pytest.raises(EngineUnavailable, match=r"took no message for 0\.5 s"):
        topic.send([KafkaRecord(key_of(review("a")), b"{}", {})], told.append)
    assert told


def test_a_key_is_the_uploads_id() -> None:
    assert key_of(review("a")) == "u"
