"""The caps: token buckets that bound how many uploads software removes, and how many it holds.

There is one bucket for each rule and one for all rules. A removal takes a token of both; if one is
empty, the upload goes to a human instead. So it is for each registered work or listed hash that a
removal rests on: one that suddenly matches a thousand uploads is more likely wrong than they are.
A policy may bound reviews in the same way: what exceeds
them is restricted until a human decides. It is never allowed, and a removal that its own cap
turned into a review stays held: near-certain harm is not shown because reviewers are busy.

The time is that of the verdicts, so that a replay of a stream has the same bounds. Decisions by
reviewers are not counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from quorum.aggregator.decision.compact import micros
from quorum.aggregator.decision.verdicts import local_actions
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import Budget, ReviewBudget
from quorum.aggregator.statements.statement import statement_text
from quorum.core.messages import AccountState, Action, Verdict

__all__ = ["EDITED_AFTER_REVIEW", "Cap", "CapResult"]

_TOTAL: Final = "*"

#: The rule of an edit that a human must see, because one decided against an earlier content.
EDITED_AFTER_REVIEW: Final = "edited-after-review"

#: The works and hashes whose buckets are kept; those that are fullest give way.
MAX_MATCHES: Final = 1000

#: How the result of a bucket of a work begins where results are remembered; no rule begins so.
_MATCH: Final = "="

#: The results that are remembered, so that a verdict that is repeated soon gets the same one.
REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class CapResult:
    """A verdict after the cap was applied.

    Attributes:
        verdict: The same verdict, or with ``review`` in place of ``remove``, or with ``restrict``
            in place of ``review``.
        bucket: The rule whose budget is spent, ``*`` for that of all rules, or the work or hash;
            None where the verdict was not changed.
        of: What the bucket bounds: removals by rules, reviews, or removals by ``matches``.
    """

    verdict: Verdict
    bucket: str | None = None
    of: Literal["removals", "reviews", "matches"] = "removals"

    @property
    def capped(self) -> bool:
        """Whether a removal became a review, or a review a restriction."""
        return self.bucket is not None


class Cap:
    """The buckets of one policy.

    Args:
        policy: Its ``caps`` say how much may be removed and held.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._caps = policy.caps
        #: For each bucket: tokens left, and the time in microseconds to which it was filled.
        self._buckets: dict[str, tuple[float, int]] = {}
        #: The same for the buckets of reviews.
        self._holds: dict[str, tuple[float, int]] = {}
        #: The same for the buckets of works and hashes.
        self._matches: dict[str, tuple[float, int]] = {}
        self._recent: dict[str, str] = {}

    @classmethod
    def restore(cls, policy: Policy, snapshot: bytes) -> Cap:
        """A cap with the levels of a snapshot and the budgets of the policy."""
        cap = cls(policy)
        buckets, recent, holds, *more = json.loads(snapshot)
        cap._buckets = {name: (float(left), int(at)) for name, (left, at) in buckets.items()}
        cap._holds = {name: (float(left), int(at)) for name, (left, at) in holds.items()}
        matches = more[0] if more else {}
        cap._matches = {name: (float(left), int(at)) for name, (left, at) in matches.items()}
        cap._recent = dict(recent)
        return cap

    def under(self, policy: Policy) -> Cap:
        """The budgets of another policy on the same buckets: what one spends, both have spent."""
        cap = Cap(policy)
        cap._buckets, cap._holds, cap._recent = self._buckets, self._holds, self._recent
        cap._matches = self._matches
        return cap

    def snapshot(self) -> bytes:
        """The state between two verdicts, as compact JSON."""
        parts: list[Any] = [self._buckets, self._recent, self._holds]
        if self._matches:
            parts.append(self._matches)
        return json.dumps(parts, separators=(",", ":")).encode()

    def concerns(self, verdict: Verdict) -> bool:
        """Whether a cap applies to a verdict: no human decided it, and it is bounded."""
        if (side := self._side(verdict)) is not None:
            return side.concerns(verdict)
        return (self._caps.removals and _removes(verdict)) or (
            self._caps.reviews is not None and _holds(verdict)
        )

    def apply(self, verdict: Verdict) -> CapResult:
        """Spend a token for a removal or a review, or make it milder where none is left.

        The changed verdict keeps its id: later revisions name it. A verdict of a candidate has the
        candidate's budgets, and spends from the same buckets.
        """
        if (side := self._side(verdict)) is not None:
            return side.apply(verdict)
        if not self.concerns(verdict):
            return CapResult(verdict)
        removes = _removes(verdict)
        known = self._recent.get(verdict.id)
        if known is None:
            at = micros(verdict.at)
            if removes:
                known = self._spend_removal(verdict, at)
            else:
                known = self._spend(self._holds, verdict.rule, at, removes=False)
            self._recent[verdict.id] = known
            while len(self._recent) > REMEMBERED:
                del self._recent[next(iter(self._recent))]
        if not known:
            return CapResult(verdict)
        if known.startswith(_MATCH):
            work = known.removeprefix(_MATCH)
            return CapResult(self._held(verdict, self._flooded(work)), bucket=work, of="matches")
        if removes:
            why = self._why(known, removes=True)
            return CapResult(self._held(verdict, why), bucket=known)
        return CapResult(self._restricted(verdict, known), bucket=known, of="reviews")

    def _side(self, verdict: Verdict) -> Cap | None:
        """The caps of the candidate, if it made the verdict."""
        candidate = self._policy.candidate
        if candidate is None or candidate.version != verdict.policy_version:
            return None
        return self.under(candidate)

    def _spend_removal(self, verdict: Verdict, at: int) -> str:
        """Spend a token of each work that it rests on, of its rule and of all rules.

        None is spent where one of the buckets is empty.
        """
        budget = self._caps.each_match
        levels: dict[str, tuple[float, int]] = {}
        for work in () if budget is None else self._works(verdict):
            assert budget is not None
            left, since = _level(self._matches.get(work), budget, at)
            if left < 1.0:
                return f"{_MATCH}{work}"
            levels[work] = (left - 1.0, since)
        spent = self._spend(self._buckets, verdict.rule, at, removes=True)
        if not spent and budget is not None and levels:
            self._matches.update(levels)
            self._forget_full(budget, at)
        return spent

    def _works(self, verdict: Verdict) -> list[str]:
        """The works and hashes that the deciding rule's detectors matched."""
        rule = next((one for one in self._policy.rules if one.name == verdict.rule), None)
        counts_as = self._policy.counts_as
        return sorted(
            {
                work
                for one in verdict.predictions
                if not one.shadow
                and (rule is None or counts_as.get(one.detector, one.detector) in rule.detectors)
                for work in one.works or ()
            }
        )

    def _forget_full(self, budget: Budget, at: int) -> None:
        """Drop the buckets that are full again, then the fullest, above ``MAX_MATCHES``."""
        if len(self._matches) <= MAX_MATCHES:
            return
        left = {work: _level(known, budget, at)[0] for work, known in self._matches.items()}
        fullest = sorted(left, key=lambda work: (-left[work], work))
        over = len(self._matches) - MAX_MATCHES
        for number, work in enumerate(fullest):
            if number < over or left[work] >= budget.removals:
                del self._matches[work]

    def _flooded(self, work: str) -> str:
        """Why a removal by a work that matches too much waits for a human."""
        budget = self._caps.each_match
        assert budget is not None
        return (
            f"matches with one work or listed hash ({work}) removed {budget.removals} uploads in "
            f"{budget.per:g} s, as many as the policy lets one remove: its entry may be wrong"
        )

    def _budget(self, bucket: str, *, removes: bool) -> Budget | ReviewBudget | None:
        caps = self._caps if removes else self._caps.reviews
        if caps is None:
            return None
        if bucket == _TOTAL:
            return caps.total
        return caps.rules.get(bucket) or caps.each_rule

    def _spend(
        self, buckets: dict[str, tuple[float, int]], rule: str, at: int, *, removes: bool
    ) -> str:
        """Spend one token of each bucket, or return the name of the first that is empty."""
        levels: dict[str, tuple[float, int]] = {}
        for bucket in (rule, _TOTAL):
            budget = self._budget(bucket, removes=removes)
            if budget is None:
                continue
            left, since = _level(buckets.get(bucket), budget, at)
            if left < 1.0:
                return bucket
            levels[bucket] = (left - 1.0, since)
        buckets.update(levels)
        return ""

    def _why(self, bucket: str, *, removes: bool) -> str:
        budget = self._budget(bucket, removes=removes)
        what = "removals" if removes else "reviews"
        if budget is None:
            return f"the cap on {what} is reached"
        whose = "all rules" if bucket == _TOTAL else f"the rule {bucket}"
        return f"the cap of {whose} ({_tokens(budget)} {what} in {budget.per:g} s) is reached"

    def _held(self, verdict: Verdict, why: str) -> Verdict:
        """A removal, as a review."""
        data: dict[str, Any] = {
            "action": Action.REVIEW,
            "decided_by": "cap",
            "reasons": (f"A human decides, for {why}.", *verdict.reasons),
            "statement": None,
        }
        if local_actions(verdict):
            data["territories"] = {}
        if verdict.account is not None:
            # What waits for a human decides on no account.
            waits = {"state": AccountState.PROPOSED, "statement": None}
            data["account"] = verdict.account.model_copy(update=waits)
        return verdict.model_copy(update=data)

    def _restricted(self, verdict: Verdict, bucket: str) -> Verdict:
        """A review, as a restriction until a human decides; its statement is in English."""
        why = f"Restricted until a human decides, for {self._why(bucket, removes=False)}."
        restricted = verdict.model_copy(
            update={
                "action": Action.RESTRICT,
                "decided_by": "cap",
                "reasons": (why, *verdict.reasons),
            }
        )
        statement = statement_text(self._policy, restricted)
        return restricted.model_copy(update={"statement": statement})


def _removes(verdict: Verdict) -> bool:
    """Whether a verdict removes without a human decision, somewhere at least."""
    return verdict.decided_by in ("policy", "deadline") and (
        verdict.action is Action.REMOVE or Action.REMOVE.value in local_actions(verdict).values()
    )


def _holds(verdict: Verdict) -> bool:
    """Whether a verdict holds an upload for a human, and may be made milder.

    An edit of what a reviewer restricted or removed stays held: else whoever floods the queue
    would undo that decision.
    """
    return (
        verdict.decided_by in ("policy", "deadline")
        and verdict.action is Action.REVIEW
        and verdict.rule != EDITED_AFTER_REVIEW
    )


def _tokens(budget: Budget | ReviewBudget) -> int:
    return budget.removals if isinstance(budget, Budget) else budget.reviews


def _level(
    known: tuple[float, int] | None, budget: Budget | ReviewBudget, at: int
) -> tuple[float, int]:
    """The tokens of a bucket at a time, and the time to which it is filled then."""
    most = float(_tokens(budget))
    left, since = known or (most, at)
    filled = left + max(0, at - since) / 1e6 * most / budget.per
    return min(most, filled), max(at, since)
