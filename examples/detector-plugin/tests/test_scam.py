from quorum_scam.detector import ScamDetector

from quorum.models.contract import DetectorContract


class TestScam(DetectorContract):
    detector = ScamDetector
