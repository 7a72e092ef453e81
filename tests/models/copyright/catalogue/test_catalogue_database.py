"""The catalogue in the ledger's database, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from quorum.core.errors import ArtifactError, ConfigurationError, EngineUnavailable, InputError
from quorum.core.messages import Status, Upload
from quorum.core.settings import load_settings
from quorum.models.copyright.catalogue import catalogue as module
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.exchange import load_catalogue
from quorum.models.copyright.detector import CopyrightDetector
from quorum.models.detectors import Features
from quorum.models.fingerprint.fingerprint import Fingerprint
from quorum.store.ledger import Ledger
from tests.models.copyright.prints import made_up
from tests.store.ledger.postgres_server import running


@pytest.fixture(scope="module")
def server():
    with running() as started:
        yield started


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    """An empty ledger."""
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path}/ledger.db"
    else:
        made = request.getfixturevalue("server").new_database()
    Ledger(made, create=True).close()
    return made


def finds(catalogue, name, frames=40):
    _, found = made_up(name, frames)
    hits = catalogue.search(np.ascontiguousarray(found.views[::2, 0]), 0)
    return {catalogue.by_serial(int(serial))[0].id for serial in np.unique(hits.works)} == {name}


def test_hosts_share_the_works_and_each_has_its_own_index(url, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_WAITING_ENTRIES", 200)
    writer = Catalogue(tmp_path / "one", url)
    other = load_catalogue(tmp_path / "other", url)
    bare = load_catalogue(None, url)
    for number in range(9):
        writer.add(*made_up(f"w{number}"))
    writer.remove("w4")
    for each in (writer, other, bare):
        each.refresh()
        assert each.version == writer.version
        assert all(finds(each, f"w{number}") for number in range(9) if number != 4)
        assert not finds(each, "w4")
    # A reader with a folder writes its own index files, one without keeps the index in memory.
    assert writer.stats().segments
    assert other.stats().segments
    assert bare.stats().segments == 0
    for each in (writer, other, bare):
        each.close()
    again = load_catalogue(tmp_path / "other", url)
    assert finds(again, "w8")
    assert [work.id for work in again.works("TITLE of w8")] == ["w8"]


def test_writers_at_once_lose_nothing(url, tmp_path):
    def write(name):
        opened = Catalogue(tmp_path / name, url)
        for number in range(10):
            opened.add(*made_up(f"{name}{number}", 8))
        opened.close()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    opened = load_catalogue(None, url)
    assert len(opened.works()) == 30
    assert all(finds(opened, f"{name}{number}", 8) for name in "abc" for number in range(10))


def test_the_index_of_another_state_is_told(url, tmp_path):
    first = Catalogue(tmp_path / "index", url)
    first.add_all([made_up("a"), made_up("b")])
    first.compact()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM catalogue_works WHERE id = 'b'"))
    with pytest.raises(ArtifactError, match=r"older state.*rebuild"):
        Catalogue(tmp_path / "index", url)
    Catalogue.rebuild(tmp_path / "index", url)
    assert finds(Catalogue(tmp_path / "index", url), "a")
    with engine.begin() as connection:
        connection.execute(text("UPDATE catalogue_state SET value = 'x' WHERE name = 'name'"))
    engine.dispose()
    with pytest.raises(ArtifactError, match=r"another catalogue.*rebuild"):
        Catalogue(tmp_path / "index", url)


def test_a_value_that_the_database_refuses_is_told(url):
    work, found = made_up("a")
    opened = Catalogue(None, url)
    opened.add(work, found)
    if url.startswith("postgresql"):
        with pytest.raises(InputError, match="rejected a value"):
            opened.add(work.model_copy(update={"id": "b", "title": "x\x00y"}), found)
    assert [each.id for each in opened.works()] == ["a"]


def test_uploads_are_kept_beside_the_ledger_and_erased_with_it(url, tmp_path):
    Catalogue(None, url).keep_uploads(30)
    sent = Upload(
        id="u1", uploader="bob", media="file:///x", published_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    detector = CopyrightDetector(None, url)
    detector.score([Features(sent, fingerprint=Fingerprint("0" * 64, duration=3.0))])
    kept = Catalogue(None, url).kept_uploads()
    assert [each.upload.id for each in kept] == ["u1"]
    with Ledger(url) as ledger:
        ledger.record([sent])
        ledger.forget("bob", dry_run=False)
    assert list(kept) == []


def test_settings_name_the_database(url, tmp_path, monkeypatch):
    Catalogue(None, url).add(*made_up("a"))
    monkeypatch.setenv("QUORUM_DATABASE", url)
    file = tmp_path / "settings.yaml"
    file.write_text(f"catalogue: {{database: ledger, folder: {tmp_path}/index}}\n")
    opened = CopyrightDetector.from_settings(load_settings(file))
    assert opened.version == Catalogue(None, url).version
    monkeypatch.delenv("QUORUM_DATABASE")
    with pytest.raises(ConfigurationError, match="QUORUM_DATABASE"):
        CopyrightDetector.from_settings(load_settings(file))


@pytest.mark.postgres
def test_a_server_that_goes_away_stops_nothing(server):
    url = server.new_database()
    with pytest.raises(ConfigurationError, match="quorum ledger init"):
        Catalogue(None, url)
    Ledger(url, create=True).close()
    Catalogue(None, url).add(*made_up("a"))
    detector = CopyrightDetector(None, url)
    sent = Upload(
        id="u1", uploader="bob", media="file:///x", published_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    asked = [Features(sent, fingerprint=Fingerprint(made_up("a")[1].digests[0], duration=3.0))]
    (finding,) = detector.score(asked)
    assert finding.evidence[0].work == "a"
    server.stop()
    detector._refreshed = float("-inf")
    (finding,) = detector.score(asked)
    assert finding.status is Status.FAILED
    assert "failed" in finding.reason
    assert "s3cret-word" not in finding.reason
    with pytest.raises(EngineUnavailable):
        Catalogue(None, url)
    server.start()
    assert detector.score(asked)[0].evidence[0].work == "a"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://u:hunter2@h/d", "cannot be stored in 'mysql'"),
        ("hunter2", "must be a URL such as"),
        ("sqlite:///none/l.db", "quorum ledger init"),
    ],
)
def test_a_wrong_url_is_told_without_its_secret(url, told):
    with pytest.raises(ConfigurationError, match=told) as error:
        Catalogue(None, url)
    assert "hunter2" not in str(error.value)
