"""Text that can be rewritten step by step, with or without the origin of each character."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Aligned", "Unaligned"]


@dataclass(frozen=True, slots=True)
class Aligned:
    """A text with the original position of each character.

    Attributes:
        text: The current text.
        origins: For each character, its index in the original text; non-decreasing.
        length: Length of the original text.
    """

    text: str
    origins: Sequence[int]
    length: int

    def replace(
        self,
        pattern: re.Pattern[str],
        make: Callable[[re.Match[str]], str],
        *,
        moved: bool = False,
    ) -> Aligned:
        """Replace each match of a pattern.

        Characters that remain keep their origin; new characters get the origin of the start of
        the match.

        Args:
            pattern: What to replace.
            make: Makes the new text.
            moved: Whether characters change places: then all get the origin of the start.
        """
        parts: list[str] = []
        origins: list[int] = []
        done = 0
        for match in pattern.finditer(self.text):
            start, end = match.span()
            made = make(match)
            if made == match.group():
                continue
            parts.append(self.text[done:start])
            origins.extend(self.origins[done:start])
            parts.append(made)
            if moved:
                origins.extend([self.origins[start]] * len(made))
            elif len(made) == end - start:
                origins.extend(self.origins[start:end])
            else:
                kept = _kept(match.group(), made)
                origins.extend(self.origins[start + offset] for offset in kept)
            done = end
        if not parts:
            return self
        parts.append(self.text[done:])
        origins.extend(self.origins[done:])
        return Aligned("".join(parts), tuple(origins), self.length)

    def each(self, change: Callable[[str], str]) -> Aligned:
        """Replace each character by zero or more characters."""
        parts: list[str] = []
        origins: list[int] = []
        for character, origin in zip(self.text, self.origins, strict=True):
            made = change(character)
            parts.append(made)
            origins.extend([origin] * len(made))
        return Aligned("".join(parts), tuple(origins), self.length)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Map the range ``start`` to ``end`` to the original text."""
        if start >= end:
            return (0, 0)
        after = bisect_right(self.origins, self.origins[end - 1])
        last = self.origins[after] if after < len(self.origins) else self.length
        return self.origins[start], last


@dataclass(frozen=True, slots=True)
class Unaligned:
    """A text without origins: the same steps as ``Aligned``, several times faster."""

    text: str

    def replace(
        self,
        pattern: re.Pattern[str],
        make: Callable[[re.Match[str]], str],
        *,
        moved: bool = False,
    ) -> Unaligned:
        """Replace each match of a pattern."""
        del moved
        return Unaligned(pattern.sub(make, self.text))

    def each(self, change: Callable[[str], str]) -> Unaligned:
        """Replace each character by zero or more characters."""
        return Unaligned("".join(map(change, self.text)))


def _kept(before: str, after: str) -> list[int]:
    """For each character of ``after`` its offset in ``before``, if characters were only removed."""
    offsets: list[int] = []
    place = 0
    for character in after:
        place = before.find(character, place)
        if place < 0:
            return [0] * len(after)
        offsets.append(place)
        place += 1
    return offsets
