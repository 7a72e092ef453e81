"""The policies that were released, as the ledger keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from quorum.core.messages import PolicyRelease
from quorum.store.ledger import Ledger, SignedRelease
from quorum.store.ledger.releases import history, in_force, mark_sent, policy_texts

AT = datetime(2026, 3, 1, tzinfo=UTC)


def release(version: str, minutes: int) -> SignedRelease:
    at = AT + timedelta(minutes=minutes)
    made = PolicyRelease(policy_version=version, text=f"# {version}", by="ana", at=at)
    return SignedRelease(made, made.to_bytes(), {"quorum-publisher": "desk"})


def test_the_newest_is_in_force_whatever_the_order_and_none_is_lost(ledger: Ledger) -> None:
    assert ledger.transact(in_force) is None
    ledger.record([release("mine@2", 2), release("mine@1", 1)])
    ledger.record([release("mine@1", 1)])
    ledger.record([release("mine@1", 3)])
    found = [one.release.policy_version for one in ledger.transact(history)]
    assert found == ["mine@1", "mine@2", "mine@1"]
    newest = ledger.transact(in_force)
    assert newest is not None
    assert newest == release("mine@1", 3)
    texts = ledger.transact(lambda connection: policy_texts(connection, ["mine@2", "other@1"]))
    assert texts == {"mine@2": "# mine@2"}
    newest_id = newest.release.event_id()
    ledger.transact(lambda connection: mark_sent(connection, newest_id, AT), writes=True)
    sent = ledger.transact(in_force)
    assert sent is not None
    assert sent.sent_at == AT
