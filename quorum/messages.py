"""The messages of the streams: what a platform sends and receives.

This module is public: its names keep their meaning within a minor version.
"""

from __future__ import annotations

from quorum.core.errors import MalformedMessage
from quorum.core.identity import SigningKey, verify_signature
from quorum.core.messages import (
    ACTIONS,
    CONTROL,
    MAX_MESSAGE_BYTES,
    MAX_SKEW,
    MESSAGES,
    NOT_ASKED,
    SEEN,
    Action,
    DeadLetter,
    Evidence,
    Identifier,
    Message,
    Missing,
    Prediction,
    Probability,
    Review,
    Seconds,
    Status,
    Time,
    Upload,
    Usage,
    UsedPrediction,
    Verdict,
    digest,
    now,
    prediction_id,
    schema,
)

__all__ = [
    "ACTIONS",
    "CONTROL",
    "MAX_MESSAGE_BYTES",
    "MAX_SKEW",
    "MESSAGES",
    "NOT_ASKED",
    "SEEN",
    "Action",
    "DeadLetter",
    "Evidence",
    "Identifier",
    "MalformedMessage",
    "Message",
    "Missing",
    "Prediction",
    "Probability",
    "Review",
    "Seconds",
    "SigningKey",
    "Status",
    "Time",
    "Upload",
    "Usage",
    "UsedPrediction",
    "Verdict",
    "digest",
    "now",
    "prediction_id",
    "schema",
    "verify_signature",
]
