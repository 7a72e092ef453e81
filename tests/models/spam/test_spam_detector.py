from models.spam.detector import SpamDetector
from tests.contract.detector import DetectorContract


class TestSpam(DetectorContract):
    detector = SpamDetector
