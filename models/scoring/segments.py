"""Cut a text into segments of about a comment's length.

A detector that was trained on comments would miss one line of spam in a page of innocent words,
if it looked at the page as a whole.
"""

from __future__ import annotations

import re
from itertools import pairwise

__all__ = ["passages_of", "segments_of", "sentences", "windows"]

#: Words in a window, and words from the start of one to the next: one sentence of spam amid
#: innocent words fills the small ones, a whole comment the large ones.
_WINDOWS = ((20, 5), (8, 3))
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


def segments_of(text: str, whole: int = 60, line: int = 40, most: int = 1000) -> list[str]:
    """A text of a comment's length as it is; of a longer one its lines, and windows of these.

    Args:
        text: Normalised text; its lines are fields, paragraphs or comments.
        whole: A text of no more words is one segment.
        line: A line of no more words is a segment; any is cut into windows, too.
        most: No more segments are made; they then cover the beginning of the text.
    """
    if len(text.split()) <= whole:
        return [text]
    made: list[str] = []
    for one in text.split("\n"):
        words = len(one.split())
        if words == 0:
            continue
        if words <= line:
            made.append(one)
        for size, stride in _WINDOWS:
            if words > size:
                made.extend(windows(one, size, stride))
        if len(made) >= most:
            break
    return made[:most]


def passages_of(text: str, whole: int = 40, most: int = 16) -> list[str]:
    """A text of more than a few lines in passages that leave nothing out.

    Long lines are cut into windows that overlap; where these are too many, into ones that do not;
    and where even those are too many, neighbours are joined.

    Args:
        text: Normalised text; its lines are fields, paragraphs or comments.
        whole: A text of no more words has no passages; a line of no more is one.
        most: No more passages are made: each is embedded on its own.
    """
    if len(text.split()) <= whole:
        return []
    size = whole * 3 // 5
    for stride in (size // 2, size):
        made: list[str] = []
        for line in filter(str.strip, text.split("\n")):
            short = len(line.split()) <= whole
            made.extend([line] if short else windows(line, size, stride, len(text)))
        if len(made) <= most:
            return made
    starts = [len(made) * index // most for index in range(most + 1)]
    return [" ".join(made[start:end]) for start, end in pairwise(starts)]


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
