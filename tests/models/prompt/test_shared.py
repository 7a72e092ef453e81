"""Budget and cache of an ensemble's workers, which are forked and killed."""

from __future__ import annotations

import hashlib
import os
import signal
import time

import pytest

from quorum.models.prompt import shared
from quorum.models.prompt.shared import SharedState


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def in_child(work: object) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if work() else 3)  # type: ignore[operator]
        finally:
            os._exit(4)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_forked_workers_share_both() -> None:
    state = SharedState(100, 8)
    assert in_child(lambda: state.reserve(60)) == 0
    assert in_child(lambda: state.reserve(60)) == 3
    state.settle(60, 30)
    assert state.reserve(70)
    assert not state.reserve(1)
    assert in_child(lambda: state.put(key(1), {"a": "ä"}) is None) == 0
    assert state.get(key(1)) == {"a": "ä"}
    state.close()


def test_a_worker_that_is_killed_leaves_no_lock() -> None:
    state = SharedState(100, 8)
    pid = os.fork()
    if pid == 0:
        with state._locked():
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    began = time.monotonic()
    assert state.reserve(1)
    assert time.monotonic() - began < 1


def test_an_hour_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    state = SharedState(100, 0)
    assert state.reserve(100)
    assert not state.reserve(1)
    later = time.time() + 3601
    monkeypatch.setattr(shared.time, "time", lambda: later)
    assert state.reserve(100)


def test_the_cache_is_bounded() -> None:
    state = SharedState(None, 16)
    for number in range(1000):
        state.put(key(number), number)
        assert state.get(key(number)) == number
    kept = sum(state.get(key(number)) is not None for number in range(1000))
    assert 8 <= kept <= 16
    size = os.fstat(state._file.fileno()).st_size
    assert size <= 17 * 4096
    state.put(key(1), "x" * 5000)  # too long for a place
    assert state.get(key(1)) is None
    assert SharedState(None, 0).get(key(1)) is None
