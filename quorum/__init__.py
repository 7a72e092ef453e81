"""Quorum: content moderation as an ensemble on a stream."""

__all__ = ["__version__"]

__version__ = "0.2.0"
