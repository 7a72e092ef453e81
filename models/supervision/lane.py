"""Lanes of a supervisor: queues of tasks that do not wait for each other."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable

from quorum.models.supervision.task import Task

__all__ = ["Lane"]

#: Seconds that a task must have waited before a second worker takes it. Below that, one worker is
#: faster: two that compute at once are each slower, and have smaller batches.
_PATIENCE = 0.1

#: The weight of the last batch in the smoothed pace.
_NEWEST = 0.3


class Lane:
    """A queue of tasks, the size of its batches, and the pace of its steps; thread-safe.

    Batches shrink after one had to be killed, since each upload of it is then scored again alone,
    and grow back with success.

    Args:
        name: Its name.
        most: The most tasks of a batch that has a deadline.
        most_unhurried: The most tasks of a batch that has none.
    """

    def __init__(self, name: str, most: int, most_unhurried: int) -> None:
        self.name = name
        self._most = {True: most, False: most_unhurried}
        self._size = most_unhurried
        self._changed = threading.Condition()
        self._tasks: deque[tuple[float, Task]] = deque()
        self._closed = False
        self._pace: dict[str, float] = {}

    def put(self, tasks: Iterable[Task], *, first: bool = False) -> None:
        """Queue tasks, behind the others or before them."""
        now = time.monotonic()
        with self._changed:
            if first:
                self._tasks.extendleft((now - _PATIENCE, task) for task in tasks)
            else:
                self._tasks.extend((now, task) for task in tasks)
            self._changed.notify_all()

    def take(self, seconds: float, *, eager: bool) -> list[Task] | None:
        """Return a batch; an empty one if none is there in so many seconds; None once closed.

        Args:
            seconds: How long to wait.
            eager: Whether to take a task as soon as it is there.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                now = time.monotonic()
                if self._closed and not self._tasks:
                    return None
                if self._tasks:
                    since, task = self._tasks[0]
                    ripe = since + (0.0 if eager or task.due == float("inf") else _PATIENCE)
                    if self._closed or ripe <= now:
                        return self._batch()
                    self._changed.wait(min(ripe, end) - now)
                elif now < end:
                    self._changed.wait(end - now)
                if time.monotonic() >= end and not self._tasks:
                    return None if self._closed else []

    def _batch(self) -> list[Task]:
        hurried = self._tasks[0][1].due != float("inf")
        size = max(1, min(self._size, self._most[hurried]))
        return [self._tasks.popleft()[1] for _ in range(min(size, len(self._tasks)))]

    def empty(self) -> list[Task]:
        """Remove and return all tasks."""
        with self._changed:
            tasks = [task for _, task in self._tasks]
            self._tasks.clear()
            return tasks

    def close(self) -> None:
        """Let ``take`` return None once the queue is empty."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def shrink(self, count: int) -> None:
        """Make batches smaller: one of so many tasks was killed."""
        self._size = max(1, count // 4)

    def grow(self, count: int) -> None:
        """Make batches larger again: one of so many tasks was done."""
        if count >= self._size:
            self._size = min(2 * self._size, self._most[False])

    def keep_pace(self, step: str, seconds: float, count: int) -> None:
        """Record how long a step took for so many tasks."""
        each = seconds / count
        before = self._pace.get(step, each)
        self._pace[step] = (1 - _NEWEST) * before + _NEWEST * each

    def expected(self, step: str, count: int) -> float | None:
        """Seconds that a step should take for so many tasks; None if it has not been run."""
        each = self._pace.get(step)
        return None if each is None else each * count
