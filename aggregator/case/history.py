"""An uploader's history: strikes from past verdicts, each decaying with its age."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from quorum.aggregator.decision.compact import micros
from quorum.aggregator.decision.facts import Uploader
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import Strikes
from quorum.core.messages import Action, Verdict

__all__ = ["FADED", "History", "Strike", "counted_actions", "known_uploader", "strikes_of"]

#: Uploads with a strike that are remembered; older ones have decayed, or the account is lost.
REMEMBERED: Final = 200


class History:
    """The history of one uploader, built from verdicts as they come.

    A later revision of a verdict replaces the earlier one, so a restored upload leaves no strike.
    What a cap restricted waits for a human, and leaves none either.

    Args:
        policy: Its ``strikes`` define the weight of each action and the half-life.
    """

    def __init__(self, policy: Policy) -> None:
        self._strikes = policy.strikes
        self._verdicts = 0
        #: For each upload that was restricted or removed: the order of its verdict, and the action.
        self._struck: dict[str, tuple[int, int, int, str]] = {}

    @classmethod
    def restore(cls, policy: Policy, snapshot: bytes) -> History:
        """The history as it was when ``snapshot`` was taken."""
        history = cls(policy)
        history._verdicts, struck = json.loads(snapshot)
        history._struck = {upload: (*order, action) for upload, (*order, action) in struck.items()}
        return history

    def snapshot(self) -> bytes:
        """The state between two verdicts, as compact JSON."""
        return json.dumps([self._verdicts, self._struck], separators=(",", ":")).encode()

    def on_verdict(self, verdict: Verdict) -> None:
        """Count a verdict; the same or an older revision again changes nothing.

        A first revision that comes twice is counted once only where it left a strike: the count
        of verdicts is for grouping, not for proof.
        """
        order = (micros(verdict.order[0]), verdict.revision, micros(verdict.at))
        known = self._struck.get(verdict.upload_id)
        if known is not None and known[:3] >= order:
            return
        if verdict.revision == 1:
            self._verdicts += 1
        counts = verdict.decided_by != "cap" and self._strikes.weights.get(verdict.action, 0.0)
        if known is None and not counts:
            return
        self._struck.pop(verdict.upload_id, None)
        action = Action.REVIEW if verdict.decided_by == "cap" else verdict.action
        self._struck[verdict.upload_id] = (*order, action.value)
        while len(self._struck) > REMEMBERED:
            del self._struck[next(iter(self._struck))]

    def uploader(self, now: datetime) -> Uploader:
        """The history at a time, as rules read it."""
        struck = [(Action(action), at) for _, _, at, action in self._struck.values()]
        return _uploader(self._strikes, struck, self._verdicts, micros(now))


def counted_actions(policy: Policy) -> frozenset[Action]:
    """The actions that an uploader's strikes and removals are counted from, on any side."""
    weights = [side.strikes.weights for side in policy.sides]
    counted = (one for one in Action if any(each.get(one) for each in weights))
    return frozenset({Action.REMOVE, *counted})


def known_uploader(
    policy: Policy,
    verdicts: Iterable[tuple[Action, datetime]],
    now: datetime,
    decided: int | None = None,
) -> Uploader:
    """The history of an uploader from the verdicts that hold, as a ledger lists them.

    Args:
        policy: Its ``strikes`` define the weight of each action.
        verdicts: For each upload: the action that holds, and when it was decided.
        now: The time.
        decided: How many uploads were decided, if ``verdicts`` lists only those that count.
    """
    struck = [(action, micros(at)) for action, at in verdicts]
    total = len(struck) if decided is None else decided
    return _uploader(policy.strikes, struck, total, micros(now))


def _uploader(
    rates: Strikes, struck: Iterable[tuple[Action, int]], verdicts: int, now: int
) -> Uploader:
    strikes, removals = 0.0, 0
    for action, at in struck:
        strikes += _worth(rates, action, max(0, now - at) / 1e6)
        removals += action is Action.REMOVE
    return Uploader(strikes=strikes, removals=removals, verdicts=verdicts)


def _worth(rates: Strikes, action: Action, age: float) -> float:
    """The strikes of a verdict that is ``age`` seconds old."""
    return rates.weights.get(action, 0.0) * float(0.5 ** (age / rates.half_life))


#: A strike that counts less has no part in what a person reads of an uploader.
FADED: Final = 0.05


@dataclass(frozen=True, slots=True)
class Strike:
    """One verdict that counts against an uploader.

    Attributes:
        upload_id: The upload.
        action: The verdict's.
        at: When it was decided.
        weight: What it counted then.
        worth: What it counts now.
        halves_at: When it will count half of what it counts now.
        fades_at: When it will count less than ``FADED``.
    """

    upload_id: str
    action: Action
    at: datetime
    weight: float
    worth: float
    halves_at: datetime
    fades_at: datetime


def strikes_of(
    policy: Policy, verdicts: Iterable[tuple[str, Action, datetime]], now: datetime
) -> list[Strike]:
    """The strikes that count against an uploader, the weightiest first.

    Args:
        policy: Its ``strikes`` define weights and half-life.
        verdicts: For each upload: its id, the action that holds, and when it was decided.
        now: The time.

    Returns:
        Those that still count; the sum of ``worth`` of all is ``Uploader.strikes``, but for what
        faded.
    """
    rates = policy.strikes
    found = []
    for upload_id, action, at in verdicts:
        weight = rates.weights.get(action, 0.0)
        worth = _worth(rates, action, max(0, micros(now) - micros(at)) / 1e6)
        if worth < FADED:
            continue
        fades = at + timedelta(seconds=rates.half_life * math.log2(weight / FADED))
        halves = now + timedelta(seconds=rates.half_life)
        found.append(Strike(upload_id, action, at, weight, worth, halves, fades))
    return sorted(found, key=lambda one: -one.worth)
