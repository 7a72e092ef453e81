"""A member is loaded once in a process, however often it is sent there."""

import pickle

from quorum.core.messages import NOT_ASKED, Status, Upload
from quorum.core.settings import DetectorSettings, Settings
from quorum.models.configured import ConfiguredDetector
from tests.pipeline.doubles import Load, Scripted, upload


def test_copies_share_one_detector():
    member = ConfiguredDetector("alpha", Load("alpha", -77))
    first = member.detector
    assert member.detector is first
    for _ in range(3):
        assert pickle.loads(pickle.dumps(member)).detector is first
    assert ConfiguredDetector("alpha", Load("alpha", -78)).detector is not first


def test_one_that_is_there_is_not_loaded():
    detector = Scripted("alpha")
    assert ConfiguredDetector.of(detector).detector is detector
    assert ConfiguredDetector.of(detector).name == "alpha"


def test_what_stands_for_one_that_was_not_asked():
    member = ConfiguredDetector.of(Scripted("alpha"), DetectorSettings(shadow=True))
    made = member.spared(Upload.from_bytes(upload("u1")), f"{NOT_ASKED}it is settled")
    assert (made.upload_id, made.detector, made.version) == ("u1", "alpha", "scripted-1")
    assert (made.status, made.shadow) == (Status.ABSTAINED, True)
    assert Settings().cascade is False
