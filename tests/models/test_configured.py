"""A configured detector is loaded once in a process, however often it is unpickled there."""

import pickle

from quorum.core.messages import NOT_ASKED, Status, Upload
from quorum.core.settings import DetectorSettings, Settings
from quorum.models.configured import ConfiguredDetector
from tests.pipeline.doubles import Load, Scripted, upload


def test_copies_share_one_detector():
    configured = ConfiguredDetector("alpha", Load("alpha", -77))
    first = configured.detector
    assert configured.detector is first
    for _ in range(3):
        assert pickle.loads(pickle.dumps(configured)).detector is first
    assert ConfiguredDetector("alpha", Load("alpha", -78)).detector is not first


def test_a_loaded_detector_is_used_as_it_is():
    detector = Scripted("alpha")
    assert ConfiguredDetector.of(detector).detector is detector
    assert ConfiguredDetector.of(detector).name == "alpha"


def test_a_skipped_upload_gets_an_abstention():
    configured = ConfiguredDetector.of(Scripted("alpha"), DetectorSettings(shadow=True))
    made = configured.skipped(Upload.from_bytes(upload("u1")), f"{NOT_ASKED}it is settled")
    assert (made.upload_id, made.detector, made.version) == ("u1", "alpha", "scripted-1")
    assert (made.status, made.shadow) == (Status.ABSTAINED, True)
    assert Settings().cascade is False
