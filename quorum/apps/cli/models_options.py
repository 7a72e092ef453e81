"""Options that the verbs of ``quorum models`` share, and the artifacts that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quorum.models.installed import installed, load_class
from quorum.models.registry.artifacts import Artifact, open_artifact
from quorum.models.registry.references import local_folder

__all__ = ["AsJson", "Data", "Model", "Name", "Seed", "shipped_artifact"]

Name = Annotated[str, typer.Argument(help="The detector's name, as `quorum models list` shows it.")]
Model = Annotated[
    str | None,
    typer.Option("--model", help="A model's reference, such as file:mine; else the shipped one."),
]
Data = Annotated[
    Path, typer.Option("--data", help="CSV, JSON lines, or a folder of these, with labels.")
]
Seed = Annotated[int, typer.Option(help="Of splits and samples: the same seed, the same figures.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def shipped_artifact(name: str) -> Artifact | None:
    """The artifact beside a detector's module; None if it keeps none of our format."""
    entry = installed().get(name)
    if entry is None:
        load_class(name)
    package = str(entry.value).partition(":")[0].rpartition(".")[0] if entry else ""
    folder = local_folder(f"package:{package}") if package else Path()
    return open_artifact(folder, name) if (folder / "manifest.json").is_file() else None
