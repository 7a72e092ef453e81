"""The decision on an upload, from mild to severe, with what it stands on."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from quorum.core.messages.fields import Identifier, Probability, Seconds, Time
from quorum.core.messages.message import Message, Value
from quorum.core.messages.prediction import Status


class Action(StrEnum):
    """What happens to an upload, from mild to severe."""

    ALLOW = "allow"
    RESTRICT = "restrict"
    REVIEW = "review"
    REMOVE = "remove"

    @property
    def severity(self) -> int:
        """0 for ``allow`` to 3 for ``remove``."""
        return ACTIONS.index(self)


#: The actions from mild to severe.
ACTIONS: tuple[Action, ...] = (Action.ALLOW, Action.RESTRICT, Action.REVIEW, Action.REMOVE)


class UsedPrediction(Value):
    """A prediction as a verdict lists it: enough to decide again."""

    id: Identifier
    detector: Identifier
    version: Identifier
    status: Status
    score: Probability | None = None
    labels: dict[str, Probability] = Field(default_factory=dict)
    reason: str | None = None
    shadow: bool = False


class Missing(Value):
    """A detector that had said nothing when a verdict was made, and why."""

    detector: Identifier
    why: str


class Verdict(Message):
    """The decision on an upload, sent to the producer; a later revision supersedes it."""

    kind: ClassVar[str] = "verdict"

    id: Identifier
    upload_id: Identifier
    action: Action
    revision: Annotated[int, Field(ge=1)]
    supersedes: Identifier | None = None
    """Identifier of the verdict that this one replaces."""
    policy_version: Identifier
    rule: str
    """The rule that decided."""
    category: str | None = None
    reasons: tuple[str, ...]
    """Sentences that a person can read."""
    predictions: tuple[UsedPrediction, ...] = ()
    missing: tuple[Missing, ...] = ()
    decided_by: Literal["policy", "deadline", "reviewer", "cap"]
    at: Time
    latency: Seconds
    """Seconds from the arrival of the upload to this verdict."""
    statement: str | None = None

    def event_id(self) -> str:
        """See Message."""
        return self.id

    def event_time(self) -> datetime:
        """See Message."""
        return self.at
