from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.core.errors import ArtifactError
from quorum.models.copyright.index.segments import Entries, Segment, search
from quorum.models.fingerprint import pdq


def entries(hashes: np.ndarray) -> Entries:
    count = len(hashes)
    rows = np.arange(count)
    return Entries(
        hashes, rows.astype(np.uint32), rows.astype(np.float32) / 4, (rows % 7).astype(np.uint8)
    )


def near(rng: np.random.Generator, hashed: np.ndarray, bits: int) -> np.ndarray:
    flipped = np.unpackbits(hashed)
    flipped[rng.choice(256, bits, replace=False)] ^= 1
    return np.packbits(flipped)


def crowd(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Clustered hashes, as of video frames, and queries at all distances from them."""
    rng = np.random.default_rng(seed)
    middles = rng.integers(0, 256, (max(1, count // 20), 32), np.uint8)
    hashes = np.stack(
        [near(rng, middles[rng.integers(len(middles))], rng.integers(0, 40)) for _ in range(count)]
    )
    queries = np.stack(
        [near(rng, hashes[rng.integers(count)], rng.integers(0, 50)) for _ in range(20)]
    )
    return hashes, queries


def brute(hashes, queries, radius):
    apart = pdq.distances(queries[:, None], hashes[None])
    return {(q, row, apart[q, row]) for q, row in zip(*np.nonzero(apart <= radius), strict=True)}


def found(hits):
    return list(zip(hits.queries, hits.works, hits.distances, strict=True))


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 400),
    radius=st.integers(0, 31),
    parts=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_the_index_finds_what_brute_force_finds(seed, count, radius, parts):
    hashes, queries = crowd(seed, count)
    all_of_them = entries(hashes)
    segments = []
    for index in range(parts):
        chosen = all_of_them.where(np.arange(count) % parts == index)
        tabled = Segment.build(chosen)
        segments.append(tabled if index % 2 else force_tables(chosen))
    hits = found(search(segments, queries, radius))
    assert len(hits) == len(set(hits))
    assert set(hits) == brute(hashes, queries, radius)


def force_tables(chosen: Entries) -> Segment:
    from quorum.models.copyright.index.kernels import build_tables

    return Segment(chosen, build_tables(np.ascontiguousarray(chosen.hashes).view(np.uint16)))


def test_a_large_segment_has_tables_and_a_small_one_none():
    rng = np.random.default_rng(0)
    large = Segment.build(entries(rng.integers(0, 256, (20_000, 32), np.uint8)))
    small = Segment.build(entries(rng.integers(0, 256, (50, 32), np.uint8)))
    assert large.tables is not None
    assert small.tables is None


def test_hits_are_in_the_order_of_the_queries():
    hashes, queries = crowd(1, 300)
    hits = search([Segment.build(entries(hashes)), force_tables(entries(hashes))], queries, 31)
    assert (np.diff(hits.queries) >= 0).all()


def test_a_saved_segment_is_the_same_when_mapped(tmp_path):
    hashes, queries = crowd(2, 300)
    for name, made in (
        ("flat", Segment.build(entries(hashes))),
        ("tabled", force_tables(entries(hashes))),
    ):
        made.save(tmp_path / name)
        again = Segment.open(tmp_path / name)
        assert found(search([again], queries, 31)) == found(search([made], queries, 31))
        np.testing.assert_array_equal(again.entries.seconds, made.entries.seconds)
        np.testing.assert_array_equal(again.entries.kinds, made.entries.kinds)


def test_an_empty_segment_finds_nothing(tmp_path):
    Segment.build(Entries.join([])).save(tmp_path / "none")
    again = Segment.open(tmp_path / "none")
    assert len(search([again], np.zeros((1, 32), np.uint8), 31)) == 0
    assert len(search([], np.zeros((1, 32), np.uint8), 31)) == 0


@pytest.mark.parametrize("radius", [-1, 32])
def test_a_radius_that_the_tables_do_not_cover_is_refused(radius):
    with pytest.raises(ValueError, match="from 0 to 31"):
        search([], np.zeros((1, 32), np.uint8), radius)


@pytest.mark.parametrize("cut", [0, 10, 500])
def test_a_file_cut_short_is_told(tmp_path, cut):
    path = tmp_path / "00000001.index"
    Segment.build(entries(crowd(3, 100)[0])).save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ArtifactError, match="rebuild"):
        Segment.open(path)


def test_another_version_is_told(tmp_path):
    path = tmp_path / "00000001.index"
    Segment.build(entries(crowd(3, 100)[0])).save(path)
    data = bytearray(path.read_bytes())
    data[8] = 9
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="not an index of format 1"):
        Segment.open(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ArtifactError, match="cannot read the index"):
        Segment.open(tmp_path / "00000001.index")
