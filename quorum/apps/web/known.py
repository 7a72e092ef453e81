"""What is known of an upload when a request for it comes: client, contents, verdicts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from quorum.aggregator.case.contents import content_of
from quorum.apps.http.problems import Problem
from quorum.core.messages import Prediction, Review, Upload, Verdict
from quorum.store.ledger import LedgerCase

__all__ = ["KnownUpload", "RecentUploads"]


@dataclass(frozen=True, slots=True)
class KnownUpload:
    """An upload that was moderated before.

    Attributes:
        client: The client that made it; None if no client of the web service did.
        digest: Of the content that holds.
        published_at: When that was published.
        verdicts: On all of its contents, in their order.
        predictions: Of all of its contents, where they are kept.
        reviews: Those that name one of the verdicts.
    """

    client: str | None
    digest: str
    published_at: datetime
    verdicts: tuple[Verdict, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    reviews: tuple[Review, ...] = ()

    @classmethod
    def of(cls, upload: Upload, client: str | None) -> KnownUpload:
        """An upload that is moderated for the first time."""
        return cls(client, upload.digest, upload.published_at)

    @classmethod
    def of_case(cls, case: LedgerCase, client: str | None) -> KnownUpload | None:
        """An upload of the ledger; None if it is not recorded."""
        upload = case.upload
        if upload is None:
            return None
        verdicts = (
            one.model_copy(update={"digest": content_of(one, upload)}) for one in case.verdicts
        )
        return cls(
            client,
            upload.digest,
            upload.published_at,
            tuple(verdicts),
            reviews=case.counted_reviews,
        )

    def merged(self, other: KnownUpload | None) -> KnownUpload:
        """This together with what is known elsewhere, as of another process; its client counts."""
        if other is None:
            return self
        newer = other if other.published_at >= self.published_at else self
        known = {one.id for one in self.verdicts}
        more = (one for one in other.verdicts if one.id not in known)
        return replace(
            self,
            digest=newer.digest,
            published_at=newer.published_at,
            verdicts=tuple(sorted((*self.verdicts, *more), key=lambda one: one.order)),
        )

    def with_upload(self, upload: Upload) -> KnownUpload:
        """After an upload with this id was accepted."""
        return replace(
            self,
            digest=upload.digest,
            published_at=max(self.published_at, upload.published_at),
        )

    def with_answer(
        self, verdicts: Iterable[Verdict], predictions: Iterable[Prediction]
    ) -> KnownUpload:
        """After verdicts and predictions were made; one with a known id replaces that."""
        by_id = {one.id: one for one in (*self.verdicts, *verdicts)}
        made = {one.id: one for one in (*self.predictions, *predictions)}
        ordered = sorted(by_id.values(), key=lambda one: one.order)
        return replace(self, verdicts=tuple(ordered), predictions=tuple(made.values()))

    def may_change(self, client: str, digest: str) -> None:
        """Check that a client may send an upload with this id.

        Raises:
            Problem: If another client made it. One that no client made may be sent again as it is,
                and not with another content.
        """
        if self.client == client or (self.client is None and self.digest == digest):
            return
        maker = "another client" if self.client is not None else "no client of this service"
        detail = (
            f"this id is of an upload that {maker} made, and only who made it may edit it: send "
            "the edit from there, or give your upload an id of its own, such as one with a prefix"
        )
        raise Problem(409, detail)

    def superseded_by(self, upload: Upload) -> Sequence[Verdict]:
        """The verdicts on earlier contents than this upload's; empty if it is the first one.

        Raises:
            Problem: If a content that was published later is known.
        """
        if upload.digest != self.digest:
            if upload.published_at < self.published_at:
                at = self.published_at.isoformat().replace("+00:00", "Z")
                detail = (
                    f"another content of this upload was published later, at {at}, and holds: "
                    "give an edit a later published_at"
                )
                raise Problem(409, detail)
            return self.verdicts
        count = len(self.verdicts)
        while count and self.verdicts[count - 1].digest == upload.digest:
            count -= 1
        return self.verdicts[:count]

    @property
    def current_predictions(self) -> tuple[Prediction, ...]:
        """The predictions of the content that the last verdict decided."""
        current = self.verdicts[-1].digest if self.verdicts else self.digest
        return tuple(one for one in self.predictions if one.digest in (None, current))


class RecentUploads:
    """The uploads that this process moderated last, bounded in number and in memory.

    Args:
        limit: How many are remembered; the oldest are forgotten first.
        limit_bytes: How many bytes their verdicts and predictions may have together.

    Attributes:
        size: Bytes of what is remembered.
    """

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._known: OrderedDict[str, tuple[KnownUpload, int]] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, upload_id: str) -> KnownUpload | None:
        """What is remembered of an upload."""
        found = self._known.get(upload_id)
        return None if found is None else found[0]

    def put(self, upload_id: str, known: KnownUpload) -> None:
        """Remember an upload, or what is new of it."""
        self._remove(upload_id)
        size = len(upload_id) + sum(
            len(one.to_bytes()) for one in (*known.verdicts, *known.predictions)
        )
        self._known[upload_id] = (known, size)
        self.size += size
        while self._known and (len(self._known) > self._limit or self.size > self._limit_bytes):
            self._remove(next(iter(self._known)))

    def _remove(self, upload_id: str) -> None:
        found = self._known.pop(upload_id, None)
        if found is not None:
            self.size -= found[1]
