"""An upload's text as its fields, each in parts of about a comment's length."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from quorum.models.features.normalise import as_read, normalise
from quorum.models.spam.links import Contacts, contacts_of, names_of

__all__ = ["FieldKind", "Part", "Unit", "part_of", "units_of"]


class FieldKind(StrEnum):
    """What a text is to its upload."""

    TITLE = "title"
    DESCRIPTION = "description"
    TAGS = "tags"
    COMMENT = "comment"
    FRAMES = "frames"
    SPEECH = "speech"


#: A comment or title of no more words is one part: one person says one thing in it. Each line of a
#: comment is a part as well, so that spam is found between lines that were copied from others.
_WHOLE = 120
#: Words of a line of a comment from which it is also read in windows of so many words, so far
#: apart: spam may stand between others' words that were copied onto its line.
_LONG_LINE, _WINDOW, _WINDOW_STRIDE = 30, 12, 6
#: Words of a part of anything longer; a line of no more than twice as many is not cut.
_WORDS = 25
_STRIDE = 15
#: Characters that count as one word where words are not separated.
_DENSE = 2
_MOST_PARTS = 300
_DENSE_SCRIPT = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one field.

    Attributes:
        kind: What the field is.
        raw: As it was written.
        field: The field's name in ``Text.fields``; the first one where fields are read together.
        start: Index of its first character in the field, as people read it.
        contacts: Its links, handles and numbers.
        words: The rest of it, normalised.
        told: What the models of words and meaning read: of a comment, where a link is unusual, all
            of it with placeholders for links and names; of other fields the same as ``words``.
        window: Whether it is a window of a longer line that is a part as well, or several.
    """

    kind: FieldKind
    raw: str
    field: str
    start: int
    contacts: Contacts
    words: str
    told: str
    window: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """A field, or several read as one: all tags, all lines in frames or in the sound.

    Attributes:
        kind: What it is.
        parts: Its parts, at least one.
        by_line: Whether each of its lines is a part, beside longer ones.
    """

    kind: FieldKind
    parts: tuple[Part, ...]
    by_line: bool = False

    @property
    def trained(self) -> tuple[Part, ...]:
        """The parts that a model is trained on: a window says less than what it is of."""
        return tuple(part for part in self.parts if not part.window)


def part_of(
    kind: FieldKind, raw: str, field: str = "", start: int = 0,
    names: frozenset[str] = frozenset(), *, window: bool = False,
) -> Part:  # fmt: skip
    """Read a stretch of a field."""
    contacts = contacts_of(raw, names)
    words = normalise(contacts.rest)
    told = normalise(raw) if kind is FieldKind.COMMENT and contacts.covered else words
    return Part(kind, raw, field, start, contacts, words, told, window)


def _length(text: str) -> int:
    return len(text.split()) + len(_DENSE_SCRIPT.findall(text)) // _DENSE


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    """Cut a long text at its lines into stretches of about ``_WORDS`` words."""
    start = end = words = 0
    place = 0
    for line in text.splitlines(keepends=True):
        size = _length(line)
        if words and words + size > _WORDS:
            yield start, end
            start, words = place, 0
        if size > 2 * _WORDS:
            spans = [match.span() for match in re.finditer(r"\S+", line)]
            if len(spans) > _WORDS:
                for first in range(0, max(1, len(spans) - _WORDS + _STRIDE), _STRIDE):
                    last = min(first + _WORDS, len(spans)) - 1
                    yield place + spans[first][0], place + spans[last][1]
            else:
                yield from (
                    (place + begin, min(place + begin + 120, place + len(line)))
                    for begin in range(0, len(line), 80)
                )
            start, words = place + len(line), 0
        else:
            words += size
        place += len(line)
        end = place
    if words:
        yield start, end


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Where each line that says something lies; nothing where there is one line only."""
    if "\n" in text.strip():
        yield from (match.span() for match in re.finditer(r"\S.{3,}", text))


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """Where each window of a long line lies."""
    for line in re.finditer(r"[^\n]+", text):
        words = [match.span() for match in re.finditer(r"\S+", line.group())]
        if len(words) < _LONG_LINE:
            continue
        for first in range(0, len(words) - _WINDOW + _WINDOW_STRIDE, _WINDOW_STRIDE):
            last = min(first + _WINDOW, len(words)) - 1
            yield line.start() + words[first][0], line.start() + words[last][1]


def _unit(kind: FieldKind, field: str, text: str, names: frozenset[str]) -> Unit:
    """Read a field, in the order in which people read it."""
    text = as_read(text)
    most = _WORDS if kind in (FieldKind.DESCRIPTION, FieldKind.FRAMES, FieldKind.SPEECH) else _WHOLE
    whole = _length(text) <= most
    spans = [(0, len(text))] if whole else list(_stretches(text))
    lines = list(_lines(text)) if kind is FieldKind.COMMENT else []
    told = [(start, end) for start, end in dict.fromkeys(spans + lines) if text[start:end].strip()]
    told = told[:_MOST_PARTS] or [(0, len(text))]
    windows = dict.fromkeys(_windows(text)) if kind is FieldKind.COMMENT else {}
    narrow = [span for span in windows if span not in told][: _MOST_PARTS - len(told)]
    parts = tuple(
        part_of(kind, text[start:end], field, start, names, window=place >= len(told))
        for place, (start, end) in enumerate(told + narrow)
    )
    return Unit(kind, parts, bool(lines))


def units_of(fields: Mapping[str, str], uploader: str = "") -> list[Unit]:
    """Read the fields of an upload.

    Args:
        fields: As ``Text.fields``.
        uploader: Whose upload it is; a link to a site of that name is the uploader's own.
    """
    names = names_of(uploader) | names_of(fields.get("title", ""))
    made: list[Unit] = []
    together: dict[FieldKind, list[tuple[str, str]]] = {}
    for field, text in fields.items():
        stem = field.partition("[")[0]
        if stem == "tags":
            together.setdefault(FieldKind.TAGS, []).append((field, text))
        elif stem in ("frames", "speech"):
            together.setdefault(FieldKind(stem), []).append((field, text))
        else:
            kind = FieldKind.COMMENT if stem == "comments" else FieldKind(stem)
            made.append(_unit(kind, field, text, names))
    for kind, several in together.items():
        separator = ", " if kind is FieldKind.TAGS else "\n"
        joined = separator.join(text for _, text in several)
        made.append(_unit(kind, several[0][0], joined, names))
    return made
