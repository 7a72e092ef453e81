"""The schema of a policy's YAML, from which its JSON Schema is generated."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from quorum.aggregator.policy.fields import FieldType
from quorum.core.messages import AccountAction, Action

__all__ = [
    "SECTIONS",
    "BudgetText",
    "CapsText",
    "CategoryText",
    "CombinerText",
    "DetectorText",
    "PolicyText",
    "RuleText",
    "StrikesText",
    "policy_schema",
]

_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^(\d+(?:\.\d+)?) ?(ms|s|min|h|d)$")
_TERRITORY = r"^[A-Z][A-Z0-9_-]+$"


_NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._:-]*$"


def _seconds(value: Any) -> Any:
    if isinstance(value, bool):
        msg = "a duration is seconds, or a number with its unit, such as 500 ms, 30 s, 10 min, 2 h"
        raise ValueError(msg)
    if isinstance(value, str):
        found = _DURATION.match(value.strip())
        if found is None:
            msg = f"`{value}` is no duration; write seconds, or 500 ms, 30 s, 10 min, 2 h, 1 d"
            raise ValueError(msg)
        return float(found[1]) * _UNITS[found[2]]
    return value


Duration = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=float | str),
    Field(gt=0, le=3650 * 86400, allow_inf_nan=False),
]
Silence = Annotated[float, Field(ge=0, le=1, strict=True)] | Literal["review", "ignore", "restrict"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RolloutText(_Section):
    """A share of uploaders."""

    percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = Field(
        description="Of all uploaders; one that is in stays in when it grows."
    )
    salt: Annotated[str, Field(min_length=1, max_length=80)] | None = Field(
        default=None,
        description="Chooses which uploaders come first (default: the name of the rule, or of "
        "the candidate); with one salt the same ones are taken.",
    )


class DetectorRolloutText(RolloutText):
    """Another version of a detector, whose predictions count for a share of uploaders."""

    to: Annotated[str, Field(min_length=1)] = Field(
        description="The other version: a detector of the settings with `version_of`."
    )


class DetectorText(_Section):
    """How the policy treats one detector."""

    required: bool = Field(
        default=True, description="Whether an upload needs its score to be allowed."
    )
    deadline: Duration | None = Field(
        default=None, description="When it counts as missing (default: the policy's deadline)."
    )
    missing: Silence | None = Field(
        default=None,
        description="The meaning of no prediction by the deadline: an action, a score in its "
        "place, or ignore. By default review if it is required, else ignore.",
    )
    failed: Silence | None = Field(
        default=None, description="The meaning of a failed prediction; as for missing."
    )
    abstained: Silence | None = Field(
        default=None, description="The meaning of an abstention (default: ignore)."
    )
    shadow: bool = Field(default=False, description="Whether it is recorded and never decides.")
    rollout: DetectorRolloutText | None = Field(
        default=None,
        description="Another version of it counts for a share of uploaders, such as "
        "{to: spam-next, percent: 5}.",
    )


#: What a rule may ask for; a ban is decided by two people.
RuledAccount = Literal[AccountAction.WARN, AccountAction.SUSPEND]


class AccountText(_Section):
    """What happens to the uploader's account where a rule decides."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    action: RuledAccount
    seconds: Duration | None = Field(
        default=None,
        alias="for",
        description="How long a suspension holds (default: until a person lifts it).",
    )
    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="A sentence for the account's owner (default: the rule's)."
    )
    automatic: bool = Field(
        default=False, description="Whether it holds without a human who confirms it."
    )


#: ``account: warn`` is short for ``account: {action: warn}``.
Account = Annotated[
    AccountText,
    BeforeValidator(
        lambda given: {"action": given} if isinstance(given, str) else given,
        json_schema_input_type=RuledAccount | AccountText,
    ),
]


class ThenText(_Section):
    """What becomes of a rule's action with time, if no human decides before."""

    after: Duration = Field(
        description="How long the rule must have applied; from the policy's deadline to its "
        "retention."
    )
    action: Action = Field(
        description="Its action from then on: allow where it restricts (the limits end), else a "
        "more severe one."
    )
    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="A sentence for people (default: one that tells the time)."
    )


class PolicyRolloutText(RolloutText):
    """A candidate that decides the uploads of a share of uploaders."""

    policy: dict[str, Any] = Field(
        description="The candidate: a whole policy, with the same deadline and without a rollout "
        "of its own. `quorum policy publish --candidate` writes it here."
    )


class RuleText(_Section):
    """One rule."""

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=_NAME)]
    when: str = Field(
        description='CEL over score("spam"), label("violence/fight"), status("spam"), '
        'combined("risk"), upload, uploader, lists, predictions and missing.'
    )
    unless: str | None = Field(
        default=None, description="An exemption: if true, the rule does not apply."
    )
    action: Action
    category: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="A sentence for people; {spam} stands for the score of spam."
    )
    territories: tuple[Annotated[str, Field(pattern=_TERRITORY)], ...] = Field(
        default=(),
        description="Where it applies: ISO 3166-1 alpha-2 codes, EU, EEA, or groups of the "
        "policy's own; empty for everywhere.",
    )
    shadow: bool = Field(default=False, description="Whether it is recorded and never decides.")
    account: Account | None = Field(
        default=None,
        description="What happens to the uploader's account where this rule decides: warn, "
        "suspend, or these with how long, why, and whether without a human.",
    )
    then: ThenText | None = Field(
        default=None,
        description="What becomes of the action with time, such as {after: 24 h, action: allow}; "
        "a human's decision, or a verdict by another rule, ends it.",
    )
    rollout: RolloutText | None = Field(
        default=None,
        description="Applies to a share of uploaders alone, such as {percent: 5}; the same "
        "uploader always falls on the same side.",
    )


class CategoryText(_Section):
    """A category of harm, with the facts that a statement of reasons needs."""

    dsa: str = Field(
        description="Its category in the DSA Transparency Database, such as self-harm."
    )
    ground: Literal["terms", "law"] = Field(
        default="terms", description="Whether it violates the law or only the terms."
    )
    reference: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        default="Community rules", description="The clause of the terms, or the law."
    )
    explanation: Annotated[str, Field(min_length=1, max_length=2000)] = Field(
        default="The platform's rules do not allow such content.",
        description="Why such content violates it.",
    )


class CombinerText(_Section):
    """A stacked logistic regression over scores; `quorum policy fit` makes one."""

    bias: Annotated[float, Field(allow_inf_nan=False)]
    weights: Annotated[
        dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], Field(min_length=1)
    ] = Field(description="For each detector or label: the weight of its log-odds; never negative.")
    absent: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict, description="The probability that stands for an absent score."
    )


class FeatureText(_Section):
    """What is known of an upload from other uploads with a key in common, over a window."""

    kind: Literal["count", "distinct", "sum", "rate", "last_seen", "wave"] = Field(
        description="count of uploads, distinct values, sum of a field, rate (uploads a minute), "
        "last_seen (seconds since the upload before), or wave (uploaders of a campaign, 0 where "
        "the upload is part of none)."
    )
    by: str = Field(
        description="What the uploads have in common: uploader, domain (of a link), media (its "
        "address), text (nearly the same words), or a field under `fields`."
    )
    of: str | None = Field(
        default=None, description="For distinct: as `by`. For sum: a field with a number."
    )
    over: Annotated[Duration, Field(ge=60, le=30 * 86400)] = Field(
        description="The window, from 1 min to 30 d."
    )
    lateness: Annotated[Duration, Field(ge=0, le=60)] = Field(
        default=2.0,
        description="How much later than younger ones an upload may arrive; the uploads of this "
        "time do not count yet.",
    )
    keys: Annotated[int, Field(ge=1, le=10_000_000, strict=True)] = Field(
        default=100_000, description="The most keys kept in a process; the oldest give way."
    )
    uploads: Annotated[int, Field(ge=2, le=100_000, strict=True)] | None = Field(
        default=None, description="For wave: uploads from which on it is one (default: 5)."
    )
    uploaders: Annotated[int, Field(ge=2, le=256, strict=True)] | None = Field(
        default=None, description="For wave: uploaders from which on it is one (default: 3)."
    )
    words: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = Field(
        default=None,
        description="For wave by text: shorter texts are part of none (default: 6 words).",
    )


class BudgetText(_Section):
    """A token bucket for removals."""

    removals: Annotated[int, Field(ge=0, strict=True)]
    per: Duration


class ReviewBudgetText(_Section):
    """A token bucket for reviews."""

    reviews: Annotated[int, Field(ge=0, strict=True)]
    per: Duration


class ReviewCapsText(_Section):
    """Bounds on uploads held for a human; the excess is restricted until a human decides."""

    total: ReviewBudgetText | None = None
    each_rule: ReviewBudgetText | None = None
    rules: dict[str, ReviewBudgetText] = Field(default_factory=dict)


class CapsText(_Section):
    """Bounds on removals without a human decision, whose excess goes to review, and on reviews."""

    total: BudgetText | None = None
    each_rule: BudgetText | None = None
    rules: dict[str, BudgetText] = Field(default_factory=dict)
    reviews: ReviewCapsText | None = None
    each_match: BudgetText | None = Field(
        default=None,
        description="Removals by matches with one registered work or listed hash: what exceeds it "
        "is held for a human, for the entry may be wrong.",
    )


class StrikesText(_Section):
    """How past verdicts count against an uploader."""

    half_life: Duration = Field(
        default=90 * 86400.0, description="The time after which a strike counts half."
    )
    remove: Annotated[float, Field(ge=0)] = 1.0
    restrict: Annotated[float, Field(ge=0)] = 0.25


class PolicyText(_Section):
    """A policy."""

    name: Annotated[str, Field(min_length=1, max_length=60, pattern=_NAME)]
    description: str = ""
    deadline: Duration = Field(
        default=30.0, description="Seconds after an upload's arrival by which it is decided."
    )
    retention: Duration = Field(
        default=3600.0, description="How long a decided case accepts late messages."
    )
    orphan_wait: Duration = Field(
        default=600.0, description="How long a prediction waits for its upload."
    )
    quorum: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=1, description="How many detectors must have scored for an upload to be allowed."
    )
    detectors: Annotated[dict[str, DetectorText], Field(min_length=1)]
    rules: tuple[RuleText, ...] = ()
    categories: dict[str, CategoryText] = Field(default_factory=dict)
    combiners: dict[str, CombinerText] = Field(default_factory=dict)
    lists: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")], tuple[str, ...]] = Field(
        default_factory=dict, description="Named lists, such as trusted uploaders: `lists.trusted`."
    )
    groups: dict[
        Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_-]{2,}$")],
        Annotated[tuple[Annotated[str, Field(pattern=_TERRITORY)], ...], Field(min_length=1)],
    ] = Field(
        default_factory=dict,
        description="Named groups of countries for `territories`, such as DACH: [DE, AT, CH].",
    )
    fields: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")], FieldType] = Field(
        default_factory=dict,
        description="The producer's own fields of an upload, and their types: number, bool, text, "
        "time, list or map. `upload.NAME` is null where an upload lacks it.",
    )
    features: dict[Annotated[str, Field(pattern=_NAME, max_length=80)], FeatureText] = Field(
        default_factory=dict,
        description='Features over time, for conditions such as feature("uploads_1h") > 20.0.',
    )
    caps: CapsText = CapsText()
    strikes: StrikesText = StrikesText()
    rollout: PolicyRolloutText | None = Field(
        default=None,
        description="Another policy decides the uploads of a share of uploaders; the same uploader "
        "always falls on the same side.",
    )


#: The model of each named section of a policy.
SECTIONS: dict[str, type[BaseModel]] = {
    "detectors": DetectorText,
    "rules": RuleText,
    "categories": CategoryText,
    "combiners": CombinerText,
    "features": FeatureText,
    "caps": CapsText,
    "strikes": StrikesText,
    "rollout": PolicyRolloutText,
}


def policy_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a policy's file, for editors."""
    made = PolicyText.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["$id"] = "quorum/schemas/policy.schema.json"
    made["title"] = "Quorum policy"
    return made
