"""What is kept of models from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quorum.models.registry.model_cache import (
    KEPT,
    add_to_cache,
    cached_folder,
    last_good,
    new_folder,
    record_last_good,
)

WHERE = ("http://mlflow", "spam")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUORUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(number: int, text: str = "x") -> Path:
    folder = new_folder("mlflow")
    (folder / "model.json").write_text(text)
    kept = add_to_cache(folder, *WHERE, str(number))
    os.utime(kept, (number, number))
    return kept


def test_a_version_is_kept_and_replaced_as_a_whole() -> None:
    kept = put(1)
    assert kept == cached_folder(*WHERE, "1")
    assert put(1, "new") == kept
    assert (kept / "model.json").read_text() == "new"
    assert cached_folder("http://other", "spam", "1") != kept
    assert cached_folder("http://mlflow", "../../etc", "1").parent.parent == kept.parent.parent


def test_old_versions_go_but_not_the_last_good_one() -> None:
    put(1)
    record_last_good(
        "http://mlflow", "spam", "mlflow:models:/spam@champion", "mlflow:models:/spam/1#0"
    )
    for number in range(2, KEPT + 4):
        put(number)
    left = sorted(int(path.name) for path in cached_folder(*WHERE, "1").parent.iterdir())
    assert left == [1, *range(4, KEPT + 4)]


def test_the_last_good_version_is_one_of_a_registry_a_detector_and_a_reference() -> None:
    asked = ("http://mlflow", "spam", "mlflow:models:/spam@champion")
    assert last_good(*asked) is None
    record_last_good(*asked, "mlflow:models:/spam/1#a")
    record_last_good(*asked, "mlflow:models:/spam/2#b")
    assert last_good(*asked) == "mlflow:models:/spam/2#b"
    for other in (("http://x", *asked[1:]), (asked[0], "nsfw", asked[2]), (*asked[:2], "m@c")):
        assert last_good(*other) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "{", "\xff"])
def test_a_note_that_cannot_be_read_is_none(cache: Path, text: str) -> None:
    record_last_good("r", "spam", "m@c", "good")
    (note,) = (cache / "quorum-models" / "last-good").iterdir()
    note.write_text(text, encoding="latin-1")
    assert last_good("r", "spam", "m@c") is None


def test_a_cache_that_cannot_be_written_keeps_nothing_and_hurts_nobody(
    cache: Path, tmp_path: Path
) -> None:
    cache.write_text("a file where the folder would be")
    folder = new_folder("mlflow")
    assert not folder.is_relative_to(cache)
    assert add_to_cache(folder, *WHERE, "1") == folder
    record_last_good("r", "spam", "m@c", "good")
    assert last_good("r", "spam", "m@c") is None
