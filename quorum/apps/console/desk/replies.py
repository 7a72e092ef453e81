"""Replies to uploaders in a reviewer's words: templates with fields, and macros that fill a form.

They are read from a YAML file at the start. A template is text: the fields in braces that it may
have are replaced, and everything else, such as code, stays as it is written. Nothing is executed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from quorum.aggregator.policy.categories import Category
from quorum.apps.console.desk.tasks import ReviewTask
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action, now
from quorum.core.text_templates import filled_in, unknown_field
from quorum.core.yaml_files import line_of, read_model

__all__ = [
    "FIELDS",
    "MAX_REPLY",
    "Macro",
    "Replies",
    "Replying",
    "Template",
    "filled",
    "load_replies",
    "no_reply",
    "replier",
]

#: Characters of a reply with its fields filled in.
MAX_REPLY: Final = 4000

#: The fields of a template, each with what takes its place.
FIELDS: Final[Mapping[str, str]] = {
    "title": "the upload's title",
    "upload": "the upload's id",
    "uploader": "the uploader",
    "category": "the category",
    "reference": "the rule or law that the category names",
    "explanation": "what the category says in words",
    "date": "today, as 2026-01-31 (UTC)",
}

#: The reply to an uploader, for a task and the category that was decided; None for none.
Replying = Callable[[ReviewTask, str | None], str | None]


def _known_fields(text: str) -> str:
    if (name := unknown_field(text, FIELDS)) is not None:
        known = ", ".join(f"{{{one}}}" for one in FIELDS)
        msg = f"there is no field {{{name}}}; there are {known}"
        raise ValueError(msg)
    return text


_Name = Annotated[str, Field(min_length=1, max_length=80)]
_Text = Annotated[str, Field(min_length=1, max_length=MAX_REPLY), AfterValidator(_known_fields)]


class Template(BaseModel):
    """A reply that reviewers choose.

    Attributes:
        name: What reviewers see.
        text: The text, with fields such as ``{title}``.
        category: The category that it is for; None for all.
        language: The language of the uploads that it is for, such as ``de``; None for all.
        to: Whom it is for: an uploader, one who appeals, or both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    text: _Text
    category: str | None = None
    language: Annotated[str, Field(pattern="^[a-z]{2,3}$")] | None = None
    to: Literal["uploader", "appellant", "both"] = "both"


class Macro(BaseModel):
    """What one press fills in: a category, a note, a reply, and the action that is proposed.

    Attributes:
        name: What reviewers see.
        action: The action whose button is focused; it is the reviewer who presses it.
        category: The category.
        note: The note for other reviewers.
        template: The name of the reply.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    action: Action
    category: str | None = None
    note: Annotated[str, Field(max_length=MAX_REPLY)] = ""
    template: str | None = None


class Replies(BaseModel):
    """The templates and macros of a console."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    templates: tuple[Template, ...] = ()
    macros: tuple[Macro, ...] = ()

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [one.name for one in self.templates]
        for name in names:
            if names.count(name) > 1:
                msg = f"two templates are called {name!r}; give each a name of its own"
                raise ValueError(msg)
        for one in self.macros:
            if one.template is not None and one.template not in names:
                msg = f"the macro {one.name!r} names no template: there is no {one.template!r}"
                raise ValueError(msg)
        return self

    def for_case(self, language: str | None, *, appeal: bool) -> tuple[Template, ...]:
        """The templates for a case, those of its language first.

        Args:
            language: The language of the upload; None if it is unknown or there are several.
            appeal: Whether the reply goes to one who appeals.
        """
        short = (language or "").split("-")[0].lower()
        other = "uploader" if appeal else "appellant"
        fitting = [
            one
            for one in self.templates
            if one.to != other and (not short or one.language in (None, short))
        ]
        return tuple(sorted(fitting, key=lambda one: one.language != short))

    def text_of(self, macro: Macro) -> str:
        """The reply of a macro, with its fields; empty for none."""
        return next((one.text for one in self.templates if one.name == macro.template), "")


def load_replies(path: Path, categories: Collection[str]) -> Replies:
    """Read the templates and macros of a file.

    Args:
        path: The YAML file.
        categories: The categories of the policy.

    Raises:
        ConfigurationError: If the file cannot be read, or has what is unknown; the text names the
            file, the line and the mend.
    """
    found, tree = read_model(Replies, path, f"cannot read the replies {path}")
    named = [(("templates", n), one.category) for n, one in enumerate(found.templates)]
    named += [(("macros", n), one.category) for n, one in enumerate(found.macros)]
    for place, category in named:
        if category is not None and category not in categories:
            line = line_of(tree, (*place, "category"))
            known = ", ".join(sorted(categories))
            msg = f"{path}:{line}: the policy has no category {category!r}; it has {known}"
            raise ConfigurationError(msg)
    return found


def filled(
    text: str, task: ReviewTask, category: str | None, categories: Mapping[str, Category]
) -> str:
    """A text with its fields replaced; what is no field stays as it is.

    Args:
        text: The template.
        task: The case.
        category: The category that is decided.
        categories: The categories of the policy.
    """
    known = categories.get(category or "")
    values = {
        "title": task.title,
        "upload": task.upload_id,
        "uploader": task.uploader or "",
        "category": category or "",
        "reference": "" if known is None else known.reference,
        "explanation": "" if known is None else known.explanation,
        "date": now().date().isoformat(),
    }
    return filled_in(text, values)


def replier(text: str, categories: Mapping[str, Category]) -> Replying:
    """What makes the reply of each case that one form decides."""
    if not text.strip():
        return no_reply
    return lambda task, category: filled(text, task, category, categories) or None


def no_reply(_task: ReviewTask, _category: str | None) -> None:
    """No reply."""
