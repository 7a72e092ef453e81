"""The names of campaigns where each key is counted in a place of its own.

A name travels between the keys that a member has in common with others, so what gives names must
know all of them: one place does, and only members come to it.
"""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any, Final, NamedTuple

from quorum.aggregator.features.waves import MAX_EARLIER, Before, Marks, Sign, marks_keep, named
from quorum.aggregator.policy.values import Feature
from quorum.core.messages import Campaign

__all__ = ["Names", "Sighting"]

#: Keys with a name, of one wave; the one that was marked longest ago gives way.
_MOST_KEYS: Final = 10_000
#: Members that are remembered, of one wave, as they are in the past of other keys.
_MOST_MEMBERS: Final = 10 * MAX_EARLIER


class Sighting(NamedTuple):
    """An upload that is part of a wave.

    Attributes:
        wave: The feature.
        upload_id: The upload.
        second: When it was published.
        edge: Where its window ends.
        new: Whether it came for the first time.
        partly: Whether it has keys that are no sign.
        signs: Its keys that are.
    """

    wave: Feature
    upload_id: str
    second: int
    edge: int
    new: bool
    partly: bool
    signs: tuple[Sign, ...]

    def row(self) -> list[Any]:
        """As values of JSON, for ``of_row``."""
        return [astuple(self.wave), *self[1:]]

    @classmethod
    def of_row(cls, row: list[Any]) -> Sighting:
        """Read a row."""
        wave, upload_id, second, edge, new, partly, signs = row
        read = tuple(
            Sign(key, uploads, uploaders, [(at, one) for at, one in before])
            for key, uploads, uploaders, before in signs
        )
        return cls(Feature(*wave), upload_id, second, edge, new, partly, read)


class Names:
    """The names of all campaigns, as bytes between two uploads.

    Args:
        data: From ``to_bytes``; None for none.
    """

    def __init__(self, data: bytes | None = None) -> None:
        self._marks: dict[str, dict[int, Marks]] = {}
        self._members: dict[str, list[Before]] = {}
        for wave, keys, members in json.loads(data) if data else ():
            self._marks[wave] = {
                key: Marks((at, (since, name)) for at, (since, name) in marks)
                for key, marks in keys
            }
            self._members[wave] = [(at, one) for at, one in members]

    def to_bytes(self) -> bytes:
        """What is kept."""
        kept = [
            (wave, [(key, one.names) for key, one in keys.items()], self._members[wave])
            for wave, keys in self._marks.items()
        ]
        return json.dumps(kept).encode()

    def take(self, seen: Sighting) -> Campaign:
        """The campaign of an upload; marks its keys."""
        wave = seen.wave
        keys = self._marks.setdefault(wave.key, {})
        members = self._members.setdefault(wave.key, [])
        known = {upload_id for _, upload_id in members}
        signs = [
            one._replace(before=[two for two in one.before if two[1] not in known])
            for one in seen.signs
        ]
        found = [keys[one.key] for one in signs if one.key in keys]
        names = [one.name(seen.edge, wave.over) for one in found]
        name, campaign = named(wave, signs, names, seen.second, seen.edge)
        if seen.new:
            for one in signs:
                marks = keys.pop(one.key, None) or Marks()
                marks.mark(seen.second, name, marks_keep(wave))
                keys[one.key] = marks
            if seen.partly:
                members.append((seen.second, seen.upload_id))
            self._forget(wave, seen.second)
        return campaign

    def _forget(self, wave: Feature, second: int) -> None:
        begin = second - int(wave.over) - 2 * marks_keep(wave)
        keys = self._marks[wave.key]
        while keys and ((first := next(iter(keys.items())))[1].names[-1][0] < begin):
            del keys[first[0]]
        while len(keys) > _MOST_KEYS:
            del keys[next(iter(keys))]
        members = [one for one in self._members[wave.key] if one[0] >= begin]
        self._members[wave.key] = members[-_MOST_MEMBERS:]
