"""What all tests share: where real data and real servers are, and how they are skipped."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.mlflow_server import MlflowServer, absent

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


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--long``, as ``make test-long`` gives it."""
    parser.addoption("--long", action="store_true", help="run the tests marked long, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what takes minutes, unless it is asked for: the gate has 40 in all."""
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="takes a minute or more: make test-long")
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _no_children_left() -> Iterator[None]:
    """End the children of the detectors that a test's graph has started in this process."""
    yield
    if shared := sys.modules.get("quorum.models.supervision.shared"):
        shared.close_supervisors()


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Undo what a command does to the logs of this process: it drops levels and handlers."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The official Pub/Sub emulator, one for the session; its host and port."""
    from quorum.pipeline.streams.emulator import emulator as start
    from quorum.pipeline.streams.emulator import find_emulator

    command, told = find_emulator()
    if command is None:
        pytest.skip(told)
    with start() as host:
        yield host


@pytest.fixture(scope="session")
def prism() -> str:
    """Prism's binary."""
    from quorum.pipeline.engines import find_prism

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


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A real MLflow server on loopback, one for the session."""
    why = absent()
    if why is not None:
        pytest.skip(why)
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.stop()


@pytest.fixture
def registry(
    mlflow_server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MlflowServer:
    """That server as the environment names it, and a cache of models of the test's own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("QUORUM_CACHE", str(tmp_path / "cache"))
    return mlflow_server
