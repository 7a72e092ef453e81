"""From the options of ``stream``, ``detect`` and ``decide`` to sources and case options."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import typer

from quorum.aggregator.policy.policy import Policy
from quorum.apps.cli.options import DecisionOptions, JobOptions, MetricsOptions
from quorum.core import health
from quorum.core.errors import ConfigurationError, QuorumError
from quorum.core.identity import Admission, SigningKey, check_signer
from quorum.core.messages import now
from quorum.core.settings import Settings
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.drift import load_reference
from quorum.pipeline.engine import Engine
from quorum.pipeline.engines import acknowledge_on
from quorum.pipeline.job import run_job
from quorum.pipeline.job_health import Patience
from quorum.pipeline.moderator import ensemble_of
from quorum.pipeline.policies.live import LivePolicy
from quorum.pipeline.refused import KeepRefused
from quorum.pipeline.streams.address import KAFKA, AddressKind, KafkaAddress, parse_address
from quorum.pipeline.streams.base import Source
from quorum.pipeline.streams.check import NoSuchStream, check_streams
from quorum.pipeline.streams.flink_source import FlinkPubSubSource
from quorum.pipeline.streams.open import sink, source
from quorum.store.ledger import Ledger, LedgerUnavailable

__all__ = [
    "case_options",
    "ensemble_of",
    "has_histories",
    "open_admission",
    "open_sources",
    "patience_of",
    "run",
]

_log = logging.getLogger(__name__)

#: Seconds beyond the longest regular wait, after which every open case has ended.
_FINISH_SLACK = 15.0


def case_options(
    policy: Policy,
    shadows: tuple[Policy, ...],
    options: DecisionOptions,
    live: LivePolicy | None = None,
) -> CaseOptions:
    """Build the options of a deciding job.

    Args:
        policy: Decides, until another one is released.
        shadows: Policies in shadow.
        options: Of the command line.
        live: Follows the policies that are released; None for none.

    Raises:
        ConfigurationError: If the ledger or the drift reference cannot be used.
    """
    reference = options.drift_reference
    return CaseOptions(
        shadows=shadows,
        # A policy that is released later may read histories.
        histories=has_histories(options.ledger, policy, *shadows, later=live is not None),
        ledger=options.ledger,
        reference=load_reference(reference) if reference else None,
        live=live,
    )


def open_admission(
    settings: Settings,
    reads: Mapping[str, str | None],
    writes: Mapping[str, str | None],
    detectors: Iterable[str] = (),
) -> Admission:
    """Who may say what to this job, and whether it may say what it is about to.

    Without publishers in the settings, one line of the log says what is not protected.

    Args:
        settings: The settings.
        reads: By stream, where the job reads; None for nowhere.
        writes: By stream, where the job writes; None for nowhere.
        detectors: The detectors whose predictions it publishes.

    Raises:
        ConfigurationError: If nobody may publish to a stream that is read, or this job may not
            publish what it does.
    """
    publishers = settings.publishers
    pulled = [stream for stream, address in reads.items() if _is_broker(address)]
    published = [stream for stream, address in writes.items() if _is_broker(address)]
    speaks_for = detectors if "predictions" in published else ()
    check_signer(publishers, SigningKey.from_environment(), published, speaks_for, at=now())
    if not publishers and pulled:
        _log.warning(
            "no publishers are configured: whoever may publish to a topic can send %s in any name "
            "(docs/security.md)",
            ", ".join(pulled),
        )
    for stream in pulled if publishers else ():
        if not any(stream in each.streams for each in publishers.values()):
            msg = f"no publisher of the settings may publish {stream}, which this job reads"
            raise ConfigurationError(msg)
    return Admission(publishers)


def _is_broker(address: str | None) -> bool:
    return bool(address) and _kind(str(address)) is not AddressKind.FILE


def open_sources(
    chosen: Engine | None,
    addresses: Mapping[str, str | None],
    sinks: Iterable[str | None],
    *,
    verb: str,
    dead_letters: str,
    verified: bool = False,
) -> tuple[Engine, dict[str, Source]]:
    """Open the sources at these addresses, for the engine that was chosen or that fits them.

    Args:
        chosen: The engine that the user named, if any.
        addresses: By stream, where to read it; None where it is not read.
        sinks: Where the job writes, beside the dead letters; None for nowhere.
        verb: The command that runs the job.
        dead_letters: Where its dead letters go.
        verified: Whether the job verifies who sent a message.

    Raises:
        ConfigurationError: If an address cannot be read from, or does not exist.
        EngineUnavailable: If a broker does not answer.
    """
    given = {name: address for name, address in addresses.items() if address}
    streaming = any(_kind(address) is not AddressKind.FILE for address in given.values())
    engine = chosen or (Engine.PRISM if streaming else Engine.DIRECT)
    opened = {
        name: source(
            address,
            name,
            acknowledge=acknowledge_on(engine),
            native=engine is Engine.DATAFLOW,
            verified=verified,
            in_turns=engine is Engine.DIRECT,
            refused=KeepRefused(
                f"{verb if name == 'uploads' else 'decide'}.{name}",
                sink(dead_letters, origin=f"/quorum/{verb}"),
            ),
            reader=verb,
        )
        for name, address in given.items()
    }
    if engine is Engine.DATAFLOW:  # the service looks for them itself
        return engine, opened
    # A sink that is no topic is refused where it is opened.
    kinds = (AddressKind.TOPIC, AddressKind.KAFKA)
    topics = [each for each in (*sinks, dead_letters) if each and _kind(each) in kinds]
    try:
        check_streams([*given.values(), *topics])
    except NoSuchStream:
        raise
    except QuorumError as error:
        if engine is not Engine.FLINK:
            raise
        # The workers are elsewhere, and may have what is not to be had here.
        _log.warning("whether the streams are there cannot be seen from here: %s", error)
    return engine, opened


def run(
    build: Any,
    engine: Engine,
    job: JobOptions,
    sources: Mapping[str, Source],
    *,
    metrics: MetricsOptions,
    verb: str,
    live: LivePolicy | None = None,
    **more: Any,
) -> None:
    """Run the job of a verb as its options say; see ``run_job``.

    Raises:
        ConfigurationError: If options are given that are for other engines.
    """
    clusters = (Engine.FLINK, Engine.DATAFLOW)
    if job.detach and engine not in clusters:
        msg = f"--detach is for a cluster; on {engine.value} the job ends with its process"
        raise ConfigurationError(msg)
    if job.finish_open and engine is not Engine.FLINK:
        msg = "--finish-open is for --runner flink; elsewhere drain the job (docs/operations.md)"
        raise ConfigurationError(msg)
    finish = None
    if job.finish_open:
        finish = max(map(_seconds, more.get("patience", {}).values()), default=0.0) + _FINISH_SLACK
        for each in sources.values():
            if isinstance(each, FlinkPubSubSource) and each.stream == "uploads":
                each.paused = True
    end_check = None if live is None else health.register("policy", live.problem)
    try:
        started = run_job(
            build,
            engine,
            sources=sources.values(),
            beam_args=job.beam_args or (),
            verb=verb,
            listen=metrics.listen(verb),
            flink=replace(
                job.flink(),
                job_name=_job_name(sources.values()),
                finish_open=finish,
                command=() if job.finish_open else (sys.executable, "-m", "quorum", *sys.argv[1:]),
            ),
            drain_seconds=job.drain_seconds,
            accept_open=job.allow_open_prism,
            **more,
        )
    finally:
        if end_check is not None:
            end_check()
    if started:
        typer.echo(started)


def _seconds(patience: Patience) -> float:
    return patience() if callable(patience) else patience


def _job_name(sources: Iterable[Source]) -> str:
    """A name of the job that says what it reads: one job for each set of subscriptions."""
    paths = sorted(each.path for each in sources if isinstance(each, FlinkPubSubSource))
    return "-".join(["quorum", *(_named(path) for path in paths)])


def _named(path: str) -> str:
    """A part of a job's name: the project and the subscription, or the cluster and the group."""
    if path.startswith(KAFKA):
        found = KafkaAddress.parse(path)
        return f"{found.brokers.split(',')[0].replace(':', '-')}-{found.group}"
    return path.replace("/subscriptions/", "-").replace("projects/", "")


def patience_of(policy: Policy, live: LivePolicy | None = None) -> dict[str, Patience]:
    """By stream, how many seconds a message may wait for a verdict where all is well.

    Args:
        policy: The policy.
        live: Follows the policies that are released, whose times count then; None for none.
    """

    def now() -> Policy:
        return policy if live is None else live.current()

    def orphans() -> float:
        return max(now().deadline, now().orphan_wait)

    return {"uploads": lambda: now().deadline, "predictions": orphans, "reviews": orphans}


def _kind(address: str) -> AddressKind:
    return parse_address(address).kind


def has_histories(url: str | None, *policies: Policy, later: bool = False) -> bool:
    """Whether to look up uploaders' histories: a rule uses them, and there is a ledger.

    Args:
        url: The ledger.
        policies: The policies.
        later: Whether a policy that takes over later may use them, too.

    Raises:
        ConfigurationError: If the ledger cannot be used; one that is unreachable may come back.
    """
    reads = any(policy.reads_history for policy in policies)
    if not reads and not later:
        return False
    if not url and not os.environ.get("QUORUM_DATABASE"):
        if not reads:
            return False
        _log.info(
            "rules use the uploader's history, and there is no ledger (--ledger or "
            "QUORUM_DATABASE): nobody has strikes"
        )
        return False
    try:
        Ledger(url, retry=()).close()
    except LedgerUnavailable as error:
        _log.warning("%s; until it is back, uploaders' histories are unknown", error)
    return True
