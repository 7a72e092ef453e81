"""Give normalised text its accents back, for models that know the words of many languages.

Normalising takes accents off Latin letters, because they hide words from a filter (``kíll``). An
embedding of many languages reads ``flüchtlinge`` or ``giết`` much better than ``fluchtlinge`` or
``giet``. So the accents come back, unless the words are English without them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from quorum.models.features.known_words import known_words

__all__ = ["bare", "with_accents"]

_WORD = re.compile(r"[^\W\d_]+")
#: Share of the accented words that must be no English words without their accents.
_FOREIGN = 0.2


@lru_cache(maxsize=4096)
def _letter(character: str) -> str:
    made = unicodedata.normalize("NFKD", character)
    return made[0] if made[0].isascii() else character


def bare(text: str) -> str:
    """A text without the accents of its Latin letters."""
    return text if text.isascii() else "".join(map(_letter, text))


def with_accents(original: str, normalised: str) -> str:
    """The normalised text with the accents that its words have in the original.

    A letter counts with one accent of those that Unicode has as one character; letters with more,
    or with other marks, stay bare.

    Args:
        original: The text as its author wrote it.
        normalised: The same by ``normalise``.
    """
    if original.isascii():
        return normalised
    found: dict[str, str] = {}
    for word in _WORD.findall(unicodedata.normalize("NFC", original).lower()):
        plain = bare(word)
        if plain != word:
            found.setdefault(plain, word)
    if not found or sum(one not in known_words() for one in found) < _FOREIGN * len(found):
        return normalised
    return _WORD.sub(lambda match: found.get(match.group(), match.group()), normalised)
