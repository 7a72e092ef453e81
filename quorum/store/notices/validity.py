"""What a law asks of a notice, and which of it a notice lacks.

Each element names its place in the law: 17 U.S.C. 512(c)(3)(A) for a copyright notice, 512(g)(3)
for a counter-notice, and section 3(a)(1)(B) of the TAKE IT DOWN Act (Public Law 119-12) for a
request to remove an intimate image.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from quorum.store.notices.values import Kind, Submission

__all__ = ["ELEMENTS", "Element", "missing", "signs"]


@dataclass(frozen=True, slots=True)
class Element:
    """One thing that a law asks of a notice.

    Attributes:
        name: Its name, in the field that holds it or, if several may, in a word.
        law: Where the law asks for it.
        asks: What to write, for who sends the notice.
        there: Whether a notice has it.
    """

    name: str
    law: str
    asks: str
    there: Callable[[Submission], bool]


def signs(signature: str, name: str) -> bool:
    """Whether a typed signature is that of a name.

    Case, accents, punctuation, the order of the parts and the mark ``/s/`` do not matter.
    """
    return bool(_parts(signature)) and _parts(signature) == _parts(name)


def _parts(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", re.sub(r"^\s*/s/", "", text, flags=re.I)).casefold()
    return sorted(re.findall(r"[^\W_]+", "".join(c for c in plain if not unicodedata.combining(c))))


def _signed(one: Submission) -> bool:
    return not one.forged and signs(one.person.signature, one.person.name)


def _placed(one: Submission) -> bool:
    return bool(one.upload_id or one.location.strip())


def _reachable(one: Submission) -> bool:
    who = one.person
    return any(part.strip() for part in (who.email, who.phone, who.address))


def _in_full(one: Submission) -> bool:
    who = one.person
    return all(part.strip() for part in (who.name, who.address, who.phone))


_SIGNATURE: Final = "sign it: type your name in `signature` as you wrote it in `name`"

ELEMENTS: Final[Mapping[Kind, tuple[Element, ...]]] = {
    "copyright": (
        Element("signature", "17 U.S.C. 512(c)(3)(A)(i)", _SIGNATURE, _signed),
        Element(
            "work",
            "17 U.S.C. 512(c)(3)(A)(ii)",
            "name the copyrighted work, or a list of the works, in `work`",
            lambda one: bool(one.work.strip()),
        ),
        Element(
            "material",
            "17 U.S.C. 512(c)(3)(A)(iii)",
            "name the material: `upload_id`, or its address in `location`",
            _placed,
        ),
        Element(
            "contact",
            "17 U.S.C. 512(c)(3)(A)(iv)",
            "say how to reach you: `email`, `phone` or `address`",
            _reachable,
        ),
        Element(
            "good_faith",
            "17 U.S.C. 512(c)(3)(A)(v)",
            "state in good faith that the use is not authorised by the owner, its agent or the "
            "law: `good_faith`",
            lambda one: one.good_faith,
        ),
        Element(
            "accurate",
            "17 U.S.C. 512(c)(3)(A)(vi)",
            "state that the notice is accurate and, under penalty of perjury, that you may act "
            "for the owner: `accurate`",
            lambda one: one.accurate,
        ),
    ),
    "counter": (
        Element("signature", "17 U.S.C. 512(g)(3)(A)", _SIGNATURE, _signed),
        Element(
            "material",
            "17 U.S.C. 512(g)(3)(B)",
            "name the material that was removed: `upload_id`",
            _placed,
        ),
        Element(
            "good_faith",
            "17 U.S.C. 512(g)(3)(C)",
            "state under penalty of perjury that in good faith you believe that it was removed by "
            "mistake or misidentification: `good_faith`",
            lambda one: one.good_faith,
        ),
        Element(
            "contact",
            "17 U.S.C. 512(g)(3)(D)",
            "give your `name`, `address` and `phone`",
            _in_full,
        ),
        Element(
            "jurisdiction",
            "17 U.S.C. 512(g)(3)(D)",
            "consent to the federal district court of your address, or where the provider is if "
            "you live abroad, and to service of process by the complainant: `jurisdiction`",
            lambda one: one.jurisdiction,
        ),
    ),
    "intimate": (
        Element("signature", "TAKE IT DOWN 3(a)(1)(B)(i)", _SIGNATURE, _signed),
        Element(
            "material",
            "TAKE IT DOWN 3(a)(1)(B)(ii)",
            "name the image or video: `upload_id`, or its address in `location`",
            _placed,
        ),
        Element(
            "good_faith",
            "TAKE IT DOWN 3(a)(1)(B)(iii)",
            "state in good faith that it was published without the consent of who is shown: "
            "`good_faith`, and say so in a sentence in `text`",
            lambda one: one.good_faith and bool(one.text.strip()),
        ),
        Element(
            "contact",
            "TAKE IT DOWN 3(a)(1)(B)(iv)",
            "say how to reach you: `email`, `phone` or `address`",
            _reachable,
        ),
    ),
}


def missing(submission: Submission) -> tuple[Element, ...]:
    """The elements that a notice lacks, in the order of the law."""
    return tuple(one for one in ELEMENTS[submission.kind] if not one.there(submission))
