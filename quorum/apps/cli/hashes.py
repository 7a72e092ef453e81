"""``quorum hashes``: listed hashes of child-abuse material, intimate images, terrorist content."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.apps.cli import options
from quorum.apps.cli.ledger_holds import By, who
from quorum.apps.cli.verb import verb
from quorum.core.errors import ConfigurationError, InputError, QuorumError
from quorum.core.messages import now

if TYPE_CHECKING:
    from quorum.core.child_safety_settings import Exchange, HashCategory

__all__ = ["app"]

app = verb(
    "Hashes that exchanges and authorities list, and what was said of them here.\n\n"
    "Example: quorum hashes list"
)

Hash = Annotated[
    str, typer.Argument(metavar="KIND:VALUE", help="Such as md5:0cc175b9c0f1b6a831c399e269772661.")
]
Why = Annotated[str, typer.Option(help="The reason.")]


@app.command("import")
def import_list(
    file: Annotated[Path, typer.Argument(help="kind:value lines, or CSV with a header.")],
    category: Annotated[
        str, typer.Option(help="csam, intimate or terrorism, where a line does not say.")
    ] = "csam",
    source: Annotated[
        str | None, typer.Option(help="What the list is called; by default the file's name.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget what this source listed and the file has not.")
    ] = False,
    database: options.LedgerDatabase = None,
) -> None:
    """Take a list of hashes into the ledger's database, where all detectors find it.

    Kinds: sha256, sha1, md5 and pdq, in hexadecimal.

    \b
    quorum hashes import list.txt --source police
    quorum hashes import entries.csv --category intimate --replace
    """
    from quorum.models.known import records
    from quorum.models.known.hashes import read_list
    from quorum.store.ledger import Ledger

    found = list(read_list(file, _category(category), source))
    name = source or file.stem
    keep = {(one.kind, one.value) for one in found}
    with Ledger(database) as ledger:
        added = ledger.transact(lambda c: records.add_entries(c, found, now()), writes=True)
        gone = 0
        if replace:
            gone = ledger.transact(lambda c: records.withdraw(c, name, keep), writes=True)
    typer.echo(f"{len(found):,} hashes of {name}: {added:,} new, {gone:,} forgotten")


def _category(text: str) -> HashCategory:
    from typing import get_args

    from quorum.core.child_safety_settings import HashCategory

    known = get_args(HashCategory)
    if text not in known:
        msg = f"--category {text}: there are {', '.join(known)}"
        raise ConfigurationError(msg)
    found: HashCategory = known[known.index(text)]
    return found


@app.command("list")
def list_hashes(database: options.LedgerDatabase = None) -> None:
    """List how many hashes each source has, and what was said of hashes here.

    Example: quorum hashes list
    """
    from quorum.models.known import records
    from quorum.store.ledger import Ledger

    with Ledger(database) as ledger:
        counted = ledger.transact(records.counts)
        said = ledger.transact(records.standings_of)
        states = ledger.transact(records.exchange_states)
    for source, kind, category, count in counted:
        typer.echo(f"{source:20}  {kind:6}  {category:10}  {count:,}")
    for one in said:
        typer.echo(f"{one.standing:8}  {one.kind}:{one.value}  by {one.by}, {one.at}: {one.why}")
    for name, pulled, error, waiting in states:
        trouble = f"; {error}" if error else ""
        typer.echo(f"{name}: pulled {pulled or 'never'}, {waiting:,} to push{trouble}")
    typer.echo(f"{sum(row[3] for row in counted):,} hashes, {len(said):,} with a standing")


@app.command()
def pull(
    exchange: Annotated[
        str | None, typer.Argument(help="Its name in the settings; by default all of them.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=10, help="Go on, and pull each so many seconds.")
    ] = None,
    settings: options.SettingsFile = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Take what exchanges list since the last pull; running detectors find it within seconds.

    A pull that was cut off goes on where it was. Credentials come from the environment.

    \b
    quorum hashes pull ncmec --settings quorum.yaml
    quorum hashes pull --settings quorum.yaml --every 3600
    """
    from quorum.apps.exchanges.syncing import client_of
    from quorum.apps.exchanges.syncing import pull as run
    from quorum.store.ledger import Ledger

    clients = {name: client_of(name, one) for name, one in _exchanges(exchange, settings).items()}
    with Ledger(database) as ledger:
        while True:
            troubles: list[QuorumError] = []
            for name, client in clients.items():
                try:
                    done = run(ledger, name, client)
                except QuorumError as error:
                    typer.echo(f"{name}: {error}", err=True)
                    troubles.append(error)
                    continue
                typer.echo(
                    f"{name}: {done.new:,} hashes came, {done.gone:,} went, {done.passed:,} of "
                    "other kinds"
                )
            if every is None:
                if troubles:
                    raise typer.Exit(troubles[0].exit_code)
                return
            time.sleep(every)


@app.command()
def push(
    exchange: Annotated[
        str | None, typer.Argument(help="Its name in the settings; by default all of them.")
    ] = None,
    settings: options.SettingsFile = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Tell exchanges which of their entries people here confirmed and denied.

    What is refused is kept, with why, and told at the next push.

    Example: quorum hashes push ncmec --settings quorum.yaml
    """
    from quorum.apps.exchanges.syncing import client_of
    from quorum.apps.exchanges.syncing import push as run
    from quorum.store.ledger import Ledger

    chosen = _exchanges(exchange, settings)
    code = 0
    with Ledger(database) as ledger:
        for name, one in chosen.items():
            try:
                done = run(ledger, name, client_of(name, one))
            except QuorumError as error:
                typer.echo(f"{name}: {error}", err=True)
                code = error.exit_code
                continue
            typer.echo(f"{name}: {done.sent:,} sent, {len(done.failed):,} refused")
            for hashed, why in done.failed:
                typer.echo(f"    {hashed}: {why}", err=True)
    if code:
        raise typer.Exit(code)


@app.command()
def share(
    hashed: Hash,
    exchange: Annotated[str, typer.Argument(help="The exchange's name in the settings.")],
    by: By = None,
    settings: options.SettingsFile = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Queue a hash that an exchange does not list, for the next push; StopNCII takes such.

    Example: quorum hashes share pdq:f8f8… stopncii --settings quorum.yaml
    """
    from quorum.models.known import records
    from quorum.models.known.hashes import Listed, hash_of
    from quorum.store.ledger import Ledger

    (name,) = _exchanges(exchange, settings)
    kind, value = hash_of(*hashed.partition(":")[::2])
    one = Listed(kind, value, source=name)
    with Ledger(database) as ledger:
        fresh = ledger.transact(
            lambda c: records.add_opinion(c, "share", one, of="", by=who(by), at=now()),
            writes=True,
        )
    typer.echo(f"{one.name}: {'queued' if fresh else 'was queued before'} for {name}")


def _exchanges(name: str | None, file: str | None) -> dict[str, Exchange]:
    from quorum.core.settings import load_settings

    known = load_settings(file).hashes.exchanges
    if not known:
        msg = "the settings name no exchange: set hashes.exchanges (docs/child-safety.md)"
        raise ConfigurationError(msg)
    if name is None:
        return known
    if name not in known:
        msg = f"the settings name no exchange {name}; there are {', '.join(known)}"
        raise ConfigurationError(msg)
    return {name: known[name]}


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A media file.")],
    settings: options.SettingsFile = None,
) -> None:
    """Print the hashes of a file, and which listed ones it matches; nothing is recorded.

    Example: quorum hashes check clip.mp4 --settings quorum.yaml
    """
    from quorum.core.messages import Upload
    from quorum.core.settings import load_settings
    from quorum.models.detectors import Features
    from quorum.models.fingerprint import pdq
    from quorum.models.fingerprint.fingerprint import Fingerprint, digests_of, fingerprint
    from quorum.models.known.detector import KnownHashDetector

    chosen = load_settings(settings)
    found: Fingerprint | None = None
    try:
        found = fingerprint(file)
    except InputError as error:
        typer.echo(f"only its digests are compared: {error}", err=True)
    own = digests_of(file) if found is None else found.file
    typer.echo(f"sha256:{own.sha256}\nsha1:{own.sha1}\nmd5:{own.md5}")
    if found is not None and found.video is not None and len(found.video) == 1:
        typer.echo(f"pdq:{pdq.to_hex(found.video.published[0])}")
    if not chosen.hashes.on:
        typer.echo("the settings name no hash list: nothing was compared")
        return
    detector = KnownHashDetector(chosen.hashes)
    upload = Upload(id="check", uploader="check", title="", media="file:///x", published_at=now())
    (finding,) = detector.score([Features(upload, fingerprint=found, digests=own)])
    detector.close()
    for one in finding.evidence:
        if one.kind == "match":
            typer.echo(f"{one.work}: {one.what}")
    labels = ", ".join(sorted(finding.labels))
    typer.echo(labels or "no listed hash matches")


@app.command()
def deny(hashed: Hash, why: Why, by: By = None, database: options.LedgerDatabase = None) -> None:
    """Put a hash on the negative list: it never matches again, whoever lists it.

    Example: quorum hashes deny md5:0cc175b9c0f1b6a831c399e269772661 --why "a blank picture"
    """
    _stand(hashed, "denied", why, by, database)


@app.command()
def trust(hashed: Hash, why: Why, by: By = None, database: options.LedgerDatabase = None) -> None:
    """End the quarantine of a hash that floods, and never quarantine it again.

    Example: quorum hashes trust md5:0cc175b9c0f1b6a831c399e269772661 --why "a wave, all of it real"
    """
    _stand(hashed, "trusted", why, by, database)


@app.command()
def forget(hashed: Hash, why: Why, by: By = None, database: options.LedgerDatabase = None) -> None:
    """Take back what was said of a hash here; it then matches as its source lists it.

    Example: quorum hashes forget md5:0cc175b9c0f1b6a831c399e269772661 --why "denied by mistake"
    """
    _stand(hashed, None, why, by, database)


def _stand(
    hashed: str, standing: str | None, why: str, by: str | None, database: str | None
) -> None:
    from quorum.apps.console.desk import sealed as desk
    from quorum.store.ledger import Ledger

    with Ledger(database) as ledger:
        desk.stand(ledger, hashed, standing, why, who(by))  # type: ignore[arg-type]
    typer.echo(f"{hashed}: {standing or 'nothing is said of it any more'}")
