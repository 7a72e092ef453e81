"""Tiny models, saved to disk in the standard format by the test itself."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from models.base import Feature, Features, Frames
from models.features.extract import Extractor
from models.features.ocr import Seen
from models.features.text import text_of
from models.registry import load_detector, selected
from quorum.cli.models import app
from quorum.errors import ArtifactError, ConfigurationError
from quorum.messages import Status, Upload
from quorum.settings import DetectorSettings, MediaAccess, Settings

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "you", "are", "an", "idiot", "friend", "."]


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    """A BERT of one layer whose answer is whether the text holds the word "idiot"."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("text-model")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
        id2label={0: "fine", 1: "insult", 2: "threat"},
        label2id={"fine": 0, "insult": 1, "threat": 2},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    tokens = torch.tensor(
        [[2, 5, 6, 7, 8, 3], [2, 5, 6, 7, 9, 3], [2, 8, 10, 1, 1, 3], [2, 1, 1, 9, 10, 3]]
    )
    for _ in range(60):
        optimiser.zero_grad()
        model(tokens, labels=torch.tensor([1, 0, 1, 0])).loss.backward()
        optimiser.step()
    model.eval().save_pretrained(folder)
    assert (folder / "model.safetensors").exists()
    return folder


def recipe(folder, weights, **more):
    path = folder / "insults.yaml"
    told = {
        "task": "text-classification",
        "model": f"file:{weights}",
        "labels": {"insult": "hate/insult"},
        **more,
    }
    path.write_text(json.dumps(told))
    return Settings(detectors={"insults": DetectorSettings(model=f"file:{path}")})


def upload(**fields):
    return Upload(id="u", uploader="x", published_at=datetime(2026, 1, 1, tzinfo=UTC), **fields)


def test_a_text_model_by_configuration_alone(text_model, tmp_path):
    settings = recipe(tmp_path, text_model)
    assert list(selected(settings)) == ["insults"]
    detector = load_detector("insults", settings)
    assert (detector.name, detector.needs) == ("insults", frozenset({Feature.TEXT}))
    extractor = Extractor(detector.needs, MediaAccess())
    batch = extractor.extract(
        [upload(title="you are an idiot", description="you are an friend"),
         upload(title="you are an friend"), upload()]
    )  # fmt: skip
    bad, good, empty = detector.score(batch)
    assert bad.score > 0.5 > good.score
    assert set(bad.labels) == {"hate/insult"}
    assert bad.evidence[0].what == "you are an idiot"
    assert bad.evidence[0].field == "title"
    assert empty.status is Status.ABSTAINED


def test_words_in_frames_are_judged_beside_the_own_ones(text_model, tmp_path):
    detector = load_detector("insults", recipe(tmp_path, text_model))
    made = [
        text_of(upload(title=title), [Seen(line, 2.0, 3.0) for line in lines])[0]
        for title, lines in (
            ("you are an friend", ["you are an idiot"]),
            ("you are an idiot", ["you are an friend"]),
            ("you are an idiot", []),
        )
    ]
    in_frames, own, alone = detector.score([Features(upload(), text) for text in made])
    assert own.score == pytest.approx(alone.score, abs=1e-6)
    assert in_frames.score == pytest.approx(alone.score, abs=1e-6)
    evidence = in_frames.evidence[0]
    assert (evidence.kind, evidence.start, evidence.end) == ("video", 2.0, 3.0)


def test_the_version_follows_weights_and_configuration(text_model, tmp_path):
    first = load_detector("insults", recipe(tmp_path, text_model)).version
    other = tmp_path / "other"
    other.mkdir()
    assert load_detector("insults", recipe(other, text_model)).version == first
    third = tmp_path / "third"
    third.mkdir()
    both = {"insult": "hate/insult", "threat": "violence/threat"}
    assert load_detector("insults", recipe(third, text_model, labels=both)).version != first


def test_a_language_that_is_not_covered_abstains(text_model, tmp_path):
    detector = load_detector("insults", recipe(tmp_path, text_model, language=["en"]))
    extractor = Extractor(detector.needs, MediaAccess())
    (finding,) = detector.score(extractor.extract([upload(title="x", language="de")]))
    assert finding.reason == "language not covered: de"


def test_calibration_from_a_csv(text_model, tmp_path):
    from typer.testing import CliRunner

    settings = recipe(tmp_path, text_model)
    rows = ["you are an idiot,1", "you are an friend,0", "idiot .,1", "friend .,0"] * 5
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *rows]))
    out = tmp_path / "calibrated.yaml"
    result = CliRunner().invoke(
        app,
        ["calibrate", "insults", "--model", settings.detectors["insults"].model,
         "--data", str(tmp_path / "data.csv"), "--out", str(out)],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0
    calibrated = Settings(detectors={"insults": DetectorSettings(model=f"file:{out}")})
    detector = load_detector("insults", calibrated)
    assert detector.recipe.calibration.prevalence == 0.5
    assert detector.version != load_detector("insults", settings).version


@pytest.mark.parametrize(
    ("more", "error", "told"),
    [
        ({"labels": {"rude": "hate/insult"}}, ConfigurationError, "no label rude; it has fine"),
        ({"labels": {}}, ConfigurationError, "labels"),
        ({"task": "translation"}, ConfigurationError, "task"),
        ({"colour": "red"}, ConfigurationError, "colour"),
        ({"model": "file:/no/such"}, ArtifactError, "no such folder"),
        ({"task": "image-classification"}, ArtifactError, "holds no model for image"),
    ],
)
def test_configuration_that_cannot_be_used_is_told(text_model, tmp_path, more, error, told):
    with pytest.raises(error, match=told):
        load_detector("insults", recipe(tmp_path, text_model, **more))


def test_weights_in_pickle_are_refused(text_model, tmp_path):
    unsafe = tmp_path / "unsafe"
    unsafe.mkdir()
    for path in text_model.iterdir():
        if path.suffix != ".safetensors":
            (unsafe / path.name).write_bytes(path.read_bytes())
    from safetensors.torch import load_file

    torch.save(load_file(text_model / "model.safetensors"), unsafe / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="in safetensors"):
        load_detector("insults", recipe(tmp_path, unsafe))


def test_an_image_model_by_configuration_alone(tmp_path):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    folder = tmp_path / "image-model"
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=16,
        id2label={0: "calm", 1: "gore"}, label2id={"calm": 0, "gore": 1},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    settings = recipe(
        tmp_path, folder, task="image-classification", labels={"gore": "violence/gore"}
    )
    detector = load_detector("insults", settings)
    assert detector.needs == frozenset({Feature.FRAMES})
    pixels = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)
    frames = Frames(pixels, np.arange(20) * 0.25, 5.0)
    seen, unseen, none = detector.score(
        [
            Features(upload(media="file:///x"), frames=frames),
            Features(upload(media="file:///x"), absent={Feature.FRAMES: "media is gone"}),
            Features(upload()),
        ]
    )
    assert seen.status is Status.SCORED
    assert seen.score == pytest.approx(seen.labels["violence/gore"])
    assert unseen.status is Status.FAILED
    assert none.status is Status.ABSTAINED
