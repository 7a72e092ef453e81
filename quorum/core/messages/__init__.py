"""The messages that travel on the streams: frozen values, JSON on the wire.

Every message keeps the fields that it does not know, so that a newer producer and an older
consumer can share a stream. Times are RFC 3339 in UTC. ``docs/schemas/`` holds the JSON
Schema of each message, generated from this package by ``quorum schemas``.
"""

from __future__ import annotations

from quorum.core.messages.account import AccountAction, AccountState, AccountVerdict
from quorum.core.messages.dead_letter import DeadLetter
from quorum.core.messages.fields import CONTROL, Identifier, Probability, Seconds, Time, digest, now
from quorum.core.messages.message import MAX_MESSAGE_BYTES, MAX_SKEW, Message, schema
from quorum.core.messages.policy_release import PolicyRelease
from quorum.core.messages.prediction import (
    NOT_ASKED,
    SEEN,
    Evidence,
    Prediction,
    Status,
    Usage,
    prediction_id,
)
from quorum.core.messages.review import Review
from quorum.core.messages.upload import Upload
from quorum.core.messages.verdict import (
    ACTIONS,
    Action,
    Campaign,
    Missing,
    PlannedAction,
    UsedPrediction,
    Verdict,
)

__all__ = [
    "ACTIONS",
    "CONTROL",
    "MAX_MESSAGE_BYTES",
    "MAX_SKEW",
    "MESSAGES",
    "NOT_ASKED",
    "SEEN",
    "AccountAction",
    "AccountState",
    "AccountVerdict",
    "Action",
    "Campaign",
    "DeadLetter",
    "Evidence",
    "Identifier",
    "Message",
    "Missing",
    "PlannedAction",
    "PolicyRelease",
    "Prediction",
    "Probability",
    "Review",
    "Seconds",
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
]

#: The messages that have a topic and a schema.
MESSAGES: tuple[type[Message], ...] = (
    Upload,
    Prediction,
    Verdict,
    Review,
    PolicyRelease,
    DeadLetter,
)
