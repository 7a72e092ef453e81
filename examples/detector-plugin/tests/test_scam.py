from quorum_scam.detector import ScamDetector

from quorum.detectors import DetectorContract


class TestScam(DetectorContract):
    detector = ScamDetector
