"""Run a graph as a job: warm-up, metrics, signals, and how it ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import apache_beam as beam
from apache_beam.runners.runner import PipelineState

from quorum.core import monitoring, tracing
from quorum.core.errors import QuorumError
from quorum.core.health import register
from quorum.core.process_end import HANDLER_SECONDS, end_process, end_within
from quorum.models.supervision.shared import close_supervisors, shared_supervisor
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline.control.flink_client import check_state, run_on_flink
from quorum.pipeline.engine import Engine
from quorum.pipeline.engines import DIRECT_RISK, cancel, launch
from quorum.pipeline.flink.options import FlinkOptions
from quorum.pipeline.job_health import Patience, checked
from quorum.pipeline.streams.base import Source
from quorum.pipeline.streams.pubsub_turns import TurnSource
from quorum.pipeline.streams.subscription import NACK_SECONDS, open_subscriptions

__all__ = ["run_job"]

_log = logging.getLogger(__name__)

_CHECK_SECONDS = 0.2

#: Seconds for the engine's answer when it is asked to stop.
_CANCEL_SECONDS = 2.0


def run_job(
    build: Callable[[beam.Pipeline], None],
    engine: Engine,
    *,
    sources: Iterable[Source],
    ensemble: EnsembleSpec | None = None,
    beam_args: Sequence[str] = (),
    accept_open: bool = False,
    verb: str = "stream",
    listen: monitoring.Listen | None = None,
    flink: FlinkOptions | None = None,
    drain_seconds: float = 20.0,
    patience: Mapping[str, Patience] | None = None,
) -> str | None:
    """Run a graph until its input ends or a signal asks to stop.

    On SIGTERM or SIGINT a stream drains: it pulls no more, finishes messages in flight, nacks the
    rest, stops the engine and returns, all of it within ``drain_seconds``. While it still starts,
    the process ends at once with code 0: nothing was read. On Flink the job goes on without this
    process. Over files there is nothing to nack: the signal ends the run at once
    and as a failure, so that a part of a file is not taken for the whole.

    Args:
        build: Adds the graph to a pipeline.
        engine: The runner.
        sources: Where the graph reads.
        ensemble: The detectors, loaded before the job starts where it runs on this machine.
        beam_args: Further Beam options.
        accept_open: Whether Prism may be open to the network; see ``prism_guard``.
        verb: The command that runs the job, for traces.
        listen: Where to serve metrics and health; None for nowhere.
        flink: How the job runs on Flink.
        drain_seconds: Time from a signal to the end of the process.
        patience: By stream, how many seconds a message may be held where all is well; see
            ``quorum.pipeline.job_health``.

    Returns:
        The id of a job that goes on without this process (``FlinkOptions.detach``); else None.

    Raises:
        ConfigurationError: If the metrics' port is in use.
        QuorumError: If the job fails; what was not acknowledged is delivered again.
    """
    opened = tuple(sources)
    tracing.begin(verb)
    streaming = not all(each.bounded for each in opened)
    turns = [each for each in opened if isinstance(each, TurnSource)]
    stop = _Stop(drain_seconds)
    begun = threading.Event()

    def ask(*_: object) -> None:
        if not begun.is_set():  # loading models may take longer than a drain, and nothing is read
            _log.info("asked to stop before the job began: nothing was read")
            end_process(0)
        stop.set()

    if streaming or turns:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ask)
        end_within(drain_seconds, stop)
    with ExitStack() as held:
        held.enter_context(checked(opened, patience or {}))
        held.callback(close_supervisors)
        monitoring.start(listen)
        if engine in (Engine.PRISM, Engine.DIRECT) and ensemble:
            supervisor = shared_supervisor(ensemble)
            held.callback(register("detectors", supervisor.problem))
            for one in supervisor.detectors.values():
                _log.info("loaded %s, version %s", one.name, one.version)
        begun.set()
        if turns:
            _run_in_turns(build, turns[0], stop, beam_args)
            return None
        if engine is Engine.FLINK and streaming:
            check_state(flink or FlinkOptions(), beam_args)
        with launch(
            build,
            engine,
            streaming=streaming,
            extra=beam_args,
            accept_open=accept_open,
            flink=flink,
        ) as result:
            if engine is Engine.FLINK and streaming:
                return run_on_flink(result, flink or FlinkOptions(), beam_args, stop)
            if engine is Engine.DATAFLOW and flink is not None and flink.detach:
                return str(result.job_id())
            _run(result, engine, stop)
    return None


class _Stop(threading.Event):
    """Asks a job to stop.

    Args:
        seconds: From then to the end of the process.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._end = float("inf")

    def set(self) -> None:
        """Ask to stop; only the first time counts."""
        if not self.is_set():
            self._end = time.monotonic() + self._seconds
            super().set()

    def left(self) -> float:
        """Seconds until the process must have ended, without those of its own end."""
        return max(0.0, self._end - time.monotonic() - HANDLER_SECONDS)


def _run(result: Any, engine: Engine, stop: _Stop) -> None:
    if getattr(result, "has_job", None) is False:
        # Dataflow's template launcher starts the job of the graph that was written.
        _log.info("wrote the job's template; it runs elsewhere")
        return
    _log.info("running on %s", engine.value)
    state = _wait(result, stop)
    if stop.is_set():
        _drain(result, stop)
        return
    if state != PipelineState.DONE:
        msg = (
            f"the job ended as {state}; what it had not acknowledged will be delivered again "
            "(--log-level debug shows more)"
        )
        raise QuorumError(msg)


def _run_in_turns(
    build: Callable[[beam.Pipeline], None],
    source: TurnSource,
    stop: _Stop,
    beam_args: Sequence[str],
) -> None:
    """Stream on the direct runner: one bounded run after the other, until asked to stop.

    A run that has begun is finished; messages that were pulled ahead of it are nacked.
    """
    _log.warning("%s", DIRECT_RISK)
    while not stop.is_set():
        if source.fill(_CHECK_SECONDS):
            with launch(build, Engine.DIRECT, streaming=False, extra=beam_args) as result:
                result.wait_until_finish()
    nacked = sum(each.drain(0.0) for each in open_subscriptions())
    _log.info("stopped; %d messages nacked", nacked)


def _wait(result: Any, stop: _Stop) -> str:
    """Wait for the job's end or for ``stop``; the job's state."""
    ended = threading.Event()
    state: list[str] = []

    def watch() -> None:
        try:
            state.append(result.wait_until_finish())
        except Exception as error:
            if not stop.is_set():
                _log.error("the job failed: %s", error)
            state.append(PipelineState.FAILED)
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    while not stop.is_set() and not ended.wait(_CHECK_SECONDS):
        pass
    return state[0] if state else PipelineState.CANCELLED


def _drain(result: Any, stop: _Stop) -> None:
    _log.info("stopping: no more messages are pulled")
    left = stop.left()
    nacking = min(NACK_SECONDS, left / 5)
    cancelling = min(_CANCEL_SECONDS, left / 5)
    grace = left - nacking - cancelling
    nacked: list[int] = []
    threads = [
        threading.Thread(
            target=lambda one=each: nacked.append(one.drain(grace, nacking)), daemon=True
        )
        for each in open_subscriptions()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, stop.left() - cancelling))
    _log.info("stopped; %d messages nacked", sum(nacked))
    _silence_stderr()
    cancel(result, min(_CANCEL_SECONDS, stop.left()))


def _silence_stderr() -> None:
    """Drop what Beam's threads print while they end: every message is durable or nacked."""
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stderr.fileno())
    os.close(null)
