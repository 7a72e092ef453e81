"""Where the data lies that is not part of the project."""

import os
from pathlib import Path

import pytest


def shared_data(name: str) -> Path:
    """A folder of the data; the test skips where it is absent."""
    root = os.environ.get("QUORUM_DATA") or Path(__file__).parents[3] / "shared" / "data"
    folder = Path(root) / name
    if not folder.exists():
        pytest.skip(f"no data: {name} is not below QUORUM_DATA")
    return folder
