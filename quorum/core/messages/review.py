"""A human's decision on a case."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from quorum.core.messages.fields import Identifier, Time, digest
from quorum.core.messages.message import Message
from quorum.core.messages.verdict import Action


class Review(Message):
    """A human's decision on a case."""

    kind: ClassVar[str] = "review"

    upload_id: Identifier
    verdict_id: Identifier
    action: Action
    reviewer: Identifier
    labels: tuple[str, ...] = ()
    note: str = ""
    at: Time

    def event_id(self) -> str:
        """See Message."""
        return digest(
            "review", self.upload_id, self.verdict_id, self.reviewer, self.action, str(self.at)
        )

    def event_time(self) -> datetime:
        """See Message."""
        return self.at
