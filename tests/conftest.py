"""What all tests share: where real data and real servers are, and how they are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

#: No time is asserted in a test: a loaded machine is slow, not wrong.
settings.register_profile("quorum", deadline=None)
settings.load_profile("quorum")

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Beam and the models never look for the network, or for more threads than two cores have."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    prism = REPOSITORY.parent / "shared" / "tools" / "prism"
    if prism.is_file():
        os.environ.setdefault("QUORUM_PRISM", str(prism))


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The official Pub/Sub emulator, one for the session; its host and port."""
    from pipeline.streams.emulator import emulator as start
    from pipeline.streams.emulator import find_emulator

    command, told = find_emulator()
    if command is None:
        pytest.skip(told)
    with start() as host:
        yield host


@pytest.fixture(scope="session")
def prism() -> str:
    """Prism's binary."""
    from pipeline.engines import find_prism

    found, told = find_prism()
    if found is None:
        pytest.skip(told)
    return found


@pytest.fixture(scope="session")
def java() -> str:
    """Java's launcher."""
    found = shutil.which("java")
    if found is None:
        pytest.skip("no Java on this machine")
    return found
