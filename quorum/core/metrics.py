"""The metrics of all processes, in one table: names, labels, and which process serves them.

Names follow Prometheus and OpenMetrics: counters end in ``_total`` where they are shown, times are
in seconds, shares are ratios from 0 to 1. No other module declares one. ``docs/operations.md`` has
the table; ``python docs/make_reference.py`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeVar

import prometheus_client as prometheus
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from quorum.core.messages import Prediction, Usage, Verdict

__all__ = [
    "FAMILIES",
    "GRACE_SECONDS",
    "PROCESSES",
    "Family",
    "count_prediction",
    "count_usage",
    "count_verdict",
    "page",
]

#: The processes, by their verbs.
PROCESSES: Final = (
    "stream",
    "detect",
    "decide",
    "record",
    "batch",
    "serve",
    "console",
    "jobs",
    "alerts",
)

#: A first verdict so many seconds after the policy's deadline still met it: a case that waits for
#: a detector is decided at the deadline, and its timer takes a moment.
GRACE_SECONDS: Final = 1.0

#: Histogram buckets: from a cached text prediction to a case that waits for its deadline.
SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Family(NamedTuple):
    """A metric, and where it is served.

    Attributes:
        metric: The metric, with its name, help and labels.
        served: The processes that serve it.
    """

    metric: MetricWrapperBase
    served: tuple[str, ...]


#: The families by name; a counter's is without ``_total``.
FAMILIES: Final[dict[str, Family]] = {}

_Metric = TypeVar("_Metric", prometheus.Counter, prometheus.Gauge, prometheus.Histogram)

# The time at which a counter began would be a further series for each.
prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]


def _served(metric: _Metric, *processes: str) -> _Metric:
    FAMILIES[metric._name] = Family(metric, processes)
    return metric


_SCORES = ("stream", "detect", "batch", "serve")
_DECIDES = ("stream", "decide", "batch", "serve")
_CASES = ("stream", "decide")
_PULLS = ("stream", "detect", "decide", "record")
_FOLLOWS = ("stream", "detect", "decide", "jobs")

READY = _served(
    prometheus.Gauge("quorum_ready", "1 while no check of health finds a problem, else 0."),
    *PROCESSES,
)
JOB_RUNNING = _served(
    prometheus.Gauge("quorum_job_running", "1 while the job on a cluster runs, else 0."),
    *_FOLLOWS,
)
JOB_RESTARTS = _served(
    prometheus.Gauge(
        "quorum_job_restarts", "Restarts of the job on a cluster in the last hour, as it tells."
    ),
    *_FOLLOWS,
)
JOB_CHECKPOINT_AGE = _served(
    prometheus.Gauge(
        "quorum_job_checkpoint_age_seconds", "Since the job's last completed checkpoint."
    ),
    *_FOLLOWS,
)
JOB_CHECKPOINT_BYTES = _served(
    prometheus.Gauge("quorum_job_checkpoint_bytes", "Bytes of the job's last checkpoint."),
    *_FOLLOWS,
)
JOB_BACKLOG = _served(
    prometheus.Gauge(
        "quorum_job_oldest_message_seconds",
        "Age of the oldest message that a subscription of the job has not had acknowledged.",
        ("subscription",),
    ),
    *_FOLLOWS,
)
UPLOADS = _served(prometheus.Counter("quorum_uploads", "Uploads decoded."), "stream", "detect")
LAG = _served(
    prometheus.Histogram(
        "quorum_upload_lag_seconds",
        "From the publication of an upload to its decoding.",
        buckets=SECONDS,
    ),
    "stream",
    "detect",
)
HELD = _served(
    prometheus.Gauge("quorum_held_messages", "Messages pulled and not acknowledged."), *_PULLS
)
BACKLOG = _served(
    prometheus.Gauge(
        "quorum_backlog_messages",
        "Messages of a Kafka topic that are not done, in the partitions that this process reads.",
        ("stream",),
    ),
    *_PULLS,
)
DEAD_LETTERS = _served(
    prometheus.Counter("quorum_dead_letters", "Dead letters.", ("stage",)), *_PULLS, "batch"
)
REFUSED = _served(
    prometheus.Counter(
        "quorum_refused_messages",
        "Dead letters for who sent them: no valid signature, or no right to say this.",
        ("stage", "reason"),
    ),
    *_PULLS,
)
IN_DETECTION = _served(
    prometheus.Gauge("quorum_uploads_in_detection", "Uploads that are being scored."),
    "stream",
    "detect",
)
WAITING_FOR_DETECTION = _served(
    prometheus.Gauge(
        "quorum_uploads_waiting_for_detection", "Uploads pulled that wait to be scored."
    ),
    "stream",
    "detect",
)
PREDICTIONS = _served(
    prometheus.Counter("quorum_predictions", "Predictions made here.", ("detector", "status")),
    *_SCORES,
)
SCORING = _served(
    prometheus.Histogram(
        "quorum_scoring_seconds",
        "Seconds of one upload in a detector.",
        ("detector",),
        buckets=SECONDS,
    ),
    *_SCORES,
)
BREAKER_STATE = _served(
    prometheus.Gauge(
        "quorum_breaker_state",
        "The circuit breaker of a detector: 0 closed, 1 half-open, 2 open.",
        ("detector",),
    ),
    *_SCORES,
)
WORKERS_ENDED = _served(
    prometheus.Counter(
        "quorum_workers_ended",
        "Workers of the detectors that were killed at the end of their budget, or died.",
        ("how",),
    ),
    *_SCORES,
)
ENDPOINT_CALLS = _served(
    prometheus.Counter(
        "quorum_endpoint_calls", "Requests to the server of a model.", ("detector",)
    ),
    *_SCORES,
)
ENDPOINT_TOKENS = _served(
    prometheus.Counter(
        "quorum_endpoint_tokens",
        "Tokens of questions to a model and of its answers.",
        ("detector",),
    ),
    *_SCORES,
)
ENDPOINT_SECONDS = _served(
    prometheus.Counter(
        "quorum_endpoint_seconds", "Seconds of requests to a model, added up.", ("detector",)
    ),
    *_SCORES,
)
ENDPOINT_CACHED = _served(
    prometheus.Counter(
        "quorum_endpoint_cached", "Questions to a model whose answer was known.", ("detector",)
    ),
    *_SCORES,
)
VERDICTS = _served(
    prometheus.Counter("quorum_verdicts", "Verdicts made.", ("action", "decided_by")), *_DECIDES
)
RULE_VERDICTS = _served(
    prometheus.Counter(
        "quorum_rule_verdicts", "Verdicts by the rule that decided.", ("rule", "action")
    ),
    *_DECIDES,
)
LATENCY = _served(
    prometheus.Histogram(
        "quorum_verdict_latency_seconds",
        "From the arrival of an upload to its verdict.",
        buckets=SECONDS,
    ),
    "stream",
    "decide",
    "serve",
)
FIRST_VERDICTS = _served(
    prometheus.Counter(
        "quorum_first_verdicts",
        "First verdicts on uploads, by whether they met the policy's deadline, within 1 s.",
        ("deadline",),
    ),
    "stream",
    "decide",
    "serve",
)
UNKNOWN_HISTORIES = _served(
    prometheus.Counter(
        "quorum_unknown_histories",
        "Uploads decided without their uploader's history: the ledger did not answer.",
    ),
    "stream",
    "decide",
    "serve",
)
OPEN_CASES = _served(
    prometheus.Gauge("quorum_open_cases", "Cases kept in this process, decided ones too."), *_CASES
)
FEATURE_KEYS = _served(
    prometheus.Gauge(
        "quorum_feature_keys", "Keys that features over time keep in this process.", ("by",)
    ),
    *_DECIDES,
)
FEATURE_NUMBERS = _served(
    prometheus.Gauge(
        "quorum_feature_numbers",
        "Numbers that features over time keep for these keys, which is their memory.",
        ("by",),
    ),
    *_DECIDES,
)
FEATURE_KEYS_GIVEN_UP = _served(
    prometheus.Counter(
        "quorum_feature_keys_given_up",
        "Keys that gave way to newer ones: a feature had more than its `keys`.",
        ("by",),
    ),
    *_DECIDES,
)
UNKNOWN_FEATURES = _served(
    prometheus.Counter(
        "quorum_unknown_features",
        "Uploads that went on before all of their keys had told their features over time.",
    ),
    *_CASES,
)
ORPHANS = _served(
    prometheus.Gauge(
        "quorum_orphans", "Messages that wait for an upload that has not arrived.", ("stream",)
    ),
    *_CASES,
)
CAPPED_REMOVALS = _served(
    prometheus.Counter(
        "quorum_capped_removals", "Removals that a cap turned into reviews.", ("bucket",)
    ),
    *_DECIDES,
)
CAPPED_REVIEWS = _served(
    prometheus.Counter(
        "quorum_capped_reviews", "Reviews that a cap turned into restrictions.", ("bucket",)
    ),
    *_DECIDES,
)
CAPPED_MATCHES = _served(
    prometheus.Counter(
        "quorum_capped_matches",
        "Removals that wait for a human since one work or listed hash matched too many uploads.",
    ),
    *_DECIDES,
)
SCORE_STABILITY = _served(
    prometheus.Gauge(
        "quorum_score_stability",
        "Population stability index of a detector's scores against its reference; alarm above "
        "0.25.",
        ("detector",),
    ),
    *_CASES,
)
SILENT_RATIO = _served(
    prometheus.Gauge(
        "quorum_silent_ratio",
        "Share of uploads that a detector failed on or missed.",
        ("detector",),
    ),
    *_CASES,
)
DEADLINE_RATIO = _served(
    prometheus.Gauge("quorum_deadline_ratio", "Share of verdicts made at their deadline."), *_CASES
)
RECORDED = _served(
    prometheus.Counter(
        "quorum_recorded_messages", "Messages that the ledger has, by stream.", ("stream",)
    ),
    "record",
)
WEBHOOK_TRIES = _served(
    prometheus.Counter(
        "quorum_webhook_tries", "Attempts to deliver a verdict.", ("endpoint", "outcome")
    ),
    "record",
    "serve",
)
REQUESTS = _served(
    prometheus.Counter(
        "quorum_http_requests", "Responses by route and HTTP status.", ("route", "status")
    ),
    "serve",
    "console",
)
CONSOLE_BEHIND = _served(
    prometheus.Gauge(
        "quorum_console_behind_seconds",
        "For how long something that reviewers depend on is behind; 0 while it is not.",
        ("what",),
    ),
    "console",
)
CONSOLE_LOGINS = _served(
    prometheus.Counter(
        "quorum_console_logins",
        "Log-ins to the console, by way (password, proxy, sso) and outcome.",
        ("way", "outcome"),
    ),
    "console",
)
ALERT_NOTICES = _served(
    prometheus.Counter(
        "quorum_alert_notices", "Attempts to tell people of an alert.", ("channel", "outcome")
    ),
    "alerts",
)
ALERTS_OPEN = _served(
    prometheus.Gauge("quorum_alerts_open", "Alerts to people that last."), "alerts"
)
DETECTOR_LATE = _served(
    prometheus.Counter(
        "quorum_detector_late",
        "Uploads decided before a detector's prediction arrived.",
        ("detector",),
    ),
    "serve",
)
PENDING_UPLOADS = _served(
    prometheus.Gauge("quorum_pending_uploads", "Uploads in progress."), "serve"
)
LEDGER_BACKLOG = _served(
    prometheus.Gauge("quorum_ledger_backlog", "Verdicts that wait to be written to the ledger."),
    "serve",
)
MODEL = _served(
    prometheus.Gauge("quorum_model", "1 for each model in use.", ("detector", "version")), "serve"
)
MODEL_SWAPS = _served(
    prometheus.Counter(
        "quorum_model_swaps",
        "How often a detector's model was replaced while serving.",
        ("detector",),
    ),
    "serve",
)
MODELS_STALE = _served(
    prometheus.Gauge(
        "quorum_models_stale",
        "1 while a model may differ from the registry's: it is unreachable, or a model is damaged.",
    ),
    "serve",
)

POLICY = _served(
    prometheus.Gauge("quorum_policy", "1 for the policy that decides here.", ("version",)),
    *_DECIDES,
)
POLICY_CHANGES = _served(
    prometheus.Counter("quorum_policy_changes", "How often a released policy took over here."),
    *_DECIDES,
)
REFUSED_POLICIES = _served(
    prometheus.Counter(
        "quorum_refused_policies",
        "Messages that are no release of a policy, or whose publisher may not release one.",
    ),
    *_DECIDES,
)
POLICY_STALE = _served(
    prometheus.Gauge(
        "quorum_policy_stale",
        "1 while a newer policy cannot be used here, or releases cannot be read.",
    ),
    *_DECIDES,
)

# Both from the start: an increase from nothing is no increase.
for _deadline in ("met", "missed"):
    FIRST_VERDICTS.labels(_deadline)


def count_prediction(prediction: Prediction) -> None:
    """Count a prediction that was made here, and what it cost."""
    PREDICTIONS.labels(prediction.detector, prediction.status.value).inc()
    SCORING.labels(prediction.detector).observe(prediction.elapsed)
    count_usage(prediction.detector, prediction.usage)


def count_usage(detector: str, usage: Usage | None) -> None:
    """Count what a detector asked the server of a model.

    The share of uploads that is asked about is that of ``quorum_predictions`` of the detector that
    are scored or failed.
    """
    if usage is None:
        return
    ENDPOINT_CALLS.labels(detector).inc(usage.calls)
    ENDPOINT_TOKENS.labels(detector).inc(usage.tokens)
    ENDPOINT_SECONDS.labels(detector).inc(usage.seconds)
    ENDPOINT_CACHED.labels(detector).inc(usage.cached)


def count_verdict(verdict: Verdict, deadline: float | None) -> None:
    """Count a verdict.

    Args:
        verdict: The verdict.
        deadline: The policy's deadline in seconds; None where nobody waits, as in a batch.
    """
    VERDICTS.labels(verdict.action.value, verdict.decided_by).inc()
    RULE_VERDICTS.labels(verdict.rule, verdict.action.value).inc()
    if deadline is None:
        return
    LATENCY.observe(max(0.0, verdict.latency))
    # A later revision is of a review, a late prediction or an edit.
    if verdict.revision == 1:
        met = verdict.latency <= deadline + GRACE_SECONDS
        FIRST_VERDICTS.labels("met" if met else "missed").inc()


class _Of(NamedTuple):
    """The registry as one process serves it: its own families, and those of libraries."""

    process: str

    def collect(self) -> Iterator[Metric]:
        for family in prometheus.REGISTRY.collect():
            ours = FAMILIES.get(family.name)
            if ours is None or self.process in ours.served:
                yield family


def page(process: str, headers: Mapping[str, str]) -> tuple[bytes, str]:
    """The metrics of this process, in the format that the request prefers.

    Args:
        process: One of ``PROCESSES``.
        headers: Of the request, by lower-case names: ``accept`` chooses OpenMetrics or the text
            format of Prometheus.

    Returns:
        The body, and its media type.
    """
    encode, kind = prometheus.exposition.choose_encoder(headers.get("accept", ""))
    return encode(_Of(process)), kind
