"""The tests that every detector inherits; they ship, so that plug-ins have them too."""

from quorum.detectors import DetectorContract

__all__ = ["DetectorContract"]
