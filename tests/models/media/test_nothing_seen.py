"""Nothing seen is nothing known: taking evidence away gives no low score."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.decision.evaluate import decide
from quorum.aggregator.policy.policy import load_policy
from quorum.core.messages import Action, Status, Upload
from quorum.models.copyright.detector import CopyrightDetector
from quorum.models.detectors import Feature, Features, Frames
from quorum.models.fingerprint.audio import AudioPrint
from quorum.models.fingerprint.fingerprint import Fingerprint
from quorum.models.fingerprint.video import FrameHasher, VideoPrint
from quorum.models.media.clock import TrackClock
from quorum.models.nsfw.detector import NsfwDetector
from quorum.models.runner import predict
from quorum.models.violence.detector import ViolenceDetector

AT = datetime(2026, 1, 1, tzinfo=UTC)
SENT = Upload(id="u", uploader="x", media="file:///x", published_at=AT)
NONE = FrameHasher().finish()
SEVERITY = [Action.ALLOW, Action.RESTRICT, Action.REVIEW, Action.REMOVE]


def frames(count=4, **more):
    pixels = np.full((count, 64, 64, 3), 120, np.uint8)
    return Frames(pixels, np.arange(count) / 4, count / 4, name="video track 1", **more)


@pytest.fixture(scope="module")
def detectors():
    return {
        "violence": ViolenceDetector(),
        "nsfw": NsfwDetector(),
        "copyright": CopyrightDetector(),
    }


LACKING = {
    "no frames": Features(
        SENT,
        absent={
            Feature.FRAMES: "no frame could be read: damaged",
            Feature.FINGERPRINT: "media cannot be read",
            Feature.EMBEDDING: "no text",
        },
    ),
    "an unread track": Features(
        SENT,
        frames=frames(unread=("the coding of video track 2 is unknown",)),
        fingerprint=Fingerprint("0" * 64, video=NONE, unread=("video track 2 is unknown",)),
        absent={Feature.EMBEDDING: "no text"},
    ),
}


@pytest.mark.parametrize("name", LACKING)
@pytest.mark.parametrize("detector", ["violence", "nsfw", "copyright"])
def test_evidence_that_lacks_is_no_low_score(detectors, name, detector):
    (finding,) = detectors[detector].score([LACKING[name]])
    assert finding.status in (Status.FAILED, Status.ABSTAINED), finding
    assert finding.reason


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (Fingerprint("0" * 64), Status.FAILED),
        (Fingerprint("0" * 64, video=NONE), Status.FAILED),
        (
            Fingerprint("0" * 64, video=NONE, audio=AudioPrint(np.zeros(0, np.uint32))),
            Status.FAILED,
        ),
        (Fingerprint("0" * 64, notices=("damaged after 0.0 s",)), Status.FAILED),
    ],
)
def test_no_hash_is_no_score(detectors, found, status):
    (finding,) = detectors["copyright"].score([Features(SENT, fingerprint=found)])
    assert finding.status is status
    assert "could be compared" in finding.reason


def test_a_still_picture_abstains(detectors):
    one = VideoPrint(
        np.zeros(1, np.float32), np.zeros(1, np.uint8), np.zeros((1, 32), np.uint8),
        np.zeros((1, 14, 32), np.uint8), np.zeros((1, 14, 32), np.uint8),
    )  # fmt: skip
    features = Features(SENT, fingerprint=Fingerprint("0" * 64, video=one))
    assert detectors["copyright"].score([features])[0].status is Status.ABSTAINED


@pytest.mark.parametrize("detector", ["violence", "nsfw", "copyright"])
@pytest.mark.parametrize("policy", ["balanced", "cautious", "strict"])
def test_taking_evidence_away_is_no_milder_than_missing(detectors, detector, policy):
    """For every consumer: with evidence removed, no less than what the policy says for missing."""
    rules = load_policy(policy)
    if detector not in rules.detectors:
        pytest.skip("not in the policy")
    one = detectors[detector]
    clean = {
        name: predict(detectors[name], Features(SENT), _clean(), AT, 0.0)
        for name in detectors
        if name in rules.detectors and name != detector
    }
    missing = decide(rules, SENT, clean, {detector: "no answer"}).action
    for features in LACKING.values():
        (finding,) = one.score([features])
        told = clean | {detector: predict(one, features, finding, AT, 0.0)}
        assert SEVERITY.index(decide(rules, SENT, told, {}).action) >= SEVERITY.index(missing)


def _clean():
    from quorum.models.detectors import Finding

    return Finding.scored(0.0)


@given(
    keep=st.lists(st.integers(0, 39), min_size=1, max_size=40, unique=True),
    length=st.floats(0, 1000),
    reach=st.floats(0.5, 60),
)
@settings(max_examples=100)
def test_fewer_looks_never_see_more(keep, length, reach):
    whole = replace(frames(40), length=length, reach=reach)
    times = whole.times
    fewer = times[sorted(keep)]
    assert whole.share_seen(fewer) <= whole.share_seen(times) + 1e-9
    assert 0.0 <= whole.share_seen(fewer) <= 1.0
    assert whole.share_seen([]) == 0.0


@given(
    times=st.lists(st.none() | st.floats(-1e5, 1e5), min_size=1, max_size=60),
    start=st.floats(-1e5, 1e5),
    resets=st.booleans(),
)
@settings(max_examples=200)
def test_a_viewers_clock_never_runs_backwards(times, start, resets):
    clock = TrackClock(start, 0.04, resets=resets)
    seconds = [clock.seconds(time, None) for time in times]
    assert seconds[0] >= 0.0
    assert all(later >= sooner for sooner, later in pairwise(seconds))
    if resets:
        assert seconds[-1] <= len(times) * 10.1


def test_a_long_film_is_seen_in_more_places_and_the_share_is_told(detectors):
    count = 38
    pixels = np.full((4 * count, 64, 64, 3), 120, np.uint8)
    times = (np.arange(count)[:, None] * 16 + np.arange(4) / 4).ravel()
    long = Frames(pixels, times, 600.0, name="video track 1", length=1200.0)
    features = Features(SENT, frames=long, absent={Feature.EMBEDDING: "no text"})
    (finding,) = detectors["nsfw"].score([features])
    told = [one for one in finding.evidence if one.field == "seen"]
    assert told[0].weight == pytest.approx(0.5, abs=0.02)
    assert "video track 1" in told[0].what
