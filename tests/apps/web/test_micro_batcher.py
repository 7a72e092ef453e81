from __future__ import annotations

import threading
from collections.abc import Sequence

from quorum.apps.web.micro_batcher import MicroBatcher


def test_what_waits_is_taken_together() -> None:
    batches: list[list[int]] = []
    first, go_on = threading.Event(), threading.Event()

    def work(batch: Sequence[int]) -> None:
        batches.append(list(batch))
        first.set()
        assert go_on.wait(20)

    lane = MicroBatcher[int]("one", work, 4)
    lane.put(0)
    assert first.wait(20)
    for number in range(1, 7):
        lane.put(number)
    assert lane.waiting() == 6
    go_on.set()
    lane.close(20)
    assert batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_a_batch_that_raises_costs_no_other() -> None:
    done: list[int] = []

    def work(batch: Sequence[int]) -> None:
        if 1 in batch:
            msg = "cannot do this"
            raise RuntimeError(msg)
        done.extend(batch)

    lane = MicroBatcher[int]("one", work, 1)
    for number in range(4):
        lane.put(number)
    lane.close(20)
    assert done == [0, 2, 3]


def test_one_that_is_slow_holds_up_no_other_where_another_helps() -> None:
    slow, others = threading.Event(), threading.Event()
    done: list[int] = []

    def work(batch: Sequence[int]) -> None:
        if 0 in batch:
            assert slow.wait(20)
        done.extend(batch)
        if 3 in done:
            others.set()

    lane = MicroBatcher[int]("two", work, 1, helpers=1)
    for number in range(4):
        lane.put(number)
    assert others.wait(20)
    assert done == [1, 2, 3]
    slow.set()
    lane.close(20)
    assert done == [1, 2, 3, 0]
