"""Letters that are set apart or doubled: ``f r e e``, ``f•r•e•e``, ``(f)(r)(e)``, ``ffrreeee``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeVar

from quorum.models.features.aligned import Aligned, Unaligned
from quorum.models.features.lookalikes import signs

__all__ = ["EMOJI", "join_letters"]

_T = TypeVar("_T", Aligned, Unaligned)

EMOJI = "[\u2190-\u2bff\U0001f000-\U0001faff]"
_HAN = "[\u3040-\u30ff\u3400-\u9fff]"
_LATIN, _LETTER = "[a-z0-9@$!]", r"[^\W_]"
#: Words of which every letter is written twice.
_DOUBLED = re.compile(r"(?<![a-z0-9])(?:([a-z0-9])\1){3,}(?![a-z0-9])")


def _by_emoji(letter: str, least: int) -> str:
    """Emoji before each of some letters, with spaces around them in one way throughout."""
    ways = (("", ""), ("[ ]", "[ ]"), ("", "[ ]"), ("[ ]", ""))
    return "".join(
        f"|(?:{before}{EMOJI}{{1,3}}{after}{letter}){{{least},}}" for before, after in ways
    )


@lru_cache(maxsize=1)
def _latin() -> re.Pattern[str]:
    """Separated by the same sign, whatever it is, so that two spaces still separate words."""
    return re.compile(
        r"(?<![a-z0-9])[(\[{<]?[a-z0-9@$!](?:"
        rf"([ \t,]|[{signs()}]{{1,3}})[a-z0-9@$!](?:\1[a-z0-9@$!])+"
        rf"{_by_emoji(_LATIN, 2)}"
        r")(?![a-z0-9])[)\]}>]?"
    )


@lru_cache(maxsize=1)
def _other() -> re.Pattern[str]:
    """The same in other scripts.

    Some have words of one letter, so that spaces tell of five only; between ideographs there are
    none.
    """
    return re.compile(
        r"(?<![^\W_])[(\[{<]?[^\W\d_](?:"
        rf"([{signs()}]{{1,3}})[^\W_](?:\1[^\W_])+"
        rf"|(?:[ ][^\W_]){{4,}}|(?:[ ]{_HAN}){{2,}}"
        rf"{_by_emoji(_LETTER, 3)}"
        r")(?![^\W_])[)\]}>]?"
    )


def join_letters(made: _T) -> _T:
    """Join letters that are set apart to words.

    Args:
        made: A text in lower case.
    """
    if not made.text.isascii():
        made = made.replace(_other(), _joined)
    made = made.replace(_latin(), _joined)
    return made.replace(_DOUBLED, _halved)


def _joined(match: re.Match[str]) -> str:
    kept = "".join(one for one in match.group() if one.isalnum() or one in "@$!")
    return kept if any(map(str.isalpha, kept)) else match.group()


def _halved(match: re.Match[str]) -> str:
    word = match.group()
    return word[::2] if len(set(word)) > 2 and not word.isdigit() else word
