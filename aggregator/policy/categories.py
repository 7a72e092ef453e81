"""Categories of harm, as the EU Digital Services Act names them.

The names are those of the second version of the DSA Transparency Database's submission (in force
since July 2025), shortened: ``self-harm`` stands for ``STATEMENT_CATEGORY_SELF_HARM``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["DSA_CATEGORIES", "SHIPPED_CATEGORIES", "Category"]

#: Short name to the database's constant.
DSA_CATEGORIES: Final[Mapping[str, str]] = {
    name.lower().replace("_", "-"): f"STATEMENT_CATEGORY_{name}"
    for name in (
        "ANIMAL_WELFARE",
        "CONSUMER_INFORMATION",
        "CYBER_VIOLENCE",
        "CYBER_VIOLENCE_AGAINST_WOMEN",
        "DATA_PROTECTION_AND_PRIVACY_VIOLATIONS",
        "ILLEGAL_OR_HARMFUL_SPEECH",
        "INTELLECTUAL_PROPERTY_INFRINGEMENTS",
        "NEGATIVE_EFFECTS_ON_CIVIC_DISCOURSE_OR_ELECTIONS",
        "NOT_SPECIFIED_NOTICE",
        "OTHER_VIOLATION_TC",
        "PROTECTION_OF_MINORS",
        "RISK_FOR_PUBLIC_SECURITY",
        "SCAMS_AND_FRAUD",
        "SELF_HARM",
        "UNSAFE_AND_PROHIBITED_PRODUCTS",
        "VIOLENCE",
    )
}


@dataclass(frozen=True, slots=True)
class Category:
    """A category of harm, with the facts that a statement of reasons needs.

    Attributes:
        name: The name that rules use.
        dsa: Key of ``DSA_CATEGORIES``.
        ground: Whether the content is illegal, or only against the platform's terms.
        reference: The clause of the terms, or the law.
        explanation: Why such content violates it.
    """

    name: str
    dsa: str
    ground: Literal["terms", "law"] = "terms"
    reference: str = "Community rules"
    explanation: str = "The platform's rules do not allow such content."


#: The categories that a policy may use without defining them.
SHIPPED_CATEGORIES: Final[Mapping[str, Category]] = {
    **{name: Category(name, name) for name in DSA_CATEGORIES},
    "spam": Category(
        "spam",
        "other-violation-tc",
        reference="Community rules: spam",
        explanation="Unwanted or misleading bulk promotion is not allowed.",
    ),
    "violence": Category(
        "violence",
        "violence",
        reference="Community rules: violence",
        explanation="Content that shows or calls for violence is not allowed.",
    ),
    "intellectual-property": Category(
        "intellectual-property",
        "intellectual-property-infringements",
        reference="Community rules: works of others",
        explanation="Works of others may be uploaded only with their permission.",
    ),
    "sexual-content": Category(
        "sexual-content",
        "other-violation-tc",
        reference="Community rules: sexual content",
        explanation="Sexual content is not allowed.",
    ),
}
