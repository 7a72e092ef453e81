"""Words of a text, as the index keeps them and as a search asks for them.

Both databases are given words that are cut here, so that a search finds the same on each and in
each language: letters, their marks and digits make a word, whatever their case or width. Scripts
that put no spaces between words are cut into single characters, of which a search wants all, one
after the other.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

__all__ = ["MAX_WORDS", "Term", "as_fts5", "as_tsquery", "as_tsvector", "parse", "words_of"]

#: Words of one upload that can be found; PostgreSQL knows no place beyond 16,383.
MAX_WORDS = 16_000
#: Words that one search asks for.
_MOST_ASKED = 16
#: A longer word is no word; PostgreSQL takes up to 2,046 bytes.
_MAX_LENGTH = 64
#: A prefix of one letter would match most of what there is.
_MIN_PREFIX = 2

#: Thai and Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
#: In the scripts of India, a word holds vowel signs, which are no letters.
_RUN = re.compile(rf"[{_UNSPACED}]|(?:[^\W_{_UNSPACED}]|[\u0900-\u0963\u0970-\u0dff])+")


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand one after the other; the last may be the beginning of a word."""

    words: tuple[str, ...]
    begins: bool = False


def words_of(*texts: str) -> list[str]:
    """The words of some texts, in their order, up to 16,000."""
    found: list[str] = []
    for text in texts:
        for match in _RUN.finditer(_folded(text)):
            found.append(match[0][:_MAX_LENGTH])
            if len(found) == MAX_WORDS:
                return found
    return found


def _folded(text: str) -> str:
    """Without case, width and marks: ``Ａ``, ``a`` and ``ä`` are found by ``a``."""
    # Twice: some letters get a case only when they are spread, others spread with their case.
    spread = unicodedata.normalize("NFKD", text).casefold()
    spread = unicodedata.normalize("NFKD", spread).casefold()
    return "".join(one for one in spread if not unicodedata.combining(one))


def parse(asked: str) -> list[Term]:
    """What a search asks for: words, ``"words in a row"``, and ``beginn*`` of words."""
    found = []
    for quoted, bare in re.findall(r'"([^"]*)"?|([^\s"]+)', asked):
        words = tuple(words_of(quoted or bare))[:_MOST_ASKED]
        if words:
            begins = bare.endswith("*") and len(words[-1]) >= _MIN_PREFIX
            found.append(Term(words, begins))
    return found[:_MOST_ASKED]


def as_fts5(terms: list[Term]) -> str:
    """The terms for SQLite."""
    return " AND ".join(f'"{" ".join(one.words)}"{"*" if one.begins else ""}' for one in terms)


def as_tsquery(terms: list[Term]) -> str:
    """The terms for PostgreSQL."""

    def one(term: Term) -> str:
        words = [f"'{word}'" for word in term.words]
        return " <-> ".join(words) + (":*" if term.begins else "")

    return " & ".join(f"({one(term)})" for term in terms)


def as_tsvector(words: str) -> str:
    """Words, parted by spaces, for PostgreSQL, each with its places."""
    places: dict[str, list[str]] = {}
    for place, word in enumerate(words.split(), 1):
        # It keeps no more than 256 places of one word.
        if len(known := places.setdefault(word, [])) < 256:
            known.append(str(place))
    return " ".join(f"'{word}':{','.join(found)}" for word, found in places.items())
