"""The event of a producer: something was uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from quorum.core.messages.content import NOT_CONTENT, content_digest
from quorum.core.messages.fields import Identifier, Seconds, Territory, Time
from quorum.core.messages.message import Message
from quorum.core.territories import why_no_territory


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
    """When the producer published this content. An edit, which has the same ``id`` and other
    content, has a later one: of two contents the one that was published later holds."""
    comments: tuple[str, ...] = ()
    """Comments on it."""

    @cached_property
    def digest(self) -> str:
        """The digest of the content, which two messages share if and only if it is the same.

        Content is what a detector, a rule or a reviewer may judge: title, description, tags,
        language, media (its address), duration, territories, comments, and all fields of the
        producer's own. Not content are ``id`` and ``uploader``, which say what and whose it is,
        and ``published_at``, which a producer may renew when it sends the same again.
        """
        fields = self.__pydantic_serializer__.to_python(
            self, mode="json", exclude=set(NOT_CONTENT), exclude_defaults=True
        )
        return content_digest(fields)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """See pydantic; the copy has a digest of its own."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("digest", None)
        return copied

    def not_accepted(self) -> str:
        """See Message."""
        for index, code in enumerate(self.territories):
            if wrong := why_no_territory(code):
                return f"territories.{index}: {wrong}"
        return ""

    def event_id(self) -> str:
        """See Message."""
        return self.id

    def event_time(self) -> datetime:
        """See Message."""
        return self.published_at
