"""What a case keeps between its events, and the compact bytes that hold it.

The bytes are one line of JSON, an array whose first item is the number of the format, then for
an undecided case the upload's own JSON. Once a verdict is made, only the fields of the upload
that the policies read are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from quorum.aggregator.case.ahead import Ahead
from quorum.aggregator.case.contents import Contents
from quorum.aggregator.case.orphans import Orphans
from quorum.aggregator.decision.accounts import Said
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.decision.facts import Uploader
from quorum.core.errors import InputError
from quorum.core.messages import Campaign, Upload

__all__ = [
    "MAX_EARLIER",
    "STATE_FORMAT",
    "CaseState",
    "KeptReview",
    "KeptVerdict",
    "prediction_key",
]

#: The format that is written; format 1 had no number, and format 2 no contents.
STATE_FORMAT: Final = 3

#: Ids of superseded verdicts that a case keeps: a reviewer may have seen one of them. The ledger
#: knows older ones.
MAX_EARLIER: Final = 50

_NO_HISTORY: Final = Uploader()


class KeptVerdict(NamedTuple):
    """What a case keeps of its last verdict.

    Attributes:
        id: Of the verdict.
        effect: The action, then each territory with another one; the same text means that
            nothing changes for the upload.
        revision: Of the verdict.
        at: Microseconds since 1970.
        decided_by: As the verdict has it.
        digest: Of the content that it decided.
        earlier: Ids of the verdicts that it supersedes, oldest first; the last ``MAX_EARLIER``.
        account: What it decided on the account, as ``AccountChoice.effect``; empty for nothing.
        plan: What time alone will bring, as ``Plan.effect``; empty for nothing.
    """

    id: str
    effect: str
    revision: int
    at: int
    decided_by: str
    digest: str
    earlier: tuple[str, ...] = ()
    account: str = ""
    plan: str = ""

    @classmethod
    def of(cls, row: Sequence[Any]) -> KeptVerdict:
        """The verdict of a row of the snapshot."""
        identifier, effect, revision, at, decided_by, content, *more = row
        earlier = tuple(more[0]) if more else ()
        account = more[1] if len(more) > 1 else ""
        plan = more[2] if len(more) > 2 else ""
        return cls(identifier, effect, revision, at, decided_by, content, earlier, account, plan)

    def row(self) -> Sequence[Any]:
        """The row of the snapshot, without what is empty at its end."""
        if self.plan:
            return self
        if self.account:
            return self[:8]
        return self[:7] if self.earlier else self[:6]

    def is_or_supersedes(self, verdict_id: str) -> bool:
        """Whether this is the verdict with that id, or a later revision of it."""
        return verdict_id == self.id or verdict_id in self.earlier


class KeptReview(NamedTuple):
    """What a case keeps of the review that counts.

    Attributes:
        id: Of the review.
        action: What the reviewer decided.
        at: Microseconds since 1970.
        category: The harm that the reviewer named, if one.
        account: What the reviewer said of the uploader's account; None if nothing.
    """

    id: str
    action: str
    at: int
    category: str | None
    account: Said | None = None


class KeptOrder(NamedTuple):
    """What a person decided on the uploader's account itself.

    Attributes:
        review: The id of the review.
        at: Microseconds since 1970.
        action: What happens to the account; ``none`` for nothing, whatever a rule asks.
        upload_action: What the same review decided on the upload.
        until: When it ends, in microseconds since 1970; None until a person lifts it.
        reason: A sentence for the account's owner.
    """

    review: str
    at: int
    action: Said
    upload_action: str
    until: int | None
    reason: str


@dataclass(slots=True)
class CaseState:
    """All that a case keeps.

    Attributes:
        upload: The upload, once it was parsed.
        upload_json: The upload's JSON as it arrived, if that is at hand.
        kept_fields: The fields of a decided upload that were kept, beside those that always are;
            None while all of it is there.
        kept_upload: The values of the fields that were kept.
        contents: Which content of the upload holds.
        opened: When that content arrived, in microseconds since 1970.
        uploader: Past verdicts on its uploader.
        predictions: The prediction that counts, by ``prediction_key``.
        orphans: Messages whose upload is unknown, and reviews that wait for the first verdict.
        ahead: Predictions of a content that did not arrive yet.
        verdict: The last verdict; perhaps on an earlier content.
        review: The review that counts, of the content that holds.
        wake: When ``on_deadline`` is due, in microseconds since 1970.
        since: For each rule with ``then`` that applies: since when, in microseconds since 1970.
        features: Values of features over time, by ``Feature.key``.
        campaigns: The waves that the upload is part of.
        order: What a person decided on the account itself; an edit of the upload leaves it.
    """

    upload: Upload | None = None
    upload_json: str | bytes | None = None
    kept_fields: frozenset[str] | None = None
    kept_upload: dict[str, Any] | None = None
    contents: Contents = field(default_factory=Contents)
    opened: int = 0
    uploader: Uploader = _NO_HISTORY
    predictions: dict[str, CompactPrediction] = field(default_factory=dict)
    orphans: Orphans = field(default_factory=Orphans)
    ahead: Ahead = field(default_factory=Ahead)
    verdict: KeptVerdict | None = None
    review: KeptReview | None = None
    wake: int | None = None
    since: dict[str, int] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)
    campaigns: tuple[Campaign, ...] = ()
    order: KeptOrder | None = None

    @property
    def has_upload(self) -> bool:
        """Whether the upload has arrived."""
        return (
            self.upload is not None or self.upload_json is not None or self.kept_upload is not None
        )

    @property
    def decided(self) -> bool:
        """Whether the content that holds has a verdict."""
        return self.verdict is not None and self.verdict.digest == self.contents.digest

    def facts(self) -> Upload:
        """The upload, parsed once."""
        if self.upload is None:
            if self.kept_upload is None:
                self.upload = Upload.model_validate_json(self.upload_json or b"")
            else:
                self.upload = Upload.model_validate(self.kept_upload)
        return self.upload

    def knows(self, fields: frozenset[str]) -> bool:
        """Whether these fields of the upload are here."""
        return self.kept_fields is None or fields <= self.kept_fields

    def to_bytes(self, fields: frozenset[str]) -> bytes:
        """The state as bytes.

        Args:
            fields: The fields of the upload that the policies read.
        """
        one = self.uploader
        body: bytes = b""
        kept, chosen = self.kept_fields, self.kept_upload
        if chosen is None and self.has_upload:
            if self.decided:
                kept, chosen = fields, _chosen(self.facts(), fields)
            else:
                body = self._json()
        head = (
            STATE_FORMAT,
            self.contents.row(),
            self.opened,
            self.wake,
            None if kept is None else sorted(kept),
            chosen,
            None if one is _NO_HISTORY else (one.strikes, one.removals, one.verdicts, one.known),
            [_row(one) for one in self.predictions.values()],
            self.orphans.held,
            self.ahead.row(),
            self.verdict and self.verdict.row(),
            self.review and (self.review if self.review.account else self.review[:4]),
            *_trimmed(
                self.since,
                self.features,
                [one.model_dump(mode="json") for one in self.campaigns],
                self.order,
            ),
        )
        return to_json(head) + b"\n" + body

    @classmethod
    def from_bytes(cls, data: bytes) -> CaseState:
        """Read what ``to_bytes`` wrote.

        Raises:
            InputError: If the bytes are of another format.
        """
        head, _, body = data.partition(b"\n")
        parts = from_json(head)
        if parts[0] != STATE_FORMAT:
            found = parts[0] if isinstance(parts[0], int) else 1
            msg = (
                f"the state of a case has format {found}, and this version reads {STATE_FORMAT}: "
                "drain the job with the version that wrote it, then start it without state"
            )
            raise InputError(msg)
        (_, contents, opened, wake, kept, chosen, uploader, rows, orphans, ahead,
         verdict, review, *more) = parts  # fmt: skip
        predictions = [CompactPrediction.of_row(row) for row in rows]
        return cls(
            upload_json=body or None,
            kept_fields=None if kept is None else frozenset(kept),
            kept_upload=chosen,
            contents=Contents.of(contents),
            opened=opened,
            uploader=_NO_HISTORY if uploader is None else Uploader(*uploader),
            predictions={prediction_key(one.detector, one.shadow): one for one in predictions},
            orphans=Orphans([(kind, text) for kind, text in orphans]),
            ahead=Ahead() if ahead is None else Ahead(*ahead),
            verdict=None if verdict is None else KeptVerdict.of(verdict),
            review=None if review is None else KeptReview(*review),
            wake=wake,
            since=(more[0] if more else None) or {},
            features=(more[1] if len(more) > 1 else None) or {},
            campaigns=tuple(
                map(Campaign.model_validate, (more[2] if len(more) > 2 else None) or ())
            ),
            order=KeptOrder(*more[3]) if len(more) > 3 else None,
        )

    def _json(self) -> bytes:
        """The upload's JSON, serialised at most once."""
        if self.upload_json is None:
            self.upload_json = self.facts().to_bytes()
        text = self.upload_json
        return text.encode() if isinstance(text, str) else text


def _row(one: CompactPrediction) -> Sequence[Any]:
    """A prediction without what is empty at its end, nor the digest, which is the case's own."""
    if one.works:
        last = 12
    elif one.seen is not None:
        last = 11
    else:
        last = 9 if one.reason or one.shadow else 7
    return one._replace(digest=None)[:last]


def _trimmed(*parts: Any) -> Sequence[Any]:
    """The parts without the empty ones at their end."""
    last = max((place for place, part in enumerate(parts, 1) if part), default=0)
    return parts[:last]


def prediction_key(detector: str, shadow: bool) -> str:
    """The key of a detector's prediction; a shadow one stands beside the live one."""
    return f"{detector}\0shadow" if shadow else detector


def _chosen(upload: Upload, fields: frozenset[str]) -> dict[str, Any]:
    """The values of some fields of an upload, and of those that are always kept."""
    extra = upload.model_extra or {}
    chosen: dict[str, Any] = {
        "id": upload.id,
        "uploader": upload.uploader,
        "published_at": upload.published_at,
    }
    if upload.language is not None:
        chosen["language"] = upload.language
    if upload.territories:
        chosen["territories"] = upload.territories
    for name in fields:
        if name in extra or name in Upload.model_fields:
            chosen[name] = extra[name] if name in extra else getattr(upload, name)
    return chosen
