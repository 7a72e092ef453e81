"""A writer that is killed while adding works loses nothing that it confirmed."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from quorum.models.copyright.catalogue import catalogue
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.store.ledger import Ledger
from tests.models.copyright.prints import made_up
from tests.store.ledger.postgres_server import running

#: A process that has imported what a writer needs: each writer is a fork of it, ready at once.
_READY = multiprocessing.get_context("forkserver")
_READY.set_forkserver_preload(["quorum.store.ledger", "tests.models.copyright.prints", __name__])


def write(told: Path, folder: Path, first: int, *database: str) -> None:
    """Add works and remove some, without an end; write down what was confirmed."""
    catalogue._WAITING_ENTRIES = 300
    opened = Catalogue(folder, *database)
    with told.open("w") as out:
        for number in range(first, 1_000_000):
            opened.add(*made_up(f"w{number}", 16))
            print("+", number, file=out, flush=True)
            if number % 5 == 4:
                opened.remove(f"w{number - 1}")
                print("-", number - 1, file=out, flush=True)


def confirmed(folder: Path, first: int, seconds: float, *database: str) -> list[tuple[str, str]]:
    """Start a writer that adds works, kill it, and return what it confirmed."""
    told = folder.parent / "told"
    told.write_text("")
    writer = _READY.Process(target=write, args=(told, folder, first, *database))
    writer.start()
    while not told.stat().st_size and writer.is_alive():
        time.sleep(0.01)
    time.sleep(seconds)
    writer.kill()
    writer.join(30)
    assert writer.exitcode == -signal.SIGKILL
    # A truncated line was not confirmed.
    whole, _, _ = told.read_text().rpartition("\n")
    return [(line[0], f"w{line[2:]}") for line in whole.splitlines()]


_FIFTY = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]
_SERVER = [pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """Database of the works: the folder's own, or a ledger."""
    match request.param:
        case "folder":
            yield ()
        case "sqlite":
            url = f"sqlite:///{tmp_path}/ledger.db"
            Ledger(url, create=True).close()
            yield (url,)
        case _:
            with running() as server:
                Ledger(server.url(), create=True).close()
                yield (server.url(),)


@pytest.mark.parametrize(
    ("kills", "database"),
    [
        (5, "folder"),
        pytest.param(50, "folder", marks=_FIFTY),
        pytest.param(50, "sqlite", marks=_FIFTY),
        pytest.param(10, "postgres", marks=_SERVER),
    ],
    indirect=["database"],
)
def test_every_confirmed_add_is_there(tmp_path, kills, database):
    rng = random.Random(7)
    folder = tmp_path / "catalogue"
    held: set[str] = set()
    following = 0
    for _ in range(kills):
        for sign, name in confirmed(folder, following, rng.uniform(0.0, 0.25), *database):
            (held.add if sign == "+" else held.remove)(name)
            following = max(following, int(name[1:]) + 1)
        opened = Catalogue(folder, *database, read_only=True)
        there = {work.id for work in opened.works()}
        # The interrupted transaction is complete or absent.
        assert there - held <= {f"w{following}"}
        assert held - there <= {f"w{following - 2}"}
        for name in sorted(there)[:: max(1, len(there) // 10)]:
            hits = opened.search(np.ascontiguousarray(made_up(name, 16)[1].views[::2, 0]), 0)
            assert {opened.by_serial(int(serial))[0].id for serial in set(hits.works)} == {name}
        opened.close()
        held = there
        following += f"w{following}" in there
    assert len(held) > kills
