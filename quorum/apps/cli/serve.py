"""``quorum serve``: the ensemble behind a request."""

from __future__ import annotations

import ipaddress
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.apps.http.keys import ApiKey, read_keys
from quorum.apps.http.keys import new_key as make_key
from quorum.apps.web.settings import Limits
from quorum.core.errors import ConfigurationError
from quorum.core.logs import LogFormat, LogLevel, configure_logs

if TYPE_CHECKING:
    from fastapi import FastAPI

    from quorum.models.ensemble import Ensemble

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def serve(
    settings: Annotated[
        Path | None, typer.Option(help="The settings; by default QUORUM_SETTINGS.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="A policy's file or name, instead of the settings'.")
    ] = None,
    shadow_policy: Annotated[
        list[str] | None,
        typer.Option(help="A policy that only watches; may be repeated.", show_default=False),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 8080,
    database: Annotated[
        str | None,
        typer.Option(
            help="Record into this ledger; by default QUORUM_DATABASE, else nothing is recorded.",
        ),
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="File of API keys; see --new-key.")] = None,
    new_key: Annotated[
        str | None, typer.Option(help="Print a new API key of this name and its line, and end.")
    ] = None,
    scopes: Annotated[
        str, typer.Option(help="What the new key is for, of moderate, read, metrics.")
    ] = "moderate,read",
    webhooks: Annotated[
        Path | None, typer.Option(help="YAML list of endpoints to tell verdicts to.")
    ] = None,
    pending: Annotated[
        int, typer.Option(min=1, help="The most uploads in the works; more get 429.")
    ] = 256,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Uploads a second for each API key.")
    ] = None,
    max_media_mb: Annotated[
        int, typer.Option(min=0, help="The largest media file with a request; 0 for none.")
    ] = 64,
    watch_models: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds between looks whether an alias of a model registry moved; 0: never.",
        ),
    ] = 60.0,
    drain_seconds: Annotated[
        int, typer.Option(min=0, help="On SIGTERM, how long to finish what is in the works.")
    ] = 25,
    log_format: Annotated[LogFormat, typer.Option(help="How logs are written.")] = "text",
    log_level: Annotated[LogLevel, typer.Option(help="The least level that is shown.")] = "info",
) -> None:
    """Serve verdicts over HTTP: POST /v1/moderate; /openapi.json tells the rest.

    \b
    quorum serve --policy balanced --port 8080
    quorum serve --new-key shop                      # make an API key
    quorum serve --host 0.0.0.0 --keys keys.txt --database postgresql://db/quorum
    """
    configure_logs(log_format, log_level)
    if new_key is not None:
        secret, line = make_key(new_key, frozenset(scopes.split(",")))
        typer.echo(f"give the client this key, which is kept nowhere:\n{secret}")
        typer.echo(f"add this line to the file of keys:\n{line}")
        return
    known = None if keys is None else read_keys(keys)
    if known is None and not _is_loopback(host):
        msg = f"{host} can be reached by others: give --keys FILE (make one with --new-key NAME)"
        raise ConfigurationError(msg)
    limits = Limits(
        pending=pending,
        batch=min(Limits().batch, pending),
        rate=rate,
        media_bytes=max(1, max_media_mb) * 1024 * 1024,
    )
    _run(
        settings=settings,
        policy=policy,
        shadow_policy=shadow_policy or [],
        address=(host, port),
        database=database,
        keys=known,
        webhooks=webhooks,
        limits=limits,
        takes_media=max_media_mb > 0,
        watch=watch_models,
        drain=drain_seconds,
    )


def _run(
    *,
    settings: Path | None,
    policy: str | None,
    shadow_policy: list[str],
    address: tuple[str, int],
    database: str | None,
    keys: tuple[ApiKey, ...] | None,
    webhooks: Path | None,
    limits: Limits,
    takes_media: bool,
    watch: float,
    drain: int,
) -> None:
    try:
        from quorum.apps.http.server import Server, bind
        from quorum.apps.web.app import create_app
        from quorum.apps.web.watch import Watcher
    except ImportError as error:
        msg = f"{error.name} is not installed: pip install 'quorum-moderation[web]'"
        raise ConfigurationError(msg) from None
    from quorum.aggregator.policy.policy import load_policy
    from quorum.apps.web.endpoints import read_endpoints
    from quorum.core.settings import load_settings
    from quorum.models.ensemble import Ensemble
    from quorum.models.pinning import pinned
    from quorum.store.ledger import Ledger

    with ExitStack() as held:
        taken = held.enter_context(bind(*address))
        chosen = load_settings(settings)
        rules = load_policy(policy or chosen.policy)
        shadows = [load_policy(name) for name in shadow_policy]
        url = database or os.environ.get("QUORUM_DATABASE")
        endpoints = () if webhooks is None else read_endpoints(webhooks)
        if endpoints and not url:
            msg = "webhooks need a ledger, which keeps them until they are told: give --database"
            raise ConfigurationError(msg)
        ledger = held.enter_context(Ledger(url)) if url else None
        folder = None
        if takes_media:
            name = held.enter_context(tempfile.TemporaryDirectory(prefix="quorum-media-"))
            folder = Path(name).resolve()
            folders = (*chosen.media.folders, str(folder))
            media = chosen.media.model_copy(update={"folders": folders})
            chosen = chosen.model_copy(update={"media": media})
        first = pinned(chosen)
        ensemble = Ensemble.load(first.tell())
        ensemble.warm_up()
        # Only a reference that may move is replaced.
        watcher = Watcher(chosen, first, watch) if first.settings != chosen else None
        made = create_app(
            rules,
            ensemble,
            ledger=ledger,
            keys=keys,
            endpoints=endpoints,
            limits=limits,
            media_folder=folder,
            shadows=shadows,
            watcher=watcher,
        )
        held.callback(_close, made, ensemble)
        host, port = taken.getsockname()[:2]
        typer.echo(f"serving {rules.version} on http://{host}:{port}", err=True)
        Server(made, drain=drain).run(sockets=[taken])


def _close(made: FastAPI, first: Ensemble) -> None:
    """Give back the detectors that serve now: those of the start may have been replaced."""
    state = getattr(made.state, "quorum", None)
    (first if state is None else state.service.ensemble).close()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
