"""What is counted is counted once, in Beam and for Prometheus."""

from __future__ import annotations

import math
from collections.abc import Iterator

import prometheus_client
import pytest
from apache_beam.metrics.execution import MetricsContainer, MetricsEnvironment
from apache_beam.runners.worker import statesampler
from apache_beam.utils.counters import CounterFactory

from quorum.core.messages import Prediction, Status, Verdict, now
from quorum.pipeline.metrics import Meter
from quorum.pipeline.streams import subscription

AT = now()
PREDICTION = Prediction(
    id="p", upload_id="u", detector="metered", version="1", status=Status.SCORED, score=0.5,
    elapsed=0.1, at=AT,
)  # fmt: skip
VERDICT = Verdict(
    id="v", upload_id="u", action="allow", revision=1, policy_version="p@1", rule="none",
    reasons=("nothing was found",), decided_by="policy", at=AT, latency=0.5,
)  # fmt: skip


def value(name: str, **labels: str) -> float:
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def beam_counts() -> Iterator[MetricsContainer]:
    """Beam's metrics as they are collected while an element is processed."""
    container = MetricsContainer("step")
    tracker = statesampler.StateSampler("test", CounterFactory())
    statesampler.set_current_tracker(tracker)
    state = tracker.scoped_state("step", "process", metrics_container=container)
    tracker.start()
    with state:
        assert MetricsEnvironment.current_container() is container
        yield container
    tracker.stop()
    statesampler.set_current_tracker(None)


def counters(container: MetricsContainer) -> dict[str, int]:
    found = container.get_cumulative().counters
    return {key.metric.name: count for key, count in found.items() if count}


def distributions(container: MetricsContainer) -> dict[str, tuple[int, int]]:
    found = container.get_cumulative().distributions
    return {key.metric.name: (data.count, data.sum) for key, data in found.items() if data.count}


def test_each_thing_is_counted_in_both(beam_counts: MetricsContainer) -> None:
    names = {
        "uploads": ("quorum_uploads_total", {}),
        "prediction": (
            "quorum_predictions_total", {"detector": "metered", "status": "scored"},
        ),
        "verdict": ("quorum_verdicts_total", {"action": "allow", "decided_by": "policy"}),
        "dead letter": ("quorum_dead_letters_total", {"stage": "metered.uploads"}),
    }  # fmt: skip
    before = {what: value(name, **labels) for what, (name, labels) in names.items()}
    meter = Meter()
    for _ in range(2):
        meter.upload(0.25)
    meter.prediction(PREDICTION)
    meter.verdict(VERDICT, 10.0)
    meter.dead_letter("metered.uploads")
    assert counters(beam_counts) == {
        "uploads": 2,
        "predictions.metered.scored": 1,
        "verdicts.allow": 1,
        "decided_by.policy": 1,
        "dead_letters.metered.uploads": 1,
    }
    assert distributions(beam_counts) == {"lag_ms": (2, 500), "latency_ms": (1, 500)}
    after = {what: value(name, **labels) for what, (name, labels) in names.items()}
    assert {what: after[what] - before[what] for what in names} == {
        "uploads": 2, "prediction": 1, "verdict": 1, "dead letter": 1,
    }  # fmt: skip


def test_a_clock_that_is_ahead_gives_no_negative_lag(beam_counts: MetricsContainer) -> None:
    before = value("quorum_upload_lag_seconds_sum")
    Meter().upload(-3600.0)
    assert distributions(beam_counts)["lag_ms"] == (1, 0)
    assert math.isclose(value("quorum_upload_lag_seconds_sum"), before)


def test_what_is_held_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Holding:
        held = 7

    monkeypatch.setattr(subscription, "open_subscriptions", lambda: (Holding(), Holding()))
    assert value("quorum_held_messages") == 14
