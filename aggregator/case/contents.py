"""The contents of an upload, one after another: which one holds, and what belongs to which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from quorum.aggregator.decision.compact import micros
from quorum.core.messages import Upload, Verdict

__all__ = ["MAX_FORMER", "MAX_FORMER_VERDICTS", "Contents", "Relation", "content_of"]

#: Earlier contents that are remembered, to recognise what comes late.
MAX_FORMER: Final = 20
#: Verdicts on earlier contents that are remembered: as many as a case knows of its verdicts.
MAX_FORMER_VERDICTS: Final = 50


class Relation(Enum):
    """How something that names a content, or none, relates to the one that holds."""

    CURRENT = auto()
    """It is about the content that holds."""
    FORMER = auto()
    """It is about an earlier content, and decides nothing."""
    UNKNOWN = auto()
    """It is about a content that did not arrive: perhaps it is ahead of its edit."""


@dataclass(slots=True)
class Contents:
    """Which content of an upload holds, and what is remembered of the earlier ones.

    Of two contents the one that was published later holds; of two published at the same time the
    one that arrived later. So an old message that is delivered again does not undo an edit.

    Attributes:
        digest: ``Upload.digest`` of the content that holds; empty before the upload arrives.
        published: When it was published, in microseconds since 1970.
        former: Digests of earlier contents, oldest first.
        former_verdicts: Identifiers of verdicts on earlier contents, oldest first.
        overruled: What a reviewer decided last on an earlier content, if one did.
    """

    digest: str = ""
    published: int = 0
    former: tuple[str, ...] = ()
    former_verdicts: tuple[str, ...] = ()
    overruled: str | None = None

    @property
    def edited(self) -> bool:
        """Whether the content that holds is an edit."""
        return bool(self.former)

    def takes(self, digest: str, published: int) -> bool:
        """Whether a content that arrives holds from now on, as the first or as an edit.

        The same content again, published later, is as good as new: an edit in between is older.
        """
        if digest == self.digest:
            self.published = max(self.published, published)
            return False
        return not self.digest or published >= self.published

    def replace(self, digest: str, published: int) -> None:
        """Let another content hold."""
        if self.digest:
            former = [one for one in self.former if one not in (digest, self.digest)]
            self.former = (*former, self.digest)[-MAX_FORMER:]
        self.digest, self.published = digest, published

    def add_former(self, digest: str) -> None:
        """Remember an earlier content; empty for one whose digest is not known."""
        if digest not in (self.digest, *self.former):
            self.former = (*self.former, digest)[-MAX_FORMER:]

    def follow(self, digests: Iterable[str]) -> None:
        """Remember earlier contents before the one that will hold has arrived."""
        self.former = tuple(dict.fromkeys(digests))[-MAX_FORMER:]

    def add_former_verdicts(self, verdict_ids: Iterable[str]) -> None:
        """Remember verdicts on earlier contents."""
        new = [one for one in verdict_ids if one not in self.former_verdicts]
        self.former_verdicts = (*self.former_verdicts, *new)[-MAX_FORMER_VERDICTS:]

    def of_verdict(self, verdict: Verdict) -> str:
        """The digest of the content that a verdict decided; empty if it is not known.

        A verdict of version 0.2 names no content. It was on the one that holds, unless that was
        published after the verdict was made.
        """
        if verdict.digest is not None:
            return verdict.digest
        return self.digest if micros(verdict.at) >= self.published else ""

    def relation(self, digest: str | None) -> Relation:
        """How a prediction that names this content relates to the one that holds.

        One that names none counts for the first content, and for no edit: it may have been made
        of what the edit replaced.
        """
        if digest is None:
            return Relation.FORMER if self.edited else Relation.CURRENT
        if digest == self.digest:
            return Relation.CURRENT
        return Relation.FORMER if digest in self.former else Relation.UNKNOWN

    def row(self) -> tuple[Any, ...]:
        """The values for the snapshot of a case; see ``of``."""
        first = (self.digest, self.published)
        return (*first, self.former, self.former_verdicts, self.overruled) if self.edited else first

    @classmethod
    def of(cls, row: Sequence[Any]) -> Contents:
        """The contents of a row."""
        digest, published, *more = row
        former, former_verdicts, overruled = more or ((), (), None)
        return cls(digest, published, tuple(former), tuple(former_verdicts), overruled)


def content_of(verdict: Verdict, upload: Upload) -> str:
    """The digest of the content that a verdict decided, as ``Contents.of_verdict``.

    Args:
        verdict: A verdict on the upload.
        upload: The upload with the content that holds.
    """
    return Contents(upload.digest, micros(upload.published_at)).of_verdict(verdict)
