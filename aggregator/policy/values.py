"""The values of a policy: its rules, and what each detector's silence means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quorum.aggregator.policy.categories import Category
from quorum.aggregator.policy.combiner import Combiner
from quorum.aggregator.policy.expression import Expression
from quorum.core.messages import Action, Status

__all__ = ["Budget", "Caps", "DetectorPolicy", "Meaning", "PolicyContent", "Rule", "Strikes"]

#: What a detector's silence counts as: an action, a score in its place, or nothing (None).
Meaning = Action | float | None


@dataclass(frozen=True, slots=True)
class DetectorPolicy:
    """What a policy says of one detector.

    Attributes:
        name: The detector.
        required: Whether an upload may be allowed without it.
        deadline: Seconds after the upload's arrival when it counts as missing.
        missing: What it means that it said nothing in time.
        failed: What it means that it could not judge.
        abstained: What it means that it had nothing to judge.
        shadow: Recorded, never deciding.
    """

    name: str
    required: bool
    deadline: float
    missing: Meaning
    failed: Meaning
    abstained: Meaning
    shadow: bool = False

    def meaning(self, status: Status | None) -> Meaning:
        """What a status means; None stands for missing."""
        if status is Status.FAILED:
            return self.failed
        if status is Status.ABSTAINED:
            return self.abstained
        return self.missing

    @property
    def silences(self) -> frozenset[Action]:
        """The actions that it may lead to without a score."""
        all_of_them = (self.missing, self.failed, self.abstained)
        return frozenset(one for one in all_of_them if isinstance(one, Action))


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when it applies and what it does.

    Attributes:
        name: Names it in verdicts.
        when: Its condition.
        unless: Where this is true, the rule does not apply; unknown and failed count as false.
        action: What it asks for; the most severe of all matching rules wins.
        category: The harm: a key of ``Policy.categories``.
        reason: A sentence; ``{spam}`` and ``{violence/fight}`` stand for scores.
        territories: Where it applies (ISO 3166-1 alpha-2); empty for everywhere.
        shadow: Recorded, never deciding.
        detectors: All detectors whose answers may change whether it applies.
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

    @property
    def conditions(self) -> tuple[Expression, ...]:
        """Its condition and its exception."""
        return (self.when,) if self.unless is None else (self.when, self.unless)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many removals a window of time may hold.

    Attributes:
        removals: The most at once, and in each window once the bucket is full.
        per: The window in seconds, in which an empty bucket fills.
    """

    removals: int
    per: float


@dataclass(frozen=True, slots=True)
class Caps:
    """The bounds on removals that no human decided.

    Attributes:
        total: For all rules together.
        each_rule: For each rule that has no budget of its own.
        rules: By rule.
    """

    total: Budget | None
    each_rule: Budget | None
    rules: Mapping[str, Budget]


@dataclass(frozen=True, slots=True)
class Strikes:
    """How past verdicts count against an uploader.

    Attributes:
        half_life: Seconds after which a strike counts half.
        weights: What a verdict of each action counts.
    """

    half_life: float
    weights: Mapping[Action, float]


@dataclass(frozen=True)
class PolicyContent:
    """All values of a policy that passed its checks.

    Attributes:
        name: For people.
        description: For people.
        version: Name and digest of what it says; comments and spacing do not count.
        text: As it was written.
        file: Where it came from.
        deadline: Seconds after an upload's arrival when its case is decided with what is there.
        retention: Seconds after a verdict for which a case still takes late messages.
        orphan_wait: Seconds for which a prediction or a review waits for its upload.
        quorum: How many detectors must have scored for an upload to be allowed.
        detectors: What it says of each, by name, in the order written.
        rules: First to last.
        categories: The harms that rules may name.
        combiners: By name.
        lists: Named lists of texts, such as trusted uploaders.
        caps: Bounds on removals.
        strikes: How past verdicts count.
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
    caps: Caps = field(repr=False)
    strikes: Strikes = field(repr=False)

    @property
    def reads_history(self) -> bool:
        """Whether a rule asks for the past verdicts on the uploader."""
        return any(
            "uploader" in condition.variables
            for rule in self.rules
            for condition in rule.conditions
        )
