from __future__ import annotations

import csv
import dataclasses
import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from quorum.apps.cli.catalogue import app
from quorum.core.errors import ConfigurationError, InputError
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import Work, WorkPrint
from quorum.models.fingerprint.fingerprint import WORK_RATE, fingerprint
from tests.models.copyright.clips import picture_frames, write_video
from tests.models.copyright.data import DATA, needs_copydetect


def run(*words, code=0):
    result = CliRunner().invoke(
        app, [str(word) for word in words], env={"COLUMNS": "200", "TERM": "dumb"}
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two films, and a mirrored part of the first."""
    folder = tmp_path_factory.mktemp("films")
    frames = picture_frames(1, size=(144, 192), seconds=8)
    write_video(folder / "one.mp4", frames)
    write_video(folder / "two.mp4", picture_frames(2, size=(144, 192), seconds=8))
    (folder / "uploads").mkdir()
    part = [np.ascontiguousarray(each[:, ::-1]) for each in frames[20:]]
    write_video(folder / "uploads" / "copy.mp4", part, crf=34)
    return folder


@pytest.fixture
def catalogue(films, tmp_path):
    folder = tmp_path / "catalogue"
    told = run(
        "add", films / "one.mp4", "--id", "one", "--owner", "A Studio", "--action", "remove",
        "--territory", "DE", "--territory", "AT", "--catalogue", folder,
    )  # fmt: skip
    assert "registered one: 8.0 s" in told
    return folder


def test_a_work_of_before_local_features_is_renewed_from_its_media(films, tmp_path):
    folder = tmp_path / "catalogue"
    works = Catalogue(folder)
    for name in ("one", "absent"):
        found = WorkPrint.of(fingerprint(films / "one.mp4", rate=WORK_RATE))
        old = dataclasses.replace(found, luma=found.luma[:0], local=None, digests=(name,))
        works.add(Work(id=name, title=name, owner="-", exceptions=("me",)), old)
    told = run("renew", films, "--catalogue", folder)
    assert "renewed one" in told
    assert "1 works stay as they are" in told
    work, again = Catalogue(folder, read_only=True).get("one")
    assert work.exceptions == ("me",)
    assert len(again.local) > 100
    assert len(again.luma) == len(again.times)
    assert "renewed" not in run("renew", films, "--catalogue", folder)


def test_a_work_is_listed_and_removed(catalogue):
    told = run("list", "studio", "--catalogue", catalogue)
    assert "one" in told
    assert "DE AT" in told
    assert "A Studio" not in run("list", "nobody", "--catalogue", catalogue)
    assert "removed one" in run("remove", "one", "--catalogue", catalogue)
    with pytest.raises(InputError, match="no work one"):
        run("remove", "one", "--catalogue", catalogue)


def test_a_copy_is_found_and_shown(films, catalogue, tmp_path):
    upload = films / "uploads" / "copy.mp4"
    told = run(
        "search", upload, "--catalogue", catalogue, "--strips", tmp_path / "seen", "--works", films
    )
    assert "one" in told
    assert "mirrored" in told
    (picture,) = (tmp_path / "seen").iterdir()
    shown = np.asarray(Image.open(picture).convert("L"), np.float32)
    assert shown.shape == (276, 1152)
    above, below = shown[24:132, 24:168], shown[150:258, 24:168]
    assert np.abs(above[:, ::-1] - below).mean() < 25 < np.abs(above - below).mean()
    assert "no work of the catalogue" in run("search", films / "two.mp4", "--catalogue", catalogue)


def test_an_import_goes_on_where_it_was_stopped(films, tmp_path):
    folder = tmp_path / "catalogue"
    listed = tmp_path / "works.csv"
    with listed.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "id", "owner", "territories", "action", "min_seconds"])
        rows.writerow([films / "one.mp4", "first", "B", "DE FR", "restrict", "5"])
        rows.writerow([films / "gone.mp4", "gone", "B", "", "", ""])
        rows.writerow([films / "two.mp4", "second", "B", "", "", ""])
    told = run("import", listed, "--catalogue", folder, code=65)
    assert "registered 2, skipped 0, unreadable 1" in told
    assert "cannot read gone.mp4" in told
    assert "registered 0, skipped 2" in run("import", listed, "--catalogue", folder, code=65)
    told = run("list", "--catalogue", folder)
    assert "restrict" in told
    assert "DE FR" in told
    assert re.search(r"works +│ 2 ", run("stats", "--catalogue", folder))


def test_a_folder_is_imported(films, tmp_path):
    folder = tmp_path / "catalogue"
    told = run("import", films, "--owner", "C", "--catalogue", folder)
    assert "registered 3" in told


def test_works_and_hash_lists_travel(films, catalogue, tmp_path):
    run("export", tmp_path / "works.json", "--catalogue", catalogue)
    assert json.loads((tmp_path / "works.json").read_text())["format"] == 2
    run("import", tmp_path / "works.json", "--catalogue", tmp_path / "again")
    for name in ("stats", "list"):
        again = run(name, "--catalogue", tmp_path / "again")
        if name == "list":
            assert again == run(name, "--catalogue", catalogue)
    found = run("search", films / "uploads" / "copy.mp4", "--catalogue", tmp_path / "works.json")
    assert "mirrored" in found
    run("export", tmp_path / "lists", "--catalogue", catalogue)
    (line, *_) = (tmp_path / "lists" / "one.txt").read_text().splitlines()
    number, quality, hashed, second = line.split(",")
    assert (number, second, len(hashed)) == ("0", "0.000", 64)
    assert 0 <= int(quality) <= 100
    told = run("import", tmp_path / "lists", "--owner", "D", "--catalogue", tmp_path / "lists-in")
    assert "registered 1" in told
    assert "one" in run("search", films / "one.mp4", "--catalogue", tmp_path / "lists-in")


@needs_copydetect
def test_a_list_of_the_publishers_finds_their_clip(tmp_path):
    folder = tmp_path / "catalogue"
    listed = DATA / "copydetect" / "vpdq_reference" / "chair-22-sd-sepia-bar.txt"
    run("add", listed, "--id", "chair", "--owner", "x", "--catalogue", folder)
    told = run("search", DATA / "copydetect" / "chair-orig-22-sd-bar.mp4", "--catalogue", folder)
    assert "chair" in told
    clip = DATA / "copydetect" / "pattern-sd-grey-bar.mp4"
    assert "no work of the catalogue" in run("search", clip, "--catalogue", folder)


def test_index_files_are_made_anew(films, catalogue):
    run("compact", "--catalogue", catalogue)
    for file in (catalogue / "segments").iterdir():
        file.write_bytes(b"")
    run("rebuild", "--catalogue", catalogue)
    assert "mirrored" in run("search", films / "uploads" / "copy.mp4", "--catalogue", catalogue)


def test_an_exception_is_recorded(catalogue):
    before = run("stats", "--catalogue", catalogue)
    assert "bob may use one" in run("permit", "one", "bob", "--catalogue", catalogue)
    assert "bob" in run("list", "--catalogue", catalogue)
    assert run("stats", "--catalogue", catalogue) != before
    with pytest.raises(InputError, match="no work two"):
        run("permit", "two", "bob", "--catalogue", catalogue)


def test_what_is_told_of_a_work_is_changed(films, catalogue):
    told = run(
        "change", "one", "--action", "restrict", "--min-fraction", "0.5", "--territory", "FR",
        "--embargo-until", "2030-05-01", "--catalogue", catalogue,
    )  # fmt: skip
    assert told == "changed one\n"
    told = run("list", "--catalogue", catalogue)
    for each in ("A Studio", "restrict", "3 s, 50%", "FR", "2030-05-01"):
        assert each in told
    assert "DE" not in told
    run("change", "one", "--territory", "all", "--catalogue", catalogue)
    assert "everywhere" in run("list", "--catalogue", catalogue)
    assert "mirrored" in run("search", films / "uploads" / "copy.mp4", "--catalogue", catalogue)
    with pytest.raises(InputError, match="no work two"):
        run("change", "two", "--action", "allow", "--catalogue", catalogue)
    with pytest.raises(InputError, match=r"rule\.min_fraction"):
        run("change", "one", "--min-fraction", "2", "--catalogue", catalogue)


def test_mistakes_are_told(films, catalogue, tmp_path):
    with pytest.raises(InputError, match="already a work one;"):
        run("add", films / "two.mp4", "--id", "one", "--owner", "x", "--catalogue", catalogue)
    with pytest.raises(InputError, match="territories"):
        run(
            "add", films / "two.mp4", "--id", "two", "--owner", "x", "--territory", "Germany",
            "--catalogue", catalogue,
        )  # fmt: skip
    with pytest.raises(ConfigurationError, match="there is no catalogue"):
        run("stats", "--catalogue", tmp_path / "none")
    (tmp_path / "bad.txt").write_text("0,100,abcd,0.0\n")
    with pytest.raises(InputError, match=r"bad\.txt:1: neither a PDQ hash"):
        run("add", tmp_path / "bad.txt", "--id", "x", "--owner", "x", "--catalogue", catalogue)
    (tmp_path / "bad.csv").write_text("name\nx\n")
    with pytest.raises(InputError, match=r"bad\.csv:2: no file given"):
        run("import", tmp_path / "bad.csv", "--catalogue", catalogue)
