"""Past cases: the inputs of earlier decisions, to decide them again.

One case is one line of JSON, as ``quorum ledger`` exports it and as ``quorum policy`` reads it::

    {"upload": {...}, "predictions": [...], "missing": {"spam": "timed out"},
     "uploader": {"strikes": 1.2}, "action": "remove", "rule": "spam-certain",
     "review": "allow", "at": "2026-03-01T12:00:00Z"}

``upload`` and the items of ``predictions`` are the messages of the same names; all other fields
are optional.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.decision.evaluate import Decision, Uploader
from quorum.aggregator.decision.steps import Plan, clocks, passed, plan
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import InputError
from quorum.core.messages import SEEN, Action, Prediction, Review, Upload, Verdict

__all__ = ["PastCase", "read_cases"]


@dataclass(frozen=True)
class PastCase:
    """One upload with its predictions, its verdict and its review.

    Attributes:
        facts: The upload's event as JSON values.
        predictions: The predictions.
        missing: For each missing detector, the reason.
        uploader: The uploader's history at that time.
        action: The recorded action; None if it was not decided.
        rule: The rule that decided.
        review: The reviewer's action; None without a review.
        at: The time of the verdict, RFC 3339.
        shadow_policies: The decisions of shadow policies, as the verdict lists them.
        ages: For how many seconds each rule with ``then`` had applied, by its name.
        later: Seconds for which every other rule with ``then`` has applied.
        policy_version: The policy that the verdict names.
        features: Values of features over time, by ``Feature.key``.
    """

    facts: Mapping[str, Any]
    predictions: tuple[CompactPrediction, ...]
    missing: Mapping[str, str] = field(default_factory=dict)
    uploader: Uploader = field(default_factory=Uploader)
    action: Action | None = None
    rule: str | None = None
    review: Action | None = None
    at: str | None = None
    shadow_policies: tuple[Mapping[str, str], ...] = ()
    ages: Mapping[str, float] = field(default_factory=dict)
    later: float = 0.0
    policy_version: str | None = None
    features: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def gather(
        cls,
        upload: Upload,
        predictions: Iterable[Prediction],
        verdicts: Iterable[Verdict] = (),
        reviews: Iterable[Review] = (),
        uploader: Uploader | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> PastCase:
        """Build a case from all messages about an upload, in any order.

        Of several predictions of one detector, the same one counts as in a stream. The recorded
        action is that of the last verdict that no reviewer made.

        Args:
            upload: The event.
            predictions: All recorded predictions.
            verdicts: All revisions.
            reviews: All recorded reviews.
            uploader: The uploader's history at that time.
            versions: For some detectors, a version whose predictions are kept as shadow
                predictions even if another version decided, so that ``under`` finds them.
        """
        kept: dict[tuple[str, bool], CompactPrediction] = {}
        for prediction in predictions:
            compact = CompactPrediction.of(prediction)
            wanted = (versions or {}).get(compact.detector)
            if wanted is not None:
                key = (compact.detector, True)
                if compact.version == wanted:
                    kept[key] = compact._replace(shadow=True)
                if compact.shadow:
                    continue
            key = (compact.detector, compact.shadow)
            if key not in kept or kept[key].rank < compact.rank:
                kept[key] = compact
        decided = max(
            (verdict for verdict in verdicts if verdict.decided_by != "reviewer"),
            key=lambda verdict: verdict.order,
            default=None,
        )
        review = max(reviews, key=lambda one: (one.at, one.event_id()), default=None)
        return cls(
            facts=json.loads(upload.model_dump_json()),
            predictions=tuple(kept.values()),
            missing={}
            if decided is None
            else {
                one.detector: one.why
                for one in decided.missing
                if (one.detector, False) not in kept
            },
            uploader=uploader or _NOBODY,
            action=None if decided is None else decided.action,
            rule=None if decided is None else decided.rule,
            review=None if review is None else review.action,
            at=None if decided is None else decided.at.isoformat(),
            shadow_policies=() if decided is None else _shadow_policies(decided.model_extra),
            features=(None if decided is None else decided.features) or {},
            ages={}
            if decided is None
            else {
                rule: (decided.at - since).total_seconds()
                for rule, since in (decided.since or {}).items()
            },
            policy_version=None if decided is None else decided.policy_version,
        )

    @classmethod
    def from_json(cls, line: str | bytes) -> PastCase:
        """Read one line.

        Raises:
            InputError: If it is not a past case.
        """
        try:
            data = json.loads(line)
            facts = data["upload"]
            facts["id"], facts["uploader"]
            uploader = data.get("uploader")
            return cls(
                facts=facts,
                predictions=tuple(_parse_prediction(one) for one in data["predictions"]),
                missing=data.get("missing") or {},
                uploader=_NOBODY if not uploader else Uploader(**uploader),
                action=_action(data.get("action")),
                rule=data.get("rule"),
                review=_action(data.get("review")),
                at=data.get("at"),
                shadow_policies=_shadow_policies(data),
                features={
                    str(name): float(value) for name, value in (data.get("features") or {}).items()
                },
                ages={str(rule): float(age) for rule, age in (data.get("ages") or {}).items()},
                policy_version=_text(data.get("policy_version")),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            kind = type(error).__name__
            why = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else kind
            msg = f"not a past case: {why}"
            raise InputError(msg) from None

    def to_json(self) -> str:
        """The case as one line of JSON."""
        data: dict[str, Any] = {
            "upload": dict(self.facts),
            "predictions": [_prediction_json(one) for one in self.predictions],
            "missing": dict(self.missing) or None,
            "action": self.action,
            "rule": self.rule,
            "review": self.review,
            "at": self.at,
            "policy_version": self.policy_version,
            "shadow_policies": [dict(one) for one in self.shadow_policies] or None,
            "ages": dict(self.ages) or None,
            "features": dict(self.features) or None,
        }
        if self.uploader != _NOBODY:
            data["uploader"] = {
                "strikes": self.uploader.strikes,
                "removals": self.uploader.removals,
                "verdicts": self.uploader.verdicts,
            }
        return json.dumps({key: value for key, value in data.items() if value is not None})

    @cached_property
    def upload(self) -> Upload:
        """The event.

        Raises:
            InputError: If it is not a valid upload.
        """
        try:
            return Upload.model_validate_json(json.dumps(self.facts))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            msg = f"the upload of a past case is not valid: {where}: {first['msg']}"
            raise InputError(msg) from None

    def under(self, versions: Mapping[str, str]) -> PastCase:
        """The case with the predictions of other detector versions.

        A detector without a prediction by its version stays unchanged.
        """
        chosen = {
            one.detector: one._replace(shadow=False)
            for one in self.predictions
            if versions.get(one.detector) == one.version
        }
        if not chosen:
            return self
        others = tuple(one for one in self.predictions if one.shadow or one.detector not in chosen)
        return replace(self, predictions=(*others, *chosen.values()))

    def side(self, policy: Policy) -> Policy:
        """The side of a policy's rollout that the uploader is on; the policy without one."""
        return policy.decides(str(self.facts.get("uploader") or ""), str(self.facts["id"]))

    def decide(self, policy: Policy) -> Decision:
        """What a policy decides."""
        return self._decide(policy, passed(self.side(policy), self._since(policy), 0))

    def plan(self, policy: Policy) -> Plan | None:
        """What time alone brings after that; ``at`` counts from the decision."""
        policy = self.side(policy)
        since = self._since(policy)
        decision = self.decide(policy)
        applies = clocks(policy, since, decision.matched, 0)
        effect = _effect(decision)
        return plan(policy, applies, 0, effect, lambda gone: self._decide(policy, gone), _effect)

    def _decide(self, policy: Policy, gone: frozenset[str]) -> Decision:
        return Decider(policy).decision(
            lambda: self.upload, self.predictions, self.missing, self.uploader, gone, self.features
        )

    def _since(self, policy: Policy) -> dict[str, int]:
        return {
            rule.name: -round(self.ages.get(rule.name, self.later) * 1e6)
            for rule in self.side(policy).rules
            if rule.then is not None
        }


def _effect(decision: Decision) -> str:
    return f"{decision.action.value} {decision.territories}"


_NOBODY = Uploader()
_ACTIONS = {action.value: action for action in Action}


def _action(value: Any) -> Action | None:
    return None if value is None else _ACTIONS[value]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _shadow_policies(data: Mapping[str, Any] | None) -> tuple[Mapping[str, str], ...]:
    """The valid entries of ``shadow_policies``."""
    listed = (data or {}).get("shadow_policies")
    return tuple(
        one
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and isinstance(one.get("policy_version"), str)
    )


def _parse_prediction(data: Mapping[str, Any]) -> CompactPrediction:
    score = data.get("score")
    status = data.get("status") or ("scored" if score is not None else "failed")
    if (score is not None) != (status == "scored"):
        msg = "score goes with the status scored"
        raise ValueError(msg)
    if score is not None and not (isinstance(score, float | int) and 0 <= score <= 1):
        msg = "score is a probability"
        raise ValueError(msg)
    return CompactPrediction(
        data.get("id") or data["detector"],
        data["detector"],
        data.get("version") or "",
        0,
        status,
        None if score is None else float(score),
        data.get("labels") or {},
        data.get("reason"),
        bool(data.get("shadow")),
        seen=_seen(data),
    )


def _seen(data: Mapping[str, Any]) -> float | None:
    """The share that was seen: of a prediction in a verdict, or by its evidence."""
    told = [data.get("seen")]
    told += [
        one.get("weight")
        for one in data.get("evidence") or ()
        if isinstance(one, dict) and one.get("field") == SEEN
    ]
    return min((float(one) for one in told if isinstance(one, float | int)), default=None)


def _prediction_json(compact: CompactPrediction) -> dict[str, Any]:
    data = {
        "id": compact.id,
        "detector": compact.detector,
        "version": compact.version,
        "status": compact.code,
        "score": compact.score,
        "labels": dict(compact.labels) or None,
        "reason": compact.reason,
        "shadow": compact.shadow or None,
        "seen": compact.seen,
    }
    return {key: value for key, value in data.items() if value is not None}


def read_cases(files: Sequence[Path] | Iterable[Path]) -> Iterator[PastCase]:
    """Read past cases from files, one JSON object a line.

    Raises:
        InputError: At the first line that is not a case, with its file and number.
    """
    for file in files:
        try:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        try:
                            yield PastCase.from_json(line)
                        except InputError as error:
                            msg = f"{file}:{number}: {error}"
                            raise InputError(msg) from None
        except OSError as error:
            msg = f"cannot read the cases {file}: {error.strerror or error}"
            raise InputError(msg) from None
