"""Letters that are not what they seem: how much of a text is decorated, mixed, or hidden."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from quorum.models.features.lookalikes import confusables, is_ignorable, shown, signs

__all__ = ["Disguise", "disguise_of", "joined"]

_IDEOGRAPHS = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SET_APART = re.compile(rf"(?<!\w)\w(?:(?:[ _]|[{signs()}]{{1,2}})\w){{4,60}}(?!\w)")
_NO_LETTER = re.compile(r"[\W_]")
_MIXED = re.compile(r"[a-zA-Z][\u0370-\u052f]|[\u0370-\u052f][a-zA-Z]")
_WIDE = range(0xFF10, 0xFF5B)
_FIRST = 0x2000


@dataclass(frozen=True, slots=True)
class Disguise:
    """What of a text is disguised.

    Attributes:
        decorated: Letters and digits in fonts, enclosures, raised or with marks.
        share: Of all its Latin letters and digits, those that are decorated; from 0 to 1.
        partly: Whether one word is decorated and others are plain, as names are made to stand out.
        mixed: Places where a Latin letter stands beside a Greek or Cyrillic one, but for formulas.
        invisible: Characters that nobody sees, between Latin letters.
        apart: Words whose letters are set apart.
    """

    decorated: int = 0
    share: float = 0.0
    partly: bool = False
    mixed: int = 0
    invisible: int = 0
    apart: int = 0


def joined(text: str) -> str:
    """A text whose words that are set apart are written as words."""
    return _SET_APART.sub(lambda match: _NO_LETTER.sub("", match.group()), text)


@lru_cache(maxsize=1)
def _formula() -> re.Pattern[str]:
    """Greek letters as science writes them: alone, and like no Latin one; or before one letter."""
    greek = "\u0370-\u03ff"
    unlike = "".join(one for one in map(chr, range(0x370, 0x400)) if one not in confusables())
    return re.compile(rf"(?<![{greek}])[{unlike}](?![{greek}])|(?<!\w)[{greek}](?=[a-zA-Z](?!\w))")


@lru_cache(maxsize=8192)
def _decorated(character: str) -> bool:
    """Whether a character shows a Latin letter or digit in another form, by its properties."""
    code = ord(character)
    if code < _FIRST and unicodedata.category(character) != "Lm" and not 0x1D00 <= code < 0x1DC0:
        return False
    made = unicodedata.normalize("NFKD", character)
    base = made[0] if made else ""
    if made != character and base.isascii() and base.isalnum() and len(made) == 1:
        return True
    return shown(character, 0x1D00) is not None


def _latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _marked(word: str) -> int:
    """Latin letters and digits with a mark that no alphabet composes, such as an overlay."""
    return sum(
        _latin(letter) and unicodedata.category(mark) in ("Mn", "Me") and not is_ignorable(mark)
        for letter, mark in pairwise(unicodedata.normalize("NFC", word))
    )


def _hidden(text: str) -> int:
    """Characters that nobody sees between Latin letters, where no script needs them."""
    found = waiting = 0
    behind_latin = False
    for character in text:
        if not character.isascii() and is_ignorable(character):
            waiting += behind_latin
            continue
        behind_latin = _latin(character)
        found += waiting if behind_latin else 0
        waiting = 0
    return found


@lru_cache(maxsize=1024)
def disguise_of(raw: str) -> Disguise:
    """Look for disguise in a text as it was written."""
    apart = len(_SET_APART.findall(raw))
    if raw.isascii():
        return Disguise(apart=apart)
    wide = not _IDEOGRAPHS.search(raw)
    decorated = plain = 0
    words = 0
    for word in raw.split():
        own = sum(
            1 for one in word
            if not one.isascii() and _decorated(one) and (wide or ord(one) not in _WIDE)
        ) + _marked(word)  # fmt: skip
        decorated += own
        words += own > 1
        plain += sum(one.isascii() and one.isalnum() for one in word) if not own else 0
    return Disguise(
        decorated,
        decorated / max(1, decorated + plain),
        words > 0 and plain > 3,
        len(_MIXED.findall(_formula().sub("", raw))) if _MIXED.search(raw) else 0,
        _hidden(raw),
        apart,
    )
