"""Location of data that is not part of the repository."""

import os
from pathlib import Path

import pytest


def shared_data(name: str) -> Path:
    """A folder of the data; skips the test if it is missing."""
    root = os.environ.get("QUORUM_DATA") or Path(__file__).parents[3] / "shared" / "data"
    folder = Path(root) / name
    if not folder.exists():
        pytest.skip(f"no data: {name} is not below QUORUM_DATA")
    return folder
