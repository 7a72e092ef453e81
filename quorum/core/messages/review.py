"""A human's decision on a case."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from quorum.core.messages.fields import Identifier, Time, digest
from quorum.core.messages.message import Message
from quorum.core.messages.verdict import Action


class Review(Message):
    """A human's decision on a case."""

    kind: ClassVar[str] = "review"

    upload_id: Identifier
    """The upload."""
    verdict_id: Identifier
    """The verdict that the reviewer saw."""
    action: Action
    """What the reviewer decided."""
    reviewer: Identifier
    """Who decided."""
    labels: tuple[str, ...] = ()
    """The harms that the reviewer found, such as ``violence/fight``."""
    note: str = ""
    """A note for other reviewers."""
    reply: Annotated[str, Field(max_length=8000)] | None = None
    """What the uploader is told in the reviewer's words, beside the statement of reasons."""
    account: Literal["none", "warn", "suspend"] | None = None
    """What the reviewer decided on the uploader's account; absent leaves what the policy asks."""
    at: Time
    """When it was decided."""

    def event_id(self) -> str:
        """See Message."""
        said = () if self.account is None else (self.account,)
        return digest(
            "review",
            self.upload_id,
            self.verdict_id,
            self.reviewer,
            self.action,
            str(self.at),
            *said,
        )

    def event_time(self) -> datetime:
        """See Message."""
        return self.at
