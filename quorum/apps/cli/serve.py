"""``quorum serve``: the ensemble behind HTTP requests."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.apps.cli import options
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.verb import verb
from quorum.apps.http.keys import new_key as make_key
from quorum.apps.http.keys import read_keys
from quorum.apps.http.loopback import is_loopback
from quorum.apps.web.settings import ServiceLimits
from quorum.core.errors import ConfigurationError

if TYPE_CHECKING:
    from quorum.apps.http.keys import ApiKey
    from quorum.core.settings import Settings
    from quorum.models.supervision.supervisor import Supervisor

__all__ = ["app"]

app = verb()

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class ServiceAddressOptions:
    """Where the service listens, and who may call it."""

    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 8080
    keys: Annotated[Path | None, typer.Option(help="File of API keys; see --new-key.")] = None

    def read_keys(self) -> tuple[ApiKey, ...] | None:
        """Read the file of keys.

        Raises:
            ConfigurationError: If it cannot be used, or is absent where others can call.
        """
        if self.keys is not None:
            return read_keys(self.keys)
        if not is_loopback(self.host):
            msg = (
                f"{self.host} can be reached by others: give --keys FILE (make one with "
                "--new-key NAME)"
            )
            raise ConfigurationError(msg)
        return None


@dataclass(frozen=True)
class KeyOptions:
    """A new API key to make, instead of serving."""

    new_key: Annotated[
        str | None, typer.Option(help="Print a new API key of this name and its line, and exit.")
    ] = None
    scopes: Annotated[
        str,
        typer.Option(help="Scopes of the new key, of moderate, read, read-all, metrics, report."),
    ] = "moderate,read"


@dataclass(frozen=True)
class LimitOptions:
    """What clients may ask for."""

    pending: Annotated[
        int, typer.Option(min=1, help="Most uploads in progress at once; more get 429.")
    ] = 256
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Uploads per second for each API key.")
    ] = None
    max_media_mb: Annotated[
        int, typer.Option(min=0, help="Largest media file of a request; 0 for none.")
    ] = 64

    def limits(self) -> ServiceLimits:
        """Build the service's limits."""
        return ServiceLimits(
            pending=self.pending,
            batch=min(ServiceLimits().batch, self.pending),
            rate=self.rate,
            media_bytes=max(1, self.max_media_mb) * _MEGABYTE,
        )


@dataclass(frozen=True)
class ServiceOptions:
    """What the service records and sends, follows, and how it ends."""

    database: Annotated[
        str | None,
        typer.Option(help="Ledger to record into (default: QUORUM_DATABASE, else none)."),
    ] = None
    webhooks: options.Webhooks = None
    watch_models: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds between checks whether a model registry's alias moved; 0 for never.",
        ),
    ] = 60.0
    drain_seconds: Annotated[
        int, typer.Option(min=0, help="On SIGTERM, time to finish and to end the process.")
    ] = 25


@app.command()
@expanded
def serve(
    policies: options.PolicyOptions,
    address: ServiceAddressOptions,
    key: KeyOptions,
    limit: LimitOptions,
    service: ServiceOptions,
    logs: options.LogOptions,
) -> None:
    """Serve verdicts over HTTP: POST /v1/moderate; /openapi.json documents the rest.

    \b
    quorum serve --policy balanced --port 8080
    quorum serve --new-key shop                      # make an API key
    quorum serve --host 0.0.0.0 --keys keys.txt --database postgresql://db/quorum
    """
    logs.configure()
    if key.new_key is not None:
        secret, line = make_key(key.new_key, frozenset(key.scopes.split(",")))
        typer.echo(f"give the client this key, which is stored nowhere:\n{secret}")
        typer.echo(f"add this line to the file of keys:\n{line}")
        return
    keys = address.read_keys()
    try:
        from quorum.apps.http.server import Server, bind, closing_of, requests_of
        from quorum.apps.web.app import create_app
        from quorum.apps.web.watch import Watcher
    except ImportError as error:
        msg = f"{error.name} is not installed: pip install 'quorum-moderation[web]'"
        raise ConfigurationError(msg) from None
    from quorum.apps.web.endpoints import read_endpoints
    from quorum.core import tracing
    from quorum.core.process_end import end_within
    from quorum.models.pinning import pinned
    from quorum.models.supervision.shared import start_supervisor
    from quorum.pipeline.moderator import ensemble_of
    from quorum.store.ledger import Ledger

    tracing.begin("serve")
    with ExitStack() as stack:
        listening = stack.enter_context(bind(address.host, address.port))
        settings, policy, shadows = policies.load()
        live = policies.live(settings, policy)
        url = service.database or os.environ.get("QUORUM_DATABASE")
        endpoints = () if service.webhooks is None else read_endpoints(service.webhooks)
        if endpoints and not url:
            msg = "webhooks need a ledger, which queues them until delivery: give --database"
            raise ConfigurationError(msg)
        ledger = stack.enter_context(Ledger(url)) if url else None
        folder = None
        if limit.max_media_mb > 0:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="quorum-media-"))
            folder = Path(name).resolve()
            settings = _with_folder(settings, folder)
        first = pinned(settings)

        def load(settings: Settings) -> Supervisor:
            return start_supervisor(ensemble_of(settings, (policy, *shadows)))

        supervisor = load(first.with_warnings())
        # Only a reference that may move is replaced.
        moves = first.settings != settings
        watcher = Watcher(settings, first, service.watch_models, load=load) if moves else None
        web = create_app(
            policy,
            supervisor,
            ledger=ledger,
            keys=keys,
            endpoints=endpoints,
            limits=replace(limit.limits(), closing_seconds=closing_of(service.drain_seconds)),
            media_folder=folder,
            shadows=shadows,
            watcher=watcher,
            attributes=settings.perspective,
            report_settings=settings.reports,
            notice_settings=settings.notices,
            publishers=settings.publishers,
            live=live,
        )
        stack.callback(supervisor.close)
        host, port = listening.getsockname()[:2]
        typer.echo(f"serving {policy.version} on http://{host}:{port}", err=True)
        server = Server(web, drain=requests_of(service.drain_seconds))
        end_within(service.drain_seconds, server.stopping)
        server.run(sockets=[listening])


def _with_folder(settings: Settings, folder: Path) -> Settings:
    """Allow media from one more folder."""
    folders = (*settings.media.folders, str(folder))
    media = settings.media.model_copy(update={"folders": folders})
    return settings.model_copy(update={"media": media})
