"""Cut a text into sentences, and into windows of words."""

from __future__ import annotations

import re

__all__ = ["sentences", "windows"]

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")


def windows(text: str, size: int = 40, stride: int = 20, most: int = 400) -> list[str]:
    """Overlapping windows of words; a text of up to ``size`` words is one window, as it is.

    Args:
        text: Any text.
        size: Words in a window.
        stride: Words from the start of one window to the start of the next.
        most: No more windows are made; they then cover the beginning of the text.
    """
    words = text.split()
    if len(words) <= size:
        return [text]
    starts = range(0, max(1, len(words) - size + stride), stride)
    return [" ".join(words[start : start + size]) for start in list(starts)[:most]]


def sentences(text: str, most: int = 64) -> list[tuple[int, int]]:
    """Where sentences begin and end in a text, without white space around them."""
    found: list[tuple[int, int]] = []
    for match in _SENTENCE.finditer(text):
        start, end = match.span()
        inner = match.group()
        start += len(inner) - len(inner.lstrip())
        end -= len(inner) - len(inner.rstrip())
        if end - start > 2:
            found.append((start, end))
        if len(found) == most:
            break
    return found
