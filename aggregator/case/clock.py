"""The times of a case: when a detector counts as missing, and when the case is to be called."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from quorum.aggregator.case.state import CaseState, KeptVerdict
from quorum.aggregator.decision.steps import dues
from quorum.aggregator.policy.policy import Policy

__all__ = ["at_micros", "forget_at", "next_wake", "outstanding", "span"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def span(seconds: float) -> int:
    """A duration in microseconds."""
    return round(seconds * 1_000_000)


def at_micros(microseconds: int) -> datetime:
    """The time that lies so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def outstanding(state: CaseState, policy: Policy, at: int) -> dict[str, int]:
    """Detectors that may still predict in time, and when each counts as missing.

    Args:
        state: The case.
        policy: Says which detectors are awaited, and for how long.
        at: The time, in microseconds since 1970, as are the values that are returned.
    """
    found = {}
    asks = policy.asks(state.facts)
    for name, detector in policy.detectors.items():
        if asks.get(name, name) not in state.predictions and not detector.shadow:
            when = state.opened + span(min(detector.deadline, policy.deadline))
            if when > at:
                found[name] = when
    return found


def forget_at(state: CaseState, policy: Policy, verdict: KeptVerdict) -> int:
    """When a decided case is forgotten: after its retention, and not before its last step."""
    end = verdict.at + span(policy.retention)
    return end if state.review is not None else max(end, *dues(policy, state.since).values(), end)


def next_wake(
    state: CaseState, policy: Policy, at: int, awaited: Mapping[str, int], *, settled: bool
) -> int:
    """When the case is to be called if nothing else comes, in microseconds since 1970.

    Args:
        state: The case.
        policy: Decides it.
        at: The time, in microseconds since 1970.
        awaited: As ``outstanding`` returns them.
        settled: Whether no prediction that is awaited can change the action.
    """
    waits = bool(awaited) and not settled and state.review is None
    if state.verdict is None or not state.decided or waits:
        end = state.opened + span(policy.deadline)
        wake = min(awaited.values(), default=max(end, at))
    else:
        wake = forget_at(state, policy, state.verdict)
        if state.review is None:
            steps = [due for due in dues(policy, state.since).values() if due > at]
            wake = min(wake, *steps, wake)
    return wake if state.ahead.until is None else min(wake, state.ahead.until)
