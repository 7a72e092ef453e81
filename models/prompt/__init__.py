"""Detectors that ask a language model, which another server runs, about a policy in words."""
