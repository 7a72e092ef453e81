from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.models.fingerprint import pdq
from quorum.models.media.picture import luma_plane as _luma
from tests.models.copyright.data import DATA, needs_copydetect

REFERENCE = DATA / "copydetect" / "vpdq_reference"


def rasters(seed: int, count: int = 3) -> np.ndarray:
    """Smooth random pictures."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 10, 10)).astype(np.float32)
    grid = np.linspace(0, 8.999, pdq.RASTER)
    low, part = grid.astype(int), grid - grid.astype(int)
    rows = small[:, low] * (1 - part)[:, None] + small[:, low + 1] * part[:, None]
    return rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part


@needs_copydetect
@pytest.mark.parametrize(
    "clip", ["chair-19-sd-bar", "pattern-hd-no-bar", "pattern-sd-grey-bar", "doorknob-hd-no-bar"]
)
def test_hashes_are_the_publishers(clip):
    lines = [line.split(",") for line in (REFERENCE / f"{clip}.txt").read_text().splitlines()]
    quality = np.array([int(line[1]) for line in lines])
    theirs = np.array([list(bytes.fromhex(line[2])) for line in lines], np.uint8)
    with av.open(str(DATA / "copydetect" / f"{clip}.mp4")) as container:
        frames = [pdq.published(_luma(frame)) for frame in container.decode(video=0)]
    ours = pdq.hashes(np.array(frames))
    assert len(ours) == len(theirs)
    apart = pdq.distances(ours, theirs)[quality >= 50]
    assert np.median(apart) <= 4
    assert apart.max() <= 12


@needs_copydetect
def test_edits_of_one_photograph_stay_near():
    found = {}
    for path in sorted((DATA / "copydetect" / "pdq_images").glob("*.jpg")):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        small = frame.reformat(128, 128, "gray", interpolation="AREA").to_ndarray()
        found[path.stem] = pdq.hashes(pdq.spectrum(small[None]))[0]
    for name, each in found.items():
        assert pdq.distances(each, found["aaa-orig"]) <= 24, name


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_mirror_costs_no_second_transform(seed):
    luma = rasters(seed)
    flipped = pdq.spectrum(luma[:, :, ::-1])
    np.testing.assert_allclose(pdq.mirrored(pdq.spectrum(luma)), flipped, atol=0.05)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_half_of_the_bits_are_set_and_brightness_does_not_matter(seed):
    luma = rasters(seed)
    hashed = pdq.hashes(pdq.spectrum(luma))
    assert (np.bitwise_count(hashed).sum(axis=1) == pdq.BITS // 2).all()
    assert (pdq.distances(hashed, pdq.hashes(pdq.spectrum(luma * 0.5 + 60))) <= 4).all()


def test_a_window_sees_what_a_crop_would_show():
    luma = rasters(3)
    inner = pdq.hashes(pdq.spectrum(luma, (0.25, 0.25, 0.75, 0.75)))
    crop = luma[:, 32:96, 32:96].repeat(2, axis=1).repeat(2, axis=2)
    assert (pdq.distances(inner, pdq.hashes(pdq.spectrum(crop))) <= 6).all()


def test_a_turn_is_undone_by_its_opposite():
    luma = rasters(5)
    inside = (0.1, 0.1, 0.9, 0.9)
    back = pdq.turned(pdq.turned(luma, 3.0, 1.78), -3.0, 1.78)
    assert np.abs(pdq.turned(luma, 3.0, 1.78) - luma).mean() > 2
    with np.errstate(all="raise"):
        pdq.turned(luma, 3.0, aspect=0.001)  # a picture of one column
    straight = pdq.hashes(pdq.spectrum(luma, inside))
    assert (pdq.distances(straight, pdq.hashes(pdq.spectrum(back, inside))) <= 16).all()


def test_quality_tells_flat_from_rich():
    flat = np.full((1, 128, 128), 90, np.uint8)
    assert pdq.quality(flat)[0] == 0
    assert pdq.quality(rasters(1).astype(np.uint8)).min() > 50


def test_distances_count_bits():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, 5, 32), np.uint8)
    expected = [
        (np.unpackbits(a) != np.unpackbits(b)).sum() for a, b in zip(one, other, strict=True)
    ]
    assert pdq.distances(one, other).tolist() == expected


def test_no_frames_give_no_hashes():
    assert pdq.hashes(np.zeros((0, 16, 16), np.float32)).shape == (0, 32)
