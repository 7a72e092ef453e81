"""Groups: cases that wait and have something in common."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, exists, func, or_, select

from quorum.apps.console.desk.likeness import ALIKE, links_of, resemblance
from quorum.apps.console.desk.tasks import ReviewTask, task_from_row
from quorum.core.messages import Upload, digest
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import golden_answers, likeness_keys, sketches, tasks
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.statements import in_chunks

__all__ = [
    "KINDS",
    "MOST",
    "Group",
    "LargestGroups",
    "Members",
    "SizedGroup",
    "decided_one_by_one",
    "groups_of",
    "members_of",
    "sort_out",
]

#: The most cases of one decision, and so of one page.
MOST: Final = 1000
#: The most cases that are read of one group, so that the size of a wave does not slow its page.
READ: Final = 2 * MOST
#: From this size on a group is shown in the queue.
_LEAST: Final = 3
_SHOWN: Final = 8
_SECONDS: Final = 20.0

#: What the members of a group have in common, most telling first.
KINDS: Final = ("wave", "text", "media", "work", "link", "site", "uploader")


@dataclass(frozen=True, slots=True)
class Group:
    """Cases with something in common.

    Attributes:
        by: One of ``KINDS``.
        of: Of ``text`` and ``media`` an upload that has it; else the campaign, work, link, host or
            uploader.
    """

    by: str
    of: str


@dataclass(frozen=True, slots=True)
class SizedGroup:
    """A group with the number of its cases that wait.

    Attributes:
        group: The group.
        label: The text, link or name that the cases have in common.
        size: How many wait, up to ``MOST``.
        more: Whether there are more.
    """

    group: Group
    label: str
    size: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Members:
    """The cases of a group that wait.

    Attributes:
        tasks: Those that one decision may take, most expected harm first, as many as asked for.
        left_out: How many more wait that are decided one by one: second reviews, appeals, golden
            cases.
        more: Whether the group has more cases than were read.
        resemblance: Of a group by text, how alike each upload's text is to the named one's.
        size: How many tasks there are.
        categories: Their categories.
    """

    tasks: tuple[ReviewTask, ...]
    left_out: int
    more: bool
    resemblance: dict[str, float]
    size: int = 0
    categories: frozenset[str | None] = frozenset()

    @classmethod
    def of(cls, found: Sequence[ReviewTask], left_out: int, *, more: bool, shown: int) -> Members:
        """Those of tasks that were all read, with the first of them."""
        harms = frozenset(one.category for one in found)
        return cls(tuple(found[:shown]), left_out, more, {}, len(found), harms)


def decided_one_by_one(connection: Connection, found: Iterable[ReviewTask]) -> set[str]:
    """The ids of those tasks that no decision on many cases may take."""
    listed = list(found)
    special = {
        one.id
        for one in listed
        if one.kind != "review" or one.not_for is not None or one.only_for is not None
    }
    ids = sorted({one.upload_id for one in listed})
    known: set[str] = set()
    for chunk in in_chunks(ids):
        key = golden_answers.c.upload_id
        known.update(connection.execute(select(key).where(key.in_(chunk))).scalars())
    return special | {one.id for one in listed if one.upload_id in known}


def sort_out(
    connection: Connection, found: Sequence[ReviewTask], reader: str
) -> tuple[list[ReviewTask], int]:
    """Separate the tasks that one decision may take; the others are counted.

    Others' golden cases and measurements are neither shown nor counted: nobody must recognise them.
    """
    seen = [one for one in found if one.only_for in (None, reader)]
    special = decided_one_by_one(connection, seen)
    return [one for one in seen if one.id not in special], len(special)


def members_of(connection: Connection, group: Group, reader: str, shown: int = READ) -> Members:
    """The cases of a group that wait.

    Args:
        connection: A connection.
        group: The group.
        reader: Who asks.
        shown: How many of them are read in full.
    """
    query = _waiting(connection, group)
    if query is None:
        return Members((), 0, more=False, resemblance={})
    t = tasks.c
    golden = exists().where(golden_answers.c.upload_id == t.upload_id)
    alone = or_(t.kind != "review", t.not_for.is_not(None), t.only_for.is_not(None), golden)
    # Of most members only this is read: sizes are of thousands, pages of a hundred.
    narrow = query.with_only_columns(
        t.id, t.upload_id, t.only_for, t.category, alone.label("alone")
    )
    rows = connection.execute(narrow.order_by(t.harm.desc(), t.id.desc()).limit(READ + 1)).all()
    found = rows[:READ]
    alike: dict[str, float] = {}
    if group.by == "text":
        alike = _resemblance(connection, group.of, [row.upload_id for row in found])
        found = [row for row in found if row.upload_id in alike]
    kept = [row for row in found if not row.alone]
    left_out = sum(1 for row in found if row.alone and row.only_for in (None, reader))
    return Members(
        _in_full(connection, [row.id for row in kept[:shown]]),
        left_out,
        more=len(rows) > READ,
        resemblance=alike,
        size=len(kept),
        categories=frozenset(row.category for row in kept),
    )


def _in_full(connection: Connection, ids: Sequence[str]) -> tuple[ReviewTask, ...]:
    """These tasks, in their order."""
    found: dict[str, ReviewTask] = {}
    for chunk in in_chunks(ids):
        query = select(tasks).where(tasks.c.id.in_(chunk))
        found |= {row.id: task_from_row(row) for row in connection.execute(query).all()}
    return tuple(found[one] for one in ids)


def _waiting(connection: Connection, group: Group) -> Select[Any] | None:
    """The query of the open tasks of a group; None if nothing has what its members have."""
    t = tasks.c
    query = select(tasks).where(t.state == "open")
    if group.by == "uploader":
        return query.where(t.uploader == group.of)
    keys = _keys(connection, group)
    if not keys:
        return None
    k = likeness_keys.c
    return query.where(t.upload_id.in_(select(k.upload_id).where(k.key.in_(keys))))


def _keys(connection: Connection, group: Group) -> list[str]:
    if group.by in ("wave", "work", "site"):
        return [f"{group.by}:{group.of}"[:300]]
    if group.by == "link":
        return [f"link:{digest(group.of)}"]
    kinds = {"text": ("text:", "near:"), "media": ("media:",)}.get(group.by, ())
    k = likeness_keys.c
    rows = connection.execute(select(k.key).where(k.upload_id == group.of)).scalars()
    return [key for key in rows if key.startswith(kinds)] if kinds else []


def _resemblance(connection: Connection, upload_id: str, found: Sequence[str]) -> dict[str, float]:
    """Those of the uploads whose texts are alike, with how much."""
    k = likeness_keys.c
    exact = select(k.key).where(k.upload_id == upload_id, k.key.like("text:%"))
    same = set(connection.execute(select(k.upload_id).where(k.key.in_(exact))).scalars())
    alike = {one: 1.0 for one in found if one in same}
    s = sketches.c
    here = connection.execute(
        select(s.sketch).where(s.upload_id == upload_id, s.sketch.is_not(None))
    ).scalar()
    rest = sorted(set(found) - alike.keys())
    if here is None or not rest:
        return alike
    for chunk in in_chunks(rest):
        query = select(s.upload_id, s.sketch).where(s.upload_id.in_(chunk), s.sketch.is_not(None))
        rows = connection.execute(query).all()
        for row, value in zip(rows, resemblance(here, [row.sketch for row in rows]), strict=True):
            if value >= ALIKE:
                alike[row.upload_id] = value
    return alike


def groups_of(connection: Connection, upload_id: str, reader: str) -> list[SizedGroup]:
    """The groups of a case in which others wait, most telling first."""
    upload = load_cases(connection, [upload_id], ("upload",))[0].upload
    if upload is None:
        return []
    k = likeness_keys.c
    keys = list(connection.execute(select(k.key).where(k.upload_id == upload_id)).scalars())
    asked = [Group("wave", key[5:]) for key in keys if key.startswith("wave:")]
    asked += [Group("text", upload_id)] if any(key.startswith("text:") for key in keys) else []
    asked += [Group("media", upload_id)] if upload.media else []
    asked += [Group("work", key[5:]) for key in keys if key.startswith("work:")]
    links = links_of(upload)
    asked += [Group("link", link) for link in links]
    asked += [Group("site", site) for site in dict.fromkeys(links.values())]
    asked.append(Group("uploader", upload.uploader))
    found = []
    for group in asked:
        label = upload.title if group.by in ("wave", "text", "media") else group.of
        counted = _sized(connection, group, label, reader, upload_id)
        if counted is not None:
            found.append(counted)
    return found


def _sized(
    connection: Connection, group: Group, label: str, reader: str, upload_id: str
) -> SizedGroup | None:
    """The group with its size; None if no other case of it waits."""
    if group.by == "text":
        # Sketches tell which are alike; for the others the number of rows is enough.
        listed = members_of(connection, group, reader, shown=2)
        waiting, more = listed.size, listed.more
        others = any(one.upload_id != upload_id for one in listed.tasks)
    else:
        query = _waiting(connection, group)
        if query is None:
            return None
        t = tasks.c
        few = query.where(t.kind == "review", t.not_for.is_(None), t.only_for.is_(None))
        ids = few.with_only_columns(t.upload_id).limit(MOST + 1)
        found = list(connection.execute(ids).scalars())
        waiting, more = len(found), len(found) > MOST
        others = any(one != upload_id for one in found)
    if not others:
        return None
    return SizedGroup(group, label, min(waiting, MOST), more or waiting > MOST)


class LargestGroups:
    """The largest groups of cases that wait, counted at most every 20 seconds.

    Args:
        ledger: The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._found: tuple[SizedGroup, ...] = ()
        self._at = float("-inf")

    def current(self) -> tuple[SizedGroup, ...]:
        """The largest groups, largest first."""
        with self._lock:
            if time.monotonic() - self._at > _SECONDS:
                self._found = self._ledger.transact(_largest)
                self._at = time.monotonic()
            return self._found


def _largest(connection: Connection) -> tuple[SizedGroup, ...]:
    t, k = tasks.c, likeness_keys.c
    size = func.count().label("size")
    waits = (t.state == "open", t.kind == "review", t.not_for.is_(None), t.only_for.is_(None))
    shared = (
        select(k.key, size, func.min(k.upload_id).label("one"))
        .join(tasks, t.upload_id == k.upload_id)
        .where(*waits)
        .group_by(k.key)
        .having(size >= _LEAST)
        .order_by(size.desc(), k.key)
        .limit(20 * _SHOWN)
    )
    by_uploader = (
        select(t.uploader, size)
        .where(*waits, t.uploader.is_not(None))
        .group_by(t.uploader)
        .having(size >= _LEAST)
        .order_by(size.desc(), t.uploader)
        .limit(_SHOWN)
    )
    found: list[SizedGroup] = []
    rows = sorted(
        connection.execute(shared),
        key=lambda row: (not row.key.startswith("wave:"), -row.size, _rank(row.key), row.key),
    )
    known = {
        one.upload_id: one.upload
        for one in load_cases(connection, sorted({row.one for row in rows}), ("upload",))
    }
    texts: list[bytes] = []
    taken: set[tuple[str, int]] = set()
    for row in rows:
        upload = known.get(row.one)
        group = None if upload is None else _group(row.key, upload)
        # A wave has one text, one link and one site: it is shown once, as what tells most.
        if group is None or (row.one, row.size) in taken:
            continue
        if group[0].by in ("wave", "text"):
            # A campaign is shown as itself, and not once more as a text.
            new = _new_text(connection, row.one, texts)
            if group[0].by == "text" and not new:
                continue
        taken.add((row.one, row.size))
        found.append(SizedGroup(*group, min(row.size, MOST), row.size > MOST))
    found += [
        SizedGroup(Group("uploader", row.uploader), row.uploader, min(row.size, MOST),
                   row.size > MOST)
        for row in connection.execute(by_uploader)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: -one.size)[:_SHOWN])


def _rank(key: str) -> int:
    kind = key.partition(":")[0]
    return KINDS.index("text" if kind == "near" else kind)


def _group(key: str, upload: Upload) -> tuple[Group, str] | None:
    """The group of a key, and its label."""
    kind, _, rest = key.partition(":")
    if kind in ("text", "near"):
        return Group("text", upload.id), upload.title
    if kind == "media":
        return Group("media", upload.id), upload.title
    if kind == "wave":
        return Group("wave", rest), upload.title
    if kind == "link":
        link = next((one for one in links_of(upload) if digest(one) == rest), None)
        return None if link is None else (Group("link", link), link)
    return Group(kind, rest), rest


def _new_text(connection: Connection, upload_id: str, texts: list[bytes]) -> bool:
    """Whether an upload's text is like none of these, to which it is then added."""
    query = select(sketches.c.sketch).where(sketches.c.upload_id == upload_id)
    sketch = connection.execute(query).scalar()
    if sketch is None:
        return True
    if max(resemblance(sketch, texts), default=0.0) >= ALIKE:
        return False
    texts.append(sketch)
    return True
