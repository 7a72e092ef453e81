"""Quorum: content moderation as an ensemble on a stream.

Three modules are public: ``quorum.detectors`` (for authors of detectors), ``quorum.messages`` and
``quorum.client`` (for platforms). All other modules are private: they may change in any release.
"""

__all__ = ["__version__"]

__version__ = "0.2.0"
