"""What of a partition is done: nothing is passed over, and no delivery is forgotten."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from quorum.pipeline.streams.kafka_offsets import DONE, PartitionOffsets


def test_the_first_offset_that_is_not_done_is_committed_with_what_lies_behind() -> None:
    offsets = PartitionOffsets(100)
    assert [offsets.pulled(each) for each in range(100, 110)] == [1] * 10
    assert offsets.to_commit() == (100, "q1 10x1")
    for each in (100, 101, 104, 105, 109):
        offsets.done(each)
    assert offsets.to_commit() == (102, "q1 2x1 2xd 3x1 1xd")


def test_after_a_restart_what_is_done_is_not_delivered_and_the_rest_is_counted() -> None:
    restored = PartitionOffsets(102, "q1 2x1 2xd 3x4 1xd")
    assert restored.to_commit() is None
    assert [restored.pulled(each) for each in range(102, 112)] == [
        *(2, 2, DONE, DONE, 5, 5, 5, DONE, 1, 1),
    ]


def test_a_delivery_without_any_effect_does_not_count() -> None:
    offsets = PartitionOffsets(0)
    offsets.pulled(0)
    offsets.undelivered(0)
    assert PartitionOffsets(*(offsets.to_commit() or ())).pulled(0) == 1


def test_offsets_that_do_not_exist_hold_nothing_up() -> None:
    offsets = PartitionOffsets(5, "q1 3x2")
    assert offsets.pulled(9) == 1
    assert offsets.first == 9
    offsets.pulled(12)
    offsets.done(12)
    offsets.done(9)
    assert offsets.to_commit() == (13, "q1")


def test_what_another_client_committed_is_taken_for_nothing() -> None:
    for foreign in ("", "checkpoint-7", "q1 nonsense", "q1 99999999999x1", "q2 3x1"):
        offsets = PartitionOffsets(7, foreign)
        assert (offsets.first, offsets.pulled(7)) == (7, 1)


def test_metadata_fits_a_broker_and_what_is_left_out_of_it_is_delivered_again() -> None:
    offsets = PartitionOffsets(0)
    for each in range(20_000):
        offsets.pulled(each)
    for each in range(1, 20_000, 2):
        offsets.done(each)
    offset, metadata = offsets.to_commit() or (0, "")
    assert (offset, len(metadata) <= 4_096) == (0, True)
    restored = PartitionOffsets(offset, metadata)
    states = [restored.pulled(each) for each in range(20_000)]
    assert all(state in (2, 1) for state in states[::2])
    assert all(state in (DONE, 1) for state in states[1::2])
    assert states[:100:2] == [2] * 50


@given(st.integers(0, 2**32))
def test_through_any_number_of_crashes_each_is_delivered_until_it_is_done(seed: int) -> None:
    chance = random.Random(seed)
    count, delivered, done = 40, dict.fromkeys(range(40), 0), set()
    committed: tuple[int, str] = (0, "q1")
    for _ in range(chance.randint(1, 6)):
        offsets = PartitionOffsets(*committed)
        for each in range(committed[0], chance.randint(committed[0], count)):
            attempt = offsets.pulled(each)
            assert (attempt == DONE) == (each in done)
            if attempt != DONE:
                delivered[each] += 1
                assert attempt == delivered[each]
            if attempt != DONE and chance.random() < 0.5:
                offsets.done(each)
                done.add(each)
        committed = offsets.to_commit() or committed
        assert all(each in done for each in range(committed[0]))
