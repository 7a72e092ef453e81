"""``quorum console``: the reviewers' console."""

from __future__ import annotations

import ipaddress
import logging
import sys
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.core.errors import ConfigurationError
from quorum.core.logs import LogFormat, LogLevel, configure_logs

if TYPE_CHECKING:
    from quorum.aggregator.policy.policy import Policy
    from quorum.core.settings import Settings
    from quorum.store.ledger import Ledger

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

_Database = Annotated[
    str | None,
    typer.Option(help="The ledger; by default QUORUM_DATABASE, else sqlite:///quorum.db."),
]


@app.callback(invoke_without_command=True)
def console(
    context: typer.Context,
    database: _Database = None,
    settings: Annotated[
        Path | None, typer.Option(help="The settings; by default QUORUM_SETTINGS.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="A policy's file or name, instead of the settings'.")
    ] = None,
    reviews: Annotated[
        str | None,
        typer.Option(
            help="Topic or .jsonl file for decisions; without one, they are applied to the "
            "ledger here."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 8090,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name by which browsers may call it; may be given several times."),
    ] = None,
    https: Annotated[
        bool, typer.Option("--https", help="Browsers come by https, through a reverse proxy.")
    ] = False,
    user_header: Annotated[
        str | None, typer.Option(help="Header in which a reverse proxy tells who signed in.")
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address from which that header is believed; by default loopback."),
    ] = None,
    works: Annotated[
        Path | None, typer.Option(help="Folder of registered works' media, for pairs of frames.")
    ] = None,
    policy_file: Annotated[
        Path | None, typer.Option(help="Where a policy that two people activated is written.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="File of API keys of platforms that send appeals, as `quorum serve --new-key` "
            "makes them."
        ),
    ] = None,
    undo_seconds: Annotated[
        int, typer.Option(min=0, max=60, help="How long a decision can be undone.")
    ] = 8,
    double: Annotated[
        float, typer.Option(min=0, max=1, help="Share of cases that two reviewers decide.")
    ] = 0.05,
    golden: Annotated[
        float, typer.Option(min=0, max=1, help="Share of cases whose right answer is known.")
    ] = 0.05,
    demo: Annotated[
        bool, typer.Option("--demo", help="Show a few hundred shipped cases in a new ledger.")
    ] = False,
    log_format: Annotated[LogFormat, typer.Option(help="How logs are written.")] = "text",
    log_level: Annotated[LogLevel, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    r"""Serve the reviewers' console.

    \b
    quorum console create-user ana --role lead
    quorum console --demo
    quorum console --database sqlite:///quorum.db
    quorum console --reviews projects/P/topics/quorum-reviews
    """
    if context.invoked_subcommand is not None:
        return
    configure_logs(log_format, log_level)
    # It tells each of its plug-ins and steps.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    _needs_extra()
    from quorum.aggregator.policy.policy import load_policy
    from quorum.apps.console.app import create_console
    from quorum.apps.console.desk.publishing import open_review_publisher
    from quorum.apps.console.settings import ConsoleSettings
    from quorum.apps.http.keys import Keyring, read_keys
    from quorum.apps.http.server import Server, bind
    from quorum.core.settings import load_settings
    from quorum.store.ledger import Ledger

    if not _is_loopback(host) and not allow_host:
        msg = f"{host} can be reached by others: name what they call it with --allow-host NAME"
        raise ConfigurationError(msg)
    with ExitStack() as held:
        taken = held.enter_context(bind(host, port))
        chosen = load_settings(settings)
        if demo:
            from quorum.apps.console.demo.cases import demo_settings

            chosen, examples = demo_settings()
            works = works or examples / "media"
            folder = held.enter_context(tempfile.TemporaryDirectory(prefix="quorum-console-"))
            database = f"sqlite:///{folder}/demo.db"
        rules = load_policy(policy or chosen.policy)
        ledger = held.enter_context(Ledger(database, create=demo))
        if demo:
            _seed(ledger, rules, chosen, examples)
        made = create_console(
            ledger,
            rules,
            open_review_publisher(reviews, ledger, rules),
            ConsoleSettings(
                media=chosen.media,
                undo=timedelta(seconds=undo_seconds),
                double_rate=double,
                golden_rate=golden,
                secure=https,
                hosts=(*ConsoleSettings().hosts, *(allow_host or ())),
                user_header=user_header,
                proxies=tuple(proxy or ConsoleSettings().proxies),
                works=works,
                policy_file=policy_file,
            ),
            keyring=None if keys is None else Keyring(read_keys(keys)),
        )
        at, number = taken.getsockname()[:2]
        typer.echo(f"the console is on http://{at}:{number}", err=True)
        Server(made, drain=5).run(sockets=[taken])


@app.command("create-user")
def create_user(
    name: Annotated[str, typer.Argument(help="Letters, digits and _ . @ -")],
    role: Annotated[
        str, typer.Option(help="reviewer, lead, admin, auditor or read-only.")
    ] = "reviewer",
    database: _Database = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="A reverse proxy signs them in.")
    ] = False,
) -> None:
    """Make a user, or give one another role and password; the password is asked for.

    In a script, give the password on standard input.
    """
    _needs_extra()
    from quorum.apps.console.accounts import access
    from quorum.store.ledger import Ledger

    roles = [one.value for one in access.Role]
    if role not in roles:
        msg = f"there is no role {role}; there are {', '.join(roles)}"
        raise ConfigurationError(msg)
    password = None
    if not no_password and sys.stdin.isatty():
        password = typer.prompt("password", hide_input=True, confirmation_prompt=True)
    elif not no_password:
        password = sys.stdin.readline().rstrip("\r\n")
    with Ledger(database) as ledger:
        access.create_user(ledger, name, access.Role(role), password, "command line")
    typer.echo(f"{name} may use the console as {role}")


def _seed(ledger: Ledger, rules: Policy, chosen: Settings, examples: Path) -> None:
    from quorum.apps.console.demo.cases import DEMO_PASSWORD, DEMO_USERS, seed

    typer.echo("the detectors score a few hundred uploads; this takes a minute ...", err=True)
    count = seed(ledger, rules, chosen, examples)
    names = ", ".join(f"{name} ({role.value})" for name, role in DEMO_USERS.items())
    typer.echo(f"{count} cases; log in as {names}; the password is {DEMO_PASSWORD}", err=True)


def _needs_extra() -> None:
    try:
        import argon2  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        msg = f"{error.name} is not installed: pip install 'quorum-moderation[console]'"
        raise ConfigurationError(msg) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
