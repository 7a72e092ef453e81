"""Topics and subscriptions as they are made on the real emulator."""

from __future__ import annotations

import pytest

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.pipeline.streams.pubsub_clients import subscriber_client
from quorum.pipeline.streams.topics import create_topics, planned, subscription_request


def test_a_plan_names_every_stream_and_reads_each_from_its_topic() -> None:
    plan = planned("p", "q", fused=True, apart=True)
    assert len(plan.topics) == 6
    for subscription in plan.subscriptions:
        stream = subscription.topic.removeprefix("projects/p/topics/q-")
        assert subscription.path.startswith(f"projects/p/subscriptions/q-{stream}")
        # What jobs leave in its subscription for each other is never set aside.
        is_kept = stream in ("dead-letters", "policies")
        assert bool(subscription.dead_letters) != is_kept
        assert subscription.is_register == (stream == "policies")


def test_what_a_worker_could_not_finish_is_tried_again_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    request = subscription_request(planned("p", "q").subscriptions[0])
    assert request.retry_policy.minimum_backoff.total_seconds() == 1
    assert request.retry_policy.maximum_backoff.total_seconds() == 60
    assert request.dead_letter_policy.dead_letter_topic == "projects/p/topics/q-dead-letters"


@pytest.mark.emulator
def test_what_is_absent_is_made_with_its_policies_and_once(emulator: str) -> None:
    plan = planned("quorum-test", "making")
    everything = {*plan.topics, *(each.path for each in plan.subscriptions)}
    assert create_topics(plan) == everything
    assert create_topics(plan) == set()
    made = subscriber_client().get_subscription(
        subscription="projects/quorum-test/subscriptions/making-uploads-stream"
    )
    assert made.dead_letter_policy.dead_letter_topic.endswith("making-dead-letters")
    assert made.dead_letter_policy.max_delivery_attempts == 20


@pytest.mark.emulator
def test_a_name_that_pubsub_refuses_is_told(emulator: str) -> None:
    with pytest.raises(ConfigurationError, match="refused"):
        create_topics(planned("quorum-test", "9 bad name"))


def test_a_broker_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:9")
    monkeypatch.setattr("quorum.pipeline.streams.topics._TIMEOUT_SECONDS", 2.0)
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:9 does not answer"):
        create_topics(planned("quorum-test", "away"))
