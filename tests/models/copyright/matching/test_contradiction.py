from __future__ import annotations

import cv2
import numpy as np
import pytest

from quorum.models.copyright.matching.alignment import Alignment
from quorum.models.copyright.matching.contradiction import contradicted
from quorum.models.copyright.matching.straightened import Straightening
from tests.models.copyright.clips import small

SHAPE = np.array([16 / 9, 1.0], np.float32)
TIMES, WORK_TIMES = np.arange(32) / 4, np.arange(64) / 8


def page(at, bar=False):
    """A long page, scrolled there and back, and a bar over the upper part of it."""
    rough = np.random.default_rng(5).uniform(0, 255, (60, 32))
    long = cv2.resize(rough, (256, 480), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    top = int(110 * (1 + np.sin(at)))
    shown = long[top : top + 256].copy()
    if bar:
        shown[:90] = 60
    return shown


@pytest.mark.parametrize(
    ("ours", "theirs", "doubted"),
    [
        ((9, 9), (9, 9), False),
        ((3, 4.5), (9, 9), True),  # only in the upload
        ((9, 9), (2, 3.5), True),  # only in the work
        ((2, 4), (4.5, 6), True),
        ((3, 3.25), (9, 9), False),  # a frame alone may be off
        ((0, 9), (9, 9), False),  # laid over all of it
        ((5, 9), (9, 9), False),  # how it goes on is not known
    ],
)
def test_a_part_that_differs_for_a_while_contradicts(ours, theirs, doubted):
    upload = small([0.9 * page(at, ours[0] <= at < ours[1]) + 10 for at in TIMES], 64)
    work = small([page(at, theirs[0] <= at < theirs[1]) for at in WORK_TIMES], 32)
    view = Straightening(upload, SHAPE, work, SHAPE)
    same = Alignment(1.0, 0.0, 9)
    times = TIMES.astype(np.float32), WORK_TIMES.astype(np.float32)
    assert contradicted(view, np.eye(3), same, *times, (0.0, 7.75)) is doubted


def test_what_cannot_be_told_is_no_contradiction():
    upload, work = small([page(at) for at in TIMES], 64), np.zeros((64, 32, 32), np.uint8)
    view = Straightening(upload, SHAPE, work, SHAPE)
    times = TIMES.astype(np.float32), WORK_TIMES.astype(np.float32)
    for alignment in (Alignment(1.0, 0.0, 9), Alignment(1.0, 100.0, 9)):
        assert not contradicted(view, np.eye(3), alignment, *times, (0.0, 7.75))
    assert not contradicted(view, np.eye(3), Alignment(1.0, 0.0, 9), *times, (3.0, 3.1))
