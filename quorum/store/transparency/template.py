"""The CSV parts of the harmonised template: their names, columns and fixed rows.

Annex I of Commission Implementing Regulation (EU) 2024/2835. The columns are those of the eleven
sheets of the Commission's template as reports publish them, with their spaces; parts 9 and 10 as
part 7, whose columns they share in published reports. A test holds what is written against this.
"""

from __future__ import annotations

from typing import Final

from quorum.aggregator.policy.categories import DSA_CATEGORIES

__all__ = [
    "ALL",
    "CATEGORIES",
    "COMPLAINT_SCOPES",
    "HOSTING",
    "NOTICE_FIGURES",
    "OWN_FIGURES",
    "PARTS",
    "PLATFORMS",
    "QUALITATIVE",
    "TOTAL",
    "VERY_LARGE",
]

TOTAL: Final = "TOTAL"
ALL: Final = "All"
HOSTING: Final = "Only for providers of hosting services, including online platforms"
PLATFORMS: Final = "Only for providers of online platforms"
VERY_LARGE: Final = "Only for VLOPs"

#: The rows of parts 3 to 6: the statement categories, after their total.
CATEGORIES: Final = tuple(DSA_CATEGORIES.values())

_FIRST: Final = ("Applicability", "Service", "Reporting period")
_OTHER: Final = 'Description of the sub-category "Other"'

_ORDER_FIGURES: Final = (
    "Number of orders to act against illegal content received",
    (
        "Number of specific items of information included in the total number of orders to act "
        "against illegal content"
    ),
    (
        "Median time to inform the authority of the receipt of the order to act against illegal "
        "content"
    ),
    "Median time to give effect to the order to act against illegal content",
    "Number of orders to provide information",
    "Median time to inform the authority of the receipt of the order to provide information",
    "Median time to give effect to the order to provide information",
)

NOTICE_FIGURES: Final = (
    "Number of notices received ",
    "Number of notices received from Trusted flaggers",
    "Number of specific items of information included in the total number of notices",
    (
        "Number of specific items of information included in the total number of notices by "
        "Trusted Flaggers (Trusted Flagger notices)"
    ),
    "Median time to take action",
    "Median time to take action (Trusted Flagger notices)",
    "Number of actions taken on the basis of the law",
    "Number of actions taken on the basis of the law (Trusted Flagger notices)",
    "Number of actions taken on the basis of the terms and conditions of the service",
    (
        "Number of actions taken on the basis of the terms and conditions of the service (Trusted "
        "Flagger notices)"
    ),
)

OWN_FIGURES: Final = (
    "Number of measures taken at the provider's own initiative ",
    "Number of measures taken after detection with solely automated means ",
    "Visibility restriction Removal",
    "Visibility restriction Disable",
    "Visibility restriction Demoted",
    "Visibility restriction Age restricted",
    "Visibility restriction Interaction restricted",
    "Visibility restriction Labelled ",
    "Visibility restriction Other",
    "Monetary restriction Suspension",
    "Monetary restriction Termination",
    "Monetary restriction Other",
    "Provision of the service Suspension",
    "Provision of the service Termination",
    "Account restriction Suspension",
    "Account restriction Termination",
)

_ILLEGAL: Final = "Category of illegal content"
_INDICATED: Final = (*_FIRST, "Section", "Indicator", "Scope", "Value", "Contextual Information")


def _context(prefix: str, figures: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{prefix} on {figure}" for figure in figures)


def _own(category: str) -> tuple[str, ...]:
    told = _context("Contextual Information", OWN_FIGURES)
    return (*_FIRST, category, _OTHER, *OWN_FIGURES, *told)


_ORDER_CONTEXT: Final = tuple(
    # The template writes the first two in small letters.
    f"Contextual information on {figure[0].lower() + figure[1:] if number < 2 else figure}"
    for number, figure in enumerate(_ORDER_FIGURES)
)

#: Each file with its columns, in the order of the template.
PARTS: Final[dict[str, tuple[str, ...]]] = {
    "1_report_identification": ("Applicability", "Service", "Indicator", "Value"),
    "2_categories_names": (
        "Category label",
        "Category description",
        "Category of illegal content / incompatible with the terms and conditions",
        "Contextual information",
    ),
    "3_member_states_orders": (
        *(*_FIRST, _ILLEGAL, _OTHER, "Scope"),
        *_ORDER_FIGURES,
        *_ORDER_CONTEXT,
    ),
    "4_notices": (
        *(*_FIRST, _ILLEGAL, _OTHER),
        *NOTICE_FIGURES,
        *_context("Contextual information", NOTICE_FIGURES),
    ),
    "5_own_initiative_illegal": _own(_ILLEGAL),
    "6_own_initiative_TC": _own(
        "Category of incompatibility with the provider's terms and conditions"
    ),
    "7_appeals_and_recidivism": _INDICATED,
    "8_automated_means": _INDICATED,
    "9_human_resources": (*_INDICATED[:-1], "Contextual information"),
    "10_AMAR": _INDICATED,
    "11_qualitative": (*_FIRST, "Indicator", "Value"),
}

COMPLAINT_SCOPES: Final = (
    "Total number",
    "Decisions upheld",
    "Decisions partially reversed",
    "Decisions reversed",
    "Decision omitted",
    "Median time",
)

#: The questions of the qualitative template, in the regulation's order; all need a person.
QUALITATIVE: Final = (
    "Summary of the content moderation engaged in at the providers' own initiative",
    (
        "Meaningful and comprehensible information regarding content moderation engaged in at the "
        "providers' own initiative"
    ),
    "Qualitative description of the automated means",
    "Specification of the precise purposes to apply automated means",
    "Safeguards applied to the use of automated means",
    (
        "Qualifications and linguistic expertise of the human resources dedicated to content "
        "moderation"
    ),
    "Training and support given to human resources dedicated to content moderation",
)
