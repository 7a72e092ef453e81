"""Parts that detectors share: linear models, calibration, segments, timelines."""
