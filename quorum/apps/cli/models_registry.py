"""The verbs of ``quorum models`` for a registry: register, promote, rollback, versions.

The registry is an MLflow server; where it is and who asks comes from the environment, as MLflow
has it (``MLFLOW_TRACKING_URI`` and so on).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from quorum.apps.cli.models_options import AsJson
from quorum.core.errors import ConfigurationError
from quorum.models.registry.references import SCHEMES, is_recipe, open_reference

if TYPE_CHECKING:
    from quorum.models.registry.mlflow_promotion import Move

__all__ = ["promote", "register", "rollback", "versions"]

Registered = Annotated[str, typer.Argument(help="The registered model, such as spam.")]
Alias = Annotated[str, typer.Option(help="The alias to move.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]


def register(
    name: Registered,
    artifact: Annotated[
        str,
        typer.Argument(
            help="The artifact's folder, or a reference such as package:quorum.models.spam."
        ),
    ],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put an artifact into the MLflow registry as the next version of a model.

    The same content again is the version that is there already. Nothing is served by it until it
    is promoted.

    \b
    export MLFLOW_TRACKING_URI=http://mlflow:5000
    quorum models register spam mine
    quorum models register spam package:quorum.models.spam    # the one that ships
    """
    from quorum.models.registry.mlflow_promotion import register as put

    if is_recipe(artifact) or is_recipe(f"file:{artifact}"):
        msg = f"{artifact} describes a model that lies elsewhere; only an artifact is registered"
        raise ConfigurationError(msg)
    scheme = artifact.partition(":")[0]
    held = open_reference(artifact if scheme in SCHEMES else f"file:{artifact}")
    made = put(name, held, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps({**asdict(made), "dry_run": dry_run}, indent=2))
        return
    done = "is there already as" if not made.new else "would be" if dry_run else "is now"
    typer.echo(f"{held.folder} {done} {made.model.reference}, for {made.detector}.")
    if not dry_run and not made.aliases:
        typer.echo("Compare it with the one in service, then promote it:")
        new = f"--new '{made.model.reference}'"
        typer.echo(f"  quorum models compare {made.detector} --data HELD_OUT {new}")
        typer.echo(f"  quorum models promote {name} {made.model.number}")


def promote(
    name: Registered,
    version: Annotated[
        str, typer.Argument(help="The version's number in the registry, or its digest.")
    ],
    alias: Alias = "champion",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let an alias name a version: services that follow the alias take it in.

    The artifact is fetched and its digest checked first. What the alias named before is
    remembered for `quorum models rollback`.

    \b
    quorum models promote spam 3
    quorum models promote spam 3 --alias challenger --dry-run
    """
    from quorum.models.registry.mlflow_promotion import promote as move

    _tell(name, move(name, version, alias, dry_run=dry_run), "names", dry_run, as_json)


def rollback(
    name: Registered,
    alias: Alias = "champion",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let an alias name again the version that it named before.

    \b
    quorum models rollback spam
    quorum models rollback spam --alias challenger
    """
    from quorum.models.registry.mlflow_promotion import rollback as move

    _tell(name, move(name, alias, dry_run=dry_run), "is back at", dry_run, as_json)


def versions(name: Registered, as_json: AsJson = False) -> None:
    """The versions of a registered model, newest first, and the aliases that name them.

    Example: quorum models versions spam
    """
    from quorum.models.registry.mlflow_promotion import versions as known

    found = known(name)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    table = Table("version", "digest", "detector", "aliases", "measured")
    for one in found:
        figures = [f"{key} {one.metrics[key]}" for key in one.metrics if key.startswith("roc_auc")]
        table.add_row(
            one.model.number,
            one.model.digest,
            one.detector,
            ", ".join(one.aliases),
            "".join(figures[:1]),
        )
    Console().print(table)


def _tell(name: str, move: Move, done: str, dry_run: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**asdict(move), "dry_run": dry_run}, indent=2))
        return
    if not move.moved:
        done = "names already"
    elif dry_run:
        done = "would name"
    before = f" (before: {move.before})" if move.before else ""
    typer.echo(f"{name}@{move.alias} {done} {move.model.reference}{before}.")
