"""Golden cases: the expected decisions of a policy, in a YAML file beside it.

``mine.cases.yaml`` stands beside ``mine.yaml``::

    - name: A clean upload is allowed
      scores: {spam: 0.01, violence: 0.02, copyright: abstained}
      expect: allow
    - name: A fight in a boxing channel
      upload: {uploader: gym, tags: [boxing]}
      scores: {spam: 0, violence: {score: 0.95, violence/fight: 0.97}, copyright: missing}
      uploader: {strikes: 2}
      expect: {action: review, rule: violence-likely}

A score is a number, a mapping with ``score`` and labels, or ``abstained``, ``failed`` or
``missing``. A detector of the policy without an entry is missing. A case that is decided by a rule
that cannot be evaluated fails, unless it expects that (``rule: error:NAME``). ``after: 25 h``
decides as if nothing had come for so long: for rules with ``then``. ``features: {uploads_1h: 25}``
gives values of features over time; one that is not given is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from quorum.aggregator.decision.accounts import account_choice
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.decision.evaluate import Decision, Uploader
from quorum.aggregator.policy.expression import did_you_mean
from quorum.aggregator.policy.fields import UPLOAD_FIELDS
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.text import Duration
from quorum.aggregator.study.record import PastCase
from quorum.core.errors import PolicyError
from quorum.core.messages import Action

__all__ = ["GoldenCase", "Result", "golden_text", "load_golden", "read_golden", "run_golden"]

#: Begins what decided where a rule could not be evaluated.
ERROR: Final = "error:"

Score = Annotated[float, Field(ge=0, le=1)]
WrittenScore = Score | dict[str, Score] | Literal["abstained", "failed", "missing"]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Expect(_Written):
    action: Action
    rule: str | None = None
    category: str | None = None
    territories: dict[str, Action] | None = None
    account: Literal["none", "warn", "suspend"] | None = None


class _Uploader(_Written):
    strikes: float = 0.0
    removals: int = 0
    verdicts: int = 0


class _CaseText(_Written):
    name: str
    scores: dict[str, WrittenScore] = Field(default_factory=dict)
    upload: dict[str, Any] = Field(default_factory=dict)
    uploader: _Uploader = _Uploader()
    after: Duration = 0.0
    features: dict[str, float] = Field(default_factory=dict)
    expect: Action | _Expect


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """One golden case.

    Attributes:
        name: What it shows.
        case: The upload and its predictions.
        action: The expected action.
        rule: The expected rule; None for any.
        category: The expected category; None for any.
        territories: The expected local actions; None for any.
        account: The expected action on the account, or ``none``; None for any.
    """

    name: str
    case: PastCase
    action: Action
    rule: str | None = None
    category: str | None = None
    territories: Mapping[str, Action] | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one golden case.

    Attributes:
        golden: The case.
        decision: The decision of the policy.
        wrong: The differences, as sentences; empty if it passed.
    """

    golden: GoldenCase
    decision: Decision
    wrong: tuple[str, ...]


def load_golden(policy: Policy, file: Path | None = None) -> tuple[GoldenCase, ...]:
    """Load the golden cases beside a policy.

    Args:
        policy: The policy; its cases are beside its file.
        file: Another file of cases.

    Raises:
        PolicyError: If there are none, or they are invalid.
    """
    text, name = golden_text(policy, file)
    return read_golden(policy, text, name)


def golden_text(policy: Policy, file: Path | None = None) -> tuple[str, str]:
    """The text of the golden cases beside a policy, and the name of their file.

    Args:
        policy: The policy; its cases are beside its file.
        file: Another file of cases.

    Raises:
        PolicyError: If there are none.
    """
    if file is None and policy.file is not None:
        beside = Path(policy.file)
        shipped = resources.files("quorum.aggregator.policy").joinpath(
            "shipped", f"{beside.stem}.cases.yaml"
        )
        if beside.parent == Path() and not beside.exists() and shipped.is_file():
            return shipped.read_text(encoding="utf-8"), shipped.name
        file = beside.with_suffix(".cases.yaml")
    if file is None:
        msg = "a policy without a file has no golden cases beside it; name their file"
        raise PolicyError(msg)
    try:
        return file.read_text(encoding="utf-8"), str(file)
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the golden cases {file}: {getattr(error, 'strerror', None) or error}"
        raise PolicyError(msg) from None


def read_golden(policy: Policy, text: str, file: str | None = None) -> tuple[GoldenCase, ...]:
    """Read golden cases from YAML.

    Raises:
        PolicyError: If they are invalid; each message names the case and the field.
    """
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        msg = f"not valid YAML: {getattr(error, 'problem', None) or error}"
        raise PolicyError(msg, file=file, line=mark.line + 1 if mark else None) from None
    try:
        written = TypeAdapter(list[_CaseText]).validate_python(tree)
    except ValidationError as error:
        raise PolicyError.together([_shape(each, file) for each in error.errors()]) from None
    wrong = [
        PolicyError(message, file=file) for one in written for message in _unknown(policy, one)
    ]
    if wrong:
        raise PolicyError.together(wrong)
    return tuple(_golden(policy, one) for one in written)


def _shape(error: ErrorDetails, file: str | None) -> PolicyError:
    index, *where = error["loc"] or ("?",)
    msg = f"golden case {index}: {'.'.join(str(part) for part in where)}: {error['msg']}"
    return PolicyError(msg, file=file)


def _unknown(policy: Policy, written: _CaseText) -> Iterator[str]:
    """What a case names that its policy does not know."""
    for name in written.scores:
        if name not in policy.detectors:
            help_text = did_you_mean(name, policy.detectors)
            yield f"golden case `{written.name}`: the detector `{name}` is unknown{help_text}"
    for name in written.features:
        if name not in policy.features:
            help_text = did_you_mean(name, policy.features)
            yield f"golden case `{written.name}`: the feature `{name}` is unknown{help_text}"
    known = (*UPLOAD_FIELDS, *policy.fields)
    for name in written.upload:
        if name not in known:
            help_text = did_you_mean(name, known) or "; declare it in the policy, under `fields`"
            yield f"golden case `{written.name}`: no upload has the field `{name}`{help_text}"


def run_golden(policy: Policy, cases: Sequence[GoldenCase]) -> tuple[Result, ...]:
    """Decide each case and compare with what it expects."""
    return tuple(_run(policy, one) for one in cases)


def _run(policy: Policy, golden: GoldenCase) -> Result:
    decision = golden.case.decide(policy)
    wrong = []
    if decision.action is not golden.action:
        wrong.append(f"expected {golden.action}, is {decision.action} (by {decision.rule})")
    if decision.rule.startswith(ERROR) and golden.rule != decision.rule:
        wrong.append(
            f"a rule could not be evaluated: {decision.reasons[0]} If that is what the case shows, "
            f"expect the rule {decision.rule}"
        )
    elif golden.rule is not None and decision.rule != golden.rule:
        wrong.append(f"expected the rule {golden.rule}, is {decision.rule}")
    if golden.category is not None and decision.category != golden.category:
        wrong.append(f"expected the category {golden.category}, is {decision.category}")
    if golden.territories is not None and dict(decision.territories) != golden.territories:
        found = ", ".join(f"{code}: {act}" for code, act in decision.territories) or "none"
        wrong.append(f"expected other territories, are {found}")
    choice = account_choice(golden.case.side(policy), decision.rule, decision.action)
    account = "none" if choice is None else choice.action.value
    if golden.account is not None and account != golden.account:
        wrong.append(f"expected {golden.account} for the account, is {account}")
    return Result(golden, decision, tuple(wrong))


def _golden(policy: Policy, written: _CaseText) -> GoldenCase:
    facts = {
        "id": "golden",
        "uploader": "golden",
        "published_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        **written.upload,
    }
    case = PastCase(
        facts=facts,
        predictions=tuple(
            _prediction(name, score) for name, score in written.scores.items() if score != "missing"
        ),
        uploader=Uploader(**written.uploader.model_dump()),
        later=written.after,
        features={policy.features[name].key: one for name, one in written.features.items()},
    )
    expect = written.expect
    if isinstance(expect, Action):
        return GoldenCase(written.name, case, expect)
    return GoldenCase(
        written.name,
        case,
        expect.action,
        expect.rule,
        expect.category,
        expect.territories,
        expect.account,
    )


def _prediction(name: str, written: WrittenScore) -> CompactPrediction:
    if isinstance(written, str):
        return CompactPrediction(name, name, "golden", 0, written, None, {}, "as written")
    if isinstance(written, dict):
        labels = {key: value for key, value in written.items() if key != "score"}
        score = written.get("score", max(labels.values(), default=0.0))
        return CompactPrediction(name, name, "golden", 0, "scored", score, labels)
    return CompactPrediction(name, name, "golden", 0, "scored", float(written), {})
