"""Metrics of what detectors ask the servers of models, for the registry of a process."""

from __future__ import annotations

from typing import NamedTuple, Self

import prometheus_client as prometheus

from quorum.core.messages import Usage

__all__ = ["EndpointCosts"]


class EndpointCosts(NamedTuple):
    """Counters of calls, tokens, seconds and known answers, by detector.

    The share of uploads that is asked about is that of ``quorum_predictions`` of the detector that
    are scored or failed.
    """

    calls: prometheus.Counter
    tokens: prometheus.Counter
    seconds: prometheus.Counter
    cached: prometheus.Counter

    @classmethod
    def of(cls, registry: prometheus.CollectorRegistry) -> Self:
        """Make the counters.

        Args:
            registry: Where they are shown.
        """

        def counter(name: str, what: str) -> prometheus.Counter:
            return prometheus.Counter(name, what, ("detector",), registry=registry)

        return cls(
            counter("quorum_endpoint_calls", "Requests to the server of a model."),
            counter("quorum_endpoint_tokens", "Tokens of questions to a model and of its answers."),
            counter("quorum_endpoint_seconds", "Seconds of requests to a model, added up."),
            counter("quorum_endpoint_cached", "Questions to a model whose answer was known."),
        )

    def add(self, detector: str, usage: Usage | None) -> None:
        """Count what a prediction cost."""
        if usage is None:
            return
        self.calls.labels(detector).inc(usage.calls)
        self.tokens.labels(detector).inc(usage.tokens)
        self.seconds.labels(detector).inc(usage.seconds)
        self.cached.labels(detector).inc(usage.cached)
