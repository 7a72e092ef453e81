"""Templates of the letters of legal notices: those that ship, and a team's own before them.

A template is text with fields in braces. Code in one, a field that its event leaves empty, and a
letter without what the law has it say are refused at the start, with file and line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from quorum.core.errors import ConfigurationError
from quorum.core.text_templates import code_in, unknown_field
from quorum.core.yaml_files import line_of, read_model

__all__ = [
    "ELEMENT_NAMES",
    "EVENTS",
    "FIELDS",
    "LetterTemplate",
    "Letters",
    "Side",
    "Words",
    "load_letters",
    "shipped_file",
]

Side = Literal["complainant", "uploader"]
SIDES: Final[tuple[Side, ...]] = get_args(Side)
NoticeKind = Literal["intimate", "copyright", "counter"]
Event = Literal[
    "received",
    "invalid",
    "admitted",
    "removed",
    "rejected",
    "countered",
    "accepted",
    "suit",
    "restored",
]

_BOTH: Final = ("received", "invalid", "admitted", "rejected")
#: By kind the events after which somebody may be told something.
EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "intimate": (*_BOTH, "removed"),
    "copyright": (*_BOTH, "removed", "countered", "suit", "restored"),
    "counter": (*_BOTH, "accepted", "suit", "restored"),
}

#: The fields of a letter, each with what takes its place.
FIELDS: Final[Mapping[str, str]] = {
    "what": "what was sent, such as copyright notice",
    "content": "the upload's id, or its address",
    "notice": "the beginning of the notice's id",
    "date": "the day of the event, as 2026-01-31",
    "due": "when it is answered, or put back at last",
    "earliest": "before this nothing is put back",
    "asks": "what the law asks for and the notice has not",
    "counter_asks": "what the law asks of a counter-notice",
}
#: Fields that only some events fill in.
_ONLY_AFTER: Final[Mapping[str, tuple[str, ...]]] = {
    "due": ("received", "admitted", "countered", "accepted"),
    "earliest": ("countered", "accepted"),
    "asks": ("invalid",),
}
#: What a letter must say: by event the fields.
_MUST: Final[Mapping[str, tuple[str, ...]]] = {
    "invalid": ("asks",),
    "countered": ("earliest", "due"),
    "accepted": ("earliest", "due"),
}

#: What laws ask of notices, by name; see ``ELEMENTS`` of ``validity``.
ElementName = Literal[
    "signature", "work", "material", "contact", "good_faith", "accurate", "jurisdiction"
]
ELEMENT_NAMES: Final[tuple[str, ...]] = get_args(ElementName)

Language = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
Text = Annotated[str, Field(min_length=1, max_length=4000)]


class LetterTemplate(BaseModel):
    """What one side is told after an event.

    Attributes:
        to: ``complainant`` or ``uploader``.
        event: What happened.
        text: The text, with fields such as ``{content}``.
        kind: The kind of notice; None for all.
        language: The language of who is told, such as ``de``; None for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: Side
    event: Event
    text: Text
    kind: NoticeKind | None = None
    language: Language | None = None

    @property
    def key(self) -> tuple[str, str | None, str, str | None]:
        """What no two templates of a file have in common."""
        return self.to, self.kind, self.event, self.language

    @model_validator(mode="after")
    def _said(self) -> Self:
        if (code := code_in(self.text)) is not None:
            _refuse(
                "`{at}` is no field: a letter is words and fields in braces, and nothing in it is "
                "run; there are " + _braced(FIELDS),
                code,
            )
        if (name := unknown_field(self.text, FIELDS)) is not None:
            _refuse("there is no field {at}; there are " + _braced(FIELDS), f"{{{name}}}")
        for name, events in _ONLY_AFTER.items():
            if f"{{{name}}}" in self.text and self.event not in events:
                _refuse(
                    f"{{at}} is empty after {self.event}: it is for {', '.join(events)}",
                    f"{{{name}}}",
                )
        for name in _MUST.get(self.event, ()):
            if f"{{{name}}}" not in self.text:
                msg = f"a letter after {self.event} must have {{{name}}}: {FIELDS[name]}"
                raise ValueError(msg)
        if self.to == "complainant" and self.kind == "counter":
            msg = "a counter-notice has no complainant; they are told by `kind: copyright`, "
            raise ValueError(msg + "`event: countered`")
        if self.kind is not None and self.event not in EVENTS[self.kind]:
            msg = f"{self.kind} has no {self.event}; there are {', '.join(EVENTS[self.kind])}"
            raise ValueError(msg)
        return self


class Words(BaseModel):
    """Words of a language that take the place of fields.

    Attributes:
        language: The language, such as ``de``.
        what: What was sent, by its kind.
        asks: What the law asks for, by kind and element.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: Language
    what: Mapping[NoticeKind, Text] = {}
    asks: Mapping[
        NoticeKind,
        Mapping[ElementName, Text],
    ] = {}


class LetterFile(BaseModel):
    """A file of letters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    letters: tuple[LetterTemplate, ...] = ()
    words: tuple[Words, ...] = ()


@dataclass(frozen=True, slots=True)
class Letters:
    """A team's own templates; those that ship stand where it has none.

    Attributes:
        own: The templates.
        words: Words of other languages, by the language.
    """

    own: tuple[LetterTemplate, ...] = ()
    words: Mapping[str, Words] | None = None

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that some template is for."""
        return tuple(sorted({one.language for one in self.own if one.language is not None}))

    def find(self, to: str, kind: str, event: str, language: str | None) -> LetterTemplate | None:
        """The template of a letter; None where nobody is told anything.

        The language goes first, then the kind; what a team wrote goes before what ships.

        Args:
            to: The side.
            kind: The kind of notice.
            event: What happened.
            language: The language of who is told, such as ``de-AT``; None if it is not known.
        """
        if to == "complainant" and kind == "counter":
            return None
        short = (language or "").split("-")[0].lower() or None
        for wanted in dict.fromkeys((short, None)):
            for of_kind in (kind, None):
                for one in self.own:
                    if one.key == (to, of_kind, event, wanted):
                        return one
        for of_kind in (kind, None):
            for one in _shipped():
                if one.key == (to, of_kind, event, None):
                    return one
        return None

    def every(self) -> Iterator[tuple[Side, str, str, str | None, LetterTemplate]]:
        """All letters that may be sent: side, kind, event, language, template."""
        for kind, events in EVENTS.items():
            for event in events:
                for side in SIDES:
                    seen: list[LetterTemplate] = []
                    for language in (None, *self.languages):
                        found = self.find(side, kind, event, language)
                        if found is not None and found not in seen:
                            seen.append(found)
                            yield side, kind, event, language, found


def shipped_file() -> Path:
    """The file of the letters that ship."""
    return Path(__file__).with_name("letters.yaml")


@cache
def _shipped() -> tuple[LetterTemplate, ...]:
    return read_model(LetterFile, shipped_file(), "cannot read")[0].letters


def load_letters(path: Path) -> Letters:
    """Read a team's letters.

    Args:
        path: The YAML file.

    Raises:
        ConfigurationError: If the file cannot be read, or has what is refused; the text names the
            file, the line and the mend.
    """
    found, tree = read_model(LetterFile, path, f"cannot read the letters {path}")
    keys = [one.key for one in found.letters]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            line = line_of(tree, ("letters", number))
            told = ", ".join(str(part) for part in key if part is not None)
            msg = f"{path}:{line}: two letters are for {told}; keep one of them"
            raise ConfigurationError(msg)
    names = [one.language for one in found.words]
    for number, name in enumerate(names):
        if name in names[:number]:
            line = line_of(tree, ("words", number))
            msg = f"{path}:{line}: the words of {name} are there twice; keep one of them"
            raise ConfigurationError(msg)
    return Letters(found.letters, {one.language: one for one in found.words})


def _braced(names: Mapping[str, str]) -> str:
    return ", ".join(f"{{{one}}}" for one in names)


def _refuse(message: Any, part: str) -> None:
    """Refuse a template, with the part whose line is told."""
    kind: Any = "letter"
    raise PydanticCustomError(kind, message, {"at": part})
