from __future__ import annotations

import av
import numpy as np

from quorum.models.media.sound import Gathered, MonoSound


def pieces(rate, layout, count):
    rng = np.random.default_rng(rate)
    for number in range(count):
        noise = rng.integers(-9000, 9000, (1, 441 * (2 if layout == "stereo" else 1)), np.int16)
        made = av.AudioFrame.from_ndarray(noise, "s16", layout)
        made.sample_rate, made.pts = rate, 441 * number
        yield made


def heard(frames):
    mono = MonoSound("s16", 11025)
    return np.concatenate([part for frame in [*frames, None] for part in mono.samples(frame)])


def track():
    """Sound that changes its rate and its channels on its way."""
    return [*pieces(44100, "stereo", 130), *pieces(44100, "mono", 20), *pieces(22050, "mono", 60)]


def test_pieces_that_are_put_together_sound_the_same():
    gathered = Gathered()
    found = [one for number, frame in enumerate(track()) for one in gathered.add(frame, number)]
    found += gathered.rest()
    assert [start for _, start in found] == [0, 100, 130, 150, 200]
    np.testing.assert_array_equal(heard([frame for frame, _ in found]), heard(track()))
