"""The event of a producer: something was uploaded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from quorum.core.messages.fields import Identifier, Seconds, Territory, Time
from quorum.core.messages.message import Message


class Upload(Message):
    """The event of the producer: something was uploaded and waits for a verdict."""

    kind: ClassVar[str] = "upload"

    id: Identifier
    """The producer's identifier of the upload."""
    uploader: Identifier
    """The producer's identifier of the uploader."""
    title: str = ""
    """Its title."""
    description: str = ""
    """Its description."""
    tags: tuple[str, ...] = ()
    """Its tags."""
    language: Annotated[str, Field(max_length=35)] | None = None
    """BCP 47 tag of the language of its texts, as the uploader chose it."""
    media: Annotated[str, Field(max_length=4096)] | None = None
    """Where the media is: ``https:``, ``gs:`` or ``file:``, as the settings allow."""
    duration: Seconds | None = None
    """Length of the media in seconds, as the producer knows it."""
    territories: tuple[Territory, ...] = ()
    """ISO 3166-1 alpha-2 codes of where it is to be shown; empty for everywhere."""
    published_at: Time
    """When the producer published the event."""
    comments: tuple[str, ...] = ()
    """Comments on it."""

    def event_id(self) -> str:
        """See Message."""
        return self.id

    def event_time(self) -> datetime:
        """See Message."""
        return self.published_at
