"""A human's decision on a case."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

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
    account: Literal["none", "warn", "suspend", "ban"] | None = None
    """What the reviewer decided on the uploader's account; absent leaves what the policy asks."""
    account_until: Time | None = None
    """When a suspension ends; absent where a person must lift it."""
    account_reason: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    """A sentence for the account's owner; with one, ``account`` stays in later revisions, too."""
    at: Time
    """When it was decided."""

    @model_validator(mode="after")
    def _account_fits(self) -> Self:
        if self.account_reason is not None and self.account is None:
            msg = "account_reason is the reason of `account`, which is absent"
            raise ValueError(msg)
        if self.account_until is None:
            return self
        if self.account != "suspend" or self.account_reason is None:
            msg = "account_until is the end of `account: suspend` with an `account_reason`"
            raise ValueError(msg)
        if self.account_until <= self.at:
            msg = "account_until is before the review"
            raise ValueError(msg)
        return self

    def event_id(self) -> str:
        """See Message."""
        said: tuple[str, ...] = () if self.account is None else (self.account,)
        if self.account_reason is not None:
            said = (*said, self.account_reason, str(self.account_until))
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
