"""What a report is, its limits, and a reporter's track record: immutable values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from quorum.core.intervals import wilson

__all__ = [
    "BAD_FAITH_CASES",
    "BAD_FAITH_SHARE",
    "Notice",
    "ReportLimits",
    "Reporter",
    "Taken",
    "Track",
]

ReporterKind = Literal["user", "public", "trusted", "notice"]

#: A reporter is listed as in bad faith after this many decided reports ...
BAD_FAITH_CASES: Final = 5
#: ... if even the upper end of the interval of their upheld share is below this.
BAD_FAITH_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Track:
    """A reporter's track record: the decided reports, without answers by an earlier decision.

    Attributes:
        upheld: How many led to a restriction.
        rejected: How many did not.
    """

    upheld: int = 0
    rejected: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the upheld share."""
        return wilson(self.upheld, self.upheld + self.rejected)

    @property
    def weight(self) -> float:
        """The probability that their next report is right: Laplace's rule of succession."""
        return (self.upheld + 1) / (self.upheld + self.rejected + 2)

    @property
    def bad_faith(self) -> bool:
        """Whether so few were upheld that chance does not explain it."""
        decided = self.upheld + self.rejected
        return decided >= BAD_FAITH_CASES and self.interval[1] < BAD_FAITH_SHARE


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports.

    Attributes:
        kind: A user of a platform, the public form, a trusted flagger, or who sends a legal notice.
        name: The platform's name of the user, the flagger's key, or a digest of the network.
        client: The name of the API key; None for the form.
    """

    kind: ReporterKind
    name: str
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A report as it is sent.

    Attributes:
        reporter: Who reports.
        upload_id: The upload; None where only an address is named.
        location: The address of the content; empty where the upload is named.
        category: A category of harm, as the DSA or the policy names it.
        law: Whether it says that the content is illegal (Article 16), not against the rules.
        text: Why.
        name: The reporter's name.
        email: The reporter's address, for the platform's answer.
        good_faith: Whether they state that the report is right and complete.
        reference: The client's own name of the report.
    """

    reporter: Reporter
    upload_id: str | None = None
    location: str = ""
    category: str = "not-specified-notice"
    law: bool = False
    text: str = ""
    name: str = ""
    email: str = ""
    good_faith: bool = False
    reference: str | None = None

    @property
    def lacks(self) -> tuple[str, ...]:
        """What Article 16(2) asks of a notice of illegal content and this one has not.

        The name and address are not asked where the notice is about sexual abuse of children.
        """
        if not self.law:
            return ()
        found = [] if self.text.strip() else ["explanation"]
        if self.category != "protection-of-minors":
            found += [part for part in ("name", "email") if not getattr(self, part).strip()]
        return tuple([*found] if self.good_faith else [*found, "good_faith"])


@dataclass(frozen=True, slots=True)
class ReportLimits:
    """How many reports of one reporter are taken: a bucket that refills within an hour.

    Attributes:
        user: Reports an hour of a platform's user.
        public: Reports an hour from one network by the form without an account.
        trusted: Reports an hour of a trusted flagger.
        notice: Legal notices an hour of one user of a platform, or from one network.
    """

    user: int = 30
    public: int = 10
    trusted: int = 2000
    notice: int = 20


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a report.

    Attributes:
        id: The report's id.
        token: The secret of the report's address; None where the report was known.
        new: Whether it was not known: the same reporter on the same content reports once.
        state: open, or how it was answered at once: upheld, rejected or moot.
        known: Whether the ledger knows the upload.
        reports: How many reporters reported this content, with this one.
        due_at: When a person should have looked at it; None where it is answered.
        lacks: See ``Notice.lacks``.
    """

    id: str
    token: str | None
    new: bool
    state: str
    known: bool
    reports: int
    due_at: datetime | None
    lacks: tuple[str, ...] = field(default=())
