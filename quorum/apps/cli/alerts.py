"""``quorum alerts``: tell people when rates leave the pattern of the same hours of last weeks."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.apps.cli import options
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.verb import verb
from quorum.core.errors import ConfigurationError, EngineUnavailable

if TYPE_CHECKING:
    from quorum.core.alert_settings import AlertSettings
    from quorum.store.alerts.values import Judgement

__all__ = ["app"]

app = verb("Tell people when rates leave their weekly pattern.")

#: Seconds from SIGTERM to the end of the process.
_DRAIN_SECONDS = 15.0

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class NotSent(EngineUnavailable):
    """A channel that could not be reached."""


@app.callback()
def _root() -> None:
    """Tell people when rates leave their weekly pattern."""


@app.command()
@expanded
def run(
    logs: options.LogOptions,
    metrics: options.MetricsOptions,
    database: options.LedgerDatabase = None,
    settings: options.SettingsFile = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Look once and print what would be sent; record and send nothing."
        ),
    ] = False,
) -> None:
    """Look every few minutes, and send what begins and ends through each channel, once.

    What is watched and who is told is the section `alerts` of the settings (docs/operations.md).
    Several of these processes may share one ledger.

    \b
    quorum alerts run --settings quorum.yaml
    quorum alerts run --settings quorum.yaml --dry-run
    """
    logs.configure()
    from quorum.apps.alerts import watcher
    from quorum.apps.alerts.channels import open_senders
    from quorum.core import health, monitoring
    from quorum.core.process_end import end_within
    from quorum.store.ledger import Ledger

    chosen = _chosen(settings)
    if not chosen.channels:
        msg = "the settings name nobody to tell: add alerts.channels (docs/operations.md)"
        raise ConfigurationError(msg)
    if dry_run:
        _tell_dry(database, chosen)
        return
    senders = open_senders(chosen)
    stopping = threading.Event()
    with ExitStack() as stack:
        stack.callback(end_within(_DRAIN_SECONDS, stopping))
        ledger = stack.enter_context(Ledger(database))
        watching = watcher.Watcher(ledger, chosen)
        stack.callback(health.register("ledger", lambda: watching.problem))
        monitoring.start(metrics.listen("alerts"))

        def stop(*_: object) -> None:
            stopping.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        names = ", ".join(one.name for one in senders)
        typer.echo(f"watching {', '.join(chosen.watch)}; telling {names}", err=True)
        watcher.run(ledger, chosen, senders, watching, stopping)


@app.command()
def check(
    database: options.LedgerDatabase = None,
    settings: options.SettingsFile = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Print what is as usual, or unknown, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look once and print what has left its weekly pattern; record and send nothing.

    \b
    quorum alerts check --settings quorum.yaml
    quorum alerts check --all --json
    """
    found = _judged(database, _chosen(settings))
    if not everything:
        found = [one for one in found if one.state.value == "off"]
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    for one in found:
        typer.echo(_line(one))
    if not found:
        typer.echo("everything is as in the weeks before, or too little was counted (--all tells)")


@app.command("test")
def test_channels(
    settings: options.SettingsFile = None,
) -> None:
    """Send a test through each channel; exit with 69 if one does not take it.

    \b
    quorum alerts test --settings quorum.yaml
    """
    from uuid import uuid4

    from quorum.apps.alerts.channels import open_senders
    from quorum.apps.alerts.words import Words
    from quorum.core.messages import now
    from quorum.store.alerts.values import Alert, Judgement, Signal, State

    chosen = _chosen(settings)
    senders = open_senders(chosen)
    if not senders:
        msg = "the settings name nobody to tell: add alerts.channels (docs/operations.md)"
        raise ConfigurationError(msg)
    signal_ = Signal("removals")
    made = Alert(uuid4().hex, signal_, now().isoformat(), None, Judgement(signal_, State.UNKNOWN))
    words = Words("a test", "This is a test of the channel; nothing is wrong.", chosen.console)
    failed = []
    for sender in senders:
        error = sender.send(f"{made.id}-opened", "opened", made, words)
        typer.echo(f"{sender.name}: {error or 'sent'}")
        if error is not None:
            failed.append(sender.name)
    if failed:
        msg = f"not sent: {', '.join(failed)}"
        raise NotSent(msg)


@app.command("list")
def list_alerts(
    database: options.LedgerDatabase = None,
    settings: options.SettingsFile = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Print the newest alerts: since when, until when, what was found.

    \b
    quorum alerts list --database sqlite:///quorum.db
    """
    from quorum.apps.alerts.words import words_of
    from quorum.store.alerts.episodes import newest
    from quorum.store.ledger import Ledger

    console = _chosen(settings).console
    with Ledger(database) as ledger:
        found = newest(ledger, count)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    for one in found:
        words = words_of(one, "opened", console)
        until = f"until {one.resolved_at}" if one.resolved_at else "lasts"
        typer.echo(f"{one.opened_at}  {until}  {words.title}: {words.text}")
    if not found:
        typer.echo("there was no alert")


def _chosen(settings: str | None) -> AlertSettings:
    from quorum.core.settings import load_settings

    return load_settings(settings).alerts


def _judged(database: str | None, chosen: AlertSettings) -> list[Judgement]:
    from quorum.apps.alerts.watcher import judged
    from quorum.core.messages import now
    from quorum.store.alerts.counting import Counts
    from quorum.store.ledger import Ledger

    with Ledger(database) as ledger:
        return judged(Counts(ledger, chosen), chosen, now())


def _tell_dry(database: str | None, chosen: AlertSettings) -> None:
    from quorum.apps.alerts.words import words_of
    from quorum.core.messages import now
    from quorum.store.alerts.episodes import open_keys
    from quorum.store.alerts.values import Alert
    from quorum.store.ledger import Ledger

    found = _judged(database, chosen)
    with Ledger(database) as ledger:
        told = open_keys(ledger)
    new = [one for one in found if one.state.value == "off" and one.signal.key not in told]
    for one in new:
        alert = Alert("-", one.signal, now().isoformat(timespec="seconds"), None, one)
        words = words_of(alert, "opened", chosen.console)
        for channel in chosen.channels:
            link = f" {words.link}" if words.link else ""
            typer.echo(f"to {channel.name} ({channel.kind}): {words.title}. {words.text}{link}")
    if not new:
        typer.echo("nothing would be sent")


def _line(one: Judgement) -> str:
    if one.state.value == "unknown":
        return f"unknown  {one.signal.key}: {one.total:,} now, {one.weeks} weeks with enough"
    if one.signal.kind == "drift":
        return f"{one.state.value:<8} {one.signal.key}: index {one.now:.2f} of {one.total:,} scores"
    return (
        f"{one.state.value:<8} {one.signal.key}: {100 * one.now:.3g} % now "
        f"({100 * one.low:.3g} to {100 * one.high:.3g}), {100 * one.usual:.3g} % usually "
        f"({one.weeks} weeks)"
    )
