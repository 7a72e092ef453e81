"""What the verbs of ``quorum models`` that measure share: loading, running, known rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import Progress

from quorum.apps.cli.models_options import shipped_artifact
from quorum.core.errors import InputError
from quorum.models.installed import load_detector
from quorum.models.registry.references import is_recipe, open_reference

if TYPE_CHECKING:
    from quorum.models.detectors import Detector, Finding
    from quorum.models.training.dataset import Labelled

__all__ = ["load", "measured", "rows_seen_by", "run_all", "steps", "warn_if_seen"]

#: Share of seen rows above which data is no held-out data; short texts are alike by chance.
_SEEN_BY_CHANCE = 0.02


def _seen_rows(name: str, model: str | None, examples: Labelled) -> tuple[set[int], str]:
    """Indices of rows that a model was trained on, and the model's version."""
    if is_recipe(model):
        return set(), ""
    held = open_reference(model, name) if model else shipped_artifact(name)
    if held is None:
        return set(), ""
    if any(one.sha256 == examples.origin.sha256 for one in held.manifest.training_data):
        return set(range(len(examples.uploads))), held.version
    rows = held.seen_rows()
    found = {
        index
        for index, upload in enumerate(examples.uploads)
        if any(one.has(upload) for one in rows)
    }
    return found, held.version


def warn_if_seen(name: str, model: str | None, examples: Labelled) -> None:
    """Figures on what a model was trained on say nothing of new uploads."""
    seen, version = _seen_rows(name, model, examples)
    total = len(examples.uploads)
    if len(seen) == total:
        typer.echo(
            f"{examples.origin.name}: version {version} was trained on this file, so that its "
            "figures here are too good; measure on data that it has not seen",
            err=True,
        )
    elif seen:
        typer.echo(
            f"{examples.origin.name}: version {version} has seen {len(seen):,} of its {total:,} "
            "rows in training, so that its figures here are too good",
            err=True,
        )


def rows_seen_by(
    name: str, models: tuple[str | None, ...], examples: Labelled, *, leave_out: bool
) -> set[int]:
    """Indices of rows that any of some models was trained on; they are left out.

    Raises:
        InputError: If they are too many to be alike by chance, and are not to be left out.
    """
    found: set[int] = set()
    total = len(examples.uploads)
    for model in dict.fromkeys(models):
        seen, version = _seen_rows(name, model, examples)
        if not leave_out and len(seen) > _SEEN_BY_CHANCE * total:
            msg = (
                f"{examples.origin.name} is no held-out data: version {version} has seen "
                f"{len(seen):,} of its {total:,} rows in training; take others, or leave these out "
                "with --leave-out-seen"
            )
            raise InputError(msg)
        found |= seen
    if found:
        typer.echo(f"{len(found):,} of {total:,} rows were seen in training and left out", err=True)
    return found


def load(name: str, model: str | None) -> Detector:
    """The detector with a model; the shipped one if none is named."""
    from quorum.core.settings import DetectorSettings, load_settings

    alone = {"detectors": {name: DetectorSettings(model=model)}}
    return load_detector(name, load_settings().model_copy(update=alone))


def run_all(detectors: list[Detector], examples: Labelled) -> list[list[Finding]]:
    """The findings of each detector on all examples, with a bar of progress."""
    from quorum.models.training.trial import run

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("scoring", total=len(examples.uploads))
        return run(detectors, examples, lambda done: progress.update(task, completed=done))


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """A line that tells the step of a training."""
    console = Console(stderr=True)
    with console.status("reading") as status:
        yield lambda step: status.update(step)


def measured(measure: Callable[[], Any]) -> Any:
    """What a measurement gives; data that it refuses is an error of the input."""
    try:
        return measure()
    except ValueError as error:
        raise InputError(str(error)) from None
