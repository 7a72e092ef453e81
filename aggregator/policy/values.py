"""The values of a policy: rules, detectors, caps, and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quorum.aggregator.policy.categories import Category
from quorum.aggregator.policy.combiner import Combiner
from quorum.aggregator.policy.expression import Expression
from quorum.aggregator.policy.fields import FieldType
from quorum.aggregator.policy.rollout import Rollout
from quorum.core.messages import AccountAction, Action, Status

__all__ = [
    "AccountRule",
    "Budget",
    "Caps",
    "DetectorPolicy",
    "DetectorRollout",
    "Feature",
    "Meaning",
    "PolicyContent",
    "PolicyRollout",
    "ReviewBudget",
    "ReviewCaps",
    "Rule",
    "Strikes",
    "Then",
]

#: The meaning of an absent score: an action, a number in its place, or nothing (None).
Meaning = Action | float | None


@dataclass(frozen=True, slots=True)
class DetectorRollout:
    """Another version of a detector, whose predictions count for a share of uploaders.

    Attributes:
        to: The name of the other version.
        share: The uploaders.
    """

    to: str
    share: Rollout


@dataclass(frozen=True, slots=True)
class DetectorPolicy:
    """How a policy treats one detector.

    Attributes:
        name: The detector.
        required: Whether an upload needs its score to be allowed.
        deadline: Seconds after the upload's arrival when it counts as missing.
        missing: The meaning of no prediction by the deadline.
        failed: The meaning of a failed prediction.
        abstained: The meaning of an abstention.
        shadow: Whether it is recorded and never decides.
        rollout: Another version for a share of uploaders; None without.
    """

    name: str
    required: bool
    deadline: float
    missing: Meaning
    failed: Meaning
    abstained: Meaning
    shadow: bool = False
    rollout: DetectorRollout | None = None

    def meaning(self, status: Status | None) -> Meaning:
        """The meaning of a status; None stands for missing."""
        if status is Status.FAILED:
            return self.failed
        if status is Status.ABSTAINED:
            return self.abstained
        return self.missing

    @property
    def silences(self) -> frozenset[Action]:
        """The actions that it may ask for without a score."""
        all_of_them = (self.missing, self.failed, self.abstained)
        return frozenset(one for one in all_of_them if isinstance(one, Action))


@dataclass(frozen=True, slots=True)
class AccountRule:
    """What happens to the uploader's account where a rule decides.

    Attributes:
        action: What happens.
        reason: A sentence for the account's owner.
        seconds: How long it holds; None until a person lifts it.
        automatic: Whether it holds without a human who confirms it.
    """

    action: AccountAction
    reason: str
    seconds: float | None
    automatic: bool


@dataclass(frozen=True, slots=True)
class Then:
    """What becomes of a rule's action with time, if no human decides before.

    Attributes:
        after: Seconds since the rule applies.
        action: Its action from then on.
        reason: A sentence for people, as the rule's own.
    """

    after: float
    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its condition and its action.

    Attributes:
        name: Its name in verdicts.
        when: Its condition.
        unless: An exemption: if true, the rule does not apply; unknown and errors count as false.
        action: Its action; the most severe of all matching rules wins.
        category: A key of ``Policy.categories``; None without.
        reason: A sentence for people; ``{spam}`` and ``{violence/fight}`` stand for scores.
        territories: Where it applies (ISO 3166-1 alpha-2); empty for everywhere.
        shadow: Whether it is recorded and never decides.
        detectors: All detectors whose predictions may change whether it applies.
        account: What happens to the uploader's account where it decides; None for nothing.
        then: What becomes of its action with time; None where it stays.
        rollout: The share of uploaders that it applies to; None for all.
    """

    name: str
    when: Expression
    unless: Expression | None
    action: Action
    category: str | None
    reason: str
    territories: tuple[str, ...]
    shadow: bool
    detectors: frozenset[str]
    account: AccountRule | None = None
    then: Then | None = None
    rollout: Rollout | None = None

    @property
    def conditions(self) -> tuple[Expression, ...]:
        """Its condition, and its exemption if there is one."""
        return (self.when,) if self.unless is None else (self.when, self.unless)

    @property
    def most_severe(self) -> Action:
        """The most severe action that it may ask for, now or with time."""
        later = self.action if self.then is None else self.then.action
        return max(self.action, later, key=lambda one: one.severity)


@dataclass(frozen=True, slots=True)
class Feature:
    """What is known of an upload from other uploads with a key in common, over a window.

    Attributes:
        name: Its name in conditions.
        key: The name with a digest of the definition, by which its values are recorded.
        kind: ``count``, ``distinct``, ``sum``, ``rate`` (uploads a minute), ``last_seen``
            (seconds since the one before) or ``wave`` (accounts of a campaign, 0 without one).
        by: What the uploads have in common: ``uploader``, ``domain``, ``media``, ``text``, or a
            field of the producer's own.
        of: For ``distinct`` one of the same, for ``sum`` a field with a number; else empty.
        over: The window in seconds.
        lateness: Seconds by which an upload may arrive after younger ones; uploads that are so
            young do not count yet.
        keys: The most keys that are kept in a process.
        uploads: Of a wave: the uploads from which on it is one.
        uploaders: Of a wave: the different uploaders from which on it is one.
        words: Of a wave by text: the words below which a text has nothing in common.
    """

    name: str
    key: str
    kind: str
    by: str
    of: str
    over: float
    lateness: float
    keys: int
    uploads: int = 0
    uploaders: int = 0
    words: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """A token bucket for removals.

    Attributes:
        removals: Its capacity: the most removals at once.
        per: Seconds in which an empty bucket fills.
    """

    removals: int
    per: float


@dataclass(frozen=True, slots=True)
class ReviewBudget:
    """A token bucket for reviews.

    Attributes:
        reviews: Its capacity: the most reviews at once.
        per: Seconds in which an empty bucket fills.
    """

    reviews: int
    per: float


@dataclass(frozen=True, slots=True)
class ReviewCaps:
    """The bounds on uploads that are held for a human.

    Attributes:
        total: For all that asks for a review together.
        each_rule: For each rule, silence or quorum that has no budget of its own.
        rules: By what decides, as ``Verdict.rule`` names it.
    """

    total: ReviewBudget | None = None
    each_rule: ReviewBudget | None = None
    rules: Mapping[str, ReviewBudget] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Caps:
    """The bounds on removals and reviews without a human decision.

    Attributes:
        total: Removals by all rules together.
        each_rule: Removals by each rule that has no budget of its own.
        rules: Removals by rule.
        reviews: Reviews; None without bounds.
        each_match: Removals by matches with one work or listed hash.
    """

    total: Budget | None
    each_rule: Budget | None
    rules: Mapping[str, Budget]
    reviews: ReviewCaps | None = None
    each_match: Budget | None = None

    @property
    def removals(self) -> bool:
        """Whether removals are bounded."""
        budgets = (self.total, self.each_rule, self.each_match)
        return bool(self.rules) or any(one is not None for one in budgets)


@dataclass(frozen=True, slots=True)
class Strikes:
    """How past verdicts count against an uploader.

    Attributes:
        half_life: Seconds after which a strike counts half.
        weights: The strikes of a verdict, by action.
    """

    half_life: float
    weights: Mapping[Action, float]


@dataclass(frozen=True, slots=True)
class PolicyRollout:
    """A candidate that decides the uploads of a share of uploaders.

    Attributes:
        policy: The candidate.
        share: The uploaders that it decides.
    """

    policy: PolicyContent
    share: Rollout


@dataclass(frozen=True)
class PolicyContent:
    """All values of a policy that passed its checks.

    Attributes:
        name: For people.
        description: For people.
        version: Name and digest of the content; comments and spacing do not count.
        text: The YAML.
        file: Its file name; None without.
        deadline: Seconds after an upload's arrival by which its case is decided.
        retention: Seconds after a verdict during which a case accepts late messages.
        orphan_wait: Seconds for which a prediction or a review waits for its upload.
        quorum: How many detectors must have scored for an upload to be allowed.
        detectors: By name, in the order of the file.
        rules: In the order of the file.
        categories: The categories of harm, by name.
        combiners: Learned combiners, by name.
        lists: Lists of texts, such as trusted uploaders, by name.
        fields: The producer's own fields of an upload, and their types, by name.
        caps: Bounds on removals.
        strikes: How past verdicts count.
        features: Features over time, by name.
        rollout: A candidate for a share of uploaders; None without.
    """

    name: str
    description: str = field(repr=False)
    version: str
    text: str = field(repr=False)
    file: str | None
    deadline: float
    retention: float
    orphan_wait: float
    quorum: int
    detectors: Mapping[str, DetectorPolicy] = field(repr=False)
    rules: tuple[Rule, ...] = field(repr=False)
    categories: Mapping[str, Category] = field(repr=False)
    combiners: Mapping[str, Combiner] = field(repr=False)
    lists: Mapping[str, tuple[str, ...]] = field(repr=False)
    fields: Mapping[str, FieldType] = field(repr=False)
    caps: Caps = field(repr=False)
    strikes: Strikes = field(repr=False)
    features: Mapping[str, Feature] = field(repr=False, default_factory=dict)
    rollout: PolicyRollout | None = field(repr=False, default=None)

    @property
    def reads_history(self) -> bool:
        """Whether a rule of it or of its candidate reads the past verdicts on the uploader."""
        candidate = () if self.rollout is None else self.rollout.policy.rules
        return any(
            "uploader" in condition.variables
            for rule in (*self.rules, *candidate)
            for condition in rule.conditions
        )
