"""Metrics of the graph: Beam's everywhere, and Prometheus' where the worker is this process.

A ``Meter`` records each event in both. Beam's names are dotted (``predictions.spam.scored``);
Prometheus has labels (``quorum.core.metrics``).
"""

from __future__ import annotations

from apache_beam.metrics import Metrics

from quorum.core import metrics
from quorum.core.identity import IdentityRefused
from quorum.core.messages import Prediction, Verdict

__all__ = ["Meter"]

_NAMESPACE = "quorum"


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))


class Meter:
    """Counts the events of a stage; created in a DoFn's ``setup``."""

    def __init__(self) -> None:
        self._counters: dict[str, Metrics.DelegatingCounter] = {}
        self._lag = Metrics.distribution(_NAMESPACE, "lag_ms")
        self._latency = Metrics.distribution(_NAMESPACE, "latency_ms")

    def _count(self, name: str, by: int = 1) -> None:
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = Metrics.counter(_NAMESPACE, name)
        counter.inc(by)

    def upload(self, lag: float) -> None:
        """Count an upload, decoded ``lag`` seconds after its publication."""
        self._count("uploads")
        self._lag.update(_milliseconds(lag))
        metrics.UPLOADS.inc()
        metrics.LAG.observe(max(0.0, lag))

    def prediction(self, made: Prediction) -> None:
        """Count a prediction, and what it cost."""
        self._count(f"predictions.{made.detector}.{made.status.value}")
        if made.usage is not None:
            self._count(f"endpoint.{made.detector}.calls", made.usage.calls)
            self._count(f"endpoint.{made.detector}.tokens", made.usage.tokens)
        metrics.count_prediction(made)

    def verdict(self, verdict: Verdict, deadline: float) -> None:
        """Count a verdict of a policy with this deadline, in seconds."""
        self._count(f"verdicts.{verdict.action.value}")
        self._count(f"decided_by.{verdict.decided_by}")
        self._latency.update(_milliseconds(verdict.latency))
        metrics.count_verdict(verdict, deadline)

    def unknown_history(self) -> None:
        """Count an upload that is decided without its uploader's history."""
        self._count("unknown_histories")
        metrics.UNKNOWN_HISTORIES.inc()

    def unknown_features(self) -> None:
        """Count an upload that goes on without all of its features over time."""
        self._count("unknown_features")
        metrics.UNKNOWN_FEATURES.inc()

    def dead_letter(self, stage: str) -> None:
        """Count a message that became a dead letter."""
        self._count(f"dead_letters.{stage}")
        metrics.DEAD_LETTERS.labels(stage).inc()

    def refused(self, stage: str, error: Exception) -> None:
        """Count a received message that became a dead letter when it was read."""
        self.dead_letter(stage)
        if isinstance(error, IdentityRefused):
            self._count(f"refused.{error.refusal.value}")
            metrics.REFUSED.labels(stage, error.refusal.value).inc()
