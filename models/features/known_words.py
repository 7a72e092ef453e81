"""Ambiguous letters of disguised words: read as the known word that they spell."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product
from pathlib import Path

from quorum.core.territories import TERRITORIES
from quorum.models.features.lookalikes import currency_letters, shown

__all__ = [
    "REGIONAL",
    "WITH_CURRENCY",
    "known_spelling",
    "known_words",
    "spell_currency",
    "spell_regional",
]

#: The vocabulary of bert-base-uncased (Devlin et al. 2018, Apache-2.0), in order.
_WORDS = Path(__file__).with_name("words.txt")


@lru_cache(maxsize=1)
def known_words() -> frozenset[str]:
    """Frequent words of English, about 20,000: the whole words of BERT's vocabulary."""
    return frozenset(_WORDS.read_text(encoding="utf-8").split())


def known_spelling(written: str, read: str) -> str:
    """The known word of letters that look like both l and i, if there is one."""
    if read.lower() in known_words() or not read.isascii():
        return read
    choices = [
        "il" if one in "il" and not was.isascii() else one
        for was, one in zip(written, read, strict=True)
    ]
    if 0 < sum(len(one) > 1 for one in choices) <= 4:
        for spelt in map("".join, product(*choices)):
            if spelt.lower() in known_words():
                return spelt
    return read


_CURRENCY = r"\u00a2-\u00a5\u058f\u060b\u0e3f\u20a0-\u20cf\ufdfc"
#: Words in which currency signs stand for letters: not prices, which have digits.
WITH_CURRENCY = re.compile(rf"(?<![^\W\d_])[^\W\d_]*[{_CURRENCY}](?:[^\W\d_]|[{_CURRENCY}])*(?!\d)")


def spell_currency(match: re.Match[str]) -> str:
    """Read currency signs as letters, where more letters follow or a known word comes out."""
    word = match.group()
    if len(word) < 3:
        return word
    choices = [currency_letters(one) or shown(one, 0) or one for one in word]
    first = "".join(one[0] for one in choices)
    signs = sum(len(one) > 1 for one in choices)
    if first.lower() not in known_words() and signs <= 4:
        for spelt in map("".join, product(*choices)):
            if spelt.lower() in known_words():
                return spelt
    elif first.lower() in known_words():
        return first
    # "price₽" is a word and a sign.
    return first if any(map(currency_letters, word[:-1])) else word


#: Letters of which flags are made, two of them each.
REGIONAL = re.compile("[\U0001f1e6-\U0001f1ff](?:[ ]?[\U0001f1e6-\U0001f1ff])*")


#: Flags that ISO 3166-1 does not list.
_UNIONS = frozenset({"EU", "UN"})


def spell_regional(match: re.Match[str]) -> str:
    """Read letters of flags as a word, unless they are flags."""
    letters = "".join(one if one == " " else chr(ord(one) - 0x1F1E6 + ord("a")) for one in match[0])
    pairs = [flag[place : place + 2].upper()
             for flag in letters.split() for place in range(0, len(flag), 2)]  # fmt: skip
    word = len(letters) > 3 and letters.replace(" ", "") in known_words()
    return match[0] if set(pairs) <= TERRITORIES | _UNIONS and not word else letters
