from __future__ import annotations

import cv2
import numpy as np

from quorum.models.copyright.matching.alignment import Seeds
from quorum.models.copyright.matching.cut import cut_from
from quorum.models.copyright.matching.straightened import Straightening
from tests.models.copyright.clips import small

SHAPE = np.array([1.0, 480 / 270], np.float32)
WORK_SHAPE = np.array([16 / 9, 1.0], np.float32)
TIMES = np.arange(16, dtype=np.float32) / 4
WORK_TIMES = np.arange(48, dtype=np.float32) / 8


def drawn(seed, count=48):
    """A scene whose light and ground wander."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.uniform(0, 255, (18, 40)), (800, 360), interpolation=cv2.INTER_CUBIC)
    return [np.clip(ground[:, 3 * at : 3 * at + 640], 0, 255) for at in range(count)]


def test_a_cut_is_found_where_few_features_tell_neither_the_place_nor_quite_the_time():
    film = drawn(1)
    tall, left, top = 330, 400, 20
    wide = tall * 9 / 16
    strip = [each[top : top + tall, left : left + int(wide)] for each in film[8::2]][:16]
    truth = np.array([[360 / wide, 0, -left / wide], [0, 360 / wide, -top / wide], [0, 0, 1]])
    view = Straightening(small(strip, 64), SHAPE, small(film, 32), WORK_SHAPE)
    # The strip begins a second into the work; the seeds are a quarter of a second off.
    late = Seeds(TIMES[:6].astype(float), TIMES[:6] + 1.25, np.ones(6))
    turn = cut_from(view, TIMES, WORK_TIMES, late)
    assert turn is not None
    np.testing.assert_allclose(turn, truth, atol=0.12)

    other = Straightening(small(strip, 64), SHAPE, small(drawn(2), 32), WORK_SHAPE)
    assert cut_from(other, TIMES, WORK_TIMES, late) is None
    assert cut_from(view, TIMES, WORK_TIMES, Seeds(*np.zeros((3, 0)))) is None
