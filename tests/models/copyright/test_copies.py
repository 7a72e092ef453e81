"""Copies of certain contents: equal coded content, like still pictures, like video."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from quorum.models.copyright.copies import PDQ_BITS, Originals, still_distance
from quorum.models.copyright.detector import ARTIFACT
from quorum.models.fingerprint.fingerprint import Fingerprint, fingerprint
from quorum.models.fingerprint.video import VideoPrint, View


def still(name: str, *, flipped: int = 0, quality: int = 100, file: str = "") -> Fingerprint:
    """A still picture whose hash derives from a name, with some bits flipped."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, 256, np.uint8)
    mirror = rng.integers(0, 256, (1, len(View), 32), np.uint8)
    bits[:flipped] ^= 1
    one = np.packbits(bits).reshape(1, 32)
    views = np.repeat(one[:, None], len(View), axis=1)
    found = VideoPrint(np.zeros(1, np.float32), np.full(1, quality, np.uint8), one, views, mirror)
    return Fingerprint(hashlib.sha256((file or name).encode()).hexdigest(), video=found)


def test_stills_are_alike_up_to_a_distance() -> None:
    original = still("a")
    assert still_distance(original, still("a", flipped=PDQ_BITS)) == PDQ_BITS
    assert (still_distance(original, still("b")) or 0) > 90
    assert still_distance(original, still("a", quality=49)) is None
    assert still_distance(original, Fingerprint("x")) is None
    mirrored = still("c")
    assert mirrored.video is not None
    mirrored.video.mirrored[0, View.FULL] = original.video.views[0, View.FULL]
    assert still_distance(original, mirrored) == 0


def test_equal_content_is_identical_and_like_content_is_similar() -> None:
    looked = Originals({"a": still("a"), "b": still("b")})
    same = looked.copies_in(still("a"))
    assert [(one.original, one.how, one.score) for one in same] == [("a", "identical", 1.0)]
    near = looked.copies_in(still("b", flipped=16, file="another file"))
    assert [(one.original, one.how) for one in near] == [("b", "similar")]
    assert near[0].score == pytest.approx(1 - 16 / 256)
    assert looked.copies_in(still("b", flipped=40, file="another file")) == []
    assert looked.copies_in(Fingerprint("something else")) == []
    looked.close()


def test_an_edited_video_is_similar() -> None:
    looked = Originals({"film": fingerprint(ARTIFACT / "reference.mp4")})
    (found,) = looked.copies_in(fingerprint(ARTIFACT / "copy.mp4"))
    assert (found.original, found.how) == ("film", "similar")
    assert looked.copies_in(fingerprint(ARTIFACT / "other.mp4")) == []
    looked.close()
