"""Batch and web decide as stream and backtest do: through the same case and function."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from aggregator.decision import decide
from aggregator.policy import load_policy, shipped_policies
from aggregator.record import PastCase
from quorum.messages import Prediction, Upload, prediction_id
from quorum.moderator import open_case

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def prediction(draw, upload_id, detector):
    kind = draw.random()
    said = {"status": "scored", "score": round(draw.betavariate(0.4, 0.8), 3)}
    if kind > 0.85:
        said = {"status": draw.choice(["failed", "abstained"]), "reason": "no luck"}
    return Prediction(
        id=prediction_id(upload_id, detector, "1"),
        upload_id=upload_id,
        detector=detector,
        version="1",
        at=START,
        **said,
    )


@pytest.mark.parametrize("name", shipped_policies())
def test_batch_and_web_decide_as_the_backtest_does(name):
    policy, draw = load_policy(name), random.Random(name)
    for number in range(700):
        upload = Upload(id=f"u{number}", uploader="ann", published_at=START)
        said = [
            prediction(draw, upload.id, detector)
            for detector in ("spam", "violence", "copyright")
            if draw.random() < 0.93
        ]
        expected = decide(policy, upload, {one.detector: one for one in said})
        at = START + timedelta(seconds=1)
        _, verdict = open_case(policy, upload, said, arrived=START, at=at)
        assert (verdict.action, verdict.rule) == (expected.action, expected.rule)
        again = PastCase.gather(upload, said, [verdict]).decide(policy)
        assert (again.action, again.rule) == (expected.action, expected.rule)
