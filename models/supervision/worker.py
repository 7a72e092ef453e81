"""The work of a child: scores batches step by step, and reports each step before it begins."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

from quorum.core.messages import Prediction
from quorum.models.detectors import Features
from quorum.models.features.extract import take_fetches
from quorum.models.plan import Plan, Score, ScoringState, Step
from quorum.models.runner import is_exhaustion
from quorum.models.supervision.protocol import (
    Batch,
    Channel,
    Progress,
    WorkItem,
    encode_progress,
)

__all__ = ["Footprint", "serve"]

#: Files that a step may leave open before the worker counts as unfit.
_LEFT_OPEN = 64


class Footprint:
    """What this process holds beyond what it held at its start: memory and open files.

    Args:
        memory: Bytes that it may hold beyond that; more than half of it makes it unfit.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._resident = _resident()
        self._files = _open_files()

    def excess(self) -> str:
        """Why this process is unfit for further work; empty if it is fit."""
        try:
            files = _open_files() - self._files
        except OSError as error:
            return f"it left no file to open: {error.strerror}"
        if files > _LEFT_OPEN:
            return f"it left {files} files open"
        held = _resident() - self._resident
        if held > self._memory / 2:
            gc.collect()
            held = _resident() - self._resident
        if held > self._memory / 2:
            return f"it left {held / 2**20:,.0f} MiB of memory in use"
        return ""


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    return pages * resource.getpagesize()


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  (called after each step)


class _Unfit(Exception):
    """A step left this worker unfit, or ran out of what the whole batch needs."""


def serve(
    plan: Plan,
    channel: Channel,
    *,
    begin: Callable[[Batch], None] | None = None,
    excess: Callable[[], str] | None = None,
) -> None:
    """Score batches until the other end is gone, or this worker is unfit for more.

    Args:
        plan: The plan of the ensemble.
        channel: The connection to the supervisor.
        begin: Called before each batch.
        excess: Called after each step: why this worker is unfit for more; empty if it is fit.
    """
    while True:
        try:
            frame = channel.receive()
        except EOFError:
            return
        if frame is None:
            return
        batch = Batch.model_validate_json(frame)
        if begin is not None:
            begin(batch)
        try:
            retire = _score(plan, batch, channel, excess or _fit)
        except _Unfit as unfit:
            channel.send(Progress(exhausted=str(unfit), retire=True).model_dump_json().encode())
            return
        channel.send(Progress(done=True, retire=retire).model_dump_json().encode())
        if retire:
            return


def _fit() -> str:
    return ""


def _score(plan: Plan, batch: Batch, channel: Channel, excess: Callable[[], str]) -> bool:
    """Run the plan on a batch; whether this worker must not get another."""
    states = [_state(item) for item in batch.items]
    final = {step.detector.name: step for step in plan.steps if isinstance(step, Score)}
    reports: list[tuple[int, Prediction]] = []
    fetches: list[tuple[int, int, int]] = []
    retire = False
    unfit = ""
    for step in plan.steps:
        channel.send(encode_progress(step.name, reports, fetches))
        reports = []
        run = [index for index in range(len(states)) if _is_run(step, batch.items[index])]
        for index, state in zip(run, step.run([states[index] for index in run]), strict=True):
            states[index] = state
        fetches = _fetches(states)
        exhausted = [index for index in run if _ran_out(step, states[index])]
        unfit = excess()
        if (exhausted or unfit) and len(batch.items) > 1:
            # One upload may have taken what the others need: they are scored again, one by one.
            raise _Unfit(unfit or "it ran out of memory or files")
        retire = retire or bool(exhausted or unfit)
        if isinstance(step, Score) and final[step.detector.name] is step:
            name = step.detector.name
            for index in run:
                made = states[index].prediction_of(name)
                assert made is not None
                reports.append((index, made))
        if unfit:
            break
    channel.send(encode_progress("", reports, fetches))
    if unfit:
        raise _Unfit(unfit)
    return retire


def _fetches(states: Sequence[ScoringState]) -> list[tuple[int, int, int]]:
    """The media files that the last step fetched in this thread, by the index of their upload."""
    if not (taken := take_fetches()):
        return []
    index = {state.features.upload.id: number for number, state in enumerate(states)}
    return [(index[one.upload_id], one.begin, one.end) for one in taken if one.upload_id in index]


def _state(item: WorkItem) -> ScoringState:
    state = ScoringState(
        item.upload,
        Features(item.scored or item.upload),
        unreadable=item.unreadable,
        asked=item.asked is not None,
    )
    for prediction in item.given:
        state = state.with_prediction(prediction)
    return state


def _is_run(step: Step, item: WorkItem) -> bool:
    if not isinstance(step, Score):
        return True
    name = step.detector.name
    given = any(one.detector == name for one in item.given)
    asked = item.asked is None or name in item.asked
    return asked and not given and name not in item.left_out


def _ran_out(step: Step, state: ScoringState) -> bool:
    """Whether the step failed on an upload for lack of memory or of open files."""
    if isinstance(step, Score):
        made = state.prediction_of(step.detector.name)
        return made is not None and is_exhaustion(made.reason)
    return any(is_exhaustion(reason) for reason in state.features.absent.values())
