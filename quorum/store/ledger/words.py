"""Tokenises texts for the search index, and parses searches.

Both databases index the words that are tokenised here, so that a search finds the same in each. A
word is a run of letters, marks and digits, in any case or width. Scripts without spaces between
words are split into single characters, which a search matches as a phrase.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

__all__ = ["MAX_WORDS", "Term", "as_fts5", "as_tsquery", "as_tsvector", "parse", "words_of"]

#: Indexed words of one upload; PostgreSQL has no positions beyond 16,383.
MAX_WORDS = 16_000
#: The most terms of a search, and words of a term.
_MOST_ASKED = 16
#: Longer words are truncated; PostgreSQL allows 2,046 bytes.
_MAX_LENGTH = 64
#: Shorter prefixes would match most texts.
_MIN_PREFIX = 2

#: Thai and Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
#: In the scripts of India, words contain vowel signs, which are not letters.
_RUN = re.compile(rf"[{_UNSPACED}]|(?:[^\W_{_UNSPACED}]|[\u0900-\u0963\u0970-\u0dff])+")


@dataclass(frozen=True, slots=True)
class Term:
    """A phrase of adjacent words; the last one may be a prefix."""

    words: tuple[str, ...]
    begins: bool = False


def words_of(*texts: str) -> list[str]:
    """The words of texts in their order, up to ``MAX_WORDS``."""
    found: list[str] = []
    for text in texts:
        for match in _RUN.finditer(_folded(text)):
            found.append(match[0][:_MAX_LENGTH])
            if len(found) == MAX_WORDS:
                return found
    return found


def _folded(text: str) -> str:
    """Remove case, width and marks: ``a`` finds ``Ａ``, ``a`` and ``ä``."""
    # Twice: decomposition may introduce case, and case folding may introduce compositions.
    spread = unicodedata.normalize("NFKD", text).casefold()
    spread = unicodedata.normalize("NFKD", spread).casefold()
    return "".join(one for one in spread if not unicodedata.combining(one))


def parse(asked: str) -> list[Term]:
    """The terms of a search: words, ``"a phrase"`` and ``prefix*``."""
    found = []
    for quoted, bare in re.findall(r'"([^"]*)"?|([^\s"]+)', asked):
        words = tuple(words_of(quoted or bare))[:_MOST_ASKED]
        if words:
            begins = bare.endswith("*") and len(words[-1]) >= _MIN_PREFIX
            found.append(Term(words, begins))
    return found[:_MOST_ASKED]


def as_fts5(terms: list[Term]) -> str:
    """The terms as a query of SQLite's FTS5."""
    return " AND ".join(f'"{" ".join(one.words)}"{"*" if one.begins else ""}' for one in terms)


def as_tsquery(terms: list[Term]) -> str:
    """The terms as a query of PostgreSQL."""

    def one(term: Term) -> str:
        words = [f"'{word}'" for word in term.words]
        return " <-> ".join(words) + (":*" if term.begins else "")

    return " & ".join(f"({one(term)})" for term in terms)


def as_tsvector(words: str) -> str:
    """Words separated by spaces as PostgreSQL's vector of words with positions."""
    places: dict[str, list[str]] = {}
    for place, word in enumerate(words.split(), 1):
        # PostgreSQL keeps 256 positions of one word.
        if len(known := places.setdefault(word, [])) < 256:
            known.append(str(place))
    return " ".join(f"'{word}':{','.join(found)}" for word, found in places.items())
