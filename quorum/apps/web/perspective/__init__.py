"""``comments:analyze``: the interface of Perspective, answered by the detectors that run here."""
