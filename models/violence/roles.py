"""Who does what to whom: cheap features of a sentence beside its embedding.

A sentence embedding tells what a text is about; it tells poorly who acts on whom, and whether the
act is denied, asked, quoted or reported. These features count short words for that, from lists in
the covered languages; a text in another language has the features of its signs alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.accents import bare
from quorum.models.features.normalise import normalise

__all__ = ["NAMES", "roles_of"]

_LISTS = Path(__file__).parent / "roles.json"
#: Languages that write without spaces, or glue their particles to words: substrings count.
_GLUED = frozenset({"zh", "ja", "ko"})
#: A word; vowel signs of Indic scripts are no ``\\w``, so that all but signs between words counts.
_WORD = re.compile(r"[^\s.,!?;:…|/\"“”„«»()\[\]{}<>「」『』।॥؟،؛¿¡。、！？：；_*~]+")
_QUOTED = re.compile(r"[\"“„«「『][^\"”“»」』]{2,300}[\"”“»」』]")
#: A count is at most this, and divided by it.
_MOST = 3
_SIGNS = ("question", "exclamation", "quoted", "quoted_share", "colon", "link", "digits", "length")

#: The features in their order: the lists, then signs.
NAMES: tuple[str, ...] = (
    *json.loads(_LISTS.read_text(encoding="utf-8")),
    *_SIGNS,
)


@cache
def _lists() -> tuple[dict[str, tuple[int, ...]], tuple[tuple[str, int], ...]]:
    """Which lists hold a word, and the substrings with their list."""
    words: dict[str, set[int]] = {}
    parts: list[tuple[str, int]] = []
    lists: dict[str, dict[str, str]] = json.loads(_LISTS.read_text(encoding="utf-8"))
    for index, languages in enumerate(lists.values()):
        for language, told in languages.items():
            for word in normalise(told).split():
                if language in _GLUED:
                    parts.append((word, index))
                else:
                    words.setdefault(word, set()).add(index)
    return {word: tuple(sorted(places)) for word, places in words.items()}, tuple(parts)


def roles_of(texts: Sequence[str]) -> NDArray[np.float32]:
    """Features of normalised texts, with accents or without, from 0 to 1, shape (n, len(NAMES))."""
    words, parts = _lists()
    made = np.zeros((len(texts), len(NAMES)), dtype=np.float32)
    lists = len(NAMES) - len(_SIGNS)
    for row, accented in zip(made, texts, strict=True):
        text = bare(accented)
        tokens = _WORD.findall(text)
        for token in tokens:
            for index in words.get(token.replace("’", "'"), ()):
                row[index] += 1
        if not text.isascii():
            for part, index in parts:
                row[index] += text.count(part)
        row[:lists] = np.minimum(row[:lists], _MOST) / _MOST
        quotes = [len(match.group()) for match in _QUOTED.finditer(text)]
        row[lists:] = (
            any(sign in text for sign in "?？؟"),
            any(sign in text for sign in "!！"),
            bool(quotes),
            min(1.0, sum(quotes) / max(1, len(text))),
            ":" in text,
            "http" in text or "www." in text,
            any(map(str.isdigit, text)),
            min(1.0, len(text) / 400),
        )
    return made
