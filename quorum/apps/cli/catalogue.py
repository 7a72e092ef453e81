"""``quorum catalogue``: manage the registered works of the copyright detector."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from quorum.apps.cli.catalogue_disputes import dispute, settle
from quorum.apps.cli.catalogue_options import Folder, InDatabase
from quorum.apps.cli.catalogue_rescan import keep, rescan
from quorum.apps.cli.catalogue_sources import print_of, work_of
from quorum.apps.cli.catalogue_transfer import export, import_works
from quorum.apps.cli.verb import verb
from quorum.core.errors import InputError
from quorum.core.messages import Action
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.exchange import load_catalogue
from quorum.models.copyright.catalogue.works import Work
from quorum.models.copyright.matching.matching import find_matches
from quorum.models.copyright.strip import strip
from quorum.models.features.decoders import fingerprint_apart
from quorum.models.fingerprint.fingerprint import UPLOAD_RATE

__all__ = ["app"]

app = verb(
    "Register, list and search the works that uploads are compared with.\n\n"
    "Example: quorum catalogue add film.mp4 --id film-1 --owner 'A Studio' --action remove"
)


@app.command()
def add(
    media: Annotated[Path, typer.Argument(help="Media file, or PDQ or vPDQ hash list.")],
    id: Annotated[str, typer.Option(help="Identifier of the work.")],  # noqa: A002
    owner: Annotated[str, typer.Option(help="Rights holder.")],
    title: Annotated[str, typer.Option(help="Title; defaults to the file name.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the work.")] = "",
    territory: Annotated[
        list[str] | None, typer.Option(help="Territory of the rights; repeatable.")
    ] = None,
    exception: Annotated[
        list[str] | None, typer.Option(help="Uploader that may use the work; repeatable.")
    ] = None,
    embargo_until: Annotated[datetime | None, typer.Option(help="End of the embargo.")] = None,
    action: Annotated[Action, typer.Option(help="Action on a match.")] = Action.REVIEW,
    min_seconds: Annotated[float, typer.Option(help="Minimum length of a match.")] = 3.0,
    min_fraction: Annotated[float, typer.Option(help="Minimum share of upload or work.")] = 0.0,
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Register a work.

    Example: quorum catalogue add film.mp4 --id film-1 --owner 'A Studio' --action remove
    """
    rule = {"action": action, "min_seconds": min_seconds, "min_fraction": min_fraction}
    facts: dict[str, Any] = {
        "id": id,
        "owner": owner,
        "title": title or media.stem,
        "licence": licence,
        "territories": territory or [],
        "exceptions": exception or [],
        "rule": rule,
    }
    if embargo_until:
        facts["embargo_until"] = embargo_until.replace(tzinfo=UTC)
    work = work_of(facts, str(media))
    found, notices = print_of(media)
    with_it = Catalogue(catalogue, database)
    with_it.add(work, found)
    for notice in notices:
        typer.echo(f"{media.name}: {notice}", err=True)
    typer.echo(f"registered {work.id}: {found.duration:.1f} s, {len(found.times)} frames")


@app.command()
def remove(
    ids: Annotated[list[str], typer.Argument(help="Identifiers of works.")],
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Remove works; running detectors stop finding them within seconds.

    Example: quorum catalogue remove film-1
    """
    opened = Catalogue(catalogue, database)
    for each in ids:
        opened.remove(each)
        typer.echo(f"removed {each}")


@app.command()
def change(
    id: Annotated[str, typer.Argument(help="Identifier of the work.")],  # noqa: A002
    title: Annotated[str | None, typer.Option(help="New title.")] = None,
    owner: Annotated[str | None, typer.Option(help="New rights holder.")] = None,
    action: Annotated[Action | None, typer.Option(help="Action on a match.")] = None,
    min_seconds: Annotated[float | None, typer.Option(help="Minimum length of a match.")] = None,
    min_fraction: Annotated[
        float | None, typer.Option(help="Minimum share of upload or work.")
    ] = None,
    territory: Annotated[
        list[str] | None,
        typer.Option(help="Territory of the rights; repeatable; `all` for everywhere."),
    ] = None,
    embargo_until: Annotated[datetime | None, typer.Option(help="End of the embargo.")] = None,
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Change the metadata of a work; omitted options and the fingerprint stay.

    Example: quorum catalogue change film-1 --action review --territory DE --territory AT
    """
    opened = Catalogue(catalogue, database)
    pair = opened.get(id)
    if pair is None:
        msg = f"there is no work {id}"
        raise InputError(msg)
    facts = pair[0].model_dump(mode="json")
    changes: dict[str, Any] = {"title": title, "owner": owner}
    if territory is not None:
        changes["territories"] = [] if territory == ["all"] else territory
    if embargo_until is not None:
        changes["embargo_until"] = embargo_until.replace(tzinfo=UTC)
    facts |= {name: value for name, value in changes.items() if value is not None}
    rule = {"action": action, "min_seconds": min_seconds, "min_fraction": min_fraction}
    facts["rule"] |= {name: value for name, value in rule.items() if value is not None}
    opened.change(work_of(facts, "change"))
    typer.echo(f"changed {id}")


@app.command()
def permit(
    id: Annotated[str, typer.Argument(help="Identifier of the work.")],  # noqa: A002
    uploader: Annotated[str, typer.Argument(help="Uploader that may use the work.")],
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Record an exception, such as a licence or a dispute won by the uploader.

    Example: quorum catalogue permit film-1 uploader-7
    """
    Catalogue(catalogue, database).permit(id, uploader)
    typer.echo(f"{uploader} may use {id}")


@app.command("list")
def list_works(
    words: Annotated[str, typer.Argument(help="Text in the id, title or owner.")] = "",
    limit: Annotated[int, typer.Option(help="Maximum number of works.")] = 100,
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """List works.

    Example: quorum catalogue list studio
    """
    table = Table("id", "title", "owner", "action", "from", "where", "embargo", "may use it")
    for work in Catalogue(catalogue, database, read_only=True).works(words, limit):
        table.add_row(
            work.id,
            work.title,
            work.owner,
            work.rule.action,
            _least(work),
            " ".join(work.territories) or "everywhere",
            work.embargo_until.date().isoformat() if work.embargo_until else "",
            " ".join(work.exceptions),
        )
    Console().print(table)


@app.command()
def search(
    media: Annotated[Path, typer.Argument(help="Media file, as of an upload.")],
    strips: Annotated[
        Path | None, typer.Option(help="Folder for pictures of paired frames.")
    ] = None,
    works: Annotated[
        Path | None, typer.Option(help="Folder of the works' media, named by id, for --strips.")
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(envvar="QUORUM_CATALOGUE", help="Folder or JSON file; default: shipped."),
    ] = None,
    database: InDatabase = None,
) -> None:
    """Show which seconds of a file match which seconds of which work.

    Example: quorum catalogue search upload.mp4 --strips evidence --works films
    """
    found = fingerprint_apart(media, UPLOAD_RATE)
    matches = find_matches(found, load_catalogue(catalogue, database))
    for notice in found.notices:
        typer.echo(f"{media.name}: {notice}", err=True)
    table = Table("work", "upload", "work's", "by", "speed", "of upload", "of work", "probability")
    for number, match in enumerate(matches):
        table.add_row(
            match.work.id,
            f"{match.start:.1f}-{match.end:.1f} s",
            f"{match.work_start:.1f}-{match.work_end:.1f} s",
            match.medium + (", mirrored" if match.mirrored else ""),
            f"{match.speed:g}",
            f"{match.upload_fraction:.0%}",
            f"{match.work_fraction:.0%}",
            f"{match.score:.3f}",
        )
        source = _media_of(works, match.work.id) if strips and works else None
        if strips and source:
            strips.mkdir(parents=True, exist_ok=True)
            strip(media, source, match).save(strips / f"{media.stem}-{number}-{match.work.id}.png")
    Console().print(table if matches else f"no work of the catalogue is in {media.name}")


@app.command()
def stats(catalogue: Folder = Path("catalogue"), database: InDatabase = None) -> None:
    """Show statistics of the catalogue.

    Example: quorum catalogue stats
    """
    found = Catalogue(catalogue, database, read_only=True).stats()
    table = Table(show_header=False)
    for name, value in (
        ("works", f"{found.works:,}"),
        ("hours", f"{found.seconds / 3600:,.2f}"),
        ("hashes", f"{found.entries:,}"),
        ("index files", f"{found.segments}"),
        ("hashes not in a file", f"{found.waiting:,}"),
        ("on disk", f"{found.bytes / 2**20:,.1f} MB"),
        ("version", found.version),
    ):
        table.add_row(name, value)
    Console().print(table)


@app.command()
def compact(catalogue: Folder = Path("catalogue"), database: InDatabase = None) -> None:
    """Merge all index files into one, without removed works.

    Example: quorum catalogue compact
    """
    Catalogue(catalogue, database).compact(whole=True)


@app.command()
def rebuild(catalogue: Folder = Path("catalogue"), database: InDatabase = None) -> None:
    """Build the index files again from the works, after damage or loss.

    Example: quorum catalogue rebuild
    """
    Catalogue.rebuild(catalogue, database)


@app.command()
def renew(
    media: Annotated[Path, typer.Argument(help="Folder of the works' media, named by id.")],
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Fingerprint works again that an earlier version registered, or that came as hash lists.

    Works without local features are not found in perspective, in crops of another shape and in
    corners of another video.

    Example: quorum catalogue renew films
    """
    opened = Catalogue(catalogue, database)
    absent = 0
    for work in opened.works():
        pair = opened.get(work.id)
        if pair is None or pair[1].local is not None or not len(pair[1].times):
            continue
        source = _media_of(media, work.id)
        if source is None:
            absent += 1
            continue
        found, notices = print_of(source)
        if found.local is None:
            absent += 1
            continue
        opened.renew(work.id, found)
        for notice in notices:
            typer.echo(f"{source.name}: {notice}", err=True)
        typer.echo(f"renewed {work.id}")
    if absent:
        typer.echo(f"{absent} works stay as they are: their media is not in {media}", err=True)


app.command("import")(import_works)
app.command()(export)
app.command()(keep)
app.command()(rescan)
app.command()(dispute)
app.command()(settle)


def _least(work: Work) -> str:
    part = f", {work.rule.min_fraction:.0%}" if work.rule.min_fraction else ""
    return f"{work.rule.min_seconds:g} s{part}"


def _media_of(folder: Path, id: str) -> Path | None:  # noqa: A002
    return next((path for path in sorted(folder.iterdir()) if path.stem == id), None)
