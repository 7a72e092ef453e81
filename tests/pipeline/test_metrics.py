"""What is counted is counted once, in Beam and for Prometheus, and served on loopback."""

from __future__ import annotations

import math
from collections.abc import Iterator

import httpx
import prometheus_client
import pytest
from apache_beam.metrics.execution import MetricsContainer, MetricsEnvironment
from apache_beam.runners.worker import statesampler
from apache_beam.utils.counters import CounterFactory

from quorum.pipeline import metrics as module
from quorum.pipeline.metrics import Meter, serve_metrics
from quorum.pipeline.streams import subscription


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
        "verdict": ("quorum_verdicts_total", {"action": "allow", "decided_by": "metered"}),
        "dead letter": ("quorum_dead_letters_total", {"stage": "metered.uploads"}),
    }  # fmt: skip
    before = {what: value(name, **labels) for what, (name, labels) in names.items()}
    meter = Meter()
    for _ in range(2):
        meter.upload(0.25)
    meter.prediction("metered", "scored", 0.1)
    meter.verdict("allow", "metered", 0.5)
    meter.dead_letter("metered.uploads")
    assert counters(beam_counts) == {
        "uploads": 2,
        "predictions.metered.scored": 1,
        "verdicts.allow": 1,
        "decided_by.metered": 1,
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


def test_metrics_are_served_on_loopback_with_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    class Holding:
        held = 7

    monkeypatch.setattr(subscription, "open_subscriptions", lambda: (Holding(), Holding()))
    server, thread = serve_metrics(0)
    try:
        assert server.server_address[0] == "127.0.0.1"
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        told = httpx.get(url, trust_env=False).text
        assert "quorum_held_messages 14.0" in told
        assert "quorum_verdict_latency_seconds_bucket" in told
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_port_that_is_taken_is_an_error() -> None:
    server, thread = serve_metrics(0)
    try:
        with pytest.raises(OSError, match="in use"):
            serve_metrics(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_case_that_waits_for_its_deadline_has_a_bucket_of_its_own() -> None:
    assert list(module._SECONDS) == sorted(module._SECONDS)
    assert module._SECONDS[-1] >= 60
