"""The members of the ensemble: detectors, and the features that they share."""
