"""Evasions: changes of a text after which people still read it, and filters do not.

Each evasion is a function of a text and a random generator. They serve to measure how much recall
a detector loses to each; none of them is used in training.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

__all__ = ["EVASIONS", "padded"]

Evasion = Callable[[str, np.random.Generator], str]

_CYRILLIC = dict(zip("acehijkmnopstxyABCEHKMOPTXY", "асеһіјкмпорѕтхуАВСЕНКМОРТХУ", strict=True))
_GREEK = dict(zip("aeinoptuvxABEHIKMNOPTXYZ", "αеіηοрτυνχΑΒΕΗΙΚΜΝΟΡΤΧΥΖ", strict=True))
_LEET = dict(zip("aeiostAEIOST", "43105743105$", strict=True))
_ZERO_WIDTH = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad")
_EMOJI = ("🔥", "💰", "😂", "❤️", "⭐", "👉", "✅", "💯")
_WORD = re.compile(r"[A-Za-z]{3,}")
_LINK = re.compile(r"(?:https?://|www\.)\S+|\b[\w-]+\.(?:com|net|org|tv|me|ly)\b\S*", re.IGNORECASE)


def _outside_links(text: str, change: Callable[[str], str]) -> str:
    parts = []
    done = 0
    for link in _LINK.finditer(text):
        parts.append(_WORD.sub(lambda match: change(match.group()), text[done : link.start()]))
        parts.append(link.group())
        done = link.end()
    parts.append(_WORD.sub(lambda match: change(match.group()), text[done:]))
    return "".join(parts)


def _some(table: Mapping[str, str], share: float) -> Evasion:
    def change(text: str, rng: np.random.Generator) -> str:
        def word(original: str) -> str:
            return "".join(
                table[letter] if letter in table and rng.random() < share else letter
                for letter in original
            )

        return _outside_links(text, word)

    return change


def _between(choices: Sequence[str], share: float) -> Evasion:
    def change(text: str, rng: np.random.Generator) -> str:
        def word(original: str) -> str:
            made = original[0]
            for letter in original[1:]:
                made += str(rng.choice(choices)) if rng.random() < share else ""
                made += letter
            return made

        return _outside_links(text, word)

    return change


def _each_letter(separator: str) -> Evasion:
    def change(text: str, rng: np.random.Generator) -> str:
        del rng
        return _outside_links(text, separator.join)

    return change


def _spaced(text: str, rng: np.random.Generator) -> str:
    """Half of the words letter by letter, two spaces around them: ``f r e e``."""

    def word(original: str) -> str:
        return f" {' '.join(original)} " if rng.random() < 0.5 else original

    return _outside_links(text, word)


def _mixed_case(text: str, rng: np.random.Generator) -> str:
    return "".join(letter.upper() if rng.random() < 0.5 else letter.lower() for letter in text)


def _mathematical(text: str, rng: np.random.Generator) -> str:
    """Letters of another alphabet of Unicode: 𝐟𝐫𝐞𝐞, ｆｒｅｅ."""
    capital, small = ((0x1D400, 0x1D41A), (0xFF21, 0xFF41))[int(rng.integers(2))]

    def word(original: str) -> str:
        return "".join(
            chr((capital if letter.isupper() else small) + ord(letter.lower()) - ord("a"))
            for letter in original
        )

    return _outside_links(text, word)


def _disguised_links(text: str, rng: np.random.Generator) -> str:
    def link(match: re.Match[str]) -> str:
        made = match.group()
        made = re.sub(r"^https?", str(rng.choice(["hxxp", "h**p"])), made, flags=re.IGNORECASE)
        dot = str(rng.choice([" (dot) ", "[.]", " dot ", " . "]))
        scheme, slashes, rest = made.rpartition("://")
        host, slash, path = rest.partition("/")
        return scheme + slashes + host.replace(".", dot) + slash + path

    return _LINK.sub(link, text)


def _drawn_out(text: str, rng: np.random.Generator) -> str:
    """One letter of each word held: ``subscriiiibe``."""

    def word(original: str) -> str:
        place = int(rng.integers(len(original)))
        return original[:place] + original[place] * int(rng.integers(3, 6)) + original[place + 1 :]

    return _outside_links(text, word)


def padded(text: str, innocent: Sequence[str], rng: np.random.Generator, words: int = 150) -> str:
    """The text in the midst of innocent texts of so many words."""
    chosen: list[str] = []
    while sum(len(one.split()) for one in chosen) < words:
        chosen.append(innocent[int(rng.integers(len(innocent)))])
    place = int(rng.integers(len(chosen) + 1))
    return "\n".join([*chosen[:place], text, *chosen[place:]])


#: The evasions by name; padding needs innocent texts, see ``padded``.
EVASIONS: Mapping[str, Evasion] = {
    "homoglyphs, Cyrillic": _some(_CYRILLIC, 0.5),
    "homoglyphs, Greek": _some(_GREEK, 0.5),
    "spaced letters": _spaced,
    "zero-width characters": _between(_ZERO_WIDTH, 0.5),
    "leetspeak": _some(_LEET, 0.5),
    "emoji between letters": _between(_EMOJI, 0.4),
    "disguised links": _disguised_links,
    "mixed case": _mixed_case,
    "points between letters": _each_letter("."),
    "combining marks": _between(("\u0335", "\u0301", "\u0327", "\u0336"), 0.5),
    "other alphabets": _mathematical,
    "held letters": _drawn_out,
}
