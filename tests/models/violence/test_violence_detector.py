import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from quorum.aggregator.policy.policy import load_policy, shipped_policies
from quorum.aggregator.study.golden import read_golden, run_golden
from quorum.core.messages import Status, Upload
from quorum.models.detectors import Feature, Features, Frames, Motion
from quorum.models.features.motion import STATISTICS
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.violence.detector import CAP_OF_FRAMES, ViolenceDetector, fuse
from quorum.models.violence.fights import Fights, Moving
from quorum.models.violence.vision import CHANNELS, MAX_SCENES, describe, scenes
from tests.contract.detector import DetectorContract


def upload(**fields):
    return Upload(id="u", uploader="x", published_at=datetime(2026, 1, 1, tzinfo=UTC), **fields)


def moving(count=8, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (count, 64, 64, 3), dtype=np.uint8)
    return Frames(pixels, np.arange(count) * 0.25, count * 0.25)


def certain(features):
    """A head that is sure of everything."""
    return DenseLogistic(np.zeros(features), 99.0)


#: Sure of every scene and of every window.
CERTAIN = Fights(
    certain(2 * CHANNELS), Platt(1.0, 0.0), 3, Moving(certain(len(STATISTICS)), certain(2))
)
#: Windows of the track that ``moving`` shows.
WINDOWS = Motion(np.array([0.0, 1.0]), np.zeros((2, len(STATISTICS)), np.float32))


class TestViolence(DetectorContract):
    detector = ViolenceDetector

    def test_frames_alone_are_scored(self, made):
        features = Features(
            upload(media="file:///x"),
            frames=moving(),
            absent={Feature.TEXT: "no text", Feature.EMBEDDING: "no text"},
        )
        (finding,) = made.score([features])
        assert finding.status is Status.SCORED
        assert set(finding.labels) == {"violence/fight", "violence/gore"}

    @pytest.mark.parametrize(
        ("motion", "told"),
        [
            (None, ["looks like a fight"]),
            (replace(WINDOWS, name="another track"), ["looks like a fight"]),
            (WINDOWS, ["looks like a fight", "moves like a fight"]),
        ],
    )
    def test_pictures_alone_never_remove(self, made, monkeypatch, motion, told):
        monkeypatch.setattr(made, "_score_gore", lambda gore, sight: (0.0, []))
        monkeypatch.setattr(made, "_fights", CERTAIN)
        seen = Features(upload(media="file:///x"), frames=moving(), motion=motion)
        (finding,) = made.score([seen])
        assert [one.what for one in finding.evidence if "fight" in one.what] == told
        assert finding.labels["violence/fight"] == finding.score == CAP_OF_FRAMES
        for name in shipped_policies():
            scores = {"violence": finding.score, "spam": 0, "copyright": 0, "nsfw": 0}
            case = json.dumps([{"name": "a fight", "scores": scores, "expect": "review"}])
            policy = load_policy(name)
            (result,) = run_golden(policy, read_golden(policy, case))
            assert result.wrong == ()

    def test_a_batch_of_frames_scores_as_each_alone(self, made):
        batch = [
            Features(upload(media="file:///x"), frames=moving(count, seed))
            for seed, count in enumerate((1, 3, 8))
        ]
        alone = [made.score([one])[0].score for one in batch]
        assert [one.score for one in made.score(batch)] == pytest.approx(alone, abs=1e-4)

    def test_calm_words_do_not_excuse_media_that_cannot_be_read(self, made, extractor):
        calm, threat = extractor.extract(
            [
                upload(title="How to bake bread with two kinds of flour", media="file:///gone"),
                upload(title="I will find you and kill you", media="file:///gone"),
            ]
        )
        first, second = made.score([calm, threat])
        assert first.status is Status.FAILED
        assert "media" in first.reason
        assert "the readable part scores 0.0" in first.reason
        assert second.status is Status.SCORED
        assert second.score >= 0.5

    def test_a_threat_in_a_long_description_is_found(self, made, extractor):
        calm = "We walked along the river and had bread and cheese under an old tree. " * 10
        threat = "I will find you and kill you and your whole family."
        for description in (f"{calm}\n{threat}\n{calm}", f"{calm} {threat} {calm}"):
            told, without = made.score(
                extractor.extract(
                    [
                        upload(title="Our day out", description=description),
                        upload(title="Our day out", description=f"{calm}\n{calm}"),
                    ]
                )
            )
            assert told.score >= 0.5 > 0.2 > without.score

    def test_media_of_sound_alone_is_judged_by_its_words(self, made, extractor):
        (features,) = extractor.extract([upload(title="How to bake bread")])
        features = Features(
            upload(title="How to bake bread", media="file:///x.mp3"),
            text=features.text,
            embedding=features.embedding,
            absent={Feature.FRAMES: "no video in the media"},
        )
        (finding,) = made.score([features])
        assert finding.status is Status.SCORED


def test_the_greater_half_counts():
    assert fuse([0.1, 0.9], [0.8, 0.2]).tolist() == [0.8, 0.9]


def test_scenes_are_bursts_that_follow_one_another():
    frames = moving(32)
    found = scenes(frames)
    assert len(found) == MAX_SCENES
    assert found[0].tolist() == [0, 1, 2, 3]
    assert found[-1].tolist() == [28, 29, 30, 31]
    cut = Frames(frames.pixels[:6], np.array([0.0, 0.25, 0.5, 0.75, 9.0, 9.25]), 9.25)
    assert [one.tolist() for one in scenes(cut)] == [[0, 1, 2, 3]]
    single = Frames(frames.pixels[:1], np.array([0.0]), 0.0)
    assert [one.tolist() for one in scenes(single)] == [[0]]


def test_a_scene_is_what_it_shows_and_how_it_changes():
    codes = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 1.0]], dtype=np.float32)
    assert describe(codes).tolist() == [1.0, 1.0, 1.5, 0.0]
    assert describe(codes[:1]).tolist() == [0.0, 1.0, 0.0, 0.0]
