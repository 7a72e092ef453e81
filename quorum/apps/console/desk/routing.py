"""The desk's file: queues with their rules, rights and clocks, exposure limits, and breaks.

The first rule that matches gives a case its queue; a case that no rule matches is in the queue
``default``, so that none is lost. Rules are conditions of SQL, written once: the worker that files
cases, the list of queues and whoever takes a case ask the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import ColumnElement, String, and_, case, func, literal, or_

from quorum.aggregator.policy.expression import did_you_mean
from quorum.aggregator.policy.text import Duration
from quorum.core.errors import ConfigurationError
from quorum.core.territories import why_no_territory
from quorum.core.yaml_files import line_of, read_yaml, tree_of
from quorum.store.ledger.console_schema import tasks

__all__ = [
    "DEFAULT",
    "Breaks",
    "Desk",
    "DeskQueue",
    "Exposure",
    "ExposureLimit",
    "When",
    "load_desk",
]

#: The queue of what no rule matches.
DEFAULT: Final = "default"
EVERYWHERE: Final = "everywhere"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _territory(value: str) -> str:
    if value == EVERYWHERE:
        return value
    if why := why_no_territory(value):
        raise ValueError(why)
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"there is no time zone `{value}`; write one such as UTC or Europe/Berlin"
        raise ValueError(msg) from None
    return value


_Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
_Category = Annotated[str, Field(min_length=1, max_length=256)]
_Kind = Literal["review", "second", "double", "appeal", "report", "notice"]
_Taking = Literal["reviewer", "lead", "admin"]


class When(_Section):
    """What a queue takes; all that is given must hold, and of a list one.

    Attributes:
        category: Categories of the verdict; ``none`` for a verdict without one.
        language: Languages of the upload, such as ``de``, which takes ``de-AT`` as well.
        territory: Territories that the upload names; ``everywhere`` if it names none.
        severity: At least this severity, from 1 to 5.
        reach: At least so many views or followers.
        older_than: Open for longer than this.
        kind: Why a person looks at it.
    """

    category: Annotated[tuple[_Category, ...], Field(min_length=1)] | None = None
    language: (
        Annotated[tuple[Annotated[str, Field(pattern="^[a-z]{2,3}$")], ...], Field(min_length=1)]
        | None
    ) = None
    territory: (
        Annotated[tuple[Annotated[str, AfterValidator(_territory)], ...], Field(min_length=1)]
        | None
    ) = None
    severity: Annotated[int, Field(ge=1, le=5)] | None = None
    reach: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    older_than: Duration | None = None
    kind: Annotated[tuple[_Kind, ...], Field(min_length=1)] | None = None

    def condition(self, at: datetime) -> ColumnElement[bool]:
        """The condition of SQL on a task at a time."""
        return and_(literal(True), *self._parts(at))

    def _parts(self, at: datetime) -> Iterator[ColumnElement[bool]]:
        t = tasks.c
        if self.category is not None:
            named = [one for one in self.category if one != "none"]
            without = [t.category.is_(None)] if "none" in self.category else []
            yield or_(t.category.in_(named), *without)
        if self.language is not None:
            spoken = func.lower(func.coalesce(t.language, ""))
            yield or_(
                *(or_(spoken == one, spoken.like(f"{one}-%")) for one in self.language),
            )
        if self.territory is not None:
            yield or_(
                *(
                    t.territories == "" if one == EVERYWHERE else t.territories.contains(f",{one},")
                    for one in self.territory
                )
            )
        if self.severity is not None:
            yield t.severity >= self.severity
        if self.reach is not None:
            yield func.coalesce(t.reach, 0.0) >= self.reach
        if self.older_than is not None:
            yield t.opened_at < at - timedelta(seconds=self.older_than)
        if self.kind is not None:
            yield t.kind.in_(self.kind)


class DeskDefault(_Section):
    """The queue of what no rule matches: a person always may take it.

    Attributes:
        answer_within: The time to a decision; None for that of the category.
    """

    answer_within: Duration | None = None


class DeskQueue(_Section):
    """A queue.

    Attributes:
        name: Its name.
        when: What it takes.
        roles: The roles that may take from it.
        skills: The skills that a reviewer needs, all of them.
        answer_within: The time to a decision; None for that of the category.
    """

    name: _Name
    when: When
    roles: Annotated[tuple[_Taking, ...], Field(min_length=1)] = ("reviewer", "lead", "admin")
    skills: tuple[_Name, ...] = ()
    answer_within: Duration | None = None


class ExposureLimit(_Section):
    """How long a reviewer may look at some categories on a day.

    Attributes:
        name: What reviewers read.
        categories: The categories.
        minutes_a_day: The limit.
        warn_at: The share of it at which the reviewer is told.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    categories: Annotated[tuple[_Category, ...], Field(min_length=1)]
    minutes_a_day: Annotated[float, Field(gt=0, le=1440, allow_inf_nan=False)]
    warn_at: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.8


class Exposure(_Section):
    """Limits of exposure to graphic material.

    Attributes:
        time_zone: Where a reviewer's day begins.
        limits: The limits.
    """

    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    limits: tuple[ExposureLimit, ...] = ()

    def day(self, at: datetime) -> str:
        """The day of a time, such as 2026-01-31."""
        return at.astimezone(ZoneInfo(self.time_zone)).date().isoformat()


class Breaks(_Section):
    """When a reviewer rests.

    Attributes:
        after: Seconds of work after which a break is due.
        rest: Seconds of the break.
    """

    after: Duration
    rest: Duration


class Desk(_Section):
    """How the work is divided and limited; the defaults divide and limit nothing."""

    queues: tuple[DeskQueue, ...] = ()
    default: DeskDefault = DeskDefault()
    exposure: Exposure = Exposure()
    breaks: Breaks | None = None

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [one.name for one in self.queues]
        for name in names:
            if name == DEFAULT:
                msg = "`default` is the queue of what no rule matches; choose another name"
                raise ValueError(msg)
            if names.count(name) > 1:
                msg = f"two queues are called `{name}`; give each a name of its own"
                raise ValueError(msg)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """All queues in the order of their rules, the default one last."""
        return (*(one.name for one in self.queues), DEFAULT)

    def routed(self, at: datetime) -> ColumnElement[str]:
        """The queue of a task by the rules, as an expression of SQL."""
        found = [(one.when.condition(at), literal(one.name, String(64))) for one in self.queues]
        default = literal(DEFAULT, String(64))
        return case(*found, else_=default) if found else default

    def within(self, name: str) -> timedelta | None:
        """The time to a decision in a queue; None for that of the category."""
        seconds = self.default.answer_within
        for one in self.queues:
            if one.name == name:
                seconds = one.answer_within
        return None if seconds is None else timedelta(seconds=seconds)

    def forbidden(self, role: str, skills: Collection[str]) -> tuple[str, ...]:
        """The queues that somebody of a role and with some skills may not take from."""
        return tuple(
            one.name
            for one in self.queues
            if role not in one.roles or not set(one.skills) <= set(skills)
        )

    def in_queue(self, name: str, at: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        """The conditions that a task is filed in a queue, and that it will be."""
        t = tasks.c
        return t.queue == name, and_(t.queue.is_(None), self.routed(at) == name)

    def in_none_of(self, names: Collection[str], at: datetime) -> list[ColumnElement[bool]]:
        """The conditions that a task is in none of some queues."""
        if not names:
            return []
        t = tasks.c
        return [
            or_(t.queue.is_(None), t.queue.not_in(names)),
            or_(t.queue.is_not(None), self.routed(at).not_in(names)),
        ]


def load_desk(path: Path, categories: Collection[str]) -> Desk:
    """Read the desk's file.

    Args:
        path: The YAML file.
        categories: The categories of the policy.

    Raises:
        ConfigurationError: If the file cannot be read, or has what is unknown; the text names the
            file, each line and the mend.
    """
    data, text = read_yaml(path, f"cannot read the desk {path}")
    tree = tree_of(text)
    try:
        found = Desk.model_validate({} if data is None else data)
    except ValidationError as error:
        wrong = [
            f"{path}:{line_of(tree, item['loc'])}: {_problem(item)}"
            for item in error.errors(include_url=False)
        ]
        raise ConfigurationError("\n".join(wrong)) from None
    wrong = [
        f"{path}:{line_of(tree, place)}: the policy has no category `{name}`"
        f"{did_you_mean(name, categories)}; it has {', '.join(sorted(categories))}"
        for place, name in _categories(found)
        if name not in categories
    ]
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    return found


def _categories(desk: Desk) -> Iterator[tuple[tuple[int | str, ...], str]]:
    for number, queue in enumerate(desk.queues):
        for place, name in enumerate(queue.when.category or ()):
            if name != "none":
                yield ("queues", number, "when", "category", place), name
    for number, limit in enumerate(desk.exposure.limits):
        for place, name in enumerate(limit.categories):
            yield ("exposure", "limits", number, "categories", place), name


#: What each part of the file may have, by the last name before it.
_PARTS: Final[dict[str, type[BaseModel]]] = {
    "queues": DeskQueue,
    "when": When,
    "default": DeskDefault,
    "exposure": Exposure,
    "limits": ExposureLimit,
    "breaks": Breaks,
}


def _problem(item: Any) -> str:
    path = item["loc"]
    name = ".".join(str(part) for part in path)
    if item["type"] == "extra_forbidden":
        above = next((part for part in reversed(path[:-1]) if isinstance(part, str)), "")
        known = list(_PARTS.get(above, Desk).model_fields)
        hint = did_you_mean(str(path[-1]), known)
        return f"{name}: unknown setting{hint}; there are {', '.join(known)}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "literal_error":
        known = str(item["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        message += did_you_mean(str(item["input"]), known)
    return f"{name}: {message}" if name else message
