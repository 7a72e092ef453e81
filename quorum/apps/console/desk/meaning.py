"""Search by meaning: cases whose text says the same in other words, or in another language.

Embeddings of the newest cases are kept in the ledger (``quorum.store.ledger.vectors``), a byte for
each dimension, and compared with all of them by the cosine, exactly. One thread embeds what is
missing, at most a quarter of the time, and holds what is kept in memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import QuorumError
from quorum.core.messages import Upload
from quorum.models.features.embedding import DIMENSIONS, EMBEDDING, shared_embedder
from quorum.models.features.text import text_of
from quorum.store.ledger import Ledger
from quorum.store.ledger.vectors import CasePlace, kept, page, read, trim, vector_of, write

__all__ = ["MOST", "Alike", "Meanings", "packed", "words_of_upload"]

_log = logging.getLogger(__name__)

#: The most cases that are kept: 77 MB in the ledger and in memory, and 0.04 s for a search.
MOST: Final = 200_000
_BATCH: Final = 32
#: After the number of any case.
_LAST: Final = 2**62
_READ: Final = 5000
#: Rows that are compared at once, so that their numbers stay in the processor's cache.
_CHUNK: Final = 8192
#: After a batch the thread rests for so many times as long as that took.
_REST: Final = 3.0
_IDLE_SECONDS: Final = 2.0
#: How often all cases are looked through for what came late, and what is too old is deleted.
_AGAIN_SECONDS: Final = 600.0
_CLOSE_SECONDS: Final = 5.0

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Alike:
    """A case, and the cosine of its text's embedding with that which was asked for."""

    upload_id: str
    similarity: float


def words_of_upload(upload: Upload) -> str:
    """The text of an upload that is embedded, as detectors do; empty for none."""
    return text_of(upload)[0].own


def packed(vector: NDArray[np.float32]) -> bytes:
    """An embedding with a signed byte for each dimension; its length is lost, which is 1."""
    most = float(np.abs(vector).max())
    scaled = vector * (127.0 / most) if most > 0 else vector
    return np.rint(scaled).astype(np.int8).tobytes()


def _embed(texts: Sequence[str]) -> NDArray[np.float32]:
    return shared_embedder().embed(texts)


class Meanings:
    """Keeps and compares embeddings.

    Args:
        ledger: The ledger.
        most: The newest cases that are kept; 0 for none, then nothing is searched by meaning.
        embed: Embeds texts, L2-normalised, shape (n, 384).
    """

    def __init__(self, ledger: Ledger, most: int, embed: Embed = _embed) -> None:
        self._ledger = ledger
        self.most = min(most, MOST)
        self._embed = embed
        self._lock = threading.Lock()
        self._vectors = np.zeros((0, DIMENSIONS), np.int8)
        self._lengths = np.zeros(0, np.float32)
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._last = 0
        #: Up to and down to which case, in the order of recording, all are looked through.
        self._front, self._back = 0, 0
        self._begun = False
        self._left = self.most
        self._again = time.monotonic() + _AGAIN_SECONDS
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def size(self) -> int:
        """The number of cases that are compared."""
        return len(self._rows)

    def start(self) -> None:
        """Start the thread, if anything is kept."""
        if self.most:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="console-meaning", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop after the current batch."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def alike(self, wanted: Upload | str, most: int = 50) -> list[Alike]:
        """The cases whose text is nearest, without the one that was asked for.

        Args:
            wanted: An upload, or words.
            most: The most cases.
        """
        own = wanted.id if isinstance(wanted, Upload) else None
        vector = self._vector(wanted)
        if vector is None:
            return []
        with self._lock:
            scores = self._scores(vector)
            count = min(len(scores), most + 1)
            best: list[int] = []
            if count:
                best = np.argpartition(-scores, count - 1)[:count].tolist()
            found = sorted(
                (Alike(self._ids[row], float(scores[row])) for row in best if scores[row] > 0),
                key=lambda one: (-one.similarity, one.upload_id),
            )
        # What was erased meanwhile is not found.
        there = self._ledger.transact(lambda c: kept(c, [one.upload_id for one in found]))
        self._drop([one.upload_id for one in found if one.upload_id not in there])
        return [one for one in found if one.upload_id in there and one.upload_id != own][:most]

    def _vector(self, wanted: Upload | str) -> NDArray[np.float32] | None:
        """The embedding of an upload or of words: that which is kept, if it is of this content."""
        if isinstance(wanted, str):
            return self._embed([wanted])[0] if wanted.strip() else None
        kept_one = self._ledger.transact(
            lambda c: vector_of(c, EMBEDDING, wanted.id, wanted.published_at)
        )
        if kept_one is not None and len(kept_one) == DIMENSIONS:
            found = np.frombuffer(kept_one, np.int8).astype(np.float32)
            return found / max(float(np.linalg.norm(found)), 1.0)
        return self._vector(words_of_upload(wanted))

    def step(self) -> bool:
        """Embed one batch of what is missing, and read what is new; whether there was any."""
        if not self._begun or time.monotonic() > self._again:
            self._begin()
        places = self._page(self._front, newer=True)
        if places:
            self._front = places[-1].number
        elif self._left > 0:
            places = self._page(self._back, newer=False)[: self._left]
            self._left = self._left - len(places) if places else 0
            self._back = places[-1].number if places else 0
        missing = [one.upload_id for one in places if not one.known]
        if missing:
            self._write(missing)
        return self._read() or bool(places)

    def _begin(self) -> None:
        """Look through all cases again, for edits and for what is too old."""
        self._again = time.monotonic() + _AGAIN_SECONDS
        old = self._ledger.transact(lambda c: trim(c, self.most), writes=True)
        self._drop(old)
        newest = self._ledger.transact(lambda c: page(c, _LAST, EMBEDDING, newer=False, limit=1))
        self._front = newest[0].number if newest else 0
        self._back, self._left, self._begun = self._front + 1, self.most, True

    def _page(self, place: int, *, newer: bool) -> list[CasePlace]:
        return self._ledger.transact(lambda c: page(c, place, EMBEDDING, newer=newer, limit=_BATCH))

    def _write(self, ids: Sequence[str]) -> None:
        found = self._ledger.get_cases(ids, ["upload"])
        uploads = [one.upload for one in found if one.upload is not None]
        texts = [words_of_upload(one) for one in uploads]
        vectors = iter(self._embed([text for text in texts if text.strip()]))
        made: dict[str, tuple[datetime, bytes]] = {}
        for upload, text in zip(uploads, texts, strict=True):
            vector = packed(next(vectors)) if text.strip() else b""
            made[upload.id] = (upload.published_at, vector)
        self._ledger.transact(lambda c: write(c, EMBEDDING, made), writes=True)

    def _read(self) -> bool:
        rows = self._ledger.transact(lambda c: read(c, EMBEDDING, self._last, _READ))
        if not rows:
            return False
        with self._lock:
            new = [one for one in rows if len(one.vector) == DIMENSIONS]
            for one in rows:
                self._forget(one.upload_id)
            if new:
                block = np.frombuffer(b"".join(one.vector for one in new), np.int8)
                block = block.reshape(-1, DIMENSIONS)
                start = len(self._ids)
                self._vectors = np.concatenate([self._vectors, block])
                lengths = np.linalg.norm(block.astype(np.float32), axis=1)
                self._lengths = np.concatenate([self._lengths, lengths])
                self._ids += [one.upload_id for one in new]
                self._rows.update({one.upload_id: start + n for n, one in enumerate(new)})
            self._tidy()
        self._last = rows[-1].number
        return True

    def _scores(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = np.zeros(len(self._ids), np.float32)
        for start in range(0, len(scores), _CHUNK):
            end = start + _CHUNK
            np.matmul(self._vectors[start:end].astype(np.float32), vector, out=scores[start:end])
        # A row that was dropped has no length, and is like nothing.
        return np.divide(scores, self._lengths, out=np.zeros_like(scores), where=self._lengths > 0)

    def _drop(self, upload_ids: Sequence[str]) -> None:
        with self._lock:
            for upload_id in upload_ids:
                self._forget(upload_id)

    def _forget(self, upload_id: str) -> None:
        row = self._rows.pop(upload_id, None)
        if row is not None:
            self._lengths[row] = 0.0
            self._vectors[row] = 0

    def _tidy(self) -> None:
        """Give the memory of dropped rows back, once they are a quarter."""
        if 4 * len(self._rows) >= 3 * len(self._ids):
            return
        there = sorted(self._rows.values())
        self._vectors, self._lengths = self._vectors[there], self._lengths[there]
        self._ids = [self._ids[row] for row in there]
        self._rows = {upload_id: row for row, upload_id in enumerate(self._ids)}

    def _run(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            found = False
            try:
                found = self.step()
            except QuorumError as error:
                _log.warning("search by meaning: %s", error)
            except Exception:
                _log.exception("search by meaning failed at one step and continues")
            self._stopping.wait(_REST * (time.monotonic() - begun) if found else _IDLE_SECONDS)
