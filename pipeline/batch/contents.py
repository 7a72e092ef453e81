"""Edits in a batch: the contents of one id are decided one after another, as in a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from quorum.aggregator.case.contents import Contents, content_of
from quorum.aggregator.decision.compact import micros
from quorum.core.messages import Upload
from quorum.store.ledger import LedgerCase

__all__ = ["contents_in_order", "is_earlier", "is_edit"]


def contents_in_order(uploads: Iterable[Upload]) -> list[list[Upload]]:
    """Split uploads so that the contents of one id come one after another.

    Returns:
        Lists in which each id occurs once; duplicates, and contents that come after a later one,
        are left out.
    """
    rounds: list[list[Upload]] = []
    count: Counter[str] = Counter()
    last: dict[str, Contents] = {}
    for upload in uploads:
        contents = last.setdefault(upload.id, Contents())
        published = micros(upload.published_at)
        if contents.takes(upload.digest, published):
            contents.replace(upload.digest, published)
            if count[upload.id] == len(rounds):
                rounds.append([])
            rounds[count[upload.id]].append(upload)
            count[upload.id] += 1
    return rounds


def is_edit(upload: Upload, past: LedgerCase) -> bool:
    """Whether the verdict that holds is on another content than this one."""
    if past.verdict is None:
        return False
    return content_of(past.verdict, past.upload or upload) != upload.digest


def is_earlier(upload: Upload, past: LedgerCase) -> bool:
    """Whether a content that came later than this one is recorded.

    Of contents with one time of publication, one that was decided before came earlier: a run that
    is repeated does nothing.
    """
    known = past.upload or upload
    if known.digest == upload.digest or upload.published_at > known.published_at:
        return False
    was_decided = any(verdict.digest == upload.digest for verdict in past.verdicts)
    return upload.published_at < known.published_at or was_decided
