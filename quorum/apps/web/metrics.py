"""The metrics of the web service, in Prometheus' format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from quorum.models.prompt.costs import EndpointCosts

__all__ = [
    "BACKLOG",
    "COSTS",
    "DELIVERIES",
    "LATE",
    "LATENCY",
    "MODELS",
    "MODELS_STALE",
    "MODEL_SWAPS",
    "PENDING",
    "PREDICTIONS",
    "REGISTRY",
    "REQUESTS",
    "UNKNOWN_HISTORIES",
    "VERDICTS",
]

#: A registry of its own: the stream's counters of the same names are another process's.
REGISTRY = CollectorRegistry()

VERDICTS = Counter("quorum_verdicts", "Verdicts made.", ("action", "decided_by"), registry=REGISTRY)
PREDICTIONS = Counter(
    "quorum_predictions", "Predictions made here.", ("detector", "status"), registry=REGISTRY
)
COSTS = EndpointCosts.of(REGISTRY)
_CALLS, _TOKENS, _CALL_SECONDS, _CACHED = COSTS
LATE = Counter(
    "quorum_detector_late",
    "Uploads decided before a detector's prediction arrived.",
    ("detector",),
    registry=REGISTRY,
)
LATENCY = Histogram(
    "quorum_verdict_latency_seconds",
    "From the arrival of an upload to its verdict.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
    registry=REGISTRY,
)
REQUESTS = Counter(
    "quorum_http_requests",
    "Responses by route and HTTP status.",
    ("route", "status"),
    registry=REGISTRY,
)
UNKNOWN_HISTORIES = Counter(
    "quorum_unknown_histories",
    "Uploads decided without their uploader's history: the ledger did not answer.",
    registry=REGISTRY,
)
PENDING = Gauge("quorum_pending_uploads", "Uploads in progress.", registry=REGISTRY)
BACKLOG = Gauge(
    "quorum_ledger_backlog", "Verdicts that wait to be written to the ledger.", registry=REGISTRY
)
DELIVERIES = Counter(
    "quorum_webhook_tries",
    "Attempts to deliver a verdict.",
    ("endpoint", "outcome"),
    registry=REGISTRY,
)
MODELS = Gauge(
    "quorum_model", "1 for each model in use.", ("detector", "version"), registry=REGISTRY
)
MODEL_SWAPS = Counter(
    "quorum_model_swaps",
    "How often a detector's model was replaced while serving.",
    ("detector",),
    registry=REGISTRY,
)
MODELS_STALE = Gauge(
    "quorum_models_stale",
    "1 while a model may differ from the registry's: it is unreachable, or a model is damaged.",
    registry=REGISTRY,
)
