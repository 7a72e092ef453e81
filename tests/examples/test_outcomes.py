"""What the shipped detectors and the policy ``balanced`` make of the shipped uploads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from quorum.aggregator.decision.evaluate import Decision, decide
from quorum.aggregator.policy.policy import load_policy
from quorum.core.errors import MalformedMessage
from quorum.core.messages import Action, Upload
from quorum.core.settings import MediaAccess, Settings
from quorum.models.features.extract import Extractor
from quorum.models.fingerprint.fingerprint import fingerprint
from quorum.models.installed import load_detector, selected
from quorum.models.runner import predict, score_safely

FOLDER = Path(__file__).parents[2] / "examples"
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)

pytestmark = pytest.mark.slow


def shipped() -> list[Upload]:
    """The uploads with their media as absolute URIs, as the demo publishes them."""
    made = {}
    for line in (FOLDER / "uploads.jsonl").read_bytes().splitlines():
        try:
            upload = Upload.from_bytes(line)
        except MalformedMessage:
            continue
        media = (FOLDER / upload.media).as_uri() if upload.media else None
        made[upload.id] = upload.model_copy(update={"media": media})
    return list(made.values())


@pytest.fixture(scope="module")
def decisions() -> list[tuple[Upload, Decision]]:
    uploads = shipped()
    detectors = [load_detector(name, Settings()) for name in selected(Settings())]
    needs = frozenset().union(*(detector.needs for detector in detectors))
    access = MediaAccess(folders=(str(FOLDER / "media"),))
    features = Extractor(needs, access, fingerprint).extract(uploads)
    said: list[dict] = [{} for _ in uploads]
    for detector in detectors:
        for index, finding in enumerate(score_safely(detector, features, timeout=60)):
            said[index][detector.name] = predict(detector, features[index], finding, AT, 0.0)
    policy = load_policy("balanced")
    return [
        (upload, decide(policy, upload, each)) for upload, each in zip(uploads, said, strict=True)
    ]


def of(decisions, media: str) -> list[Decision]:
    return [each for upload, each in decisions if upload.media and upload.media.endswith(media)]


def test_each_outcome_occurs(decisions):
    assert {decision.action for _, decision in decisions} == set(Action)


def test_most_uploads_are_allowed(decisions):
    allowed = [upload for upload, decision in decisions if decision.action is Action.ALLOW]
    assert len(allowed) >= len(decisions) / 2


def test_copies_of_the_registered_work_are_removed(decisions):
    """One only in another container, one mirrored, cropped, brightened and with a bar."""
    for name in ("bunny-again.mkv", "bunny-edited.mp4"):
        (copy,) = of(decisions, name)
        assert (copy.action, copy.rule) == (Action.REMOVE, "copyright-match")


def test_media_that_cannot_be_read_is_never_taken_for_innocent(decisions):
    for name in ("gone.mp4", "damaged.mp4"):
        (decision,) = of(decisions, name)
        assert decision.action is not Action.ALLOW


def test_media_that_harms_nobody_is_not_removed(decisions):
    assert {decision.action for decision in of(decisions, "lights.mp4")} == {Action.ALLOW}
    # A concert under flickering lights may be taken for a fight: then it is limited, or waits.
    (concert,) = of(decisions, "session.mp4")
    assert concert.action is not Action.REMOVE
