"""The removal cap: token buckets that bound how many uploads software removes.

There is one bucket for each rule and one for all rules. A removal takes a token of both; if one
is empty, the upload goes to a human instead. The time is that of the verdicts, so that a replay
of a stream has the same bounds. Removals by reviewers are not counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from quorum.aggregator.decision.compact import micros
from quorum.aggregator.decision.verdicts import local_actions
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import Budget
from quorum.core.messages import Action, Verdict

__all__ = ["Cap", "CapResult"]

_TOTAL: Final = "*"

#: The results that are remembered, so that a verdict that is repeated soon gets the same one.
REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class CapResult:
    """A verdict after the cap was applied.

    Attributes:
        verdict: The same verdict, or with ``review`` in place of ``remove``.
        bucket: The rule whose budget is spent, ``*`` for that of all rules; None where the
            verdict was not changed.
    """

    verdict: Verdict
    bucket: str | None = None

    @property
    def capped(self) -> bool:
        """Whether a removal became a review."""
        return self.bucket is not None


class Cap:
    """The buckets of one policy.

    Args:
        policy: Its ``caps`` say how much may be removed.
    """

    def __init__(self, policy: Policy) -> None:
        self._caps = policy.caps
        #: For each bucket: tokens left, and the time in microseconds to which it was filled.
        self._buckets: dict[str, tuple[float, int]] = {}
        self._recent: dict[str, str] = {}

    @classmethod
    def restore(cls, policy: Policy, snapshot: bytes) -> Cap:
        """A cap with the levels of a snapshot and the budgets of the policy."""
        cap = cls(policy)
        buckets, recent = json.loads(snapshot)
        cap._buckets = {name: (float(left), int(at)) for name, (left, at) in buckets.items()}
        cap._recent = dict(recent)
        return cap

    def snapshot(self) -> bytes:
        """The state between two verdicts, as compact JSON."""
        return json.dumps([self._buckets, self._recent], separators=(",", ":")).encode()

    @staticmethod
    def concerns(verdict: Verdict) -> bool:
        """Whether a verdict removes without a human decision, so that the cap applies."""
        return verdict.decided_by in ("policy", "deadline") and (
            verdict.action is Action.REMOVE
            or Action.REMOVE.value in local_actions(verdict).values()
        )

    def apply(self, verdict: Verdict) -> CapResult:
        """Spend a token for a removal, or turn it into a review where none is left.

        The changed verdict keeps its id: later revisions name it.
        """
        if not self.concerns(verdict):
            return CapResult(verdict)
        known = self._recent.get(verdict.id)
        if known is None:
            known = self._spend(verdict.rule, micros(verdict.at))
            self._recent[verdict.id] = known
            while len(self._recent) > REMEMBERED:
                del self._recent[next(iter(self._recent))]
        if not known:
            return CapResult(verdict)
        return CapResult(self._capped(verdict, known), bucket=known)

    def _budget(self, bucket: str) -> Budget | None:
        if bucket == _TOTAL:
            return self._caps.total
        return self._caps.rules.get(bucket) or self._caps.each_rule

    def _level(self, bucket: str, budget: Budget, at: int) -> tuple[float, int]:
        left, since = self._buckets.get(bucket, (float(budget.removals), at))
        elapsed = max(0, at - since) / 1e6
        filled = left + elapsed * budget.removals / budget.per
        return min(float(budget.removals), filled), max(at, since)

    def _spend(self, rule: str, at: int) -> str:
        """Spend one token of each bucket, or return the name of the first that is empty."""
        levels: dict[str, tuple[float, int]] = {}
        for bucket in (rule, _TOTAL):
            budget = self._budget(bucket)
            if budget is None:
                continue
            left, since = self._level(bucket, budget, at)
            if left < 1.0:
                return bucket
            levels[bucket] = (left - 1.0, since)
        self._buckets.update(levels)
        return ""

    def _capped(self, verdict: Verdict, bucket: str) -> Verdict:
        budget = self._budget(bucket)
        text = "the cap on removals is reached"
        if budget is not None:
            whose = "all rules" if bucket == _TOTAL else f"the rule {bucket}"
            text = f"the cap of {whose} ({budget.removals} removals in {budget.per:g} s) is reached"
        data: dict[str, Any] = {
            "action": Action.REVIEW,
            "decided_by": "cap",
            "reasons": (f"A human decides, for {text}.", *verdict.reasons),
            "statement": None,
        }
        if local_actions(verdict):
            data["territories"] = {}
        return verdict.model_copy(update=data)
