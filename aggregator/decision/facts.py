"""The facts about one upload, and their values as the conditions of rules read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from quorum.aggregator.policy.expression import Read
from quorum.aggregator.policy.fields import as_read, has_type
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.values import Rule
from quorum.core.messages import NOT_ASKED, Status, Upload

__all__ = [
    "NO_ANSWER",
    "Facts",
    "PredictionLike",
    "RuleInputs",
    "Uploader",
    "effective_status",
    "number",
    "number_of",
    "standing",
    "was_asked",
]

#: The most items of a list that a condition may iterate over; an upload with more is reviewed.
MAX_ITEMS: Final = 5000

#: Why a detector has no prediction, where no other reason is known.
NO_ANSWER: Final = "no answer by its deadline"


_One = TypeVar("_One", bound="PredictionLike")


class PredictionLike(Protocol):
    """The part of a prediction that a decision reads, such as a ``Prediction`` has."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def detector(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> Status: ...  # noqa: D102
    @property
    def score(self) -> float | None: ...  # noqa: D102
    @property
    def labels(self) -> Mapping[str, float]: ...  # noqa: D102
    @property
    def reason(self) -> str | None: ...  # noqa: D102
    @property
    def seen(self) -> float | None: ...  # noqa: D102
    @property
    def works(self) -> Sequence[str] | None: ...  # noqa: D102
    @property
    def shadow(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Uploader:
    """The history of an uploader, from past verdicts.

    Attributes:
        strikes: Past restrictions and removals, each decayed by its age.
        removals: How many uploads were removed.
        verdicts: How many uploads were decided.
        known: False if the history could not be read; the numbers are then meaningless.
    """

    strikes: float = 0.0
    removals: int = 0
    verdicts: int = 0
    known: bool = True


def standing(
    policy: Policy,
    asks: Mapping[str, str],
    live: Mapping[str, _One],
    outstanding: frozenset[str] = frozenset(),
) -> dict[str, _One]:
    """The predictions that count, by the policy's names of their detectors.

    Of a detector that is rolled out the version counts that the uploader has. Where that one is
    missing the other stands in, if there is one: the share may have changed since it was asked.

    Args:
        policy: Names the detectors.
        asks: As ``Policy.asks`` returns it.
        live: All predictions that may count, by detector.
        outstanding: Detectors of the policy that may still predict.
    """
    found = dict(live)
    for to, name in policy.counts_as.items():
        other, one = found.pop(to, None), found.pop(name, None)
        if asks[name] == to:
            one, other = other, one
        if one is None and name not in outstanding:
            one = other
        if one is not None:
            found[name] = one
    return found


@dataclass(slots=True)
class Facts:
    """All that a condition may read about one upload.

    Attributes:
        live: Predictions that count, by detector.
        outstanding: Detectors that may still predict.
        missing: Why a detector has no prediction, where that is known.
        upload: Returns the upload; called only if a rule reads it.
        uploader: Past verdicts.
        passed: Rules whose ``then`` has come.
        features: Values of features over time, by ``Feature.key``.
    """

    live: Mapping[str, PredictionLike]
    outstanding: frozenset[str]
    missing: Mapping[str, str]
    upload: Callable[[], Upload]
    uploader: Uploader = field(default_factory=Uploader)
    passed: frozenset[str] = frozenset()
    features: Mapping[str, float] = field(default_factory=dict)


class RuleInputs:
    """What a set of rules reads.

    Args:
        policy: Defines what a missing score means, the combiners and the lists.
        rules: The rules.

    Attributes:
        reads: What they read of detectors by name.
        variables: Which of the variables of a condition they read.
        fields: Which fields of ``upload`` they read.
    """

    def __init__(self, policy: Policy, rules: Iterable[Rule]) -> None:
        conditions = [one for rule in rules for one in rule.conditions]
        self._policy = policy
        self._keys = {name: one.key for name, one in policy.features.items()}
        self._live = [name for name, one in policy.detectors.items() if not one.shadow]
        self._lists = {name: list(items) for name, items in policy.lists.items()}
        self.reads = list({r.variable: r for one in conditions for r in one.reads}.values())
        self.variables = frozenset[str]().union(*(one.variables for one in conditions))
        self.fields = frozenset[str]().union(*(one.fields for one in conditions))

    def values(self, facts: Facts) -> tuple[dict[str, Any], int]:
        """The values of reads that have one, and which those are, a bit each."""
        values: dict[str, Any] = {}
        known = 0
        bit = 1
        live, outstanding = facts.live, facts.outstanding
        found: Any
        for read in self.reads:
            what = read.what
            if what == "feature":
                found = self.feature(read, facts)
                if found is not None:
                    values[read.variable] = found
                    known |= bit
                bit <<= 1
                continue
            detector = read.detector
            prediction = live.get(detector)
            if what == "score" and prediction is not None and prediction.score is not None:
                found = prediction.score
            elif what == "combined":
                found = self.combined(read.name, facts)
            elif detector in outstanding:
                found = None
            elif what == "status":
                status = effective_status(prediction)
                found = "missing" if status is None else status.value
            elif what == "seen":
                found = None if prediction is None or prediction.score is None else prediction.seen
                if found is None:
                    found = read.default
            else:
                found = self._score(what, read.name, detector, prediction)
                if found is None:
                    found = read.default
            if found is not None:
                values[read.variable] = found
                known |= bit
            bit <<= 1
        return values, known

    def facts(self, facts: Facts) -> dict[str, Any]:
        """The values of the variables."""
        found: dict[str, Any] = {}
        wanted = self.variables
        if "upload" in wanted:
            found["upload"] = self._upload(facts.upload())
        if "uploader" in wanted and facts.uploader.known:
            one = facts.uploader
            found["uploader"] = {
                "strikes": one.strikes,
                "removals": one.removals,
                "verdicts": one.verdicts,
            }
        if "lists" in wanted:
            found["lists"] = self._lists
        if "predictions" in wanted:
            found["predictions"] = {
                name: {
                    "status": one.status.value,
                    "version": one.version,
                    "labels": dict(one.labels),
                    **({} if one.score is None else {"score": one.score}),
                }
                for name, one in facts.live.items()
            }
        if "missing" in wanted:
            found["missing"] = {
                name: facts.missing.get(name, NO_ANSWER)
                for name in self._live
                if name not in facts.live
            }
        return found

    def _upload(self, upload: Upload) -> dict[str, Any]:
        """The fields that rules read; null where the upload lacks one.

        A field of the producer's own with another type than declared is left out: a rule that
        reads it cannot be evaluated.

        Raises:
            ValueError: If one of them has more items than a macro may look at.
        """
        extra = upload.model_extra or {}
        declared = self._policy.fields
        found = {
            name: getattr(upload, name)
            if name in Upload.model_fields
            else as_read(extra.get(name), declared.get(name))
            for name in self.fields
            if name not in declared or has_type(extra.get(name), declared[name])
        }
        for name, value in found.items():
            if isinstance(value, list | tuple | dict) and len(value) > MAX_ITEMS:
                msg = f"{name} has {len(value)} items"
                raise ValueError(msg)
        return found

    def feature(self, read: Read, facts: Facts) -> float | None:
        """The value of a feature over time, or what stands for an unknown one."""
        return facts.features.get(self._keys[read.name], read.default)

    def combined(self, name: str, facts: Facts) -> float | None:
        """A combiner's probability; None where a score that it needs is not there."""
        combiner = self._policy.combiners[name]
        if not facts.outstanding.isdisjoint(combiner.detectors):
            return None
        scores = {}
        for part in combiner.weights:
            detector = part.split("/", 1)[0]
            what = "label" if "/" in part else "score"
            scores[part] = self._score(what, part, detector, facts.live.get(detector))
        return combiner.combine(scores)

    def _score(
        self, what: str, name: str, detector: str, prediction: PredictionLike | None
    ) -> float | None:
        found = number(what, name, detector, prediction)
        if found is None:
            declared = self._policy.detectors.get(detector)
            if declared is not None:
                meaning = declared.meaning(effective_status(prediction))
                if isinstance(meaning, float):
                    return meaning
        return found


def was_asked(prediction: PredictionLike) -> bool:
    """Whether a detector ran, rather than being skipped because the action was settled."""
    return prediction.score is not None or not (prediction.reason or "").startswith(NOT_ASKED)


def effective_status(prediction: PredictionLike | None) -> Status | None:
    """The status for the policy; None for a missing prediction.

    That of a skipped detector is missing: the detector might have scored, so no policy may take
    it for an abstention.
    """
    return None if prediction is None or not was_asked(prediction) else prediction.status


def number(what: str, name: str, detector: str, prediction: PredictionLike | None) -> float | None:
    """A score or a label's probability; None where the detector did not score.

    A label without a probability of its own has the greatest of the labels below it, else 0.
    """
    if prediction is None:
        return None
    score = prediction.score
    if score is None or what == "score":
        return score
    exact = prediction.labels.get(name)
    if exact is not None:
        return exact
    if name == detector:
        return score
    below = [value for path, value in prediction.labels.items() if path.startswith(f"{name}/")]
    return max(below, default=0.0)


def number_of(name: str, live: Mapping[str, PredictionLike]) -> float | None:
    """The score of a detector, or the probability of a label such as ``violence/fight``.

    Args:
        name: The detector, or the path of the label.
        live: Predictions by detector.
    """
    detector = name.split("/", 1)[0]
    return number("label" if "/" in name else "score", name, detector, live.get(detector))
