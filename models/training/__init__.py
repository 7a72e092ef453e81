"""How detectors are trained and measured."""
