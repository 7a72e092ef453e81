"""The Beam runners by name. This module imports no Beam, so that the command line starts fast."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Engine"]


class Engine(StrEnum):
    """The runners whose options Quorum knows."""

    PRISM = "prism"
    DIRECT = "direct"
    FLINK = "flink"
    DATAFLOW = "dataflow"
