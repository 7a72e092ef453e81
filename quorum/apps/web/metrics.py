"""What the web service counts, in Prometheus' format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = [
    "BACKLOG",
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
LATE = Counter(
    "quorum_detector_late", "Uploads decided without a detector.", ("detector",), registry=REGISTRY
)
LATENCY = Histogram(
    "quorum_verdict_latency_seconds",
    "From the arrival of an upload to its verdict.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
    registry=REGISTRY,
)
REQUESTS = Counter(
    "quorum_http_requests", "Requests answered.", ("route", "status"), registry=REGISTRY
)
UNKNOWN_HISTORIES = Counter(
    "quorum_unknown_histories",
    "Uploads decided without their uploader's history, as the ledger was away.",
    registry=REGISTRY,
)
PENDING = Gauge("quorum_pending_uploads", "Uploads in the works.", registry=REGISTRY)
BACKLOG = Gauge("quorum_ledger_backlog", "Answers that wait for the ledger.", registry=REGISTRY)
DELIVERIES = Counter(
    "quorum_webhook_tries", "Tries to tell a verdict.", ("endpoint", "outcome"), registry=REGISTRY
)
MODELS = Gauge(
    "quorum_model", "1 for each model that scores now.", ("detector", "version"), registry=REGISTRY
)
MODEL_SWAPS = Counter(
    "quorum_model_swaps",
    "How often a detector took another model in while it served.",
    ("detector",),
    registry=REGISTRY,
)
MODELS_STALE = Gauge(
    "quorum_models_stale",
    "1 while models may not be those that the registry names: it is away, or one is damaged.",
    registry=REGISTRY,
)
