import random
from datetime import UTC, datetime

import prometheus_client as prometheus
import pytest

from quorum.aggregator.study.drift import Profiles
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Missing, UsedPrediction, Verdict
from quorum.pipeline.drift import ScoreWatch, load_reference

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def verdict(detector, score, late=False):
    used = UsedPrediction(id="p", detector=detector, version="1", status="scored", score=score)
    return Verdict(
        id="v", upload_id="u", action="allow", revision=1, policy_version="p", rule="r",
        reasons=(), predictions=() if late else (used,),
        missing=(Missing(detector=detector, why="no answer"),) if late else (),
        decided_by="deadline" if late else "policy", at=START, latency=0,
    )  # fmt: skip


def gauge(name, **labels):
    return prometheus.REGISTRY.get_sample_value(name, labels)


def test_what_moved_is_told_and_recovers(tmp_path):
    draw = random.Random(1)
    reference = Profiles()
    for _ in range(2000):
        reference.add_verdict(verdict("watched", draw.betavariate(1, 8)))
    saved = tmp_path / "reference.json"
    saved.write_text(reference.to_json())
    watch = ScoreWatch(load_reference(saved), half=500)
    for _ in range(500):
        watch.verdict(verdict("watched", draw.betavariate(1, 8)))
    assert gauge("quorum_score_stability", detector="watched") < 0.1
    for _ in range(1000):
        watch.verdict(verdict("watched", draw.betavariate(5, 3)))
    assert gauge("quorum_score_stability", detector="watched") > 0.25
    for _ in range(1500):
        watch.verdict(verdict("watched", draw.betavariate(1, 8)))
    assert gauge("quorum_score_stability", detector="watched") < 0.1


def test_silence_and_deadlines_are_told_without_a_reference():
    watch = ScoreWatch(half=500)
    for number in range(250):
        watch.verdict(verdict("quiet", 0.1, late=number % 5 == 0))
    assert gauge("quorum_silent_ratio", detector="quiet") == pytest.approx(0.2)
    assert gauge("quorum_deadline_ratio") == pytest.approx(0.2)


def test_what_is_no_reference(tmp_path):
    file = tmp_path / "x.json"
    with pytest.raises(ConfigurationError, match="cannot use the reference"):
        load_reference(file)
    file.write_text("{}")
    with pytest.raises(ConfigurationError, match="not a reference"):
        load_reference(file)
