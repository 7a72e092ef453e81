"""Location of the shared data for tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("QUORUM_DATA", Path(__file__).parents[4] / "shared" / "data"))

needs_copydetect = pytest.mark.skipif(
    not (DATA / "copydetect").is_dir(), reason="the shared data (copydetect) is absent"
)

needs_clips = pytest.mark.skipif(
    not (DATA / "clips").is_dir(), reason="the shared data (clips) is absent"
)
