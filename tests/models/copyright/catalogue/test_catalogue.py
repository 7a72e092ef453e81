from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quorum.core.errors import ArtifactError, ConfigurationError, InputError
from quorum.models.copyright.catalogue import catalogue as module
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.distinctive import entries_of
from quorum.models.copyright.catalogue.works import WorkPrint
from quorum.models.fingerprint import pdq
from tests.models.copyright.prints import made_up


def finds(catalogue: Catalogue, name: str) -> bool:
    """Whether a search for the frames of a work finds only this work."""
    _, found = made_up(name)
    hits = catalogue.search(np.ascontiguousarray(found.views[::2, 0]), 0)
    works = {catalogue.by_serial(int(serial))[0].id for serial in np.unique(hits.works)}
    assert works <= {name}
    return bool(works)


@pytest.fixture
def small_segments(monkeypatch):
    """Small index files, so that a few works create and merge several."""
    monkeypatch.setattr(module, "_WAITING_ENTRIES", 200)


def test_a_work_is_found_until_it_is_removed(tmp_path, small_segments):
    catalogue = Catalogue(tmp_path)
    for number in range(12):
        catalogue.add(*made_up(f"w{number}"))
    catalogue.refresh()
    assert all(finds(catalogue, f"w{number}") for number in range(12))
    assert catalogue.stats().segments >= 1
    catalogue.remove("w3")
    catalogue.refresh()
    assert not finds(catalogue, "w3")
    assert finds(catalogue, "w4")
    catalogue.compact(whole=True)
    assert not finds(catalogue, "w3")
    assert all(finds(catalogue, f"w{number}") for number in range(12) if number != 3)
    assert catalogue.stats().segments == 1


def test_a_reader_sees_what_a_writer_confirms(tmp_path, small_segments):
    writer = Catalogue(tmp_path)
    reader = Catalogue(tmp_path, read_only=True)
    assert not reader.refresh()
    for number in range(8):
        writer.add(*made_up(f"w{number}"))
        assert reader.refresh()
        assert finds(reader, f"w{number}")
    writer.compact(whole=True)
    reader.refresh()
    assert all(finds(reader, f"w{number}") for number in range(8))
    assert reader.version == Catalogue(tmp_path, read_only=True).version


def test_a_work_can_come_back_under_its_name(tmp_path):
    catalogue = Catalogue(tmp_path)
    catalogue.add(*made_up("w"))
    before = catalogue.stats().version
    catalogue.remove("w")
    catalogue.add(*made_up("w"))
    assert catalogue.stats().version == before
    with pytest.raises(InputError, match="already a work w;"):
        catalogue.add(*made_up("w"))
    with pytest.raises(InputError, match="no work v"):
        catalogue.remove("v")


def test_all_or_none_of_several_are_added(tmp_path):
    catalogue = Catalogue(tmp_path)
    with pytest.raises(InputError):
        catalogue.add_all([made_up("a"), made_up("b"), made_up("a")])
    assert catalogue.works() == []
    assert catalogue.stats().version == "0" * 12


def test_works_are_listed_by_words(tmp_path):
    catalogue = Catalogue(tmp_path)
    catalogue.add_all([made_up("alpha"), made_up("beta_1"), made_up("beta%")])
    assert [work.id for work in catalogue.works()] == ["alpha", "beta%", "beta_1"]
    assert [work.id for work in catalogue.works("beta_")] == ["beta_1"]
    assert [work.id for work in catalogue.works("title of alpha")] == ["alpha"]
    assert len(catalogue.works(limit=2)) == 2


def test_an_exact_digest_is_found(tmp_path):
    catalogue = Catalogue(tmp_path)
    catalogue.add(*made_up("a"))
    (serial,) = catalogue.exact(made_up("a")[1].digests)
    assert catalogue.by_serial(serial)[0].id == "a"
    assert catalogue.exact(["0" * 64]) == ()


def test_a_damaged_index_file_is_told_and_nothing_is_lost(tmp_path):
    catalogue = Catalogue(tmp_path)
    catalogue.add_all([made_up("a"), made_up("b")])
    catalogue.compact()
    (file,) = (tmp_path / "segments").iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ArtifactError, match="rebuild"):
        Catalogue(tmp_path, read_only=True)
    Catalogue.rebuild(tmp_path)
    again = Catalogue(tmp_path, read_only=True)
    assert finds(again, "a")
    assert finds(again, "b")


def test_there_is_nothing_to_read_where_there_is_nothing(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no catalogue"):
        Catalogue(tmp_path / "none", read_only=True)
    (tmp_path / "catalogue.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigurationError, match="not a usable catalogue"):
        Catalogue(tmp_path)


def test_another_format_is_told(tmp_path):
    Catalogue(tmp_path).close()
    with sqlite3.connect(tmp_path / "catalogue.sqlite") as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(ConfigurationError, match="has catalogue format 7"):
        Catalogue(tmp_path)


def test_stills_and_flat_frames_are_hardly_looked_up():
    _, found = made_up("w", 80)
    still = WorkPrint(
        found.digests,
        found.duration,
        found.times,
        found.quality,
        found.published,
        found.views[:1].repeat(80, axis=0),
        found.sound,
    )
    flat = WorkPrint(
        found.digests,
        found.duration,
        found.times,
        found.quality // 9,
        found.published,
        found.views,
        found.sound,
    )
    assert len(entries_of(1, found)) == 3 * 79  # each frame is far from those around it
    assert len(entries_of(1, still)) == 3 * 10
    assert len(entries_of(1, flat)) == 0


class CatalogueMachine(RuleBasedStateMachine):
    """Random adds, removals and compactions, compared with a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.catalogue = Catalogue()
        self.names: set[str] = set()

    @rule(name=st.sampled_from("abcdefgh"))
    def add(self, name):
        if name in self.names:
            with pytest.raises(InputError):
                self.catalogue.add(*made_up(name, 8))
        else:
            self.catalogue.add(*made_up(name, 8))
            self.names.add(name)

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def remove(self, data):
        name = data.draw(st.sampled_from(sorted(self.names)))
        self.catalogue.remove(name)
        self.names.remove(name)

    @invariant()
    def searches_find_what_is_there(self):
        self.catalogue.refresh()
        for name in "abcdefgh":
            _, found = made_up(name, 8)
            hits = self.catalogue.search(np.ascontiguousarray(found.views[::2, 0]), 31)
            works = {self.catalogue.by_serial(int(serial))[0].id for serial in set(hits.works)}
            assert works == ({name} & self.names)
        assert {work.id for work in self.catalogue.works()} == self.names


TestAnyOrder = CatalogueMachine.TestCase
TestAnyOrder.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)


def test_hashes_of_different_works_are_far_apart():
    one, other = made_up("a")[1].views[:, 0], made_up("b")[1].views[:, 0]
    assert pdq.distances(one[:, None], other[None]).min() > 60
