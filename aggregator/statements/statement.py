"""Statements of reasons for restrictions, as the EU Digital Services Act requires.

For one verdict there are a record with the fields of a submission to the DSA Transparency Database
(second version, in force since July 2025), and a text for the uploader (Article 17). The record has
no personal data: no words of the upload, nothing about the uploader, the reviewers or their notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from itertools import islice
from typing import Any, Final

from ruamel.yaml import YAML

from quorum.aggregator.policy.categories import DSA_CATEGORIES, SHIPPED_CATEGORIES, Category
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.policy.territories import EEA
from quorum.aggregator.statements.record import TransparencyRecord
from quorum.core.errors import ConfigurationError, InputError
from quorum.core.messages import Action, Upload, Verdict

__all__ = [
    "Statement",
    "account_statement",
    "chosen_language",
    "languages",
    "make_statement",
    "statement_text",
    "submissions",
]

#: The most statements in one request.
BATCH: Final = 100

_UNCATEGORISED: Final = SHIPPED_CATEGORIES["other-violation-tc"]


@dataclass(frozen=True, slots=True)
class Statement:
    """The statement of reasons for one verdict.

    Attributes:
        text: The text for the uploader.
        record: The record for the database; None if the restriction holds nowhere in the EEA.
    """

    text: str
    record: TransparencyRecord | None


def languages() -> tuple[str, ...]:
    """The languages of statement texts."""
    folder = resources.files("quorum.aggregator.statements")
    names = (item.name for item in folder.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def chosen_language(tag: str) -> str:
    """The language of texts that a person asked for by a tag, such as ``de`` or ``de-AT``.

    Raises:
        InputError: If there are no texts in it; nobody gets another language than they asked for.
    """
    short = tag.split("-")[0].lower()
    if short not in languages():
        known = ", ".join(languages())
        msg = f"there are no statements in `{tag}`; there are: {known}"
        raise InputError(msg)
    return short


def make_statement(
    policy: Policy, verdict: Verdict, upload: Upload, language: str = "en"
) -> Statement | None:
    """The statement of reasons for a verdict; None if it restricts nothing.

    A verdict of ``review`` has none: the decision that follows it has.

    Args:
        policy: The policy, for its categories and reasons.
        verdict: The verdict.
        upload: The upload, for its dates, language and territories.
        language: The language of the text; one that is not in ``languages`` falls back to English.

    Raises:
        ConfigurationError: If a template of the language lacks a sentence.
    """
    text = statement_text(policy, verdict, language)
    if text is None:
        return None
    return Statement(text, _record(policy, verdict, upload, _category(policy, verdict)))


def statement_text(policy: Policy, verdict: Verdict, language: str | None = "en") -> str | None:
    """The text for the uploader; None if the verdict restricts nothing.

    Args:
        policy: The policy, for its categories.
        verdict: The verdict.
        language: As in ``make_statement``.
    """
    if verdict.action not in (Action.RESTRICT, Action.REMOVE) and not _local(verdict):
        return None
    return _text(policy, verdict, _category(policy, verdict), _words(language or "en"))


def account_statement(verdict: Verdict, language: str | None = "en") -> str:
    """The text for the owner of an account on which a verdict decides.

    Args:
        verdict: The verdict, with its ``account``.
        language: As in ``make_statement``.

    Raises:
        ValueError: If the verdict decides on no account.
    """
    account = verdict.account
    if account is None:
        msg = "the verdict decides on no account"
        raise ValueError(msg)
    words = _words(language or "en")
    first = f"account_{account.action.value}"
    if account.until is not None:
        first += "_until"
    until = "" if account.until is None else account.until.date().isoformat()
    human = verdict.decided_by == "reviewer" or account.review is not None
    return "\n".join(
        (
            words[first].format(until=until),
            words["account_reason"].format(reason=account.reason),
            words["automated_partially" if human else "automated_fully"],
            words["redress"],
        )
    )


def submissions(records: Iterable[TransparencyRecord]) -> Iterator[dict[str, Any]]:
    """Request bodies for the database's endpoint for several statements, 100 in each."""
    remaining = iter(records)
    while batch := list(islice(remaining, BATCH)):
        yield {"statements": [record.to_json() for record in batch]}


def _local(verdict: Verdict) -> Mapping[str, str]:
    if verdict.decided_by == "reviewer":
        return {}
    return (verdict.model_extra or {}).get("territories") or {}


def _ends(verdict: Verdict) -> str | None:
    """The day on which a restriction ends by itself; None if it does not."""
    later = verdict.plan
    if later is None or later.action is not Action.ALLOW or verdict.action is not Action.RESTRICT:
        return None
    return later.at.date().isoformat()


def _removed(verdict: Verdict, local: Mapping[str, str]) -> bool:
    return verdict.action is Action.REMOVE or Action.REMOVE.value in local.values()


def _scope(verdict: Verdict, upload: Upload, local: Mapping[str, str]) -> tuple[str, ...]:
    """The countries of the EEA in which the restriction holds."""
    shown = upload.territories or EEA
    if local:
        shown = tuple(code for code in local if not upload.territories or code in shown)
    return tuple(sorted(set(shown) & set(EEA)))


def _category(policy: Policy, verdict: Verdict) -> Category:
    return policy.categories.get(verdict.category or "", _UNCATEGORISED)


def _record(
    policy: Policy, verdict: Verdict, upload: Upload, category: Category
) -> TransparencyRecord | None:
    local = _local(verdict)
    scope = _scope(verdict, upload, local)
    if not scope:
        return None
    if local:
        visibility: tuple[str, ...] = ("DECISION_VISIBILITY_CONTENT_DISABLED",)
    elif _removed(verdict, local):
        visibility = ("DECISION_VISIBILITY_CONTENT_REMOVED",)
    else:
        visibility = ("DECISION_VISIBILITY_OTHER",)
    ground: dict[str, str]
    if category.ground == "law":
        ground = {
            "decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT",
            "illegal_content_legal_ground": category.reference,
            "illegal_content_explanation": category.explanation,
        }
    else:
        ground = {
            "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
            "incompatible_content_ground": category.reference,
            "incompatible_content_explanation": category.explanation,
        }
    other = (
        "Limited visibility: not recommended, or shown to adults only."
        if "DECISION_VISIBILITY_OTHER" in visibility
        else None
    )
    language = (upload.language or "").split("-")[0].upper()
    automated = _automated(verdict)
    return TransparencyRecord.model_validate(
        {
            "decision_visibility": visibility,
            "decision_visibility_other": other,
            **ground,
            "category": DSA_CATEGORIES[category.dsa],
            "content_type": ("CONTENT_TYPE_VIDEO" if upload.media else "CONTENT_TYPE_TEXT",),
            "content_language": language if re.fullmatch("[A-Z]{2}", language) else None,
            "content_date": upload.published_at.date().isoformat(),
            "application_date": verdict.at.date().isoformat(),
            "end_date_visibility_restriction": _ends(verdict),
            "territorial_scope": scope,
            "decision_facts": _sentence(_facts(policy, verdict, _words("en"))),
            "automated_detection": "No" if automated == "not" else "Yes",
            "automated_decision": {
                "fully": "AUTOMATED_DECISION_FULLY",
                "partially": "AUTOMATED_DECISION_PARTIALLY",
                "not": "AUTOMATED_DECISION_NOT_AUTOMATED",
            }[automated],
            "puid": re.sub(r"[^A-Za-z0-9_-]", "-", verdict.id),
        }
    )


def _automated(verdict: Verdict) -> str:
    if verdict.decided_by != "reviewer":
        return "fully"
    scored = any(one.score is not None and not one.shadow for one in verdict.predictions)
    return "partially" if scored else "not"


def _facts(policy: Policy, verdict: Verdict, words: Mapping[str, str]) -> list[str]:
    """The facts relied on, without words of the upload or personal data."""
    facts = []
    rule = next((one for one in policy.rules if one.name == verdict.rule), None)
    reads = policy.detectors.keys() if rule is None else rule.detectors
    for one in verdict.predictions:
        name = policy.counts_as.get(one.detector, one.detector)
        if one.score is not None and not one.shadow and name in reads and one.score >= 0.5:
            harm = words.get(f"harm_{name}", name)
            facts.append(words["fact_score"].format(harm=harm, score=f"{one.score:.2f}"))
    if verdict.decided_by == "reviewer":
        facts.insert(0, words["fact_reviewer"])
    return facts or [words["fact_other"]]


def _sentence(facts: list[str]) -> str:
    joined = "; ".join(facts)
    return f"{joined[:1].upper()}{joined[1:]}."


def _text(
    policy: Policy,
    verdict: Verdict,
    category: Category,
    words: Mapping[str, str],
) -> str:
    local = _local(verdict)
    lines = []
    if local:
        removed = sorted(code for code, action in local.items() if action == Action.REMOVE.value)
        limited = sorted(code for code in local if code not in removed)
        if removed:
            lines.append(words["remove_in"].format(territories=", ".join(removed)))
        if limited:
            lines.append(words["restrict_in"].format(territories=", ".join(limited)))
    else:
        lines.append(words[verdict.action.value])
    lines.append(
        words[f"ground_{category.ground}"].format(
            reference=category.reference, explanation=category.explanation
        )
    )
    lines.append(words["facts"].format(facts="; ".join(_facts(policy, verdict, words)) + "."))
    lines.append(words[f"automated_{_automated(verdict)}"])
    lines.append(words["since"].format(date=verdict.at.date().isoformat()))
    if (ends := _ends(verdict)) is not None:
        lines.append(words["ends"].format(date=ends))
    lines.append(words["redress"])
    return "\n".join(lines)


@lru_cache(maxsize=64)
def _words(language: str) -> Mapping[str, str]:
    folder = resources.files("quorum.aggregator.statements")
    short = language.split("-")[0].lower()
    known = short if re.fullmatch("[a-z]{2,3}", short) and short in languages() else "en"
    text = folder.joinpath(f"{known}.yaml").read_text(encoding="utf-8")
    words: dict[str, str] = YAML(typ="safe", pure=True).load(text)
    if known != "en":
        lacking = _words("en").keys() - words.keys()
        if lacking:
            msg = f"the statement templates of {known} lack: {', '.join(sorted(lacking))}"
            raise ConfigurationError(msg)
    return words
