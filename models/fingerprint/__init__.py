"""Fingerprints of pictures and sound."""
