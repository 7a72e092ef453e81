"""``quorum console``: the reviewers' console."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.apps.cli import options
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.verb import verb
from quorum.apps.http.loopback import is_loopback
from quorum.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorum.aggregator.policy.policy import Policy
    from quorum.core.settings import Settings
    from quorum.models.copyright.catalogue.catalogue import Catalogue
    from quorum.models.prompt.translation import Translator
    from quorum.store.ledger import Ledger

__all__ = ["app"]

#: Seconds from SIGTERM to the end of the process.
_DRAIN_SECONDS = 15

app = verb()


@dataclass(frozen=True)
class ConsoleAddressOptions:
    """Where the console listens, and how browsers reach it."""

    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 8090
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Host name by which browsers may call the console. Repeatable."),
    ] = None
    https: Annotated[
        bool, typer.Option("--https", help="Browsers use https, through a reverse proxy.")
    ] = False
    user_header: Annotated[
        str | None,
        typer.Option(help="Header in which a reverse proxy names the user who signed in."),
    ] = None
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="Address from which that header is trusted (default: loopback); with "
            "QUORUM_PROXY_SECRET, if it sends that in quorum-proxy-secret. Repeatable."
        ),
    ] = None

    def check(self) -> None:
        """Refuse an address that others can reach under any name.

        Raises:
            ConfigurationError: If so.
        """
        if not is_loopback(self.host) and not self.allow_host:
            msg = (
                f"{self.host} can be reached by others: name what they call it with "
                "--allow-host NAME"
            )
            raise ConfigurationError(msg)


@dataclass(frozen=True)
class ReviewOptions:
    """What reviewers are given, and where their decisions go."""

    reviews: Annotated[
        str | None,
        typer.Option(
            help="Topic or .jsonl file for reviews; without one, they are applied to the ledger "
            "directly."
        ),
    ] = None
    works: Annotated[
        Path | None, typer.Option(help="Folder of registered works' media, for pairs of frames.")
    ] = None
    policy_file: Annotated[
        Path | None, typer.Option(help="File to write a policy to that two people activated.")
    ] = None
    policies: Annotated[
        str | None,
        typer.Option(
            help="Topic to publish activated policies to, beside the ledger; running jobs follow "
            "them with --policies.",
            metavar="TOPIC",
        ),
    ] = None
    replies: Annotated[
        Path | None,
        typer.Option(help="YAML file of templates and macros for replies to uploaders."),
    ] = None
    desk: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of queues with their rules, rights and clocks, of limits of exposure, "
            "and of breaks; `check-desk` checks it."
        ),
    ] = None
    keys: Annotated[
        Path | None,
        typer.Option(
            help="File of API keys of platforms that send appeals, made by `quorum serve "
            "--new-key`."
        ),
    ] = None
    public_reports: Annotated[
        bool,
        typer.Option(
            "--public-reports",
            help="Serve /report and /notice, forms for reports and legal notices without an "
            "account, to everyone who can connect; reports.public_per_hour and notices.per_hour "
            "of the settings limit a network.",
        ),
    ] = False
    sweep_seconds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Look for copies of removed intimate images each so many seconds, among the "
            "uploads that the catalogue of the settings keeps; 0 for never.",
        ),
    ] = 0
    no_storyboard: Annotated[
        bool,
        typer.Option(
            "--no-storyboard",
            help="Do not read the media of an opened case for its scenes and words.",
        ),
    ] = False
    translation: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of an OpenAI-compatible server that translates words of a case when "
            "a reviewer asks; without one nothing is sent anywhere.",
            metavar="FILE",
        ),
    ] = None
    meaning_search: Annotated[
        int,
        typer.Option(
            min=0,
            max=200_000,
            help="Search by meaning among so many of the newest cases, whose texts the console "
            "embeds for it; 0 for none.",
        ),
    ] = 0
    undo_seconds: Annotated[
        int, typer.Option(min=0, max=60, help="How long a decision can be undone.")
    ] = 8
    double: Annotated[
        float, typer.Option(min=0, max=1, help="Share of cases that two reviewers decide.")
    ] = 0.05
    golden: Annotated[
        float, typer.Option(min=0, max=1, help="Share of cases with a known right decision.")
    ] = 0.05
    answer_seconds: Annotated[
        int,
        typer.Option(
            min=1, help="Tell on every page of a published decision without a verdict after this."
        ),
    ] = 60
    quiet_minutes: Annotated[
        int,
        typer.Option(min=0, help="Tell of detectors that were not heard for so long; 0 for never."),
    ] = 30
    demo: Annotated[
        bool, typer.Option("--demo", help="Show a few hundred example cases in a new ledger.")
    ] = False


@app.callback(invoke_without_command=True)
@expanded
def console(
    context: typer.Context,
    address: ConsoleAddressOptions,
    review: ReviewOptions,
    logs: options.LogOptions,
    metrics: options.MetricsOptions,
    database: options.LedgerDatabase = None,
    settings: options.SettingsFile = None,
    policy: options.PolicyName = None,
) -> None:
    """Serve the reviewers' console.

    \b
    quorum console create-user ana --role lead
    quorum console --demo
    quorum console --database sqlite:///quorum.db
    quorum console --reviews projects/P/topics/quorum-reviews
    """
    if context.invoked_subcommand is not None:
        return
    logs.configure()
    # Alembic logs each of its plug-ins and steps at the level of information.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    _require_extra()
    from quorum.aggregator.policy.policy import load_policy
    from quorum.apps.console.app import create_console
    from quorum.apps.console.desk.publishing import open_review_publisher
    from quorum.apps.console.desk.replies import Replies, load_replies
    from quorum.apps.console.desk.routing import Desk, load_desk
    from quorum.apps.console.settings import ConsoleSettings
    from quorum.apps.http.keys import Keyring, read_keys
    from quorum.apps.http.server import Server, bind
    from quorum.apps.oidc.secret import client_secret
    from quorum.core import monitoring
    from quorum.core.process_end import end_within
    from quorum.core.settings import load_settings
    from quorum.store.ledger import Ledger
    from quorum.store.notices.values import NoticeRules

    address.check()
    with ExitStack() as stack:
        listening = stack.enter_context(bind(address.host, address.port))
        _tell_unprotected(demo=review.demo)
        listen = metrics.listen("console")
        chosen, works = load_settings(settings), review.works
        if review.demo:
            from quorum.apps.console.demo.cases import demo_settings

            chosen, examples = demo_settings()
            works = works or examples / "media"
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="quorum-console-"))
            database = f"sqlite:///{folder}/demo.db"
        rules = load_policy(policy or chosen.policy)
        replies = Replies()
        if review.replies is not None:
            replies = load_replies(review.replies, rules.categories)
        desk = Desk() if review.desk is None else load_desk(review.desk, rules.categories)
        ledger = stack.enter_context(Ledger(database, create=review.demo))
        if review.demo:
            _seed(ledger, rules, chosen, examples)
        web = create_console(
            ledger,
            rules,
            open_review_publisher(review.reviews, ledger, rules, chosen.publishers),
            ConsoleSettings(
                media=chosen.media,
                translator=_translator(review.translation, chosen),
                meanings=review.meaning_search or (1000 if review.demo else 0),
                read_media=not review.no_storyboard,
                undo=timedelta(seconds=review.undo_seconds),
                double_rate=review.double,
                golden_rate=review.golden,
                secure=address.https,
                hosts=(*ConsoleSettings().hosts, *(address.allow_host or ())),
                user_header=address.user_header,
                proxies=tuple(address.proxy or ConsoleSettings().proxies),
                proxy_secret=os.environ.get("QUORUM_PROXY_SECRET") or None,
                behind_proxy=bool(address.proxy),
                works=works,
                policy_file=review.policy_file,
                replies=replies,
                desk=desk,
                answer=timedelta(seconds=review.answer_seconds),
                quiet=timedelta(minutes=review.quiet_minutes) if review.quiet_minutes else None,
                public_reports=chosen.reports.public_per_hour if review.public_reports else 0,
                notices=NoticeRules.of(chosen.notices),
                sweep=timedelta(seconds=review.sweep_seconds) if review.sweep_seconds else None,
                catalogue=_kept_uploads(chosen) if review.sweep_seconds else None,
                notices_per_hour=chosen.notices.per_hour,
                child_safety=chosen.child_safety,
                policies=_policies_topic(review.policies, chosen),
                sso=chosen.sso,
                sso_secret=None if chosen.sso is None else client_secret(),
            ),
            keyring=None if review.keys is None else Keyring(read_keys(review.keys)),
        )
        monitoring.start(listen)
        host, port = listening.getsockname()[:2]
        typer.echo(f"the console is on http://{host}:{port}", err=True)
        server = Server(web, drain=_DRAIN_SECONDS // 3)
        end_within(_DRAIN_SECONDS, server.stopping)
        server.run(sockets=[listening])


@app.command("check-desk")
def check_desk(
    file: Annotated[Path, typer.Argument(help="The YAML file of the desk.")],
    settings: options.SettingsFile = None,
    policy: options.PolicyName = None,
) -> None:
    """Check a desk's file: queues, limits of exposure, breaks.

    \b
    quorum console check-desk desk.yaml
    quorum console check-desk desk.yaml --policy my-policy.yaml
    """
    _require_extra()
    from quorum.aggregator.policy.policy import load_policy
    from quorum.apps.console.desk.routing import load_desk
    from quorum.core.settings import load_settings

    rules = load_policy(policy or load_settings(settings).policy)
    found = load_desk(file, rules.categories)
    for one in found.queues:
        asked = f", skills {', '.join(one.skills)}" if one.skills else ""
        typer.echo(f"{one.name}: {', '.join(one.roles)}{asked}")
    typer.echo(f"{file}: {len(found.queues)} queues, and `default` for what no rule matches")


@app.command("create-user")
def create_user(
    name: Annotated[str, typer.Argument(help="Letters, digits and _ . @ -")],
    role: Annotated[
        str, typer.Option(help="reviewer, lead, admin, auditor, read-only or specialist.")
    ] = "reviewer",
    database: options.LedgerDatabase = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="The user signs in through a reverse proxy.")
    ] = False,
) -> None:
    """Create a user, or change the role and password of one; prompts for the password.

    In a script, pass the password on standard input.

    Example: quorum console create-user ana --role lead
    """
    _require_extra()
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


@app.command("link-user")
def link_user(
    name: Annotated[str, typer.Argument(help="The user, who is there already.")],
    subject: Annotated[
        str, typer.Option(help="The person at the identity provider: `sub` of their ID token.")
    ],
    issuer: Annotated[
        str | None, typer.Option(help="The provider (default: sso.issuer of the settings).")
    ] = None,
    settings: options.SettingsFile = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Give a user to a person of the identity provider; their password no longer holds.

    Without it, the first log-in through the provider makes a new user. The role comes from the
    person's groups at each log-in.

    \b
    quorum console link-user ana --subject 6f1c2a90-5d0e-4a3b-9d52-0b1f5f1f8f11
    """
    _require_extra()
    from quorum.apps.console.accounts import identities
    from quorum.core.settings import load_settings
    from quorum.store.ledger import Ledger

    sso = load_settings(settings).sso
    provider = issuer or (None if sso is None else sso.issuer)
    if provider is None:
        msg = "name the provider with --issuer URL, or sso.issuer in the settings"
        raise ConfigurationError(msg)
    if not subject or len(subject) > 255 or not provider.strip() or len(provider) > 256:
        msg = "--subject has 1 to 255 characters, --issuer 1 to 256"
        raise ConfigurationError(msg)
    with Ledger(database) as ledger:
        person = identities.Identity(provider, subject)
        identities.link(ledger, person, name, "command line")
    typer.echo(f"{name} logs in as {subject} of {provider}")


@app.command("unlink-user")
def unlink_user(
    name: Annotated[str, typer.Argument(help="The user.")],
    database: options.LedgerDatabase = None,
) -> None:
    """Take a user from the person of the identity provider who has it, and end its sessions.

    A password for it is set with `quorum console create-user`.

    Example: quorum console unlink-user ana
    """
    _require_extra()
    from quorum.apps.console.accounts import identities
    from quorum.store.ledger import Ledger

    with Ledger(database) as ledger:
        count = identities.unlink(ledger, name, "command line")
    typer.echo(f"{name} had {count} identities, and has none")


def _kept_uploads(settings: Settings) -> Callable[[], Catalogue]:
    """What opens the catalogue that keeps uploads.

    Raises:
        ConfigurationError: If there is none, or it keeps none.
    """
    from quorum.models.copyright.catalogue.catalogue import Catalogue

    where = settings.catalogue
    if where is None:
        msg = "--sweep-seconds: name the catalogue that keeps uploads: `catalogue` in the settings"
        raise ConfigurationError(msg)
    folder, database = (where, None) if isinstance(where, str) else (where.folder, where.database)
    opened = Catalogue(folder, database)
    try:
        kept = opened.kept_uploads()
        if kept is None:
            msg = (
                "--sweep-seconds: the catalogue keeps no uploads; start with: quorum catalogue "
                "keep --days 365"
            )
            raise ConfigurationError(msg)
        kept.close()
    finally:
        opened.close()
    return lambda: Catalogue(folder, database)


def _tell_unprotected(*, demo: bool) -> None:
    """Say in one line what of the audit log is not protected."""
    from quorum.apps.console.accounts.audit_key import (
        ANCHORS,
        ENVIRONMENT,
        ENVIRONMENT_FILE,
        anchors_file,
        audit_key,
    )

    open_ = []
    if audit_key() is None:
        names = f"{ENVIRONMENT} or {ENVIRONMENT_FILE}"
        open_.append(f"has no key ({names}): who can write the database can write it anew")
    if anchors_file() is None:
        open_.append(f"has no anchors outside the database ({ANCHORS}): it can be cut short")
    if open_ and not demo:
        logging.getLogger(__name__).warning("the audit log %s", ", and ".join(open_))


def _translator(path: Path | None, settings: Settings) -> Translator | None:
    """The translator that a file describes; None without one."""
    if path is None:
        return None
    from quorum.models.prompt.translation import Translator

    return Translator(path, settings)


def _policies_topic(address: str | None, settings: Settings) -> str | None:
    """The topic that activated policies are published to.

    Raises:
        ConfigurationError: If it is none, or this console may not publish policies.
    """
    from quorum.pipeline.policies.releasing import may_release, topic_of

    refused = may_release(settings.publishers)
    if address is None:
        if refused is not None:
            logging.getLogger(__name__).warning(
                "jobs that follow the ledger refuse what this console activates: %s", refused
            )
        return None
    topic = topic_of(address)
    if refused is not None:
        raise ConfigurationError(refused)
    return topic


def _seed(ledger: Ledger, rules: Policy, chosen: Settings, examples: Path) -> None:
    from quorum.apps.console.demo.cases import DEMO_PASSWORD, DEMO_USERS, seed

    typer.echo("the detectors score a few hundred uploads; this takes a minute ...", err=True)
    count = seed(ledger, rules, chosen, examples)
    names = ", ".join(f"{name} ({role.value})" for name, role in DEMO_USERS.items())
    typer.echo(f"{count} cases; log in as {names}; the password is {DEMO_PASSWORD}", err=True)


def _require_extra() -> None:
    try:
        import argon2  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        msg = f"{error.name} is not installed: pip install 'quorum-moderation[console]'"
        raise ConfigurationError(msg) from None
