"""Clips shared by several tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.copyright.clips import picture_frames, write_video


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three unrelated clips."""
    folder = tmp_path_factory.mktemp("clips")
    return {
        name: write_video(folder / f"{name}.mp4", picture_frames(seed))
        for name, seed in (("one", 1), ("two", 2), ("three", 3))
    }
