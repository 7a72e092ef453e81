"""Launchers of workers: in threads of this process, for detectors that exist only here."""

from __future__ import annotations

import queue
import shutil
import sys
import tempfile
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

from quorum.core.settings import WorkerSettings
from quorum.models.ensemble import Ensemble
from quorum.models.plan import Plan, Settled
from quorum.models.supervision.protocol import Channel
from quorum.models.supervision.spec import DetectorInfo, describe, plan_of
from quorum.models.supervision.worker import serve

__all__ = ["InThread", "Launcher", "Worker"]


#: Seconds after which a process is killed that decodes for a thread, which cannot be killed.
_DECODING_SECONDS: Final = 900


class Worker(Channel):
    """A worker as its supervisor sees it."""

    @abstractmethod
    def end(self) -> str:
        """Kill the worker if it lives; how it ended, in words."""


class Launcher(ABC):
    """Starts workers that have one ensemble loaded.

    Attributes:
        detectors: The detectors of the ensemble, in its order.
        plan: The names of the plan's steps, with the detector of each; an empty one extracts.
    """

    detectors: tuple[DetectorInfo, ...]
    plan: dict[str, str]

    @abstractmethod
    def launch(self, *, yields: bool = False) -> Worker:
        """Start a worker, with its models warm.

        Args:
            yields: Whether others go before it where there are not processors for all.

        Raises:
            QuorumError: If none can be started.
        """

    @abstractmethod
    def close(self) -> None:
        """End all workers, and release the ensemble."""


class InThread(Launcher):
    """Runs workers as threads of this process.

    A thread that hangs cannot be killed: it is abandoned, and what crashes it takes this process
    along. For ensembles of objects that cannot be sent to a child. Media are decoded in processes
    of their own all the same, where the system has them.

    Args:
        ensemble: The ensemble.
        settled: Decides which uploads the second stage of a cascade skips.
        memory: Bytes of memory that decoding a file may take.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        settled: Settled,
        memory: int = WorkerSettings().memory,
    ) -> None:
        self._memory = memory
        self._folder = Path(tempfile.mkdtemp(prefix="quorum-decoders-"))
        self._ensemble = ensemble
        self._plan = plan_of(ensemble, settled)
        self.detectors = describe(ensemble.detectors)
        self.plan = steps_of(self._plan)

    def launch(self, *, yields: bool = False) -> Worker:
        """See Launcher; threads of one process are all alike to the system."""
        del yields
        return _Thread(self._plan, self._folder, self._memory)

    def close(self) -> None:
        """See Launcher."""
        self._ensemble.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def steps_of(plan: Plan) -> dict[str, str]:
    """The names of a plan's steps, with the detector of each; an empty one extracts features."""
    return {
        step.name: "" if (detector := getattr(step, "detector", None)) is None else detector.name
        for step in plan.steps
    }


class _Pipe(Channel):
    """One end of a pair of queues; None on a queue means that the other end is gone."""

    def __init__(
        self, inbox: queue.SimpleQueue[bytes | None], outbox: queue.SimpleQueue[bytes | None]
    ) -> None:
        self.inbox = inbox
        self.outbox = outbox

    def send(self, frame: bytes) -> None:
        self.outbox.put(frame)

    def receive(self, seconds: float | None = None) -> bytes | None:
        try:
            frame = self.inbox.get(timeout=seconds)
        except queue.Empty:
            return None
        if frame is None:
            raise EOFError
        return frame


class _Thread(_Pipe, Worker):
    def __init__(self, plan: Plan, folder: Path, memory: int) -> None:
        super().__init__(queue.SimpleQueue(), queue.SimpleQueue())
        self._why = ""
        threading.Thread(
            target=self._run, args=(plan, folder, memory), name="worker", daemon=True
        ).start()

    def _run(self, plan: Plan, folder: Path, memory: int) -> None:
        try:
            if sys.platform == "linux":
                from quorum.models.features.decoders import decode_apart

                decode_apart(folder, memory, _DECODING_SECONDS)
            serve(plan, _Pipe(self.outbox, self.inbox))
        except BaseException as error:  # third-party code may raise anything
            self._why = f"{type(error).__name__}: {error}"
        finally:
            self.inbox.put(None)

    def end(self) -> str:
        self.outbox.put(None)
        self.inbox.put(None)
        return self._why or "was abandoned"
