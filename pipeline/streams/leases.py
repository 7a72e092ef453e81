"""Leases of pulled messages: acknowledged, extended and given back, through a broker's absence."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from quorum.pipeline.streams.away import ABSENCE_SECONDS, AWAY

__all__ = ["Leases"]

_log = logging.getLogger(__name__)

#: Pub/Sub limits a request to 512 KB; an acknowledgement id has up to about 250 bytes.
_IDS_A_REQUEST = 1_000

_REQUEST_SECONDS = 10.0


class Leases:
    """The leases of one subscription; thread-safe.

    Args:
        client: A subscriber client.
        path: ``projects/P/subscriptions/S``.
    """

    def __init__(self, client: Any, path: str) -> None:
        self._client = client
        self._path = path
        self._lock = threading.Lock()
        #: By id: when the broker was first asked to acknowledge it, and did not answer.
        self._late: dict[str, float] = {}

    @property
    def late(self) -> int:
        """How many acknowledgements the broker has not taken yet."""
        return len(self._late)

    def acknowledge(self, ids: Sequence[str]) -> None:
        """Acknowledge messages; what the broker does not take now is tried again.

        After ``ABSENCE_SECONDS`` it is given up: the messages are delivered again, and decided
        again to the same verdict.
        """
        now = time.monotonic()
        for chunk in _chunks(ids):
            if not self._acknowledged(chunk):
                with self._lock:
                    self._late.update(dict.fromkeys(chunk, now))

    def acknowledge_late(self, seconds: float = _REQUEST_SECONDS) -> None:
        """Try again what the broker has not taken, within so many seconds."""
        oldest = time.monotonic() - ABSENCE_SECONDS
        with self._lock:
            for one in [one for one, since in self._late.items() if since < oldest]:
                del self._late[one]
            ids = list(self._late)
        end = time.monotonic() + seconds
        for chunk in _chunks(ids):
            left = end - time.monotonic()
            if left <= 0 or not self._acknowledged(chunk, left):
                return
            with self._lock:
                for one in chunk:
                    self._late.pop(one, None)

    def extend(self, ids: Sequence[str], seconds: int) -> bool:
        """Extend leases, those of late acknowledgements too; whether the broker took all of it."""
        with self._lock:
            late = list(self._late)
        return self._modify([*ids, *late], seconds, _REQUEST_SECONDS)

    def give_back(self, ids: Sequence[str], seconds: float) -> None:
        """Nack messages within so many seconds: they are delivered again at once."""
        self._modify(ids, 0, seconds)

    def forget(self) -> None:
        """Forget late acknowledgements: their subscription is gone, and with it their ids."""
        with self._lock:
            self._late.clear()

    def _acknowledged(self, ids: list[str], timeout: float = _REQUEST_SECONDS) -> bool:
        try:
            self._client.acknowledge(
                subscription=self._path, ack_ids=ids, timeout=max(0.1, timeout), retry=None
            )
        except AWAY as error:
            _log.warning("could not acknowledge %d messages of %s: %s", len(ids), self._path, error)
            return False
        return True

    def _modify(self, ids: Sequence[str], deadline: int, seconds: float) -> bool:
        end = time.monotonic() + seconds
        for chunk in _chunks(ids):
            if (left := end - time.monotonic()) <= 0:
                return False
            try:
                self._client.modify_ack_deadline(
                    subscription=self._path,
                    ack_ids=chunk,
                    ack_deadline_seconds=deadline,
                    timeout=max(0.1, left),
                    retry=None,
                )
            except AWAY as error:
                _log.warning(
                    "could not change the leases of %d messages of %s: %s",
                    len(chunk),
                    self._path,
                    error,
                )
                return False
        return True


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _IDS_A_REQUEST):
        yield list(ids[start : start + _IDS_A_REQUEST])
