from models.violence.detector import ViolenceDetector
from tests.contract.detector import DetectorContract


class TestViolence(DetectorContract):
    detector = ViolenceDetector
