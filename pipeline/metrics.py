"""Metrics of the graph: Beam's everywhere, and Prometheus' where the worker is this process.

A ``Meter`` records each event in both. Beam's names are dotted (``predictions.spam.scored``);
Prometheus has labels.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import prometheus_client as prometheus
from apache_beam.metrics import Metrics

from quorum.core import health
from quorum.core.errors import ConfigurationError
from quorum.core.identity import IdentityRefused
from quorum.core.messages import Usage
from quorum.models.prompt.costs import EndpointCosts

__all__ = ["Meter", "serve_health", "serve_metrics"]

_log = logging.getLogger(__name__)

_NAMESPACE = "quorum"

#: Histogram buckets: from a cached text prediction to a case that waits for its deadline.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

_UPLOADS = prometheus.Counter("quorum_uploads", "Uploads decoded.")
_PREDICTIONS = prometheus.Counter(
    "quorum_predictions", "Predictions made here.", ("detector", "status")
)
_VERDICTS = prometheus.Counter("quorum_verdicts", "Verdicts made.", ("action", "decided_by"))
_DEAD_LETTERS = prometheus.Counter("quorum_dead_letters", "Dead letters.", ("stage",))
_REFUSED = prometheus.Counter(
    "quorum_refused_messages",
    "Dead letters for who sent them: no valid signature, or no right to say this.",
    ("stage", "reason"),
)
_LATENCY = prometheus.Histogram(
    "quorum_verdict_latency_seconds",
    "From the arrival of an upload to its verdict.",
    buckets=_SECONDS,
)
_LAG = prometheus.Histogram(
    "quorum_upload_lag_seconds",
    "From the publication of an upload to its decoding.",
    buckets=_SECONDS,
)
_SCORING = prometheus.Histogram(
    "quorum_scoring_seconds",
    "Seconds of one upload in a detector.",
    ("detector",),
    buckets=_SECONDS,
)
_COSTS = EndpointCosts.of(prometheus.REGISTRY)
_CALLS, _TOKENS, _CALL_SECONDS, _CACHED = _COSTS
_UNKNOWN_HISTORIES = prometheus.Counter(
    "quorum_unknown_histories",
    "Uploads decided without their uploader's history: the ledger did not answer.",
)
_HELD = prometheus.Gauge("quorum_held_messages", "Messages pulled and not acknowledged.")

_READY = prometheus.Gauge("quorum_ready", "1 while no check of health finds a problem, else 0.")


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
        _UPLOADS.inc()
        _LAG.observe(max(0.0, lag))

    def prediction(
        self, detector: str, status: str, elapsed: float, usage: Usage | None = None
    ) -> None:
        """Count a prediction, made in ``elapsed`` seconds, and what it cost."""
        self._count(f"predictions.{detector}.{status}")
        _PREDICTIONS.labels(detector, status).inc()
        _SCORING.labels(detector).observe(elapsed)
        _COSTS.add(detector, usage)
        if usage is not None:
            self._count(f"endpoint.{detector}.calls", usage.calls)
            self._count(f"endpoint.{detector}.tokens", usage.tokens)

    def verdict(self, action: str, decided_by: str, latency: float) -> None:
        """Count a verdict, made ``latency`` seconds after the arrival of its upload."""
        self._count(f"verdicts.{action}")
        self._count(f"decided_by.{decided_by}")
        self._latency.update(_milliseconds(latency))
        _VERDICTS.labels(action, decided_by).inc()
        _LATENCY.observe(max(0.0, latency))

    def unknown_history(self) -> None:
        """Count an upload that is decided without its uploader's history."""
        self._count("unknown_histories")
        _UNKNOWN_HISTORIES.inc()

    def dead_letter(self, stage: str) -> None:
        """Count a message that became a dead letter."""
        self._count(f"dead_letters.{stage}")
        _DEAD_LETTERS.labels(stage).inc()

    def refused(self, stage: str, error: Exception) -> None:
        """Count a received message that became a dead letter when it was read."""
        self.dead_letter(stage)
        if isinstance(error, IdentityRefused):
            self._count(f"refused.{error.refusal.value}")
            _REFUSED.labels(stage, error.refusal.value).inc()


def _held() -> float:
    from quorum.pipeline.streams.subscription import open_subscriptions

    return float(sum(each.held for each in open_subscriptions()))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: probes and scrapes come every few seconds."""


_metrics_page: Any = prometheus.make_wsgi_app()


def _page(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    match environ["PATH_INFO"]:
        case "/ready":
            well, answer = health.ready_answer()
        case "/live":
            well, answer = health.alive_answer()
        case _:
            page: Iterable[bytes] = _metrics_page(environ, start_response)
            return page
    start_response(
        "200 OK" if well else "503 Service Unavailable", [("content-type", "application/json")]
    )
    return [json.dumps(answer).encode() + b"\n"]


def serve_metrics(port: int) -> tuple[WSGIServer, threading.Thread]:
    """Serve metrics in Prometheus' format, ``/ready`` and ``/live`` on the loopback address.

    Args:
        port: TCP port; 0 for a free one.

    Returns:
        The server (its port is ``server_port``) and its thread.

    Raises:
        OSError: If the port is in use.
    """
    _HELD.set_function(_held)
    _READY.set_function(lambda: float(not health.problems()))
    server = make_server("127.0.0.1", port, _page, _Server, _Silent)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    return server, thread


def serve_health(port: int) -> None:
    """Serve metrics and health for as long as this process lives; see ``serve_metrics``.

    Raises:
        ConfigurationError: If the port is in use.
    """
    try:
        serve_metrics(port)
    except OSError as error:
        msg = f"cannot serve metrics on port {port}: {error.strerror}; give another"
        raise ConfigurationError(msg) from None
    _log.info("metrics on http://127.0.0.1:%d/metrics", port)
