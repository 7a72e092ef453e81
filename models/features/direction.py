"""Text that is written in another order than it is read: turned, reversed, vertical.

Each function returns the line as people read it, or None where it is read as it is written. What
could be honest is changed only where known words come out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from functools import lru_cache

__all__ = ["COLUMN", "OVERRIDDEN", "VERTICAL", "reversed_line", "turned_line"]

#: Text after a right-to-left override is shown from its end to its start, to the end of the
#: override or of the paragraph (Unicode Standard Annex 9, rule X4).
OVERRIDDEN = re.compile("\u202e([^\u202c\u202e\n]*)\u202c?")

#: One letter a line, from top to bottom.
VERTICAL = re.compile(r"(?<![^\n])[a-z0-9@$!][ ]?(?:\n[ ]?[a-z0-9@$!][ ]?){3,}(?![^\n])")

#: A shorter column, where others show that the text is vertical.
COLUMN = re.compile(r"(?<![^\n])[a-z0-9@$!][ ]?(?:\n[ ]?[a-z0-9@$!][ ]?)+(?![^\n])")

#: What a letter of upside-down text shows, where it is no letter that Unicode calls turned.
_TURNED = dict(zip("ɔɟƃɾıʅʃnupdbq˙¿¡‾¸", "cfgjillundpqb.?!_,", strict=True))
_TURNED_ONLY = frozenset("ɔɟƃɾʅʃ")
_LATIN_WORD = re.compile(r"[a-z]{4,}")


@lru_cache(maxsize=1024)
def _turned(character: str) -> str:
    """The letter that a turned one shows; empty for others."""
    name = unicodedata.name(character, "")
    found = re.fullmatch(r"(?:LATIN|MODIFIER) .*LETTER TURNED ([A-Z])(?: WITH .*)?", name)
    return found.group(1).lower() if found else ""


def turned_line(line: str, known: Container[str]) -> str | None:
    """A line that is upside down, as people read it; None if it is not.

    Phonetic writing and some alphabets have such letters, too: then few of them, and no known words
    come out.

    Args:
        line: Any.
        known: Known words.
    """
    if line.isascii():
        return None
    letters = [character for character in line if character.isalpha()]
    if len({one for one in letters if _turned(one)}) < 2:
        return None
    signs = sum(bool(_turned(one)) or one in _TURNED_ONLY for one in letters)
    if signs < len(letters) / 5:
        return None
    made = "".join(_turned(one) or _TURNED.get(one, one) for one in reversed(line))
    words = re.findall(r"[a-z]{3,}", made.lower())
    read = sum(word in known for word in words)
    return made if read > len(words) / 4 or signs > len(letters) / 2 else None


def reversed_line(line: str, known: Container[str]) -> str | None:
    """A line that is written backwards, as people read it; None if it is not.

    Args:
        line: In lower case.
        known: Known words.
    """
    words = _LATIN_WORD.findall(line)
    if len(words) < 2:
        return None
    forwards = sum(word in known for word in words)
    if forwards > len(words) / 4:
        return None
    backwards = sum(word[::-1] in known for word in words)
    return line[::-1] if backwards >= max(2, 0.6 * len(words)) else None
