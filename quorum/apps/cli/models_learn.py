"""The verbs of ``quorum models`` that need labelled data: train, evaluate, calibrate."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from quorum.apps.cli.models_measure import load, measured, run_all, steps, warn_if_seen
from quorum.apps.cli.models_options import AsJson, Data, Model, Name, Seed, shipped_artifact
from quorum.core.errors import ConfigurationError, InputError
from quorum.models.installed import load_class
from quorum.models.registry.artifacts import open_artifact
from quorum.models.registry.descriptions import task_of
from quorum.models.registry.references import is_recipe, open_reference

if TYPE_CHECKING:
    from quorum.models.training.dataset import Labelled

__all__ = ["calibrate", "evaluate", "train"]

Out = Annotated[Path, typer.Option("--out", help="Folder of the new artifact.")]


def train(name: Name, data: Data, out: Out, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Train a detector on your own texts or clips, calibrated out of fold.

    Example: quorum models train spam --data comments.csv --out mine
    """
    from quorum.models.training.dataset import read_labelled
    from quorum.models.training.trainer import trainer_of

    trainer = trainer_of(load_class(name))
    if (out / "manifest.json").exists():
        msg = f"{out} holds an artifact already; name another folder"
        raise InputError(msg)
    examples = read_labelled(data)
    with steps() as report_step:
        metrics = trainer(examples, out, seed, report_step)
    version = open_artifact(out, name).version
    if as_json:
        typer.echo(json.dumps({"version": version, "metrics": metrics}, indent=2))
        return
    Console().print_json(json.dumps(metrics))
    typer.echo(f"Wrote {out}, version {version}. Compare it before you use it:")
    typer.echo(f"  quorum models compare {name} --data HELD_OUT --new file:{out}")


def evaluate(
    name: Name,
    data: Data,
    model: Model = None,
    page: Annotated[Path | None, typer.Option(help="Write a page (HTML) with plots.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a detector on labelled data, with intervals of 95 %, and by slice.

    Example: quorum models evaluate spam --data comments.csv --page report.html
    """
    from quorum.models.training.dataset import read_labelled
    from quorum.models.training.evaluation import evaluate as measure
    from quorum.models.training.report import write_page
    from quorum.models.training.trial import slices_of

    examples = read_labelled(data)
    detector = load(name, model)
    warn_if_seen(name, model, examples)
    (findings,) = run_all([detector], examples)
    scores = [finding.score for finding in findings]
    report = measured(lambda: measure(examples.labels, scores, slices_of(examples), seed=seed))
    if page:
        title = f"{name} {detector.version} on {examples.origin.name}"
        write_page(page, title, examples, scores, report)
    if as_json:
        typer.echo(json.dumps({"version": detector.version, **asdict(report)}, indent=2))
        return
    console = Console()
    console.print(
        f"{name} {detector.version}: {report.rows} scored, {report.positives} with the harm, "
        f"{report.unscored} not scored"
    )
    table = Table("metric", "value (95 %)")
    for metric, figure in report.figures.items():
        table.add_row(metric.replace("_", " "), str(figure))
    console.print(table)
    table = Table("slice", "examples", "harm", "ROC-AUC (95 %)", "recall", "false", "calibration")
    for part, (rows, positives, figure) in report.slices.items():
        each = report.errors[part]
        told = [
            "" if one is None else f"{one:.3f}"
            for one in (each.recall, each.false_positives, each.calibration)
        ]
        table.add_row(part, str(rows), str(positives), str(figure), *told)
    console.print(table)
    console.print("Recall and false positives are at the score 0.5.")
    reasons = {finding.reason for finding in findings if finding.reason}
    if reasons:
        console.print(f"Not scored: {'; '.join(sorted(reasons)[:5])}")
    if page:
        console.print(f"Wrote {page}")


def calibrate(
    name: Name,
    data: Data,
    out: Out,
    model: Model = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=0.999,
            help="Share of harm at which scores are probabilities (default: 0.2 for a "
            "description, else the data's).",
        ),
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Copy a model with its scores made probabilities on your own data.

    The policies that ship have thresholds for scores at a share of 0.2.

    Example: quorum models calibrate spam --data ours.csv --out calibrated
    """
    from quorum.models.training.dataset import read_labelled
    from quorum.models.training.trial import recalibrated

    examples = read_labelled(data)
    if is_recipe(model):
        _calibrate_recipe(name, str(model), examples, out, prevalence)
        return
    held = open_reference(model, name) if model else shipped_artifact(name)
    if held is None:
        msg = f"{name} keeps no artifact that could be calibrated"
        raise ConfigurationError(msg)
    kept, scores = _scored(name, model, examples)
    made = recalibrated(
        held,
        scores,
        examples.labels[kept],
        out,
        examples.origin.name,
        seed,
        prevalence,
    )
    if as_json:
        document = {"version": made.artifact.version, "before": made.before, "after": made.after}
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo(f"Expected calibration error {made.before:.3f} before, {made.after:.3f} after.")
    typer.echo(f"Wrote {out}, version {made.artifact.version}.")


def _scored(name: str, model: Model, examples: Labelled) -> tuple[list[int], list[float]]:
    """The examples that a detector scores, and their scores."""
    (findings,) = run_all([load(name, model)], examples)
    scored = {
        index: finding.score for index, finding in enumerate(findings) if finding.score is not None
    }
    if not scored:
        msg = f"{name} scored none of the examples"
        raise InputError(msg)
    return list(scored), list(scored.values())


def _calibrate_recipe(
    name: str, model: str, examples: Labelled, out: Path, prevalence: float | None
) -> None:
    """Write a copy of a description with the calibration in it."""
    import numpy as np
    from ruamel.yaml import YAML

    from quorum.models.huggingface import Recipe, read_recipe
    from quorum.models.prompt.recipe import PromptRecipe, read_prompt
    from quorum.models.scoring.calibration import REFERENCE_PREVALENCE, fit_log_odds

    recipe: Recipe | PromptRecipe
    if task_of(model) == "policy-prompt":
        recipe, _, place = read_prompt(model)
        # The policy is named from the place of the file, which is another one now.
        beside = os.path.relpath((place.parent / recipe.policy).resolve(), out.parent.resolve())
        recipe = recipe.model_copy(update={"policy": beside})
    else:
        recipe, _ = read_recipe(model)
    if recipe.calibration is not None:
        msg = f"{model} has a calibration already; take it out first"
        raise ConfigurationError(msg)
    kept, scores = _scored(name, model, examples)
    share = REFERENCE_PREVALENCE if prevalence is None else prevalence
    made = measured(lambda: fit_log_odds(np.array(scores), examples.labels[kept], share))
    document = recipe.model_dump(mode="json", exclude_none=True)
    document["calibration"] = made.as_document()
    with out.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(document, file)
    typer.echo(f"Wrote {out}, calibrated on {len(kept)} examples.")
