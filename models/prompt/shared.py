"""What the workers of one ensemble share: a budget of tokens, and answers that were given.

Workers are forked from the process that loads the detector, and are killed at any moment. So both
are kept in one file without a name, which all of them inherit open: the kernel gives its lock back
when a process dies, and the file itself goes with the last of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

__all__ = ["SharedState"]

_HOUR = 3600.0

#: When the hour began, and the tokens used since.
_BUDGET = struct.Struct("<dQ")
#: Of a place for an answer: its key, the time it was last used, the length of its JSON.
_PLACE = struct.Struct("<32sdI")
#: The bytes of a place; a longer answer is not kept.
_PLACE_BYTES = 4096
#: Places among which a key may be; the one that was not used for longest gives way.
_WAYS = 4


class SharedState:
    """A budget and a cache in one file, for threads and forked processes.

    Args:
        limit: The tokens of an hour; None for any number.
        places: The answers that are kept, at most; each takes 4 KiB of a file at most.
    """

    def __init__(self, limit: int | None, places: int) -> None:
        self._limit = limit
        self._sets = -(-places // _WAYS)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the detector)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Forget all, in this process."""
        self._file.close()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        with self._lock:
            handle = self._file.fileno()
            fcntl.lockf(handle, fcntl.LOCK_EX)
            try:
                yield handle
            finally:
                fcntl.lockf(handle, fcntl.LOCK_UN)

    def reserve(self, tokens: int) -> bool:
        """Take tokens from the budget; whether there were so many left."""
        if self._limit is None:
            return True
        with self._locked() as handle:
            began, used = self._budget(handle)
            if used + tokens > self._limit:
                return False
            os.pwrite(handle, _BUDGET.pack(began, used + tokens), 0)
        return True

    def settle(self, reserved: int, used: int) -> None:
        """Replace what was reserved by what was used."""
        if self._limit is None:
            return
        with self._locked() as handle:
            began, before = self._budget(handle)
            os.pwrite(handle, _BUDGET.pack(began, max(0, before - reserved + used)), 0)

    @staticmethod
    def _budget(handle: int) -> tuple[float, int]:
        raw = os.pread(handle, _BUDGET.size, 0)
        began, used = _BUDGET.unpack(raw) if len(raw) == _BUDGET.size else (0.0, 0)
        now = time.time()
        return (began, used) if 0 <= now - began < _HOUR else (now, 0)

    def get(self, key: bytes) -> Any | None:
        """The document that was put under a key; None if it is not kept (any more)."""
        if not self._sets:
            return None
        with self._locked() as handle:
            for place in self._places(key):
                found, _, size = self._head(handle, place)
                if found == key and size:
                    raw = os.pread(handle, size, place + _PLACE.size)
                    os.pwrite(handle, _PLACE.pack(key, time.time(), size), place)
                    with contextlib.suppress(ValueError):  # a worker was killed as it wrote
                        return json.loads(raw)
        return None

    def put(self, key: bytes, document: Any) -> None:
        """Keep a document under a key.

        Args:
            key: 32 bytes.
            document: What JSON can hold.
        """
        raw = json.dumps(document).encode()
        if not self._sets or len(raw) > _PLACE_BYTES - _PLACE.size:
            return
        with self._locked() as handle:
            heads = [(self._head(handle, place), place) for place in self._places(key)]
            same = [place for (found, _, size), place in heads if found == key and size]
            place = same[0] if same else min(heads, key=lambda one: one[0][1])[1]
            # The head last: a place that is half written is not found.
            os.pwrite(handle, _PLACE.pack(key, 0.0, 0), place)
            os.pwrite(handle, raw, place + _PLACE.size)
            os.pwrite(handle, _PLACE.pack(key, time.time(), len(raw)), place)

    def _places(self, key: bytes) -> range:
        first = int.from_bytes(key[:8], "big") % self._sets
        start = _PLACE_BYTES * (1 + first * _WAYS)
        return range(start, start + _WAYS * _PLACE_BYTES, _PLACE_BYTES)

    @staticmethod
    def _head(handle: int, place: int) -> tuple[bytes, float, int]:
        raw = os.pread(handle, _PLACE.size, place)
        if len(raw) < _PLACE.size:
            return b"", 0.0, 0
        key, at, size = _PLACE.unpack(raw)
        return key, at, size
