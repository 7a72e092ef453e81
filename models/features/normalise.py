"""Normalise text by undoing evasions.

Spammers write ``frее`` with Cyrillic letters, ``f r e e``, ``fr33``, ``f🔥r🔥e🔥e``, and links as
``example (dot) com``. Each step undoes one such habit and records the origin of every character,
so that evidence can refer to the original text.

Confusable characters are those of Unicode's UTS 39 (the package ``confusable-homoglyphs``). They
are replaced only in words of mixed scripts, or in a text that is otherwise Latin, so that Russian
stays Russian.
"""

from __future__ import annotations

import html
import re
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import TypeVar
from urllib.parse import unquote

from quorum.models.features.aligned import Aligned, Unaligned
from quorum.models.features.apart import EMOJI, join_letters
from quorum.models.features.digits import LONG_NUMBER, spell_digits
from quorum.models.features.direction import (
    COLUMNS,
    OVERRIDDEN,
    across,
    reversed_line,
    turned_line,
)
from quorum.models.features.known_words import (
    REGIONAL,
    WITH_CURRENCY,
    known_spelling,
    known_words,
    spell_currency,
    spell_regional,
)
from quorum.models.features.lookalikes import (
    confusables,
    fonts,
    in_own_script,
    marks_on_latin,
    plain,
)
from quorum.models.features.vocabulary import shared_vocabulary

__all__ = ["align", "as_read", "normalise", "plain_letters"]

#: Common top-level domains; a bare ``name.tld`` counts as a link only with one of these.
_ENDINGS = (
    "com|net|org|info|biz|io|ly|tv|me|co|uk|de|fr|ru|us|xyz|club|online|site|top|link|shop|store|"
    "live|app|gg|be|cc|to|in|br|eu|gl|tk|ml|pro|dev|page|money|cash|bet|vip|website|space|fun|win"
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});?", re.IGNORECASE)
#: How often a text may have been escaped on its way.
_MOST_ESCAPES = 3
_ANCHOR = re.compile(r"<a\s[^>]{0,300}?href=[\"']?([^\"'>\s]{1,1000})[^>]{0,300}>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]{0,300}>", re.IGNORECASE)
#: Words with emoji in them, or between them in place of spaces, in scripts that have spaces.
_SPACED = (
    rf"(?:(?!{EMOJI})"
    "[^\\W_\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])+"
)
_WITH_EMOJI = re.compile(rf"(?<![^\W_]){_SPACED}(?:{EMOJI}{{1,3}}{_SPACED})+")
_EMOJI = re.compile(f"{EMOJI}+")
#: From so many letters on, what stands between emoji is a word.
_A_WORD = 4
#: A word that one sign parts, but for an ending of links.
_PARTED = re.compile(
    rf"(?<![\w.@/'-])([a-z]{{2,}})[.*~|'\u2019\u2022\u00b7_-](?!(?:{_ENDINGS})(?![a-z0-9]))"
    r"([a-z]{2,})(?![\w@/'-]|\.\w)"
)
_DOT_WORD = re.compile(
    r"(?<=[a-z0-9])\s?[(\[{<]\s?(?:dot|\.|punkt|point|d0t)\s?[)\]}>]\s?(?=[a-z0-9])"
    r"|(?<=\bwww)\s?(?:dot|\.)\s?(?=[a-z0-9])"
    rf"|(?<=[a-z0-9])\s(?:dot|d0t|\.)\s?(?=(?:{_ENDINGS})(?![a-z0-9]))"
    rf"|(?<=[a-z0-9])\.\s(?=(?:com|net|org)(?![a-z0-9]))"
    r"|(?<=[a-z0-9])\s(?:punkt|point|punto|ponto|titik|nokta|kropka|tecka"
    r"|точка|נקודה|نقطة|点|點|닷|ドット)\s(?=(?:com|org|vip|xyz|bet)(?![a-z0-9]))"
    # An ideographic full stop is a dot in a link, and so is any symbol before "com".
    rf"|(?<=[a-z0-9])。(?=(?:com|net|org|vip|top|xyz|cc|cn)(?![a-z0-9])|(?:{_ENDINGS})/)"
    r"|(?<=[a-z0-9])[^\w\s!-/:-@\[-`{-~]{1,2}(?=(?:com|net|org)(?![a-z0-9]))"
)
#: Quick test: each match of ``_DOT_WORD`` contains one of these.
_DOT = re.compile(r"[^\x00-\x7f]|\.|d[o0]t|punkt|point|punto|ponto|titik|nokta|kropka|tecka")
#: A link with a letter, digit, dot or the like as its code, which a browser reads as what it is.
_PERCENT = re.compile(r"(?:https?://|www\.)\S*?%\S+")
_UNRESERVED = re.compile(r"%(?:2[de]|3\d|[46][1-9a-f]|[57][0-9a])")
_DIGIT = re.compile(r"\d")
_SCHEME = re.compile(r"\bh(?:xx|tt|\*\*|__)ps?\s{0,2}(?::|\[:\])\s{0,2}/{1,2}\s{0,2}")
_LINK = re.compile(
    r"(?:https?://|www\.)(?:[^\s/@]{1,100}@)?(?P<host>[\w\-.:]{1,200})(?P<path>[/?#]\S{0,2000})?"
    rf"|(?<![\w@.\-])(?P<bare>(?:[a-z0-9\-]{{1,63}}\.){{1,4}}(?:{_ENDINGS}))(?![\w\-])(?P<rest>[/?#]\S{{0,2000}})?"
)
_MENTION = re.compile(r"(?<![\w.])@[\w.\-]{2,64}")
_NUMBER = re.compile(rf"(?<!\w){LONG_NUMBER}")
_WORD = re.compile(r"[^\s]+")
_LINE = re.compile(r"[^\n]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_REPEATED = re.compile(r"([!?.,\-_=*~])\1{2,}")
_LONG_RUN = re.compile(r"([^\W\d_])\1{2,}")
#: White space other than single plain spaces.
_SPACE = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_LEET = {
    "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g",
    "@": "a", "$": "s", "!": "i", "|": "l", "€": "e", "£": "l", "+": "t", "(": "c",
}  # fmt: skip
_LEET_WORD = re.compile(r"[a-z0-9@$!|€£+(]{3,40}")
_LEET_CHARACTER = re.compile("[" + re.escape("".join(_LEET)) + "]")
#: What ends a word or stands before one more often than it stands for a letter.
_ENDING = "!+|("
_PIECE = re.compile(r"(?:[^+|(!]|(?<=[a-z0-9])!(?=[a-z0-9]))+")
#: Words whose digits are digits: 2pm, 90s, 1st, mp3, 10k, 1080p, 3d, 4k, ps4.
_PLAIN_NUMBER = re.compile(
    r"\d+(?:st|nd|rd|th|s|am|pm|k|m|b|x|d|p|g|gb|mb|kg|km|cm|mm|fps|hz|yrs?|min|hrs?|sec|yo)?"
    r"|(?:mp|ps|gt|gta|h|x|f|g|v|rtx|gtx|iphone|ios|win|covid|top|part|ep|vol|ch)\d{1,4}"
)
#: A name with a number, such as ``player77``, whose digits are letters only if they spell a word.
_NAME_AND_NUMBER = re.compile(r"[a-z]{3,}\d{2,3}")

#: Digits and signs that stand for Cyrillic letters, and words that have some before a letter.
_CYRILLIC_LEET = {"0": "о", "3": "зе", "4": "ач", "6": "б", "8": "в", "@": "а"}
_CYRILLIC_WORD = re.compile(
    "(?<![\\w@])(?=[\u0400-\u052f03468@]*[03468@][\u0400-\u052f])[\u0400-\u052f03468@]{4,40}(?!\\w)"
)

#: Characters of a text that is kept once normalised, and how many are kept.
_SHORT, _KEPT = 500, 2048

_T = TypeVar("_T", Aligned, Unaligned)


#: Look-alikes beyond UTS 39; replaced only in words of mixed scripts.
_EXTRA_CONFUSABLES = dict(zip("пиηυτνχωвдяктмнь", "nnnutvxwbdrktmhb", strict=True))


def _latin(text: str) -> bool:
    return any("a" <= character <= "z" or "A" <= character <= "Z" for character in text)


def _replace_confusables(aligned: _T) -> _T:
    table = confusables()
    letters = [character for character in aligned.text if character.isalpha()]
    foreign = sum(1 for character in letters if not character.isascii() and character not in table)
    latin = sum(1 for character in letters if character.isascii())
    mainly_latin = latin > foreign

    def undo(match: re.Match[str]) -> str:
        word = match.group()
        if word.isascii():
            return word
        mixed = _latin(word)
        whole = all(character.isascii() or character in table for character in word)
        if not mixed and not (mainly_latin and whole):
            return word
        read = "".join(table.get(character, character) for character in word)
        if mixed:
            read = "".join(_EXTRA_CONFUSABLES.get(character, character) for character in read)
        read = known_spelling(word, read)
        if (mainly_latin and whole) or read.lower() in known_words():
            return read
        return in_own_script(word) or read

    return aligned.replace(_LETTERS, undo)


def _read_fonts(aligned: _T) -> _T:
    """Read words of look-alike letters, where half of the foreign words are English if so read."""
    table = fonts()

    def read(word: str) -> str:
        made = "".join(table.get(character, character) for character in word)
        return known_spelling(word, made) if len(made) == len(word) else made

    foreign = [word for word in aligned.text.split() if not word.isascii() and len(word) >= 3]
    known = sum(read(word).strip(".,!?:;").lower() in known_words() for word in foreign)
    if not known or known < len(foreign) / 2:
        return aligned
    return aligned.replace(
        _WORD, lambda match: read(match.group()) if not match.group().isascii() else match.group()
    )


def _unleet(match: re.Match[str]) -> str:
    """Read digits and signs as letters; brackets, bars and the like only where a word comes out."""
    word = match.group()
    if word.isalpha() or _PLAIN_NUMBER.fullmatch(word):
        return word
    bare = word.rstrip(_ENDING)
    read = _spelt(bare)
    if read not in known_words() or not any(map(str.isalpha, bare)):
        read = _PIECE.sub(lambda piece: _unleet_word(piece.group()), bare)
    return read + word[len(bare) :]


def _spelt(word: str) -> str:
    return "".join(_LEET.get(character, character) for character in word)


def _unleet_word(word: str) -> str:
    if word.isalpha() or _PLAIN_NUMBER.fullmatch(word):
        return word
    if _NAME_AND_NUMBER.fullmatch(word):
        read = _spelt(word)
        return read if read in known_words() else word
    letters = sum(character.isalpha() for character in word)
    if letters == 0 or len(word) < 3 or letters / len(word) < 0.3:
        return word
    return _spelt(word)


def _link(match: re.Match[str]) -> str:
    host = match.group("host") or match.group("bare") or ""
    host = host.strip(".:-").removeprefix("www.")
    return f" url {' '.join(part for part in host.split('.') if part)} "


def _decoded(match: re.Match[str]) -> str:
    return _UNRESERVED.sub(lambda code: unquote(code.group()), match.group())


def _shorten_repeats(match: re.Match[str]) -> str:
    """Shorten repeated letters of a word: ``subscriiibe`` and ``freeeee`` to their spelling."""
    word = match.group()
    long_runs = list(_LONG_RUN.finditer(word))
    if not long_runs:
        return word
    if len(word) > 60 or len(long_runs) > 4:
        return _LONG_RUN.sub(lambda run: run.group(1), word)
    for times in product((1, 2), repeat=len(long_runs)):
        counts = iter(times)
        made = _LONG_RUN.sub(lambda run: run.group(1) * next(counts), word)  # noqa: B023
        if made in known_words():
            return made
    return _LONG_RUN.sub(lambda run: run.group(1), word)


def _of_emoji(match: re.Match[str]) -> str:
    """Words between emoji apart, letters between them together."""
    pieces = _EMOJI.split(match.group())
    together = "".join(pieces)
    if together in known_words():
        return together
    shortest = min(map(len, pieces))
    words = shortest >= _A_WORD or (shortest > 2 and all(map(known_words().__contains__, pieces)))
    return " ".join(pieces) if words else together


def _whole(match: re.Match[str]) -> str:
    """A word of which a sign was put into the middle."""
    first, second = match.groups()
    both = first in known_words() and second in known_words()
    made = first + second
    return made if len(made) > _A_WORD and not both and made in known_words() else match.group()


def _cyrillic(match: re.Match[str]) -> str:
    """Read digits as letters where that makes fewer pieces of the vocabulary."""
    word = match.group()
    doubtful = sum(one in "34" for one in word)
    if sum(map(str.isalpha, word)) < 3 or doubtful > 6:
        return word
    choices = product(*(_CYRILLIC_LEET.get(one, one) for one in word))
    best = min(map("".join, choices), key=_pieces)
    return best if _pieces(best) < _pieces(word) else word


def _upright(match: re.Match[str]) -> str:
    return turned_line(match.group(), known_words()) or match.group()


def _pieces(text: str) -> int:
    return len(shared_vocabulary().own_tokens(text))


@lru_cache(maxsize=_KEPT)
def _as_read(line: str) -> str | None:
    return reversed_line(line, known_words(), _pieces)


def _forwards(match: re.Match[str]) -> str:
    return _as_read(match.group()) or match.group()


def _in_order(match: re.Match[str]) -> str:
    line = match.group()
    turned = None if line.isascii() else turned_line(line, known_words())
    return turned or (line if _as_read(line.lower()) is None else line[::-1])


def as_read(text: str) -> str:
    """A text in the order in which people read it: columns as words, each line forwards."""
    if "\n" in text:
        text = COLUMNS.sub(lambda match: across(match.group()), text)
    if "\u202e" in text:
        text = OVERRIDDEN.sub(lambda match: match.group(1)[::-1], text)
    return _LINE.sub(_in_order, text)


def _plain_letters(made: _T) -> _T:
    """Undo what is done to single letters: fonts, marks, hidden characters, look-alikes."""
    made = made.each(plain)
    made = made.replace(REGIONAL, spell_regional)
    made = made.replace(marks_on_latin(), lambda match: "")
    made = made.replace(WITH_CURRENCY, spell_currency)
    return _replace_confusables(made)


def _steps(made: _T) -> _T:
    """Apply all normalisation steps in order."""
    for _ in range(_MOST_ESCAPES):
        if "&" not in made.text:
            break
        made = made.replace(_ENTITY, lambda match: html.unescape(match.group()))
    if "<" in made.text:
        made = made.replace(_ANCHOR, lambda match: f" {match.group(1)} ")
        made = made.replace(_TAG, lambda match: " ")
    if not made.text.isascii():
        if "\u202e" in made.text:
            made = made.replace(OVERRIDDEN, lambda match: match.group(1)[::-1], moved=True)
        made = made.replace(_LINE, _upright, moved=True)
        made = _plain_letters(made)
        if not made.text.isascii():
            made = _read_fonts(made)
    made = replace(made, text=made.text.lower()) if made.text.isascii() else made.each(str.lower)
    if "\n" in made.text:
        made = made.replace(COLUMNS, lambda match: across(match.group(), "\n"))
    made = made.replace(_LINE, _forwards, moved=True)
    if "/" in made.text:
        made = made.replace(_SCHEME, lambda match: "http://")
    made = join_letters(spell_digits(made))
    if "%" in made.text:
        made = made.replace(_PERCENT, _decoded)
    if _DOT.search(made.text):
        made = made.replace(_DOT_WORD, lambda match: ".")
    if not made.text.isascii():
        made = made.replace(_WITH_EMOJI, _of_emoji)
        made = made.replace(_CYRILLIC_WORD, _cyrillic)
    made = made.replace(_PARTED, _whole)
    if "." in made.text or "://" in made.text:
        made = made.replace(_LINK, _link)
    if "@" in made.text:
        made = made.replace(_MENTION, lambda match: " mention ")
    if _DIGIT.search(made.text):
        made = made.replace(_NUMBER, lambda match: " longnumber ")
    if _LEET_CHARACTER.search(made.text):
        made = made.replace(_LEET_WORD, _unleet)
    made = made.replace(_REPEATED, lambda match: match.group(1) * 2)
    if _LONG_RUN.search(made.text):
        made = made.replace(_LETTERS, _shorten_repeats)
    return made.replace(_SPACE, lambda match: " ")


def plain_letters(text: str) -> str:
    """A text with each letter in its plain form, in lower case; digits stay digits."""
    return (text if text.isascii() else _plain_letters(Unaligned(text)).text).lower()


def align(text: str) -> Aligned:
    """Normalise a text and record the origin of each character."""
    return _steps(Aligned(text, range(len(text)), len(text)))


def normalise(text: str) -> str:
    """Normalise a text: evasions undone, in lower case.

    Of short texts the last ones are kept: the extractor and several detectors read the same.
    """
    return _kept(text) if len(text) <= _SHORT else _normalised(text)


def _normalised(text: str) -> str:
    return _steps(Unaligned(text)).text.strip()


_kept = lru_cache(maxsize=_KEPT)(_normalised)
