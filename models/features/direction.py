"""Text that is written in another order than it is read: turned, reversed, vertical.

Each function returns the line as people read it, or None where it is read as it is written. What
could be honest is changed only where known words come out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container
from functools import lru_cache

__all__ = ["COLUMNS", "OVERRIDDEN", "across", "reversed_line", "turned_line"]

#: Text after a right-to-left override is shown from its end to its start, to the end of the
#: override or of the paragraph (Unicode Standard Annex 9, rule X4).
OVERRIDDEN = re.compile("\u202e([^\u202c\u202e\n]*)\u202c?")

#: One character a line, from top to bottom, and empty lines between words.
COLUMNS = re.compile(r"(?<![^\n])[ ]?\S[ ]?(?:\n(?:[ ]?\S[ ]?|[ ]?))*\n[ ]?\S[ ]?(?![^\n])")
_BETWEEN = re.compile(r"\n[ ]?(?=\n)")
#: The fewest characters of the longest column: shorter ones are lists.
_COLUMN = 4

#: What a letter of upside-down text shows, where it is no letter that Unicode calls turned.
_TURNED = dict(zip("ɔɟƃɾıʅʃnupdbq˙¿¡‾¸", "cfgjillundpqb.?!_,", strict=True))
_TURNED_ONLY = frozenset("ɔɟƃɾʅʃ")
_LATIN_WORD = re.compile(r"[a-z]{4,}")
_NO_WORDS = re.compile(r"[!-@\[-`{-~]+")
_LINK = re.compile(r"(?:https?://|www\.)\S+")
_LINK_BACKWARDS = re.compile(r"//:s?ptth(?!\w)|\w\.www(?![\w.])")
#: So many pieces fewer, and no more than this share of them, tell a line that is written backwards:
#: of 50,889 honest lines in 27 languages one.
_PIECES, _SHARE, _SPELT_SHARE = 3, 0.7, 0.82
#: The fewest letters of a line whose pieces are counted, and how much of a long one is.
_FEWEST_LETTERS, _MOST_READ = 6, 300


def across(columns: str, between: str = " ") -> str:
    """The words of what ``COLUMNS`` found, as people read them; as it was if it is a list.

    Args:
        columns: Text of one character a line.
        between: What is put between two words.
    """
    words = ["".join(column.split()) for column in _BETWEEN.split(columns)]
    return between.join(words) if max(map(len, words)) >= _COLUMN else columns


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


def reversed_line(line: str, known: Container[str], pieces: Callable[[str], int]) -> str | None:
    """A line that is written backwards, as people read it; None if it is not.

    Three things tell: a link that ends in ``//:ptth``, known words, and that the words fall into
    far fewer pieces of a language if they are read backwards.

    Args:
        line: In lower case.
        known: Known words of English.
        pieces: Counts the pieces of a text's words in a vocabulary of many languages.
    """
    if _LINK_BACKWARDS.search(line):
        return line[::-1]
    words = _LATIN_WORD.findall(line)
    forwards = sum(word in known for word in words)
    if forwards > len(words) / 4:
        return None
    told = _NO_WORDS.sub(" ", _LINK.sub(" ", line[:_MOST_READ])).strip()
    if len(told) < _FEWEST_LETTERS:
        return None
    there, back = pieces(told), pieces(told[::-1])
    backwards = sum(word[::-1] in known for word in words)
    spelt = backwards >= max(2, 0.6 * len(words)) and back <= _SPELT_SHARE * there
    far_fewer = there - back >= _PIECES and back <= _SHARE * there
    return line[::-1] if spelt or far_fewer else None
