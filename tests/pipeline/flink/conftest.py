"""A real Flink cluster, where ``QUORUM_FLINK`` names Flink with Beam's job server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.flink.cluster import Flink
from tests.conftest import REPOSITORY
from tests.hanging import hanging_environment
from tests.pipeline.flink.deployed import Deployment


@pytest.fixture(autouse=True)
def jobs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How jobs were started is kept with the test."""
    monkeypatch.setenv("QUORUM_JOBS", str(tmp_path / "jobs"))


@pytest.fixture(scope="session")
def flink_home() -> Path:
    """The folder with Flink's jars and its script."""
    known = REPOSITORY.parent / "shared" / "tools" / "flink"
    named = os.environ.get("QUORUM_FLINK") or (str(known) if known.is_dir() else "")
    if not named:
        pytest.skip("no Flink: QUORUM_FLINK names a folder with it")
    if shutil.which("java") is None:
        pytest.skip("no Java on this machine")
    return Path(named)


@pytest.fixture(scope="session")
def flink(flink_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flink]:
    """A cluster for the session."""
    made = Flink(flink_home, tmp_path_factory.mktemp("flink"))
    yield made
    made.close()


@pytest.fixture
def deployment(
    flink: Flink, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    monkeypatch.setenv("QUORUM_FLINK_JOB_SERVER", str(flink.jars))
    monkeypatch.setenv("PYTHONPATH", hanging_environment(tmp_path / "plugin")["PYTHONPATH"])
    made = Deployment(flink, tmp_path)
    yield made
    made.close()
