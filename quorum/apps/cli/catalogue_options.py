"""Options of ``quorum catalogue``: the location of the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Folder", "InDatabase"]

Folder = Annotated[
    Path, typer.Option("--catalogue", envvar="QUORUM_CATALOGUE", help="The catalogue's folder.")
]
InDatabase = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="QUORUM_CATALOGUE_DATABASE",
        help="URL of the ledger's database, or `ledger` for that of QUORUM_DATABASE, to store the "
        "works there; the folder then holds only the index. Default: a SQLite file in the folder.",
        show_default=False,
    ),
]
