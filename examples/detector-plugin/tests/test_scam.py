from quorum_scam.detector import ScamDetector

from models.testing import DetectorContract


class TestScam(DetectorContract):
    detector = ScamDetector
