"""Evasions drawn at random from Unicode's own data, so that no list of them can be learned.

Each call draws other characters: from all that NFKC, a character's name or UTS 39 say to look like
a letter, from all combining marks, from all invisible characters. None is used in training.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from quorum.models.features.normalise import normalise

__all__ = ["UNICODE_EVASIONS", "words_read"]

Evasion = Callable[[str, np.random.Generator], str]

_WORD = re.compile(r"[A-Za-z]{3,}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_TURNED = dict(zip(_LETTERS, "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz", strict=True))


def _drawn(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


@lru_cache(maxsize=1)
def _alike() -> Mapping[str, tuple[str, ...]]:
    """The characters that look like each small letter."""
    from confusable_homoglyphs.confusables import confusables_data

    found: dict[str, set[str]] = defaultdict(set)
    for code in range(0x80, sys.maxunicode + 1):
        character = chr(code)
        kind = unicodedata.category(character)
        if kind[0] not in "LS" and kind != "No":
            continue
        plain = unicodedata.normalize("NFKC", character).lower()
        name = unicodedata.name(character, "")
        told = re.search(r"LATIN (?:CAPITAL |SMALL )?LETTER (?:SMALL CAPITAL )?([A-Z])$", name)
        if len(plain) == 1 and plain in _LETTERS:
            found[plain].add(character)
        elif told and code > 0x17F:
            found[told.group(1).lower()].add(character)
        for alike in confusables_data.get(character, ()):
            if kind[0] == "L" and alike["c"].lower() in _LETTERS and len(alike["c"]) == 1:
                found[alike["c"].lower()].add(character)
                break
    return {letter: tuple(sorted(characters)) for letter, characters in found.items()}


@lru_cache(maxsize=1)
def _invisible() -> tuple[str, ...]:
    """Characters that nobody sees."""
    names = re.compile(r"VARIATION SELECTOR|HANGUL .*FILLER|INVISIBLE|ZERO WIDTH|WORD JOINER")
    bidi = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}  # these change the order: see below
    return tuple(
        chr(code)
        for code in range(0x80, sys.maxunicode + 1)
        if code not in bidi
        and (
            unicodedata.category(chr(code)) == "Cf" or names.match(unicodedata.name(chr(code), ""))
        )
    )


@lru_cache(maxsize=1)
def _marks() -> tuple[str, ...]:
    """Combining marks that take no place of their own, of any script."""
    return tuple(
        chr(code)
        for code in range(0x300, sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Mn", "Me")
    )


@lru_cache(maxsize=1)
def _apart() -> tuple[str, ...]:
    """What letters may be set apart by: any punctuation or symbol of the Basic Multilingual Plane.

    Not what stands for a letter or ends a sentence in a script, and not what normalises to several
    characters.
    """
    return tuple(
        chr(code)
        for code in range(0x21, 0x10000)
        if unicodedata.category(chr(code)) in ("Pc", "Pd", "Ps", "Pe", "Po", "Sm", "So")
        and chr(code) not in "&<"
        and unicodedata.normalize("NFKD", chr(code)) == chr(code)
        and not re.search(r"LETTER|CIRCLED|BRAILLE|OVERLAY|VERTICAL LINE", _named(code))
    )


def _named(code: int) -> str:
    return unicodedata.name(chr(code), "LETTER")


def _set_apart(text: str, rng: np.random.Generator) -> str:
    """The letters of each word set apart by a sign of the word's own."""
    return _WORD.sub(lambda match: _drawn(_apart(), rng).join(match.group()), text)


def _as_flags(text: str, rng: np.random.Generator) -> str:
    """Words in the letters of which flags are made."""
    del rng
    return _WORD.sub(
        lambda match: "".join(chr(0x1F1E6 + ord(one) - ord("a")) for one in match.group().lower()),
        text,
    )


@lru_cache(maxsize=1)
def _signs() -> Mapping[str, tuple[str, ...]]:
    """Currency signs by the first letter of their names."""
    found: dict[str, list[str]] = defaultdict(list)
    for code in range(0x20A0, 0x20D0):
        name = unicodedata.name(chr(code), "")
        if name and unicodedata.category(chr(code)) == "Sc":
            found[name[0].lower()].append(chr(code))
    return {letter: tuple(signs) for letter, signs in found.items()}


def _letters(change: Callable[[str, np.random.Generator], str], share: float) -> Evasion:
    """Change some letters of each word, and at least one."""

    def evade(text: str, rng: np.random.Generator) -> str:
        def word(match: re.Match[str]) -> str:
            letters = list(match.group())
            chosen = rng.random(len(letters)) < share
            chosen[int(rng.integers(len(letters)))] = True
            return "".join(
                change(letter, rng) if hit else letter
                for letter, hit in zip(letters, chosen, strict=True)
            )

        return _WORD.sub(word, text)

    return evade


def _look_alike(letter: str, rng: np.random.Generator) -> str:
    return _drawn(_alike().get(letter.lower(), (letter,)), rng)


def _overridden(text: str, rng: np.random.Generator) -> str:
    """Some lines written backwards behind a right-to-left override, which shows them forwards."""
    lines = text.split("\n")
    return "\n".join(
        f"\u202e{line[::-1]}\u202c" if line and rng.random() < 0.9 else line for line in lines
    )


def _upside_down(text: str, rng: np.random.Generator) -> str:
    del rng
    return "\n".join(
        "".join(_TURNED.get(letter, letter) for letter in reversed(line.lower()))
        for line in text.split("\n")
    )


def _backwards(text: str, rng: np.random.Generator) -> str:
    del rng
    return "\n".join(line[::-1] for line in text.split("\n"))


def _vertical(text: str, rng: np.random.Generator) -> str:
    """Words from top to bottom, with an empty line between two."""
    del rng
    return "\n\n".join("\n".join(word) for word in text.split())


#: By name; each draws anew from the generator.
UNICODE_EVASIONS: Mapping[str, Evasion] = {
    "look-alikes of Unicode": _letters(_look_alike, 0.5),
    "invisible characters of Unicode": _letters(
        lambda letter, rng: letter + _drawn(_invisible(), rng), 0.5
    ),
    "combining marks of Unicode": _letters(
        lambda letter, rng: letter + _drawn(_marks(), rng) * int(rng.integers(1, 4)), 0.5
    ),
    "currency signs": _letters(
        lambda letter, rng: _drawn(_signs().get(letter.lower(), (letter,)), rng), 0.5
    ),
    "set apart by any sign": _set_apart,
    "letters of flags": _as_flags,
    "right-to-left override": _overridden,
    "upside down": _upside_down,
    "written backwards": _backwards,
    "vertical": _vertical,
}


def words_read(evasion: Evasion, texts: Sequence[str], seeds: Sequence[int]) -> float:
    """The share of the words of texts that the normaliser reads after an evasion.

    Args:
        evasion: One of ``UNICODE_EVASIONS``.
        texts: Any texts.
        seeds: For each, every text is evaded anew.
    """
    read = total = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for text in texts:
            there = Counter(normalise(text).split())
            found = Counter(normalise(evasion(text, rng)).split())
            read += (there & found).total()
            total += there.total()
    return read / total
