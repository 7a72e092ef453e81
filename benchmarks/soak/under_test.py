"""What the soak needs of a job, on whichever engine it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from benchmarks.soak.processes import Process

__all__ = ["UnderTest"]


class UnderTest(Protocol):
    """A job that is kept running."""

    @property
    def ends(self) -> int:
        """How often it has ended."""

    @property
    def pid(self) -> int:
        """Of the process that runs the workers; 0 while there is none."""

    @property
    def tail(self) -> str:
        """The end of its log."""

    def processes(self) -> list[Process]:
        """The child processes of the workers' process, and theirs."""

    def limited(self) -> Sequence[int]:
        """The ids of the processes whose files the nemesis limits."""

    def signal_all(self, number: int) -> None:
        """Send a signal to all that works."""

    def kill(self, kind: str, seconds: float) -> None:
        """Kill a part by the scenario's name, and wait so long until it is back."""

    def loses_state(self, kind: str) -> bool:
        """Whether a fault may take away what the job knows, since its last checkpoint if it has."""

    def engine_sample(self) -> Mapping[str, float]:
        """Fields of ``Sample`` that this engine has."""

    def drain(self, seconds: float) -> int | None:
        """Ask it to finish; the exit code, or None if it did not end in time."""

    def close(self) -> None:
        """End it, whatever it does."""
