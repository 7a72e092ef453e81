"""Options that several commands share. Importing this module loads neither Beam nor models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.core.errors import ConfigurationError
from quorum.core.logs import LogFormat, LogLevel, configure_logs
from quorum.pipeline.engine import Engine
from quorum.pipeline.flink.options import FlinkOptions, FlinkWorkers

if TYPE_CHECKING:
    from quorum.aggregator.policy.policy import Policy
    from quorum.core.monitoring import Listen
    from quorum.core.settings import Settings
    from quorum.pipeline.policies.live import LivePolicy

__all__ = [
    "BeamArgs",
    "DeadLetters",
    "DecisionOptions",
    "JobOptions",
    "LedgerDatabase",
    "LogOptions",
    "MetricsOptions",
    "PoliciesAddress",
    "PolicyName",
    "PolicyOptions",
    "Reviews",
    "Runner",
    "SettingsFile",
    "ShadowPolicies",
    "Webhooks",
]

_log = logging.getLogger(__name__)

SettingsFile = Annotated[
    str | None,
    typer.Option(
        "--settings", help="Settings file (YAML); or QUORUM_SETTINGS.", show_default=False
    ),
]
PolicyName = Annotated[
    str | None,
    typer.Option(
        "--policy",
        help="Policy: a file, or the name of a shipped one (default: the settings' policy, else "
        "balanced).",
        show_default=False,
    ),
]
ShadowPolicies = Annotated[
    list[str] | None,
    typer.Option(
        "--shadow-policy",
        help="Policy to evaluate without effect; verdicts record what it would have decided. "
        "Repeatable.",
        show_default=False,
    ),
]
PoliciesAddress = Annotated[
    str | None,
    typer.Option(
        "--policies",
        help="Follow the policies that are released while it runs, without a restart: `ledger` "
        "(that of QUORUM_DATABASE), a ledger's URL, a subscription of the policies topic, that "
        "topic of Kafka, or a policy's .yaml file. Until one is released, --policy decides.",
        metavar="ADDRESS",
        show_default=False,
    ),
]
LedgerDatabase = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="Ledger URL (default: QUORUM_DATABASE, else sqlite:///quorum.db).",
        show_default=False,
    ),
]
DeadLetters = Annotated[
    str,
    typer.Option(
        "--dead-letters", help="Topic or .jsonl file for messages that cannot be processed."
    ),
]
Reviews = Annotated[
    str | None,
    typer.Option(
        "--reviews", help="Subscription or file of reviewers' decisions.", show_default=False
    ),
]
Runner = Annotated[
    Engine | None,
    typer.Option(
        "--runner",
        help="Beam runner: prism (default for streams on one machine), direct (default for files; "
        "bounded runs and tests), flink, dataflow.",
        show_default=False,
    ),
]
AllowOpenPrism = Annotated[
    bool,
    typer.Option(
        "--allow-open-prism",
        help="Run Prism though its port, by which it takes commands, is open to the network.",
    ),
]
BeamArgs = Annotated[
    list[str] | None,
    typer.Argument(
        help="Further Beam options, after `--` (--parallelism=…, --project=…).",
        show_default=False,
    ),
]
Webhooks = Annotated[
    Path | None,
    typer.Option("--webhooks", help="YAML list of endpoints that receive verdicts."),
]


def _fits(settings: Settings, scores: bool, policy: Policy) -> None:
    """Refuse a released policy that this job could not have begun with."""
    from quorum.core.settings import check_hashes, check_timeouts

    check_timeouts(settings, policy.deadline)
    _check_hashes(settings, check_hashes, policy)
    if scores:
        from quorum.models.installed import selected

        policy.check_versions({name for name, one in selected(settings).items() if not one.shadow})


def _check_hashes(settings: Settings, check: Callable[..., None], policy: Policy) -> None:
    asked = {name for rule in policy.all_rules for name in rule.detectors}
    check(settings, policy.name, asked)


@dataclass(frozen=True)
class LogOptions:
    """How the command logs, to standard error."""

    log_format: Annotated[LogFormat, typer.Option(help="Log format.")] = "text"
    log_level: Annotated[LogLevel, typer.Option(help="Lowest level that is logged.")] = "info"

    def configure(self) -> None:
        """Set up logging."""
        configure_logs(self.log_format, self.log_level)


@dataclass(frozen=True)
class PolicyOptions:
    """The settings and policies to decide with."""

    settings: SettingsFile = None
    policy: PolicyName = None
    shadow_policy: ShadowPolicies = None
    policies: PoliciesAddress = None

    @property
    def subscription(self) -> str | None:
        """The stream that policies are read from; None if they are read elsewhere."""
        given = self.policies or ""
        return given if "projects/" in given or given.startswith("kafka:") else None

    def live(self, settings: Settings, policy: Policy, *, scores: bool = True) -> LivePolicy | None:
        """How the policies are followed that are released while the command runs; None for none.

        Args:
            settings: Of the deployment.
            policy: Decides until one was released.
            scores: Whether the detectors run in this job.

        Raises:
            ConfigurationError: If they cannot be followed, or not with these settings.
        """
        from quorum.pipeline.policies.live import LivePolicy, watcher_of

        if self.policies is None:
            return None
        if settings.cascade:
            msg = (
                "--policies and `cascade` exclude each other: a cascade skips detectors by the "
                "policy that the job began with; remove one of them"
            )
            raise ConfigurationError(msg)
        fits = partial(_fits, settings, scores)
        live = LivePolicy(policy, self.policies, settings.publishers, fits)
        # Before the first message is pulled: a restart goes on with the policy in force.
        watcher_of(live)
        return live

    def load(self) -> tuple[Settings, Policy, tuple[Policy, ...]]:
        """Read the settings, the policy and the shadow policies.

        Raises:
            ConfigurationError: If one of them cannot be used.
        """
        from quorum.aggregator.policy.policy import load_policy
        from quorum.core.settings import check_hashes, check_timeouts, load_settings

        settings = load_settings(self.settings)
        shadows = tuple(load_policy(name) for name in self.shadow_policy or ())
        policy = load_policy(self.policy or settings.policy)
        check_timeouts(settings, policy.deadline, self.settings)
        _check_hashes(settings, check_hashes, policy)
        return settings, policy, shadows


@dataclass(frozen=True)
class DecisionOptions:
    """What a deciding job reads besides its policies."""

    ledger: Annotated[
        str | None,
        typer.Option(
            help="Ledger kept by `quorum record`: restores the case of a late review, and gives "
            "uploaders' histories to policies that use them (default for histories: "
            "QUORUM_DATABASE, else none).",
            show_default=False,
        ),
    ] = None
    drift_reference: Annotated[
        Path | None,
        typer.Option(
            help="Export how scores drift from these reference distributions as metrics (see "
            "`quorum policy drift --save`).",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class MetricsOptions:
    """Where the process serves its metrics and health."""

    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Serve Prometheus metrics, /health and /ready on this port.",
            show_default=False,
        ),
    ] = None
    metrics_host: Annotated[
        str, typer.Option(help="Address of that port; one that others can reach needs a key.")
    ] = "127.0.0.1"
    metrics_keys: Annotated[
        Path | None,
        typer.Option(
            help="File of API keys: one with the scope metrics may read them (see `quorum serve "
            "--new-key`).",
            show_default=False,
        ),
    ] = None
    open_metrics: Annotated[
        bool, typer.Option("--open-metrics", help="Whoever reaches the port may read them.")
    ] = False

    def listen(self, process: str) -> Listen | None:
        """Where to listen; None for nowhere.

        Raises:
            ConfigurationError: If the keys cannot be used, or none are given where others can ask.
        """
        from quorum.apps.http.keys import Keyring, read_keys
        from quorum.apps.http.loopback import is_loopback
        from quorum.core.monitoring import Listen

        if self.metrics_port is None:
            return None
        allowed = None
        if self.metrics_keys is not None:
            keyring = Keyring(read_keys(self.metrics_keys))

            def allowed(headers: Mapping[str, str]) -> bool:
                key = keyring.find(headers)
                return key is not None and key.allows("metrics")

        elif not is_loopback(self.metrics_host):
            if not self.open_metrics:
                msg = (
                    f"{self.metrics_host} can be reached by others: give --metrics-keys FILE (make "
                    "one with quorum serve --new-key NAME --scopes metrics), or --open-metrics"
                )
                raise ConfigurationError(msg)
            _log.warning(
                "whoever reaches %s port %d may read the metrics: how much is removed, by which "
                "rule, and which detector fails",
                self.metrics_host,
                self.metrics_port,
            )
        return Listen(process, self.metrics_port, self.metrics_host, allowed)


@dataclass(frozen=True)
class JobOptions:
    """How a Beam job runs."""

    runner: Runner = None
    drain_seconds: Annotated[
        float,
        typer.Option(help="On SIGTERM, time to finish messages in flight before nacking them."),
    ] = 20.0
    allow_open_prism: AllowOpenPrism = False
    flink_master: Annotated[
        str | None,
        typer.Option(
            help="With --runner flink: HOST:PORT of the JobManager's REST interface.",
            show_default=False,
        ),
    ] = None
    flink_workers: Annotated[
        FlinkWorkers,
        typer.Option(
            help="Where Beam's workers run: in a `quorum worker-pool` beside each TaskManager, in "
            "this process (local; a cluster on this machine), or in containers."
        ),
    ] = FlinkWorkers.POOL
    flink_pool: Annotated[
        str, typer.Option(help="HOST:PORT of the worker pool, as a TaskManager sees it.")
    ] = "localhost:50000"
    flink_allow_loss: Annotated[
        bool,
        typer.Option(
            "--flink-allow-loss",
            help="Start on a cluster that keeps no checkpoints: what was acknowledged is lost "
            "with its JobManager.",
        ),
    ] = False
    job_endpoint: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of a job server of Beam for Flink that runs already (default: one is "
            "started; QUORUM_FLINK_JOB_SERVER names its jar, else Beam downloads it).",
            show_default=False,
        ),
    ] = None
    detach: Annotated[
        bool,
        typer.Option(
            "--detach",
            help="On Flink and Dataflow: print the job's id and end; `quorum jobs` speaks of it.",
        ),
    ] = False
    finish_open: Annotated[
        bool,
        typer.Option(
            "--finish-open",
            help="With --runner flink: pull no uploads, decide the cases that are open, and end "
            "the job; `quorum jobs drain` does so.",
        ),
    ] = False
    beam_args: BeamArgs = None

    def flink(self) -> FlinkOptions:
        """How the job runs on Flink."""
        return FlinkOptions(
            self.flink_master,
            self.flink_workers,
            self.flink_pool,
            self.job_endpoint,
            self.flink_allow_loss,
            detach=self.detach,
        )
