"""The decision on an upload, with the rule and the predictions that it rests on."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from quorum.core.messages.account import AccountVerdict
from quorum.core.messages.fields import Identifier, Probability, Seconds, Time
from quorum.core.messages.message import Message, Value
from quorum.core.messages.prediction import Status

#: Before all times that a message may have.
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


class Action(StrEnum):
    """What happens to an upload, from mild to severe."""

    ALLOW = "allow"
    """Visible."""
    RESTRICT = "restrict"
    """Visible with limits, such as an age gate, blocked territories or no advertisements."""
    REVIEW = "review"
    """Held until a human decides."""
    REMOVE = "remove"
    """Not visible."""

    @property
    def severity(self) -> int:
        """0 for ``allow`` to 3 for ``remove``."""
        return ACTIONS.index(self)


#: The actions from mild to severe.
ACTIONS: tuple[Action, ...] = (Action.ALLOW, Action.RESTRICT, Action.REVIEW, Action.REMOVE)


class UsedPrediction(Value):
    """A prediction as a verdict lists it: enough to decide again."""

    id: Identifier
    """The prediction's identifier."""
    detector: Identifier
    """The detector's name."""
    version: Identifier
    """The version of its model."""
    status: Status
    """Whether there is a score."""
    score: Probability | None = None
    """See ``Prediction``."""
    labels: dict[str, Probability] = Field(default_factory=dict)
    """See ``Prediction``."""
    reason: str | None = None
    """See ``Prediction``."""
    shadow: bool = False
    """Whether it did not decide."""
    seen: Probability | None = None
    """Share of the media's length that the detector has looked at, where it says so."""
    works: tuple[str, ...] | None = None
    """The reference works or listed hashes that it matched; absent where there is none."""


class Missing(Value):
    """A detector without a prediction when a verdict was made, and why."""

    detector: Identifier
    """The detector's name."""
    why: str
    """The reason, as a sentence."""


class PlannedAction(Value):
    """What time alone will make of a verdict, if no review, prediction or edit comes before."""

    action: Action
    """What will happen to the upload."""
    at: Time
    """When."""
    rule: str
    """The rule that will decide."""
    reason: str
    """A sentence that a person can read."""


class Campaign(Value):
    """A wave that an upload is part of: nearly the same from many uploaders within a while."""

    id: Identifier
    """The same for all members, in every process."""
    label: str
    """``wave/text``, ``wave/media``, or ``wave/`` with what else the uploads have in common."""
    feature: str
    """The policy's feature that found it, by name and version."""
    uploads: Annotated[int, Field(ge=1)]
    """Uploads within the window, this one too."""
    uploaders: Annotated[int, Field(ge=1)]
    """Different uploaders among them."""
    earlier: tuple[Identifier, ...] = ()
    """Uploads that were decided before it was known to be a campaign; in its first verdicts."""


class Verdict(Message):
    """The decision on an upload, sent to the producer; a later revision supersedes it."""

    kind: ClassVar[str] = "verdict"

    id: Identifier
    """A digest of the upload, the revision, the policy and the inputs."""
    upload_id: Identifier
    """The upload."""
    digest: Identifier | None = None
    """``Upload.digest`` of the content that was decided; absent in verdicts of version 0.2."""
    published_at: Time | None = None
    """When that content was published; absent in verdicts of version 0.2."""
    action: Action
    """What happens to the upload."""
    revision: Annotated[int, Field(ge=1)]
    """1 for the first verdict on an upload; a greater one supersedes it."""
    supersedes: Identifier | None = None
    """Identifier of the verdict that this one replaces; it may be on an earlier content."""
    policy_version: Identifier
    """The policy's name and the digest of its content."""
    rule: str
    """The rule that decided."""
    category: str | None = None
    """The harm that the rule is about."""
    reasons: tuple[str, ...]
    """Sentences that a person can read."""
    predictions: tuple[UsedPrediction, ...] = ()
    """The predictions that were known."""
    missing: tuple[Missing, ...] = ()
    """The detectors of the policy without a prediction."""
    decided_by: Literal["policy", "deadline", "reviewer", "cap"]
    """What decided: all that the policy waited for, its deadline, a human, or a cap."""
    at: Time
    """When it was made."""
    latency: Seconds
    """Seconds from the arrival of the upload to this verdict."""
    rollout: dict[str, Literal["in", "out"]] | None = None
    """What is rolled out to a share of uploaders, and on which side this one is.

    A rule by its name, another version of a detector by its own, a candidate policy by its version.
    """
    statement: str | None = None
    """The statement of reasons for the uploader, where one is owed."""
    reply: Annotated[str, Field(max_length=8000)] | None = None
    """What the uploader is told in the words of the reviewer who decided."""
    account: AccountVerdict | None = None
    """What happens to the uploader's account, where the policy or a reviewer asks for that."""
    plan: PlannedAction | None = None
    """What time alone will bring: a later revision carries it out; absent where nothing will."""
    since: dict[str, Time] | None = None
    """Since when each rule applies whose action changes with time; absent where none does."""
    features: dict[str, float] | None = None
    """The values of features over time that were known, by name and version of each."""
    campaigns: tuple[Campaign, ...] | None = None
    """The campaigns that the upload is part of; absent where there is none."""

    @property
    def order(self) -> tuple[datetime, int, datetime, str]:
        """Of the verdicts on one upload the one with the greatest order holds.

        The content that was published later wins over any revision of another: the count of
        revisions begins again where a stream has forgotten the case. Verdicts without
        ``published_at`` come first.
        """
        return (self.published_at or _UNKNOWN, self.revision, self.at, self.id)

    def event_id(self) -> str:
        """See Message."""
        return self.id

    def event_time(self) -> datetime:
        """See Message."""
        return self.at
