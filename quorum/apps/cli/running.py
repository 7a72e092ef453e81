"""From a graph to a running job: signals, metrics, and how it ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.runners.runner import PipelineState

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.errors import ConfigurationError, QuorumError
from quorum.models.configured import ConfiguredDetector, warm_up
from quorum.pipeline.case_options import CaseOptions
from quorum.pipeline.drift import load_reference
from quorum.pipeline.engines import DIRECT_RISK, Engine, acknowledge_on, cancel, launch
from quorum.pipeline.metrics import serve_metrics
from quorum.pipeline.streams import Source, parse_address, source
from quorum.pipeline.streams.address import AddressKind
from quorum.pipeline.streams.check import check_streams
from quorum.pipeline.streams.pubsub_turns import TurnSource
from quorum.pipeline.streams.subscription import open_subscriptions
from quorum.store.ledger import Ledger, LedgerUnavailable

__all__ = ["case_options", "has_histories", "open_sources", "run"]

_log = logging.getLogger(__name__)

_CHECK_SECONDS = 0.5


def case_options(
    policy: Policy,
    shadow_policies: Iterable[str] | None,
    ledger: str | None,
    drift_reference: str | Path | None,
) -> CaseOptions:
    """What the options of `stream` and `decide` set beside the policy.

    Raises:
        ConfigurationError: If a policy, the ledger or the reference cannot be used.
    """
    shadows = tuple(load_policy(name) for name in shadow_policies or ())
    return CaseOptions(
        shadows=shadows,
        histories=has_histories(ledger, policy, *shadows),
        ledger=ledger,
        reference=load_reference(drift_reference) if drift_reference else None,
    )


def open_sources(
    asked: Engine | None, addresses: Mapping[str, str | None], sinks: Iterable[str | None]
) -> tuple[Engine, dict[str, Source]]:
    """The sources of these streams, and the engine that was asked for or that fits them.

    Args:
        asked: The engine that the user named, if any.
        addresses: By stream, where to read it; None where it is not read.
        sinks: Where the job writes to; None for nowhere.

    Raises:
        ConfigurationError: If an address cannot be read from, or names what is not there.
        EngineUnavailable: If a broker does not answer.
    """
    given = {name: address for name, address in addresses.items() if address}
    streaming = any(_kind(address) is not AddressKind.FILE for address in given.values())
    engine = asked or (Engine.PRISM if streaming else Engine.DIRECT)
    opened = {
        name: source(
            address,
            name,
            acknowledge=acknowledge_on(engine),
            native=engine is Engine.DATAFLOW,
            in_turns=engine is Engine.DIRECT,
        )
        for name, address in given.items()
    }
    if engine in (Engine.PRISM, Engine.DIRECT):
        # A sink that is no topic is refused where it is opened.
        topics = [each for each in sinks if each and _kind(each) is AddressKind.TOPIC]
        check_streams([*given.values(), *topics])
    return engine, opened


def _kind(address: str) -> AddressKind:
    return parse_address(address).kind


def has_histories(url: str | None, *policies: Policy) -> bool:
    """Whether uploaders' histories are to be looked up: a rule asks, and there is a ledger.

    Raises:
        ConfigurationError: If the ledger cannot be used; one that is only away may come back.
    """
    if not any(policy.reads_history for policy in policies):
        return False
    if not url and not os.environ.get("QUORUM_DATABASE"):
        _log.info(
            "rules ask for the uploader's history, and there is no ledger (--ledger or "
            "QUORUM_DATABASE): nobody has strikes"
        )
        return False
    try:
        Ledger(url, retry=()).close()
    except LedgerUnavailable as error:
        _log.warning("%s; until it is back, uploaders' histories are unknown", error)
    return True


def run(
    build: Callable[[beam.Pipeline], None],
    engine: Engine,
    *,
    sources: Iterable[Source],
    ensemble: Sequence[ConfiguredDetector] = (),
    extra: Sequence[str] = (),
    metrics_port: int | None = None,
    drain_seconds: float = 20.0,
) -> None:
    """Run a graph until its input ends or a signal asks to stop.

    On SIGTERM or SIGINT a stream drains: it takes no more, finishes what it holds within
    ``drain_seconds``, gives the rest back, and returns. Files have nothing to give back: the signal
    ends the run at once and as a failure, so that half of a file is not taken for the whole.

    Raises:
        QuorumError: If the job fails; what was not acknowledged is delivered again.
    """
    opened = tuple(sources)
    streaming = not all(each.bounded for each in opened)
    turns = [each for each in opened if isinstance(each, TurnSource)]
    if engine in (Engine.PRISM, Engine.DIRECT) and ensemble:
        warm_up(ensemble)
        for member in ensemble:
            _log.info("loaded %s, version %s", member.name, member.detector.version)
    stop = threading.Event()
    if streaming or turns:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    if metrics_port is not None:
        try:
            serve_metrics(metrics_port)
        except OSError as error:
            msg = f"cannot serve metrics on port {metrics_port}: {error.strerror}; give another"
            raise ConfigurationError(msg) from None
        _log.info("metrics on http://127.0.0.1:%d/metrics", metrics_port)
    if turns:
        _run_in_turns(build, turns[0], stop, extra)
        return
    with launch(build, engine, streaming=streaming, extra=extra) as result:
        if getattr(result, "has_job", None) is False:
            # Dataflow's template launcher starts the job of the graph that was written.
            _log.info("wrote the job's template; it runs elsewhere")
            return
        _log.info("running on %s", engine.value)
        state = _wait(result, stop)
        if stop.is_set():
            _drain(result, drain_seconds)
            return
    if state != PipelineState.DONE:
        msg = (
            f"the job ended as {state}; what it had not acknowledged will be delivered again "
            "(--log-level debug tells more)"
        )
        raise QuorumError(msg)


def _run_in_turns(
    build: Callable[[beam.Pipeline], None],
    source: TurnSource,
    stop: threading.Event,
    extra: Sequence[str],
) -> None:
    """A stream on the direct runner: one bounded run after the other, until asked to stop.

    A turn that has begun is finished; what was pulled ahead is given back.
    """
    _log.warning("%s", DIRECT_RISK)
    while not stop.is_set():
        if source.fill(_CHECK_SECONDS):
            with launch(build, Engine.DIRECT, streaming=False, extra=extra) as result:
                result.wait_until_finish()
    given_back = sum(each.drain(0.0) for each in open_subscriptions())
    _log.info("stopped; %d messages given back", given_back)


def _wait(result: Any, stop: threading.Event) -> str:
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


def _drain(result: Any, seconds: float) -> None:
    subscriptions = open_subscriptions()
    _log.info("stopping: taking no more")
    given_back: list[int] = []
    threads = [
        threading.Thread(target=lambda s=each: given_back.append(s.drain(seconds)))
        for each in subscriptions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _log.info("stopped; %d messages given back", sum(given_back))
    _hush()
    cancel(result)


def _hush() -> None:
    """All is durable or given back: what Beam's threads print while they end is no news."""
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stderr.fileno())
    os.close(null)
