"""Perceptual fingerprints of video frames and sound."""
