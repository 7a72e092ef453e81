"""A policy that is to be in force from now on, with its whole text."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from quorum.core.messages.fields import Identifier, Time, digest
from quorum.core.messages.message import Message

__all__ = ["PolicyRelease"]


class PolicyRelease(Message):
    """A policy that is to be in force from now on; a later release takes its place.

    Running jobs follow the release with the greatest ``order``, so that duplicates and reordering
    change nothing. Going back to a former policy is a new release of the former text.
    """

    kind: ClassVar[str] = "policy-release"
    stream: ClassVar[str] = "policies"

    policy_version: Identifier
    """The policy's name and the digest of its content, as verdicts name it."""
    text: Annotated[str, Field(min_length=1)]
    """The policy's YAML."""
    by: Identifier
    """Who activated it."""
    at: Time
    """When it was activated."""
    note: str = ""
    """Why, in words."""

    @property
    def order(self) -> tuple[datetime, str]:
        """Of all releases the one with the greatest order is in force."""
        return (self.at, self.event_id())

    def event_id(self) -> str:
        """See Message."""
        return digest("policy-release", self.policy_version, self.text, self.by, str(self.at))

    def event_time(self) -> datetime:
        """See Message."""
        return self.at
