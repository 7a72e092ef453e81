"""``quorum record``: record the streams in the ledger."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quorum.apps.cli.options import MetricsOptions, SettingsFile
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.verb import verb
from quorum.core import health, monitoring, tracing
from quorum.core.errors import ConfigurationError
from quorum.core.logs import LogFormat, LogLevel, configure_logs
from quorum.core.process_end import HANDLER_SECONDS, end_within

if TYPE_CHECKING:
    from quorum.core.messages import Verdict
    from quorum.pipeline.record import StreamRecorder
    from quorum.pipeline.streams.address import Address
    from quorum.store.ledger import Delivery

__all__ = ["app"]

app = verb()


def _option(what: str) -> Any:
    return typer.Option(help=f"Subscription or .jsonl file of {what}.", show_default=False)


@app.command()
@expanded
def record(
    metrics: MetricsOptions,
    uploads: Annotated[str | None, _option("uploads")] = None,
    predictions: Annotated[str | None, _option("predictions")] = None,
    verdicts: Annotated[str | None, _option("verdicts")] = None,
    reviews: Annotated[str | None, _option("reviews")] = None,
    policies: Annotated[str | None, _option("released policies")] = None,
    dead_letters: Annotated[str | None, _option("dead letters")] = None,
    database: Annotated[
        str | None,
        typer.Option(help="The ledger; by default QUORUM_DATABASE, else sqlite:///quorum.db."),
    ] = None,
    webhooks: Annotated[
        Path | None, typer.Option(help="YAML list of endpoints that receive verdicts.")
    ] = None,
    settings: SettingsFile = None,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="On SIGTERM, time to record what was pulled and to end.")
    ] = 20.0,
    log_format: Annotated[LogFormat, typer.Option(help="How logs are written.")] = "text",
    log_level: Annotated[LogLevel, typer.Option(help="The least level that is shown.")] = "info",
) -> None:
    """Record streams: one more consumer of each, which never slows a verdict.

    Give it subscriptions of its own. A message is acked once the ledger has it; recording
    it again changes nothing.

    \b
    quorum record --verdicts projects/P/subscriptions/quorum-verdicts-record
    quorum record --uploads in.jsonl --verdicts out.jsonl --database sqlite:///quorum.db
    """
    configure_logs(log_format, log_level)
    from quorum.apps.cli.running import open_admission
    from quorum.core.settings import load_settings
    from quorum.pipeline.record import Feed, FileFeed, StreamRecorder, SubscriptionFeed
    from quorum.pipeline.streams.address import AddressKind, parse_address
    from quorum.pipeline.streams.check import check_streams
    from quorum.pipeline.streams.open import held_path
    from quorum.pipeline.streams.subscription import NACK_SECONDS
    from quorum.store.ledger import Ledger

    given = {
        "uploads": uploads,
        "predictions": predictions,
        "verdicts": verdicts,
        "reviews": reviews,
        "policies": policies,
        "dead-letters": dead_letters,
    }
    if not any(given.values()):
        msg = "give at least one stream to record, such as --verdicts SUBSCRIPTION"
        raise ConfigurationError(msg)
    addresses = {name: parse_address(text) for name, text in given.items() if text}
    for stream, address in addresses.items():
        if address.kind is AddressKind.TOPIC:
            msg = f"{address} is a topic; {stream} are recorded from a subscription of it"
            raise ConfigurationError(msg)
        if address.kind is AddressKind.FILE and not Path(address.path).is_file():
            msg = f"there is no file {address.path} of {stream}"
            raise ConfigurationError(msg)
    check_streams(given.values(), mend="--record")
    admission = open_admission(load_settings(settings), given, {})
    stopping = threading.Event()
    with ExitStack() as held:
        held.callback(end_within(drain_seconds, stopping))
        ledger = held.enter_context(Ledger(database))
        feeds: dict[str, Feed] = {
            stream: FileFeed(Path(address.path))
            if address.kind is AddressKind.FILE
            else SubscriptionFeed(held_path(address, "record"))
            for stream, address in addresses.items()
        }
        recorder = StreamRecorder(ledger, feeds, admission=admission)
        if webhooks is not None:
            from quorum.apps.web.endpoints import WebhookDispatcher, deliveries_of, read_endpoints

            endpoints = read_endpoints(webhooks)

            def deliveries(verdict: Verdict, trace: str) -> list[Delivery]:
                return deliveries_of(verdict, endpoints, trace)

            recorder = StreamRecorder(ledger, feeds, deliveries, admission)
            dispatcher = WebhookDispatcher(ledger, endpoints)
            dispatcher.start()
            held.callback(dispatcher.close)
        held.enter_context(_checked(addresses.values(), recorder))
        tracing.begin("record")
        monitoring.start(metrics.listen("record"))

        def stop(*_: object) -> None:
            stopping.set()
            recorder.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        recorder.run(max(0.0, drain_seconds - NACK_SECONDS - HANDLER_SECONDS))
    counts = ", ".join(f"{count:,} {stream}" for stream, count in recorder.recorded.items())
    typer.echo(f"recorded {counts or 'nothing'}", err=True)


@contextmanager
def _checked(addresses: Iterable[Address], recorder: StreamRecorder) -> Iterator[None]:
    """Check the health of the recorder while it runs."""
    from quorum.pipeline.job_health import check_subscriptions
    from quorum.pipeline.streams.address import AddressKind
    from quorum.pipeline.streams.open import held_path
    from quorum.store.writer import LAG_SECONDS

    held = [held_path(one, "record") for one in addresses if one.kind is not AddressKind.FILE]
    with ExitStack() as stack:
        stack.callback(health.register("ledger", recorder.lag))
        stack.enter_context(check_subscriptions(dict.fromkeys(held, LAG_SECONDS)))
        yield
