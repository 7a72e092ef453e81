"""Builders that the tests of the aggregator share."""

import re
from datetime import UTC, datetime, timedelta

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.trial import try_policy
from quorum.core.messages import Prediction, Review, Status, Upload, prediction_id

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds):
    return START + timedelta(seconds=seconds)


def upload(upload_id="u1", **fields):
    return Upload(**{"id": upload_id, "uploader": "ann", "published_at": START, **fields})


def said(detector, score=None, *, status=None, version="v1", at=0.0, upload_id="u1", **fields):
    status = status or (Status.FAILED if score is None else Status.SCORED)
    return Prediction(
        id=prediction_id(upload_id, detector, version),
        upload_id=upload_id,
        detector=detector,
        version=version,
        status=status,
        score=score,
        reason=None if score is not None else "out of order",
        at=after(at),
        **fields,
    )


def reviewed(action, *, of="x", at=100.0, upload_id="u1", reviewer="rita"):
    verdict_id = of if isinstance(of, str) else of.id
    return Review(
        upload_id=upload_id, verdict_id=verdict_id, action=action, reviewer=reviewer, at=after(at)
    )


def three_detectors(name):
    """A policy that ships, without what it says of nsfw: its cases end with three answers."""
    text = load_policy(name).text
    text = re.sub(r"(?m)^  nsfw:.*\n(?:    .*\n)*", "", text)
    return Policy.from_text(re.sub(r"(?m)^  - name: nsfw-.*\n(?:    .*\n)*", "", text))


def backtest(cases, candidate, base=None):
    """The backtest of a trial over all cases of a period."""
    return try_policy([(case, 1.0) for case in cases], candidate, base).backtest
