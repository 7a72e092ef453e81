"""What two conditions differ in, where that is their numbers alone."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["threshold_changes"]

#: A text, or a number that is no part of a name.
_PIECES: Final = re.compile(
    r"\"[^\"]*\"|'[^']*'|(?<![\w.])(?P<number>\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w)"
)
_ASKED: Final = re.compile(r"(\w+)\(\s*(?:\"([^\"]*)\"|'([^']*)')\s*(,?)[^()]*\)?[^()]*$")


def threshold_changes(before: str, after: str) -> list[str]:
    """The numbers that change between two conditions, where nothing else does.

    Args:
        before: A condition in CEL.
        after: Another one.

    Returns:
        Such as ``threshold of spam 0.95 -> 0.97``; empty where they differ in more than numbers.
    """
    then, now = _numbers(before), _numbers(after)
    if then[0] != now[0]:
        return []
    changed = [
        (name, old, new)
        for (name, old), (_, new) in zip(then[1], now[1], strict=True)
        if float(old) != float(new)
    ]
    alone = len(then[1]) == 1
    return [f"{'threshold' if alone else name} {old} -> {new}" for name, old, new in changed]


def _numbers(text: str) -> tuple[str, list[tuple[str, str]]]:
    """A condition with its numbers left out, and each number with what it is compared with."""
    bare, numbers, at = [], [], 0
    for found in _PIECES.finditer(text):
        if found["number"] is None:
            continue
        bare.append(text[at : found.start()])
        numbers.append((_compared(text[: found.start()]), found[0]))
        at = found.end()
    return "#".join((*bare, text[at:])), numbers


def _compared(text: str) -> str:
    """What the number after this text means, as far as that can be told."""
    asked = _ASKED.search(text)
    if asked is None:
        return "threshold"
    name = asked[2] or asked[3]
    if asked[4] and ")" not in asked[0]:
        return f"stand-in of {name}"
    return f"threshold of {name}" if asked[1] != "status" else "threshold"
