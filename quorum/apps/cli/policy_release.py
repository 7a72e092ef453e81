"""``quorum policy publish``, ``activate`` and ``releases``: policies for jobs that run."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.difference import texts_in_short
from quorum.aggregator.study.golden import load_golden, run_golden
from quorum.apps.cli.options import LedgerDatabase, SettingsFile
from quorum.apps.cli.policy_cases import Name
from quorum.apps.cli.policy_json import AsJson, print_json
from quorum.core.errors import ConfigurationError, PolicyError
from quorum.core.messages import PolicyRelease, now

if TYPE_CHECKING:
    from quorum.store.ledger import SignedRelease

__all__ = ["activate", "publish", "releases"]

_ORIGIN = "/quorum/policy"

To = Annotated[
    str | None,
    typer.Option(
        "--to",
        help="Also publish it to this topic (projects/P/topics/T, which jobs follow by their "
        "subscriptions, or kafka://HOST:PORT/TOPIC).",
        show_default=False,
    ),
]
By = Annotated[str | None, typer.Option(help="Who releases it (default: you).", show_default=False)]
Note = Annotated[str, typer.Option(help="Why, for the history.")]
OnlyTopic = Annotated[
    bool, typer.Option("--no-ledger", help="Publish to the topic alone, and record nothing here.")
]


def publish(
    name: Name,
    candidate: Annotated[
        str | None,
        typer.Option(
            help="A policy that decides the uploads of --percent of uploaders, and this one the "
            "others'.",
            show_default=False,
        ),
    ] = None,
    percent: Annotated[
        float | None, typer.Option(min=0, max=100, help="With --candidate: the share.")
    ] = None,
    salt: Annotated[
        str | None,
        typer.Option(
            help="With --candidate: chooses which uploaders come first (default: its name)."
        ),
    ] = None,
    to: To = None,
    database: LedgerDatabase = None,
    no_ledger: OnlyTopic = False,
    by: By = None,
    note: Note = "",
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Put a policy in force: jobs with --policies decide by it within a minute, without a restart.

    A policy with mistakes, or whose golden cases fail, is refused, and the former one stays. The
    release is recorded in the ledger, and signed where this process has a key.

    \b
    quorum policy publish mine.yaml --note "stricter on spam"
    quorum policy publish mine.yaml --to projects/P/topics/quorum-policies
    quorum policy publish mine.yaml --candidate stricter.yaml --percent 5
    """
    policy = load_policy(name)
    _check(policy)
    if (candidate is None) != (percent is None):
        msg = "--candidate and --percent go together, such as --candidate new.yaml --percent 5"
        raise ConfigurationError(msg)
    if candidate is not None and percent is not None:
        other = load_policy(candidate)
        _check(other)
        policy = policy.with_candidate(other, percent, salt)
    made = _release(policy, policy.text, to, database, no_ledger, by, note, settings)
    _tell(made, to, no_ledger, as_json)


def activate(
    version: Annotated[
        str, typer.Argument(help="A released version, such as mine@1234567890abcdef.")
    ],
    to: To = None,
    database: LedgerDatabase = None,
    by: By = None,
    note: Note = "",
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Put a former policy in force again, with its text from the ledger: roll back.

    \b
    quorum policy activate mine@1234567890abcdef --note "too many removals"
    """
    from quorum.store.ledger import Ledger
    from quorum.store.ledger.releases import history, policy_texts

    with Ledger(database) as ledger:
        text = ledger.transact(lambda connection: policy_texts(connection, [version])).get(version)
        if text is None:
            known = {one.release.policy_version for one in ledger.transact(history)}
            msg = (
                f"{version} was never released; there are: {', '.join(sorted(known)) or 'none'} "
                "(see `quorum policy releases`)"
            )
            raise ConfigurationError(msg)
    policy = Policy.from_text(text)
    if policy.version != version:
        msg = (
            f"the text of {version} is {policy.version} to this version of Quorum: publish it anew"
        )
        raise PolicyError(msg)
    made = _release(policy, text, to, database, False, by, note, settings)
    _tell(made, to, False, as_json)


def releases(
    database: LedgerDatabase = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    changes: Annotated[
        bool, typer.Option("--changes", help="Say what each changed against the one before it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the released policies, that in force first.

    \b
    quorum policy releases
    quorum policy releases --changes --limit 5
    """
    from quorum.store.ledger import Ledger
    from quorum.store.ledger.releases import history

    with Ledger(database) as ledger:
        found = ledger.transact(lambda connection: history(connection, limit + 1))
    told = texts_in_short([one.release.text for one in found]) if changes else ()
    found = found[:limit]
    if as_json:
        listed = [_json(one) for one in found]
        if changes:
            for one, lines in zip_longest(listed, told[: len(found)]):
                one["changes"] = list(lines or ())
        print_json({"releases": listed})
        return
    if not found:
        typer.echo("no policy was released; each job decides by its --policy")
        return
    table = Table("", "policy", "released (UTC)", "by", "note", *(["changed"] if changes else []))
    for number, one in enumerate(found):
        release = one.release
        state = "in force" if number == 0 else ""
        at = f"{release.at:%Y-%m-%d %H:%M:%S}"
        lines = [escape("\n".join(told[number]) if number < len(told) else "")] if changes else []
        table.add_row(
            state, release.policy_version, at, escape(release.by), escape(release.note), *lines
        )
    Console().print(table)


def _check(policy: Policy) -> None:
    """Refuse a policy with mistakes, or whose golden cases fail."""
    errors = [one for one in check_policy(policy) if one.severity == "error"]
    if errors:
        told = "; ".join(f"rule {one.rule}: {one.message}" for one in errors)
        msg = f"{told}; it is not released"
        raise PolicyError(msg, file=policy.file)
    try:
        golden = load_golden(policy)
    except PolicyError as error:
        if "cannot read the golden cases" not in str(error):
            raise
        typer.echo(f"no golden cases were run: {error}", err=True)
        return
    failed = [one for one in run_golden(policy, golden) if one.wrong]
    if failed:
        names = "; ".join(one.golden.name for one in failed[:5])
        msg = f"{len(failed)} of {len(golden)} golden cases fail ({names}): it is not released"
        raise PolicyError(msg, file=policy.file)


def _release(
    policy: Policy,
    text: str,
    topic: str | None,
    database: str | None,
    no_ledger: bool,
    by: str | None,
    note: str,
    settings: str | None,
) -> SignedRelease:
    from quorum.core.settings import load_settings
    from quorum.pipeline.policies.releasing import (
        may_release,
        release_time,
        send,
        signed,
        topic_of,
    )
    from quorum.store.ledger import Ledger

    path = None if topic is None else topic_of(topic)
    if topic is None and no_ledger:
        msg = "with --no-ledger, give --to projects/P/topics/T or --to kafka://HOST:PORT/TOPIC"
        raise ConfigurationError(msg)
    refused = may_release(load_settings(settings).publishers)
    if refused is not None:
        raise ConfigurationError(refused)

    def made(at: Any) -> SignedRelease:
        whom = by or getpass.getuser()
        release = PolicyRelease(policy_version=policy.version, text=text, by=whom, at=at, note=note)
        return signed(release, _ORIGIN)

    if no_ledger:
        one = made(now())
    else:
        with Ledger(database) as ledger:
            one = made(ledger.transact(release_time))
            ledger.record([one])
    if path is not None:
        send(one, path)
    return one


def _tell(one: SignedRelease, topic: str | None, no_ledger: bool, as_json: bool) -> None:
    where: Sequence[str] = [*([] if no_ledger else ["the ledger"]), *([topic] if topic else [])]
    if as_json:
        print_json({**_json(one), "to": list(where)})
        return
    typer.echo(f"{one.release.policy_version} is in force, by {' and '.join(where)}")


def _json(one: SignedRelease) -> dict[str, Any]:
    release = one.release
    return {
        "release": release.event_id(),
        "version": release.policy_version,
        "at": release.at.isoformat(),
        "by": release.by,
        "note": release.note,
    }
