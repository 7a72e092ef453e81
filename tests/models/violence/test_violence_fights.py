"""Fights: the shipped weights on their own training clips, and how movement takes part."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Feature
from quorum.models.features.extract import Extractor
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.violence import train_frames as train_frames_module
from quorum.models.violence.detector import CAP_OF_FRAMES, ViolenceDetector
from quorum.models.violence.fights import Fights, Moving
from quorum.models.violence.train_frames import Clip, train_frames
from tests.models.data import shared_data

OF_PICTURES = frozenset({Feature.FRAMES, Feature.MOTION})


@pytest.mark.slow
def test_fights_score_above_other_clips_and_name_the_seconds():
    folder = shared_data("fights")
    with (folder / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    chosen = [row for row in rows if row["fight"] == "1"][::28]
    chosen += [row for row in rows if row["fight"] == "0"][::28]
    extractor = Extractor(OF_PICTURES, MediaAccess(folders=(str(folder),)))
    uploads = [
        Upload.model_validate(
            {
                "id": row["file"],
                "uploader": "x",
                "media": (folder / row["file"]).resolve().as_uri(),
                "published_at": "2026-01-01T00:00:00Z",
            }
        )
        for row in chosen
    ]
    features = extractor.extract(uploads)
    findings = ViolenceDetector().score(features)
    fights = [one for one, row in zip(findings, chosen, strict=True) if row["fight"] == "1"]
    others = [one for one, row in zip(findings, chosen, strict=True) if row["fight"] == "0"]
    mean = [sum(one.score for one in group) / len(group) for group in (fights, others)]
    assert mean[0] > mean[1] + 0.3
    for one, seen in zip(findings, features, strict=True):
        if one.score >= 0.5:
            assert one.evidence[0].kind == "video"
            assert one.evidence[0].end <= seen.frames.duration + 0.1
            moves = [each for each in one.evidence if each.what.startswith("moves like a fight")]
            assert moves
            assert max(each.weight for each in moves) == pytest.approx(one.score, abs=1e-4)
        assert one.score <= CAP_OF_FRAMES
    still = ViolenceDetector().score([replace(one, motion=None) for one in features[:1]])
    assert still[0].score != findings[0].score
    assert not [one for one in still[0].evidence if one.what.startswith("moves")]


HEAD = DenseLogistic(np.array([1.0]), 0.0)
JUDGE = Fights(HEAD, Platt(1.0, -1.0), 1, Moving(HEAD, DenseLogistic(np.array([1.0, 2.0]), -1.0)))
SCENES = np.array([[0.5], [-1.0]])


def test_movement_takes_part_where_it_is_known():
    shown, moves = JUDGE.scores(SCENES, np.array([[1.0], [-3.0], [0.0]]))
    odds = lambda scores: np.log(scores / (1 - scores))  # noqa: E731
    np.testing.assert_allclose(odds(shown), [0.5 + 2 - 1, -1 + 2 - 1])
    np.testing.assert_allclose(odds(moves), [0.5 + 2 - 1, 0.5 - 6 - 1, 0.5 - 1])
    assert shown.max() == moves.max()


@pytest.mark.parametrize("windows", [None, np.zeros((0, 1))])
def test_without_movement_what_is_shown_decides(windows):
    shown, moves = JUDGE.scores(SCENES, windows)
    np.testing.assert_allclose(shown, Platt(1.0, -1.0).apply([0.5, -1.0]))
    assert moves is None


@pytest.fixture
def one_seed(monkeypatch):
    monkeypatch.setattr(train_frames_module, "_REPEATS", 1)
    monkeypatch.setattr(train_frames_module, "_DRAWS", 100)


def clips(count, moving=True):
    """Fights hardly differ by what they show, and clearly by how they move."""
    chance = np.random.default_rng(3)
    return [
        Clip(
            scenes=chance.normal(0.4 * (number % 2), 1, (2, 3)).astype(np.float32),
            fight=number % 2,
            source=f"camera {number // 6}",
            digest=str(number),
            out_of_domain=False,
            windows=chance.normal(2.0 * (number % 2), 1, (2 * moving, 2)).astype(np.float32),
        )
        for number in range(count)
    ]


@pytest.mark.usefixtures("one_seed")
def test_movement_that_tells_fights_is_learned():
    made = train_frames(clips(72), [], 0, lambda step: None)
    assert made.metrics["roc_auc"] > made.metrics["roc_auc_without_motion"] + 0.15
    assert made.metrics["gain_by_motion_95"][0] > 0
    shown, moves = made.fights.moving.together.coefficients
    assert moves > shown >= 0


@pytest.mark.usefixtures("one_seed")
@pytest.mark.parametrize("few", [clips(36, moving=False), clips(30)], ids=["none", "few"])
def test_without_enough_movement_what_is_shown_decides_alone(few):
    made = train_frames(few, [], 0, lambda step: None)
    assert made.fights.moving is None
    assert made.metrics["roc_auc"] == made.metrics["roc_auc_without_motion"]
    assert list(made.fights.tensors()) == ["fights.safetensors"]
