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

from quorum.models.spam.lexicon import GROUPS, hits
from quorum.models.spam.links import LinkKind
from quorum.models.spam.reading import FieldKind, Part

__all__ = ["NAMES", "Sign", "signals_of", "signs_of"]


class Sign(StrEnum):
    """A kind of evidence; kinds are independent of each other."""

    WAY_OUT = "a way out"
    """A link that is not to a large public site or the uploader's own, a handle, a number."""
    PROMISE = "a promise"
    """Words of gain, gambling, prizes, adult offers, recovery or goods."""
    CALL = "a call"
    """Words that ask for an act, or press for time."""
    DISGUISE = "disguise"
    """Look-alike or decorated letters, letters set apart, a hidden link."""
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
_DECORATED = re.compile(
    "[\U0001d400-\U0001d7ff\u24b6-\u24e9\U0001f130-\U0001f149\U0001f150-\U0001f169"
    "\U0001f170-\U0001f189\u1d00-\u1d2b\u2100-\u2138]"
)
_WIDE = re.compile("[\uff21-\uff3a\uff41-\uff5a\uff10-\uff19]")
_IDEOGRAPHS = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_INVISIBLE = re.compile("[\u200b\u200c\u2060\ufeff\u00ad\u034f\u0335-\u0338\u20d0-\u20f0]")
_SET_APART = re.compile(r"(?<!\w)(?:\w[ .\-_*|]){4,}\w(?!\w)")
_WORD = re.compile(r"\w+")
_MIXED = re.compile(r"[a-zA-Z][\u0370-\u052f]|[\u0370-\u052f][a-zA-Z]")
_NAME_WITH_DIGITS = re.compile(r"\b(?=\w*[a-z])\w{3,}\d{2,4}d?\b|\b[a-z]{3,}[ ]?\d{2,3}\b")
_HIDDEN_LINK = re.compile(r"\burl\b")

_BASE = (
    *(f"links {kind}" for kind in LinkKind),
    "mails", "handles", "phones", "covered", "nothing but ways out", "length",
    "decorated", "mixed", "invisible", "set apart", "hidden link",
    "capitals", "exclamations", "symbols", "repetition",
    "money", "percent", "name with digits",
    *(f"words of {group}" for group in GROUPS),
    "way out and promise", "way out and call", "promise and call", "contact and promise",
    "promise and praise", "two promises", "disguise and promise",
)  # fmt: skip
#: Names of the numbers, in order: all, then those of titles, descriptions and comments.
NAMES: tuple[str, ...] = (
    *_BASE,
    *(f"{group}: {name}" for group in ("title", "body", "comment") for name in ("any", *_BASE)),
)
_PROMISES = ("gain", "gamble", "prize", "adult", "recovery", "goods")
_OUT = (LinkKind.SHORTENER, LinkKind.MESSENGER, LinkKind.ODD, LinkKind.LURE, LinkKind.OTHER)


def _disguise(part: Part) -> tuple[float, float, float, float, float]:
    raw = part.raw
    if raw.isascii():
        apart = len(_SET_APART.findall(raw))
        return 0.0, 0.0, 0.0, float(apart), float(bool(_HIDDEN_LINK.search(part.words)))
    decorated = len(_DECORATED.findall(raw))
    if not _IDEOGRAPHS.search(raw):
        decorated += len(_WIDE.findall(raw))
    return (
        float(decorated),
        float(len(_MIXED.findall(raw))),
        float(len(_INVISIBLE.findall(raw))),
        float(len(_SET_APART.findall(raw))),
        float(bool(_HIDDEN_LINK.search(part.words))),
    )


def _base(part: Part) -> list[float]:
    contacts, raw, words = part.contacts, part.raw, part.words
    kinds = Counter(link.kind for link in contacts.links)
    found = hits(words)
    tokens = _WORD.findall(words)
    letters = [one for one in contacts.rest if one.isalpha()]
    upper = sum(one.isupper() for one in letters) / max(8, len(letters))
    symbols = sum(unicodedata.category(one) in ("So", "Sk") for one in raw)
    repeated = 1.0 - len(set(tokens)) / len(tokens) if len(tokens) > 5 else 0.0
    disguise = _disguise(part)
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
        *(log1p(one) for one in disguise),
        upper if len(letters) > 7 else 0.0,
        log1p(raw.count("!")),
        log1p(symbols),
        repeated,
        log1p(money),
        log1p(len(_PERCENT.findall(contacts.rest))),
        log1p(len(_NAME_WITH_DIGITS.findall(words))),
        *(log1p(found.get(group, 0)) for group in GROUPS),
        float(outs > 0 and (promises > 0 or money > 0)),
        float(outs > 0 and call > 0),
        float(promises > 0 and call > 0),
        float(contact > 0 and promises > 0),
        float(promises > 0 and "praise" in found),
        float(promises > 1),
        float(sum(disguise) > 0 and promises > 0),
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
    decorated, mixed, invisible, apart, hidden = _disguise(part)
    if decorated > 2 or mixed or invisible > 2 or apart or hidden:
        signs.add(Sign.DISGUISE)
    tokens = _WORD.findall(part.words)
    letters = sum(one.isalpha() for one in contacts.rest)
    upper = sum(one.isupper() for one in contacts.rest)
    shouts = letters > 15 and upper > 0.6 * letters and part.raw.count("!") > 1
    if shouts or (len(tokens) > 8 and len(set(tokens)) < 0.5 * len(tokens)):
        signs.add(Sign.INSISTENCE)
    return frozenset(signs)
