"""Read training sentences by kind: patterns with alternatives, and texts written one by one.

A file of ``contrast/`` holds one language. A line is ``kind: pattern``; ``{a|b}`` stands for any
of its alternatives, ``$NAME = a|b`` names alternatives, ``{$NAME}`` uses them. The same
alternatives stand in harmful and in harmless patterns, so that no word is evidence by itself
(contrast sets, Gardner et al. 2020). A file of ``written/`` holds whole texts of one language,
``kind: text``, with ``\\n`` for a line break, in sets that share words and differ in meaning.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["CONTRAST", "WRITTEN", "Pattern", "expanded", "read_patterns", "read_sets"]

#: The folder of training patterns, one file for each language.
CONTRAST = Path(__file__).parent / "contrast"
#: The folder of written texts, one file for each language.
WRITTEN = Path(__file__).parent / "written"
_NAMED = re.compile(r"\{\$([A-Z]+)\}")
_CHOICE = re.compile(r"\{([^{}]*)\}")


class Pattern(NamedTuple):
    """One line of a file.

    Attributes:
        kind: What its sentences are, such as ``threat`` or ``negation``.
        language: ISO 639-1 code.
        text: The pattern, without named alternatives, or the text.
    """

    kind: str
    language: str
    text: str


def read_patterns(path: Path) -> list[Pattern]:
    """Read a file of patterns; its name is the language.

    Raises:
        ValueError: If a line is neither a pattern nor named alternatives.
    """
    named: dict[str, str] = {}
    found: list[Pattern] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("$"):
            name, _, alternatives = line[1:].partition("=")
            named[name.strip()] = alternatives.strip()
            continue
        kind, text = _parted(path, number, line)
        text = _NAMED.sub(lambda match: "{" + named[match.group(1)] + "}", text)
        found.append(Pattern(kind, path.stem, text))
    return found


def read_sets(path: Path, harmful: Collection[str]) -> list[list[Pattern]]:
    """Read a file of written texts; a set is never split between training and test.

    Args:
        path: The file; its name is the language.
        harmful: Kinds of violence. A set ends at an empty line, and where violence follows
            something else.

    Raises:
        ValueError: If a line has no kind.
    """
    made: list[list[Pattern]] = [[]]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            made.append([])
            continue
        kind, text = _parted(path, number, line)
        if kind in harmful and made[-1] and made[-1][-1].kind not in harmful:
            made.append([])
        made[-1].append(Pattern(kind, path.stem, text.replace("\\n", "\n")))
    return [one for one in made if one]


def _parted(path: Path, number: int, line: str) -> tuple[str, str]:
    """The kind and the text of a line."""
    kind, colon, text = line.partition(":")
    if not colon or not kind.isalpha():
        msg = f"{path.name}, line {number}: expected 'kind: text'"
        raise ValueError(msg)
    return kind, text.strip()


def expanded(pattern: Pattern, most: int) -> list[str]:
    """Up to ``most`` distinct sentences of a pattern; the same ones each time."""
    chance = random.Random(zlib.crc32(pattern.text.encode()))  # noqa: S311  (no secret)
    return list(dict.fromkeys(_drawn(pattern.text, most, chance)))


def _drawn(text: str, most: int, chance: random.Random) -> Iterator[str]:
    """Sentences with alternatives drawn at random."""
    for _ in range(most if _CHOICE.search(text) else 1):
        made = _CHOICE.sub(lambda match: chance.choice(match.group(1).split("|")), text)
        yield " ".join(made.split()).replace(" ,", ",")
