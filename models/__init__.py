"""The ensemble: detectors, the features that they share, and the plan by which they score."""
