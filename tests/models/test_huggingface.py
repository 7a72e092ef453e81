"""Hugging Face detectors with tiny models created by the tests."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from quorum.apps.cli.models import app
from quorum.core.errors import ArtifactError, ConfigurationError
from quorum.core.messages import Status, Upload
from quorum.core.settings import DetectorSettings, MediaAccess, Settings
from quorum.models.detectors import Feature, Features, Frames
from quorum.models.features.extract import Extractor
from quorum.models.features.text import text_of
from quorum.models.huggingface import HuggingFaceDetector
from quorum.models.installed import load_detector, selected
from quorum.models.media.lines import MediaLine
from tests.models import huggingface_models


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "text-model"
    huggingface_models.text_model(folder)
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
        text_of(upload(title=title), [MediaLine(line, 2.0, 3.0) for line in lines])[0]
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


def test_a_language_that_is_not_covered_abstains_whatever_is_declared(text_model, tmp_path):
    detector = load_detector("insults", recipe(tmp_path, text_model, language=["en"]))
    extractor = Extractor(detector.needs, MediaAccess())
    german, english, regional = detector.score(
        extractor.extract(
            [
                upload(title="Das ist ein deutscher Satz, den hier niemand liest", language="en"),
                upload(title="you are an idiot", language="de"),
                upload(title="you are an idiot", language="en-GB"),
            ]
        )
    )
    assert german.reason == "language not covered: de"
    assert english.score == regional.score > 0.5
    with pytest.raises(ConfigurationError, match=r"language\.0"):
        HuggingFaceDetector.of("insults", recipe(tmp_path, text_model, language=["en-GB"]))


def test_a_long_text_is_read_to_its_end(text_model, tmp_path):
    detector = load_detector("insults", recipe(tmp_path, text_model))
    plain = "you are my friend . " * 40
    assert len(detector._pieces(plain)) > 2
    hidden, innocent, longer = detector.score(
        [
            Features(upload(), text_of(upload(title="my", description=words))[0])
            for words in (f"{plain}you are an idiot . {plain}", plain, plain * 40)
        ]
    )
    assert hidden.score > 0.5 > innocent.score
    assert longer.status is Status.FAILED
    assert "16 parts of 64 tokens are judged" in longer.reason


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
    # The reference, at which the thresholds of shipped policies hold; not the share of these rows.
    assert detector.recipe.calibration.prevalence == 0.2
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
    folder = tmp_path / "image-model"
    huggingface_models.image_model(folder)
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
    assert seen.evidence[-1].what == "seen: 100% of 5.0 s of the media"
    assert seen.score == pytest.approx(seen.labels["violence/gore"])
    assert unseen.status is Status.FAILED
    assert none.status is Status.ABSTAINED
    # A viewer may see each track: the worst counts, and what cannot be read is not innocent.
    other = Frames(255 - pixels, frames.times, 5.0, name="track 2")
    lost = Frames(pixels[:2], frames.times[:2], 5.0, unread=("track 2: no decoder",))
    second, first, both, without = detector.score(
        [
            Features(upload(media="file:///x"), frames=one)
            for one in (other, frames, replace(frames, others=(other,)), lost)
        ]
    )
    assert both.score == max(first.score, second.score) != min(first.score, second.score)
    assert without.status is Status.FAILED or without.score >= 0.5


def test_a_model_whose_files_changed_is_refused(text_model, tmp_path):
    from quorum.models.registry.artifacts import files_digest

    (tmp_path / "model").mkdir()
    for path in text_model.iterdir():
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    model = tmp_path / "model"
    named = recipe(tmp_path, Path(f"{model}#{files_digest(model)}"))
    assert HuggingFaceDetector.of("insults", named).version
    tokens = model / "vocab.txt"
    tokens.write_text(tokens.read_text().replace("idiot", "genius"))
    with pytest.raises(ArtifactError, match="not those that the description names"):
        HuggingFaceDetector.of("insults", named)


def test_a_description_that_changed_is_refused(text_model, tmp_path):
    import hashlib

    settings = recipe(tmp_path, text_model)
    reference = settings.detectors["insults"].model
    file = Path(reference.removeprefix("file:"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]

    def named(one: str) -> Settings:
        return Settings(detectors={"insults": DetectorSettings(model=one)})

    assert HuggingFaceDetector.of("insults", named(f"{reference}#{digest}")).version
    file.write_text(file.read_text() + "# changed\n")
    with pytest.raises(ConfigurationError, match="not the description that is named"):
        HuggingFaceDetector.of("insults", named(f"{reference}#{digest}"))
