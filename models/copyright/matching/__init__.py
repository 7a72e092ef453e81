"""Matching of an upload's fingerprint against the catalogue."""
