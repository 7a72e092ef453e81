"""Digests of training rows: found again, told from others, and no words in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.core.errors import ArtifactError
from quorum.core.messages import Upload, now
from quorum.models.registry.artifacts import TrainingData, open_artifact, write_artifact
from quorum.models.registry.seen_rows import FILE, SeenRows

AT = now()


def row(text: str, media: str | None = None) -> Upload:
    return Upload(id="x", uploader="y", title=text, media=media, published_at=AT)


@given(st.sets(st.integers(0, 2**40 - 1), max_size=60))
def test_what_is_kept_is_read_again(digests: set[int]) -> None:
    kept = SeenRows("salt", frozenset(digests))
    assert SeenRows.from_document(json.loads(json.dumps(kept.as_document()))) == kept


def test_rows_are_found_whatever_their_case_and_spaces() -> None:
    seen = SeenRows.of([row(f"Song number {n}") for n in range(2000)], "salt")
    assert all(seen.has(row(f"  song\u00a0NUMBER {n}")) for n in range(2000))
    assert not any(seen.has(row(f"song number {n}")) for n in range(2000, 4000))
    # About four bytes a row, a quarter more in base 85.
    assert len(json.dumps(seen.as_document())) < 6 * 2000
    assert seen.digests.isdisjoint(SeenRows.of([row("Song number 1")], "pepper").digests)


def test_media_are_told_by_their_bytes(tmp_path: Path) -> None:
    for name, data in (("a.mp4", b"one"), ("b.mp4", b"one"), ("c.mp4", b"two")):
        (tmp_path / name).write_bytes(data)
    seen = SeenRows.of(
        [row("", (tmp_path / "a.mp4").as_uri()), row(""), row("", "https://x/y")], "s"
    )
    assert len(seen.digests) == 2
    assert seen.has(row("", (tmp_path / "b.mp4").as_uri()))
    assert not seen.has(row("", (tmp_path / "c.mp4").as_uri()))
    assert seen.has(row("", "https://x/y"))
    assert not seen.has(row(""))


def test_an_artifact_keeps_them_in_a_file_of_its_own(tmp_path: Path) -> None:
    seen = SeenRows.of([row("very secret words")], "salt")
    data = TrainingData("mine", "my own", 1, "0" * 64, seen)

    def write(name: str, *given: TrainingData) -> Path:
        tensors = {"w.safetensors": {"w": np.zeros(2)}}
        return write_artifact(
            tmp_path / name, detector="spam", tensors=tensors, documents={}, training_data=given
        ).folder

    held = open_artifact(write("a", data))
    assert held.seen_rows() == (seen,)
    assert b"secret" not in b"".join(path.read_bytes() for path in held.folder.iterdir())
    assert set(json.loads((held.folder / "manifest.json").read_text())["training_data"][0]) == {
        "name", "licence", "rows", "sha256"
    }  # fmt: skip
    assert open_artifact(write("b")).seen_rows() == ()
    document = [{**seen.as_document(), "rows": 7}]
    damaged = write_artifact(
        tmp_path / "c", detector="spam", tensors={}, documents={FILE: document}
    )
    with pytest.raises(ArtifactError, match="damaged"):
        damaged.seen_rows()
