"""``quorum models``: detectors listed and shown; the other verbs are in modules beside this."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from quorum.apps.cli import models_compare, models_learn, models_recipes, models_registry
from quorum.apps.cli.labels import export_labels, sample
from quorum.apps.cli.models_options import AsJson, Model, Name, shipped_artifact
from quorum.apps.cli.verb import verb
from quorum.core.errors import QuorumError
from quorum.models.installed import installed
from quorum.models.registry.references import open_reference

__all__ = ["app"]

app = verb(
    "List, show, train, evaluate, compare, calibrate and register detectors.\n\n"
    "Example: quorum models evaluate spam --data comments.csv --page report.html"
)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """The detectors that are installed, with the version of each one's model.

    Example: quorum models list
    """
    rows = []
    for name, entry in installed().items():
        row = {"detector": name, "version": "", "measured": "", "from": entry.value}
        try:
            held = shipped_artifact(name)
            row["version"] = held.version if held else "of its content"
            row["measured"] = _headline(held.manifest.metrics) if held else ""
        except QuorumError as error:
            row["version"] = f"cannot be used: {error}"
        rows.append(row)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(*rows[0].keys()) if rows else Table("detector")
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


@app.command()
def show(
    name: Name,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """A detector's model: what it was trained on, its figures, its files; and its card.

    Example: quorum models show spam
    """
    held = open_reference(model, name) if model else shipped_artifact(name)
    if as_json:
        document: dict[str, Any] = {"detector": name, "manifest": None}
        if held is not None:
            document = asdict(held.manifest)
        for source in document.get("training_data", ()):
            del source["seen"]  # lies in a file of its own
        typer.echo(json.dumps(document, indent=2))
        return
    console = Console()
    if held is None:
        console.print(f"{name} keeps no artifact: its version is a digest of what it knows.")
        _show_card(name, console)
        return
    manifest = held.manifest
    console.print(f"{name}, version {held.version}", style="bold")
    console.print_json(
        json.dumps({"metrics": manifest.metrics, "calibration": manifest.calibration})
    )
    table = Table("trained on", "examples", "licence")
    for source in manifest.training_data:
        table.add_row(source.name, str(source.rows), source.licence)
    console.print(table)
    console.print(f"Files: {', '.join(manifest.files)}. Licence: {manifest.licence}.")
    if model is None:
        _show_card(name, console)


app.command()(models_learn.train)
app.command()(models_learn.evaluate)
app.command()(models_compare.compare)
app.command()(models_learn.calibrate)
app.command()(models_registry.register)
app.command()(models_registry.promote)
app.command()(models_registry.rollback)
app.command()(models_registry.versions)
app.command()(models_recipes.recipes)
app.command("sample")(sample)
app.command("export-labels")(export_labels)


def _show_card(name: str, console: Console) -> None:
    """The card that stands beside a detector's module."""
    from importlib.resources import files

    from rich.markdown import Markdown

    from quorum.models.installed import load_class

    card = files(load_class(name).__module__.rpartition(".")[0] or name).joinpath("card.md")
    if card.is_file():
        console.print(Markdown(card.read_text(encoding="utf-8")))


def _headline(metrics: Any) -> str:
    found: list[str] = []

    def look(part: Any, name: str) -> None:
        for key, value in part.items():
            if isinstance(value, dict):
                look(value, key)
            elif key.startswith("roc_auc") and key in ("roc_auc", "roc_auc_surveillance"):
                found.append(f"{f'{name} ' if name else ''}ROC-AUC {value}")

    look(metrics, "")
    return ", ".join(found)
