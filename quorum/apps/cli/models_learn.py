"""The verbs of ``quorum models`` that need labelled data: train, evaluate, compare, calibrate."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from quorum.apps.cli.models_options import AsJson, Model, Name, shipped_artifact
from quorum.core.errors import ConfigurationError, InputError
from quorum.models.installed import load_class, load_detector
from quorum.models.registry.artifacts import open_artifact
from quorum.models.registry.descriptions import task_of
from quorum.models.registry.references import is_recipe, open_reference

if TYPE_CHECKING:
    from quorum.models.detectors import Detector, Finding
    from quorum.models.training.dataset import Labelled

__all__ = ["calibrate", "compare", "evaluate", "train"]

Data = Annotated[
    Path, typer.Option("--data", help="CSV, JSON lines, or a folder of these, with labels.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder of the new artifact.")]
Seed = Annotated[int, typer.Option(help="Of splits and samples: the same seed, the same figures.")]


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
    with _steps() as report_step:
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
    detector = _load(name, model)
    _warn_if_seen(name, model, examples)
    (findings,) = _run([detector], examples)
    scores = [finding.score for finding in findings]
    report = _measured(lambda: measure(examples.labels, scores, slices_of(examples), seed=seed))
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


def compare(
    name: Name,
    data: Data,
    new: Annotated[str, typer.Option(help="Reference of the candidate, such as file:mine.")],
    old: Annotated[
        str | None, typer.Option(help="Reference of the version in use; else the shipped one.")
    ] = None,
    margin: Annotated[float, typer.Option(help="ROC-AUC that may be lost without notice.")] = 0.002,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare two versions on the same data, and say whether to ship the new one.

    Exits with 1 if it should not ship. Neither version may have been trained on the data.

    Example: quorum models compare spam --data held-out.csv --new file:mine
    """
    from quorum.models.training.dataset import read_labelled
    from quorum.models.training.evaluation import compare as measure

    examples = read_labelled(data)
    pair = [_load(name, old), _load(name, new)]
    for reference in (old, new):
        _warn_if_seen(name, reference, examples)
    findings = _run(pair, examples)
    both = [
        index
        for index, (first, second) in enumerate(zip(*findings, strict=True))
        if first.score is not None and second.score is not None
    ]
    scores = [[one[index].score for index in both] for one in findings]
    made = _measured(
        lambda: measure(examples.labels[both], scores[0], scores[1], margin=margin, seed=seed)  # type: ignore[arg-type]
    )
    if as_json:
        document = {"old": pair[0].version, "new": pair[1].version, "figures": asdict(made)}
        typer.echo(json.dumps(document, indent=2))
    else:
        console = Console()
        table = Table("", "version", "ROC-AUC (95 %)")
        table.add_row("in use", pair[0].version, str(made.old))
        table.add_row("candidate", pair[1].version, str(made.new))
        table.add_row("difference", f"p = {made.p_value:.3f}", str(made.difference))
        console.print(table)
        console.print(f"{len(both)} examples that both scored. {made.why.capitalize()}.")
    if not made.ship:
        raise typer.Exit(1)


def calibrate(
    name: Name, data: Data, out: Out, model: Model = None, seed: Seed = 0, as_json: AsJson = False
) -> None:
    """Copy a model with its scores made probabilities on your own data.

    Example: quorum models calibrate spam --data ours.csv --out calibrated
    """
    from quorum.models.training.dataset import read_labelled
    from quorum.models.training.trial import recalibrated

    examples = read_labelled(data)
    if is_recipe(model):
        _calibrate_recipe(name, str(model), examples, out)
        return
    held = open_reference(model, name) if model else shipped_artifact(name)
    if held is None:
        msg = f"{name} keeps no artifact that could be calibrated"
        raise ConfigurationError(msg)
    (findings,) = _run([_load(name, model)], examples)
    kept = [index for index, finding in enumerate(findings) if finding.score is not None]
    if not kept:
        msg = f"{name} scored none of the examples"
        raise InputError(msg)
    scores = [findings[index].score for index in kept]
    made = recalibrated(held, scores, examples.labels[kept], out, examples.origin.name, seed)  # type: ignore[arg-type]
    if as_json:
        document = {"version": made.artifact.version, "before": made.before, "after": made.after}
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo(f"Expected calibration error {made.before:.3f} before, {made.after:.3f} after.")
    typer.echo(f"Wrote {out}, version {made.artifact.version}.")


def _calibrate_recipe(name: str, model: str, examples: Labelled, out: Path) -> None:
    """Write a copy of a description with the calibration in it."""
    import numpy as np
    from ruamel.yaml import YAML

    from quorum.models.huggingface import Recipe, read_recipe
    from quorum.models.prompt.recipe import PromptRecipe, read_prompt
    from quorum.models.scoring.calibration import Platt

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
    (findings,) = _run([_load(name, model)], examples)
    kept = [index for index, finding in enumerate(findings) if finding.score is not None]
    scores = np.clip([findings[index].score or 0.0 for index in kept], 1e-6, 1 - 1e-6)
    share = float(examples.labels[kept].mean()) if kept else 0.0
    made = _measured(lambda: Platt.fit(np.log(scores / (1 - scores)), examples.labels[kept], share))
    document = recipe.model_dump(mode="json", exclude_none=True)
    document["calibration"] = made.as_document()
    with out.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(document, file)
    typer.echo(f"Wrote {out}, calibrated on {len(kept)} examples.")


def _load(name: str, model: str | None) -> Detector:
    from quorum.core.settings import DetectorSettings, load_settings

    alone = {"detectors": {name: DetectorSettings(model=model)}}
    return load_detector(name, load_settings().model_copy(update=alone))


def _warn_if_seen(name: str, model: str | None, examples: Labelled) -> None:
    """Figures on what a model was trained on say nothing of new uploads."""
    if is_recipe(model):
        return
    held = open_reference(model, name) if model else shipped_artifact(name)
    if held is None:
        return
    if any(one.sha256 == examples.origin.sha256 for one in held.manifest.training_data):
        typer.echo(
            f"{examples.origin.name}: version {held.version} was trained on this file, so that its "
            "figures here are too good; measure on data that it has not seen",
            err=True,
        )


def _run(detectors: list[Detector], examples: Labelled) -> list[list[Finding]]:
    from quorum.models.training.trial import run

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("scoring", total=len(examples.uploads))
        return run(detectors, examples, lambda done: progress.update(task, completed=done))


@contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    console = Console(stderr=True)
    with console.status("reading") as status:
        yield lambda step: status.update(step)


def _measured(measure: Callable[[], Any]) -> Any:
    try:
        return measure()
    except ValueError as error:
        raise InputError(str(error)) from None
