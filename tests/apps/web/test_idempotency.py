"""The store of responses by idempotency key is bounded in number, in time and in memory."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

from fastapi import Response

from quorum.apps.web.idempotency import IdempotencyStore

MEGABYTE = 1024 * 1024


class Maker:
    """Makes responses of a size, and counts them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.made = 0

    async def __call__(self) -> Response:
        self.made += 1
        return Response(bytes(self.size))


def test_many_large_responses_take_no_more_than_the_bound() -> None:
    async def run() -> int:
        store = IdempotencyStore(3600, 10_000, 4 * MEGABYTE)
        tracemalloc.start()
        for number in range(100):
            await store.once("shop", f"k{number}", b"", Maker(MEGABYTE))
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert 0 < store.size <= 4 * MEGABYTE
        return taken

    assert asyncio.run(run()) < 6 * MEGABYTE


def test_many_small_responses_count_with_what_an_entry_takes() -> None:
    async def run() -> tuple[int, int]:
        store = IdempotencyStore(3600, 1_000_000, MEGABYTE)
        tracemalloc.start()
        for number in range(10_000):
            await store.once("shop", f"k{number}", b"", Maker(0))
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return taken, store.size

    taken, counted = asyncio.run(run())
    assert taken < 1.2 * MEGABYTE
    assert counted <= MEGABYTE


def test_the_oldest_is_dropped_first_and_the_rest_is_replayed() -> None:
    async def run() -> None:
        store = IdempotencyStore(3600, 10_000, 3 * MEGABYTE)
        makers = [Maker(MEGABYTE) for _ in range(3)]
        for number, make in enumerate(makers):
            await store.once("shop", f"k{number}", b"", make)
        for number in (2, 1):
            again = await store.once("shop", f"k{number}", b"", makers[number])
            assert again.headers["idempotent-replayed"] == "true"
        await store.once("shop", "k0", b"", makers[0])
        assert [one.made for one in makers] == [2, 1, 1]

    asyncio.run(run())


def test_a_response_over_the_bound_is_not_stored_and_drops_no_other() -> None:
    async def run() -> None:
        store = IdempotencyStore(3600, 10_000, MEGABYTE)
        small, large = Maker(1000), Maker(2 * MEGABYTE)
        await store.once("shop", "small", b"", small)
        before = store.size
        await store.once("shop", "large", b"", large)
        assert store.size == before
        await store.once("shop", "small", b"", small)
        await store.once("shop", "large", b"", large)
        assert (small.made, large.made) == (1, 2)

    asyncio.run(run())


def test_entries_end_in_time_and_in_number_and_a_failure_leaves_none() -> None:
    async def run() -> None:
        store = IdempotencyStore(0.05, 2, MEGABYTE)
        make = Maker(10)
        for number in range(5):
            await store.once("shop", f"k{number}", b"", make)
        two = store.size
        await asyncio.sleep(0.1)
        await store.once("shop", "last", b"", make)
        assert 0 < store.size < two

        async def fail() -> Response:
            raise RuntimeError

        before = store.size
        with pytest.raises(RuntimeError):
            await store.once("shop", "failed", b"", fail)
        assert store.size == before

    asyncio.run(run())
