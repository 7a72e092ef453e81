"""What of a partition of Kafka is done, and how often the rest was delivered.

Kafka knows one number of a partition and a group: the offset up to which all is done. Messages end
in another order than they come in, and Kafka counts no deliveries. So what lies behind the
committed offset goes into the metadata that is committed with it, as runs: 12 messages delivered
once, 1 delivered thrice, 40 done. (Confluent's parallel consumer does the same,
https://github.com/confluentinc/parallel-consumer.)
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

__all__ = ["DONE", "PartitionOffsets"]

#: Stands for a message whose outcomes are durable, or that does not exist.
DONE: Final = -1

#: A broker takes 4,096 bytes of metadata (``offset.metadata.max.bytes``).
_MOST_BYTES: Final = 4_000
_VERSION: Final = "q1"
#: Offsets of one run: more than are ever remembered.
_MOST_RESTORED: Final = 10_000_000
_RUN: Final = re.compile(r"([0-9]{1,9})x([0-9]{1,4}|d)")


class PartitionOffsets:
    """The messages of one partition from the first that is not done; not thread-safe.

    Args:
        offset: The committed offset; None where nothing is committed.
        metadata: What was committed with it; anything else than ours is taken for none.
    """

    def __init__(self, offset: int | None = None, metadata: str = "") -> None:
        self._first = offset
        #: By offset from ``_first`` on: how often it was delivered, or ``DONE``.
        self._states: dict[int, int] = {}
        #: After the last offset whose state is known.
        self._next = offset or 0
        #: The offset that is pulled next, if all of them exist.
        self._expected = offset
        self._committed: tuple[int, str] | None = None
        if offset is not None:
            self._restore(offset, metadata)

    def __len__(self) -> int:
        """How many offsets are remembered."""
        return len(self._states)

    @property
    def first(self) -> int | None:
        """The first offset that is not done; None where nothing is known."""
        return self._first

    @property
    def expected(self) -> int | None:
        """The offset that is pulled next, if it exists; None where nothing is known."""
        return self._expected

    def pulled(self, offset: int) -> int:
        """A message was pulled; they are pulled in the order of their offsets.

        Args:
            offset: Its offset.

        Returns:
            Which delivery this is, from 1; ``DONE`` if it is done already.
        """
        if self._first is None or self._expected is None:
            self._first = self._next = self._expected = offset
        if offset < self._first:
            return DONE
        # Offsets that were passed over do not exist: markers, and what was compacted or too old.
        for absent in range(self._expected, offset):
            self._states[absent] = DONE
        self._expected = max(self._expected, offset + 1)
        self._next = max(self._next, self._expected)
        return self.again(offset)

    def again(self, offset: int) -> int:
        """A message is delivered; see ``pulled``."""
        if self._states.get(offset) != DONE:
            self._states[offset] = self._states.get(offset, 0) + 1
        state = self._states[offset]
        self._advance()
        return state

    def done(self, offset: int) -> None:
        """All outcomes of a message are durable."""
        if offset in self._states:
            self._states[offset] = DONE
            self._advance()

    def undelivered(self, offset: int) -> None:
        """Nothing was done with a message that was delivered: that delivery does not count."""
        if self._states.get(offset, DONE) > 0:
            self._states[offset] -= 1

    def to_commit(self) -> tuple[int, str] | None:
        """The offset and metadata to commit; None if they are committed, or nothing is known."""
        if self._first is None:
            return None
        found = self._first, self._metadata()
        return None if found == self._committed else found

    def committed(self, what: tuple[int, str] | None) -> None:
        """Note that this was committed; None if the last commit failed."""
        self._committed = what

    def _advance(self) -> None:
        if self._first is None:
            return
        while self._states.get(self._first) == DONE:
            del self._states[self._first]
            self._first += 1

    def _metadata(self) -> str:
        """What lies behind the first offset, in runs; what is too much is left out from the end.

        What is left out counts as never delivered: it is delivered again, and nothing is passed
        over.
        """
        text = _VERSION
        states = [self._states[each] for each in range(self._first or 0, self._next)]
        for state, run in groupby(states):
            if len(text) > _MOST_BYTES - 16:
                break
            text += f" {len(list(run))}x{'d' if state == DONE else state}"
        return text

    def _restore(self, offset: int, metadata: str) -> None:
        version, *runs = metadata.split(" ")
        if version != _VERSION:
            return
        self._committed = offset, metadata
        for run in runs:
            if not (match := _RUN.fullmatch(run)) or int(match[1]) > _MOST_RESTORED:
                break
            state = DONE if match[2] == "d" else int(match[2])
            for each in range(self._next, self._next + int(match[1])):
                self._states[each] = state
            self._next += int(match[1])
        self._advance()
