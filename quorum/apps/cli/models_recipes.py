"""``quorum models recipes``: descriptions of well-known models, listed and printed."""

from __future__ import annotations

import difflib
import json
from importlib.resources import files
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from quorum.apps.cli.models_options import AsJson
from quorum.core.errors import ConfigurationError

__all__ = ["recipes"]


def recipes(
    name: Annotated[
        str | None, typer.Argument(help="The recipe to print; none for a list.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Descriptions of twenty well-known Hugging Face models, to copy and to adapt.

    None of them was run by Quorum's authors: see recipes/README.md.

    Example: quorum models recipes toxic-bert > toxic-bert.yaml
    """
    from ruamel.yaml import YAML

    found = {
        place.name.removesuffix(".yaml"): place.read_text(encoding="utf-8")
        for place in files("quorum.recipes").iterdir()
        if place.name.endswith(".yaml")
    }
    if name is not None:
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            msg = f"no recipe named {name}{hint}"
            raise ConfigurationError(msg)
        typer.echo(found[name], nl=False)
        return
    rows = []
    for one, text in sorted(found.items()):
        told = YAML(typ="safe", pure=True).load(text)
        row = {key: told.get(key, "") for key in ("task", "model", "language", "licence")}
        rows.append({"recipe": one, **row})
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("recipe", "model", "languages", "licence")
    for row in rows:
        languages = " ".join(row["language"]) or row["task"].removesuffix("-classification")
        table.add_row(row["recipe"], row["model"], languages, row["licence"])
    Console().print(table)
