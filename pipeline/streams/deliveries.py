"""How often a message was delivered, and from which delivery on it is not processed any more.

Pub/Sub counts deliveries where the subscription has a dead-letter policy, and sets a message aside
after the most that the policy allows, as raw bytes. Before that, Quorum writes its own dead letter.
Without a policy nothing is counted beyond a process: a message that kills its worker does so for
ever.
"""

from __future__ import annotations

import collections
import logging
import time
from typing import Any

from google.api_core import exceptions as google_errors

from quorum.pipeline.streams.away import AWAY
from quorum.pipeline.streams.waiting import ALONE_FROM

__all__ = ["Deliveries"]

_log = logging.getLogger(__name__)

#: The fewest deliveries that a dead-letter policy can allow, for a policy that cannot be read.
_FEWEST = 5

#: Deliveries of a message to one process after which it is not processed any more, where the
#: subscription has no policy.
_MOST_UNCOUNTED = 5

#: Messages whose deliveries are counted here, where the broker does not: those seen last.
_MOST_KEPT = 10_000

#: A policy may be changed while a job runs: it is read again after so many seconds.
_POLICY_SECONDS = 3_600.0

_REQUEST_SECONDS = 10.0


class Deliveries:
    """Counts the deliveries of one subscription's messages; for one thread.

    Args:
        client: A subscriber client.
        path: ``projects/P/subscriptions/S``.
    """

    def __init__(self, client: Any, path: str) -> None:
        self._client = client
        self._path = path
        self._seen: collections.OrderedDict[str, int] = collections.OrderedDict()
        self._most = 0
        self._asked_again = 0.0
        self._told = False

    def of(self, received: Any) -> tuple[int, str]:
        """Which delivery of a message this is, and why it must not be processed, if so.

        Args:
            received: Pub/Sub's received message.

        Returns:
            The number of the delivery, from 1; and the reason, empty where it may be processed.
        """
        counted = bool(received.delivery_attempt)
        attempt = received.delivery_attempt or self._count(received.message.message_id)
        if attempt < ALONE_FROM:
            return attempt, ""
        most = self._allowed() if counted else _MOST_UNCOUNTED
        if attempt < most:
            return attempt, ""
        return attempt, (
            f"delivered {attempt} times without an outcome, of {most} that are allowed: it may be "
            "what ends the workers that process it"
        )

    def forget(self) -> None:
        """Forget what was counted here: the subscription is made anew, and so are its ids."""
        self._seen.clear()

    def _count(self, message_id: str) -> int:
        if not message_id:
            return 1
        if not self._told:
            self._told = True
            _log.info(
                "%s has no dead-letter policy: a message that kills its worker is never set aside",
                self._path,
            )
        number = self._seen.pop(message_id, 0) + 1
        self._seen[message_id] = number
        if len(self._seen) > _MOST_KEPT:
            self._seen.popitem(last=False)
        return number

    def _allowed(self) -> int:
        """The most deliveries of the policy; the fewest possible where it cannot be read."""
        now = time.monotonic()
        if self._most and now < self._asked_again:
            return self._most
        try:
            found = self._client.get_subscription(
                subscription=self._path, timeout=_REQUEST_SECONDS, retry=None
            )
            self._most = found.dead_letter_policy.max_delivery_attempts or _FEWEST
        except google_errors.Forbidden:
            _log.warning(
                "%s: its dead-letter policy may not be read; %d deliveries are taken for its limit "
                "(the permission pubsub.subscriptions.get)",
                self._path,
                _FEWEST,
            )
            self._most = _FEWEST
        except AWAY:
            return self._most or _FEWEST
        self._asked_again = now + _POLICY_SECONDS
        return self._most
