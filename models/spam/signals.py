"""What a spam analyst would look at beside the words: ways out, promises, disguise, insistence.

Each part of a field becomes a row of numbers. The same numbers tell which kinds of evidence there
are, so that no single kind decides a removal.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from enum import StrEnum
from math import log1p

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.normalise import plain_letters
from quorum.models.spam.disguise import Disguise, disguise_of, joined
from quorum.models.spam.lexicon import GROUPS, hits
from quorum.models.spam.links import LinkKind
from quorum.models.spam.reading import FieldKind, Part

__all__ = ["NAMES", "NEVER_AGAINST", "Sign", "signals_of", "signs_of"]


class Sign(StrEnum):
    """A kind of evidence; kinds are independent of each other."""

    WAY_OUT = "a way out"
    """A link that is not to a large public site or the uploader's own, a handle, a number."""
    PROMISE = "a promise"
    """Words of gain, gambling, prizes, adult offers, recovery or goods."""
    CALL = "a call"
    """Words that ask for an act, or press for time."""
    DISGUISE = "disguise"
    """Look-alike letters, hidden characters, a hidden link, or a name that is decorated."""
    STYLE = "decorated letters"
    """Letters in fonts, enclosures or with marks, or set apart."""
    INSISTENCE = "insistence"
    """The same again and again, in capitals and exclamation marks."""
    WORDS = "words"
    """The words as a whole, by the model of words."""
    MEANING = "meaning"
    """The meaning as a whole, by the model of embeddings."""


_GROUP = {
    FieldKind.TITLE: "title",
    FieldKind.DESCRIPTION: "body",
    FieldKind.TAGS: "body",
    FieldKind.FRAMES: "title",
    FieldKind.SPEECH: "body",
    FieldKind.COMMENT: "comment",
}
_MONEY = re.compile(
    r"[$€£¥₽₩₹]\s?\d|\d\s?(?:[$€£¥₽₩₹]|usd\b|eur\b|dollars?\b|k\b|btc\b|eth\b|元|万|円|원|"
    r"руб|juta|ribu|rb\b|jt\b)|\brp\.?\s?\d",
    re.IGNORECASE,
)
_PERCENT = re.compile(r"\d{2,3}\s?%")
_WORD = re.compile(r"\w+")
#: A name with two or three digits behind it, or with ``4d``, as gambling sites have; not a year.
_NAME_WITH_DIGITS = re.compile(r"(?<![\w@/.])[a-z]{3,16}(?:[ ]?(?!19|20)\d{2,3}|[ ]?[2-9]d)(?!\w)")
_HIDDEN_LINK = re.compile(r"\burl\b")
#: Categories of Unicode.
_SYMBOLS = frozenset({"So", "Sk"})

_BASE = (
    *(f"links {kind}" for kind in LinkKind),
    "mails", "handles", "phones", "covered", "nothing but ways out", "length",
    "decorated", "mixed", "invisible", "set apart", "hidden link", "decorated share",
    "decorated in part",
    "capitals", "exclamations", "symbols", "repetition",
    "money", "percent", "name with digits",
    *(f"words of {group}" for group in GROUPS),
    "way out and promise", "way out and call", "promise and call", "contact and promise",
    "promise and praise", "two promises", "disguise and promise",
    "disguise and name", "name and gambling", "name first", "short and name",
)  # fmt: skip
#: Names of the numbers, in order: all, then those of titles, descriptions and comments.
NAMES: tuple[str, ...] = (
    *_BASE,
    *(f"{group}: {name}" for group in ("title", "body", "comment") for name in ("any", *_BASE)),
)
_DISGUISES = frozenset({
    "decorated", "mixed", "invisible", "set apart", "hidden link", "decorated share",
    "decorated in part", "disguise and promise", "disguise and name",
})  # fmt: skip
#: Of each number, whether it may not speak for innocence: nobody disguises a text to be harmless,
#: and where few do, a model would learn what those few happened to write.
NEVER_AGAINST: tuple[bool, ...] = tuple(name.rpartition(": ")[2] in _DISGUISES for name in NAMES)
_PROMISES = ("gain", "gamble", "prize", "adult", "recovery", "goods")
_OUT = (LinkKind.SHORTENER, LinkKind.MESSENGER, LinkKind.ODD, LinkKind.LURE, LinkKind.OTHER)


def _plain(part: Part, disguise: Disguise) -> str:
    """The words of a part in plain letters, with their digits."""
    plain = plain_letters(part.contacts.rest)
    return joined(plain) if disguise.apart else plain


def _base(part: Part) -> list[float]:
    contacts, raw, words = part.contacts, part.raw, part.words
    kinds = Counter(link.kind for link in contacts.links)
    found = hits(words)
    tokens = _WORD.findall(words)
    letters = [*filter(str.isalpha, contacts.rest)]
    upper = sum(map(str.isupper, letters)) / max(8, len(letters))
    symbols = sum(map(_SYMBOLS.__contains__, map(unicodedata.category, raw)))
    repeated = 1.0 - len(set(tokens)) / len(tokens) if len(tokens) > 5 else 0.0
    disguise = disguise_of(raw)
    hidden = bool(_HIDDEN_LINK.search(words))
    plain = _plain(part, disguise)
    names = _NAME_WITH_DIGITS.findall(plain)
    concealed = disguise.decorated > 2 or disguise.mixed > 0 or disguise.invisible > 2
    outs = sum(kinds[kind] for kind in _OUT) + contacts.handles + contacts.phones
    promises = sum(group in found for group in _PROMISES)
    money = len(_MONEY.findall(contacts.rest))
    call = float("call" in found or "urgent" in found)
    contact = float("contact" in found or kinds[LinkKind.MESSENGER] > 0 or contacts.handles > 0)
    return [
        *(log1p(kinds[kind]) for kind in LinkKind),
        log1p(contacts.mails), log1p(contacts.handles), log1p(contacts.phones),
        contacts.covered / max(1, len(raw)),
        float(bool(outs) and len(tokens) < 3),
        log1p(len(tokens)),
        log1p(disguise.decorated), log1p(disguise.mixed), log1p(disguise.invisible),
        log1p(disguise.apart), float(hidden), disguise.share, float(disguise.partly),
        upper if len(letters) > 7 else 0.0,
        log1p(raw.count("!")),
        log1p(symbols),
        repeated,
        log1p(money),
        log1p(len(_PERCENT.findall(contacts.rest))),
        log1p(len(names)),
        *(log1p(found.get(group, 0)) for group in GROUPS),
        float(outs > 0 and (promises > 0 or money > 0)),
        float(outs > 0 and call > 0),
        float(promises > 0 and call > 0),
        float(contact > 0 and promises > 0),
        float(promises > 0 and "praise" in found),
        float(promises > 1),
        float((concealed or hidden or disguise.apart > 0) and promises > 0),
        float(concealed and bool(names)),
        float(bool(names) and "gamble" in found),
        float(bool(names) and plain.lstrip().startswith(names[0])),
        float(bool(names) and len(tokens) < 12),
    ]  # fmt: skip


def signals_of(part: Part) -> NDArray[np.float64]:
    """The numbers of a part, shape (len(NAMES),)."""
    base = np.array(_base(part))
    with_any = np.concatenate([[1.0], base])
    blocks = [base]
    for group in ("title", "body", "comment"):
        blocks.append(with_any if _GROUP[part.kind] == group else np.zeros_like(with_any))
    return np.concatenate(blocks)


def signs_of(part: Part) -> frozenset[Sign]:
    """The kinds of evidence in a part, but for those of models."""
    contacts = part.contacts
    found = hits(part.words)
    signs = set()
    if (
        any(link.kind in _OUT for link in contacts.links)
        or contacts.handles
        or contacts.phones
        or "contact" in found
    ):
        signs.add(Sign.WAY_OUT)
    if any(group in found for group in _PROMISES) or _MONEY.search(contacts.rest):
        signs.add(Sign.PROMISE)
    if "call" in found or "urgent" in found:
        signs.add(Sign.CALL)
    disguise = disguise_of(part.raw)
    if disguise.mixed or disguise.invisible > 2 or _HIDDEN_LINK.search(part.words):
        signs.add(Sign.DISGUISE)
    elif disguise.decorated > 2 or disguise.apart:
        named = _NAME_WITH_DIGITS.search(_plain(part, disguise))
        signs.add(Sign.DISGUISE if named else Sign.STYLE)
    tokens = _WORD.findall(part.words)
    letters = sum(map(str.isalpha, contacts.rest))
    upper = sum(map(str.isupper, contacts.rest))
    shouts = letters > 15 and upper > 0.6 * letters and part.raw.count("!") > 1
    if shouts or (len(tokens) > 8 and len(set(tokens)) < 0.5 * len(tokens)):
        signs.add(Sign.INSISTENCE)
    return frozenset(signs)
