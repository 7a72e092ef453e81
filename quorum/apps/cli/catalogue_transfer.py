"""``quorum catalogue import`` and ``export``: bulk transfer of works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from quorum.apps.cli.catalogue_options import Folder, InDatabase
from quorum.apps.cli.catalogue_sources import print_of, sources, work_of
from quorum.core.errors import InputError
from quorum.core.messages import Action
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.exchange import write_works
from quorum.models.copyright.catalogue.hash_lists import HashList, write_hashes
from quorum.models.copyright.catalogue.works import WorkPrint

__all__ = ["export", "import_works"]


def import_works(
    source: Annotated[
        Path, typer.Argument(help="Folder, CSV (file, id, title, owner, ...) or exported JSON.")
    ],
    owner: Annotated[str, typer.Option(help="Default rights holder.")] = "",
    action: Annotated[Action, typer.Option(help="Default action.")] = Action.REVIEW,
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Register many works; run it again to resume.

    Works that are already registered are skipped; unreadable ones are reported at the end.

    Example: quorum catalogue import works.csv
    """
    opened = Catalogue(catalogue, database)
    added, passed, refused = 0, 0, []
    jobs = list(sources(source, owner, action))
    with Progress(console=Console(stderr=True)) as progress:
        for facts, given in progress.track(jobs, description="registering"):
            if opened.get(str(facts["id"])):
                passed += 1
                continue
            try:
                found = given if isinstance(given, WorkPrint) else print_of(given)[0]
                opened.add(work_of(facts, str(source)), found)
                added += 1
            except InputError as error:
                refused.append(str(error))
    for line in refused:
        typer.echo(line, err=True)
    typer.echo(f"registered {added}, skipped {passed}, unreadable {len(refused)}")
    if refused:
        raise typer.Exit(InputError.exit_code)


def export(
    target: Annotated[Path, typer.Argument(help="A .json file, or a folder for hash lists.")],
    form: Annotated[
        HashList,
        typer.Option(
            help="Format of hash lists: txt as of the vPDQ tool, vpdq for ThreatExchange's signal "
            "(JSON), pdq for hashes alone."
        ),
    ] = HashList.TEXT,
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Export all works as one JSON file, or the PDQ hashes of each work as a hash list.

    \b
    quorum catalogue export works.json
    quorum catalogue export lists --form vpdq
    """
    opened = Catalogue(catalogue, database, read_only=True)
    pairs = (pair for work in opened.works() if (pair := opened.get(work.id)))
    if target.suffix == ".json":
        typer.echo(f"wrote {write_works(target, pairs)} works")
        return
    target.mkdir(parents=True, exist_ok=True)
    count = 0
    for work, found in pairs:
        name = "".join(each if each.isalnum() or each in "-_." else "_" for each in work.id)
        count += write_hashes(target / f"{name}.{form.value}", found, form) > 0
    typer.echo(f"wrote {count} lists")
