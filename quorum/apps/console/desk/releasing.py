"""Publishing of activated policies to the topic that jobs follow.

The ledger is the outbox: what a console activated is recorded there first, and the newest release
is published until that succeeded. Then again once a day: a subscription keeps it for a month only.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from quorum.core.errors import EngineUnavailable
from quorum.core.messages import PolicyRelease, now
from quorum.pipeline.policies.releasing import send, signed
from quorum.store.ledger import Ledger, SignedRelease
from quorum.store.ledger.releases import in_force, mark_sent

__all__ = ["ReleaseSender", "release_of"]

_SOURCE: Final = "/quorum/console"
_AGAIN: Final = timedelta(days=1)


def release_of(release: PolicyRelease) -> SignedRelease:
    """A release with the signature of this console, if it has a key."""
    return signed(release, _SOURCE)


class ReleaseSender:
    """Publishes the policy in force to a topic.

    Args:
        ledger: The ledger.
        topic: ``projects/P/topics/T``.
    """

    def __init__(self, ledger: Ledger, topic: str) -> None:
        self._ledger = ledger
        self._topic = topic
        self._problem: str | None = None

    def step(self) -> None:
        """Publish the policy in force, if it is due.

        Raises:
            EngineUnavailable: If it cannot be published now.
        """
        found = self._ledger.transact(in_force)
        if found is None or (found.sent_at is not None and now() - found.sent_at < _AGAIN):
            return
        try:
            send(found, self._topic)
        except EngineUnavailable as error:
            self._problem = f"{error}; jobs that follow the topic keep the former one"
            raise
        self._problem = None
        release_id = found.release.event_id()
        self._ledger.transact(
            lambda connection: mark_sent(connection, release_id, now()), writes=True
        )

    def problem(self) -> str | None:
        """Why the policy in force does not reach the topic; None if it does."""
        return self._problem
