"""The model cards quote the figures of the artifacts' manifests."""

from pathlib import Path

import pytest

import quorum.models
from quorum.models.registry.artifacts import open_artifact
from quorum.models.violence.train_words import LABELLED, OWN

FOLDER = Path(quorum.models.__file__).parent


def figures(name):
    manifest = open_artifact(FOLDER / name / "artifact", name).manifest
    metrics = manifest.metrics
    if name == "spam":
        error = manifest.calibration["expected_calibration_error"]
        ranks = [metrics["roc_auc"]]
        for table in ("comments_by_source", "uploads"):
            ranks += [one["auc"] for one in metrics[table].values()]
        return [*(f"{one:.3f}" for one in ranks), f"{error:.3f}"]
    if name == "violence":
        return [
            *(
                f"{metrics['text'][source][key]:.3f}"
                for source in (*LABELLED, *OWN)
                for key in ("roc_auc", "expected_calibration_error")
            ),
            *(f"{rank:.3f}" for rank in metrics["text"]["languages"].values()),
            f"Of {metrics['text']['innocent']['rows']:,} innocent texts",
            f"{metrics['frames']['roc_auc']:.3f}",
        ]
    return [f"Of {metrics['rows']} clips", f"{metrics['flagged_at_0.5']} score 0.5 or more"]


@pytest.mark.parametrize("name", ["spam", "violence", "nsfw"])
def test_the_card_tells_what_was_measured(name):
    card = (FOLDER / name / "card.md").read_text(encoding="utf-8")
    for figure in figures(name):
        assert figure in card


@pytest.mark.parametrize("name", ["spam", "violence", "nsfw", "copyright"])
def test_each_card_has_its_parts(name):
    card = (FOLDER / name / "card.md").read_text(encoding="utf-8")
    assert "**Figures" in card
    for part in ("**Output.**", "**Training data.**", "**Limitations.**", "**Licence.**"):
        assert part in card


@pytest.mark.parametrize("name", ["spam", "violence", "nsfw"])
def test_an_artifact_names_its_licence_and_holds_no_code(name):
    held = open_artifact(FOLDER / name / "artifact", name)
    assert held.manifest.licence
    kinds = {path.suffix for path in held.folder.iterdir()}
    assert kinds <= {".json", ".safetensors"}


def test_the_figures_that_were_asked_for():
    spam = open_artifact(FOLDER / "spam" / "artifact").manifest.metrics
    violence = open_artifact(FOLDER / "violence" / "artifact").manifest.metrics
    assert spam["split"].startswith("whole videos, sources, channels and languages left out")
    assert spam["roc_auc"] >= 0.990
    assert "by source" in violence["frames"]["split"]
    assert violence["frames"]["roc_auc"] > 0.82
