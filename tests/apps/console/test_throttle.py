"""Guessing is slowed, whatever succeeds between; and strangers lock nobody out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from quorum.apps.console.accounts import access, sessions, throttle
from quorum.apps.console.accounts.throttle import TooManyAttempts
from quorum.store.ledger import Ledger
from tests.apps.console.conftest import PASSWORD


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(sessions, "now", made)
    # Hashing is slow on purpose, and here beside the point.
    monkeypatch.setattr(
        sessions,
        "authenticate",
        lambda ledger, name, password: (
            access.User(name.lower(), access.Role.REVIEWER) if password == PASSWORD else None
        ),
    )
    return made


def attempts(ledger: Ledger, clock: Clock, names: list[tuple[str, str]], address: str) -> int:
    """How many of these attempts, one a second, are answered."""
    answered = 0
    for name, password in names:
        clock.at += timedelta(seconds=1)
        try:
            sessions.log_in(ledger, name, password, address)
        except TooManyAttempts:
            continue
        answered += 1
    return answered


def test_a_log_in_of_ones_own_does_not_reset_the_counters(ledger, clock):
    guesses = [("ana", "wrong")] * 4 + [("eve", PASSWORD)]
    assert attempts(ledger, clock, guesses * 60, "203.0.113.9") < 100
    assert attempts(ledger, clock, [(f"u{n}", "wrong") for n in range(300)], "203.0.113.9") < 60


def test_the_users_own_log_in_does_not_reset_what_a_stranger_did(ledger, clock):
    for _ in range(20):
        attempts(ledger, clock, [("ana", "wrong")] * 5, "203.0.113.9")
        sessions.log_in(ledger, "ana", PASSWORD, "198.51.100.7")
    # 100 attempts in two minutes: five at once, then ever more slowly.
    assert attempts(ledger, clock, [("ana", "wrong")], "203.0.113.9") == 0


def test_a_stranger_does_not_lock_a_user_out(ledger, clock):
    device = sessions.log_in(ledger, "ana", PASSWORD, "198.51.100.7").device
    for number in range(300):
        attempts(ledger, clock, [("ANA", "wrong")], f"203.0.{number % 200}.9")
    with pytest.raises(TooManyAttempts) as slowed:  # one whom nothing tells from the stranger
        sessions.log_in(ledger, "ana", PASSWORD, "192.0.2.1")
    assert slowed.value.seconds <= 31
    assert sessions.log_in(ledger, "ana", PASSWORD, "192.0.2.1", device)
    assert sessions.log_in(ledger, "ana", PASSWORD, "198.51.100.7")


def test_a_stranger_at_the_same_address_does_not_lock_a_known_device_out(ledger, clock):
    device = sessions.log_in(ledger, "ana", PASSWORD, "198.51.100.7").device
    attempts(ledger, clock, [("ana", "wrong")] * 50, "198.51.100.7")
    attempts(ledger, clock, [(f"u{n}", "wrong") for n in range(100)], "198.51.100.7")
    assert sessions.log_in(ledger, "ana", PASSWORD, "198.51.100.7", device)


def test_a_device_is_known_to_its_account_alone_and_may_not_guess_for_ever(ledger, clock):
    device = sessions.log_in(ledger, "eve", PASSWORD, "203.0.113.9").device
    for name, least in (("ana", 5), ("eve", 10)):
        answered = 0
        for _ in range(50):
            try:
                sessions.log_in(ledger, name, "wrong", "203.0.113.9", device)
            except TooManyAttempts:
                continue
            answered += 1
        assert answered == least + 1


def test_addresses_of_one_subscriber_count_together(ledger, clock):
    for number in range(60):
        attempts(ledger, clock, [(f"u{number}", "wrong")], f"2001:db8:1:2::{number:x}")
    assert attempts(ledger, clock, [("v", "wrong")], "2001:db8:1:2::ffff") == 0
    assert attempts(ledger, clock, [("v", "wrong")], "2001:db8:1:3::1") == 1


def test_known_devices_end_with_a_reset(ledger, clock):
    device = sessions.log_in(ledger, "ana", PASSWORD, "198.51.100.7").device
    access.create_user(ledger, "ana", access.Role.REVIEWER, PASSWORD, "root")
    counted = ledger.transact(
        lambda c: throttle.counters(c, "ana", "198.51.100.7", device, clock.at)
    )
    assert [one.key.partition(":")[0] for one in counted] == ["pair", "from", "name"]
