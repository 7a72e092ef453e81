"""Each recipe makes a detector of a model that has its labels; the models are the tests' own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from quorum.apps.cli.models import app
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Status, Upload
from quorum.core.settings import DetectorSettings, Settings
from quorum.models.detectors import Feature, Features, Frames, Text
from quorum.models.huggingface import HuggingFaceDetector, Recipe
from tests.models.huggingface_models import WORDS

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))


def read(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    return told


def tiny(folder: Path, task: str, names: list[str]) -> None:
    """A model with random weights and these labels."""
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        BertTokenizerFast,
        ViTConfig,
        ViTForImageClassification,
        ViTImageProcessor,
    )

    torch.manual_seed(0)
    size: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
    }
    folder.mkdir()
    if task == "image-classification":
        config = ViTConfig(image_size=32, patch_size=16, **size)
        ViTForImageClassification(config).save_pretrained(folder)
        ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
        return
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=64, **size)
    BertForSequenceClassification(config).save_pretrained(folder)


def features(task: str, title: str = "you are an idiot") -> Features:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    upload = Upload(id="u", uploader="x", title=title, media="file:/x", published_at=at)
    if task == "image-classification":
        pixels = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
        return Features(upload, frames=Frames(pixels, np.arange(4) / 4, 1.0))
    return Features(upload, text=Text({"title": title}, title, title, None))


def described(path: Path, folder: Path, names: list[str]) -> tuple[str, Settings]:
    """Settings with the recipe's detector, of a tiny model in place of the Hub's."""
    told = read(path)
    tiny(folder / "tiny", told["task"], names)
    told["model"] = f"file:{folder / 'tiny'}"
    with (folder / path.name).open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(told, file)
    name = next(iter(told["labels"].values())).partition("/")[0]
    chosen = DetectorSettings(model=f"file:{folder / path.name}")
    return name, Settings(detectors={name: chosen})


def test_there_are_twenty_and_the_page_names_them() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert len(RECIPES) == 20
    assert len({read(path)["model"] for path in RECIPES}) == 20
    for path in RECIPES:
        told = read(path)
        (row,) = [line for line in page.splitlines() if line.startswith(f"| [`{path.stem}`]")]
        assert told["model"].removeprefix("hf:") in row
        assert told["licence"] in row
        assert " ".join(told.get("language", ["pictures"])) in row


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_a_detector_of_a_model_with_its_labels(path: Path, tmp_path: Path) -> None:
    told = read(path)
    recipe = Recipe.model_validate(told)
    assert recipe.model.startswith("hf:")
    assert recipe.licence
    paths = set(recipe.labels.values())
    assert len({label.partition("/")[0] for label in paths}) == 1
    name, settings = described(path, tmp_path, [*(recipe.others or ()), *recipe.labels])
    # What the comments of the file tell to write is what makes it work.
    comments = path.read_text(encoding="utf-8")
    assert f"detectors: {{{name}: {{model: file:{path.name}, shadow: true}}}}" in comments
    text = recipe.task == "text-classification"
    assert (f"calibrate {name} --model file:{path.name} " in comments) is text
    detector = HuggingFaceDetector.of(name, settings)
    assert detector.needs == {Feature.TEXT if text else Feature.FRAMES}
    (finding,) = detector.score([features(recipe.task)])
    assert finding.status is Status.SCORED
    assert set(finding.labels) == paths
    assert finding.score is not None
    assert 0 < finding.score < 1
    if recipe.several:
        assert finding.score == pytest.approx(max(finding.labels.values()))
    elif text:
        assert finding.score == pytest.approx(sum(finding.labels.values()))
    else:  # each label is the greatest of its own frame
        assert max(finding.labels.values()) <= finding.score + 1e-6
        assert finding.score <= sum(finding.labels.values()) + 1e-6
    if text:
        (other,) = detector.score([features(recipe.task, "これは日本語の文章です")])
        assert other.reason == "language not covered: ja"


def test_a_model_with_other_labels_is_refused(tmp_path: Path) -> None:
    path = FOLDER / "hatexplain.yaml"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    name, settings = described(path, tmp_path / "a", ["LABEL_0", "LABEL_1", "LABEL_2"])
    with pytest.raises(ConfigurationError, match="no label hate speech, normal, offensive"):
        HuggingFaceDetector.of(name, settings)
    name, settings = described(
        path, tmp_path / "b", ["hate speech", "normal", "offensive", "self-harm"]
    )
    with pytest.raises(ConfigurationError, match="neither labels nor others name self-harm"):
        HuggingFaceDetector.of(name, settings)


def test_the_command_lists_and_prints_them() -> None:
    listed = CliRunner().invoke(app, ["recipes", "--json"])
    assert listed.exit_code == 0
    assert all(f'"recipe": "{path.stem}"' in listed.stdout for path in RECIPES)
    printed = CliRunner().invoke(app, ["recipes", "toxic-bert"])
    assert printed.stdout == (FOLDER / "toxic-bert.yaml").read_text(encoding="utf-8")
    wrong = CliRunner().invoke(app, ["recipes", "toxic-bart"])
    assert "did you mean toxic-bert?" in str(wrong.exception)
