"""Pictures that a film shows for a frame or two."""

from __future__ import annotations

from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from quorum.models.features.decode import decode
from quorum.models.media.ahead import Ahead
from quorum.models.media.between import Looks
from quorum.models.media.clock import TrackClock
from quorum.models.media.flashes import Flashes
from quorum.models.media.picture import Picture, Renderer
from quorum.models.media.tracks import Shown, Track, TrackKind

TRACK = Track(0, TrackKind.VIDEO, "h264", chosen=True)


def noise(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((320, 180), Image.Resampling.BICUBIC))


SCENE, OTHER, FLASH = noise(1), noise(2), noise(3)
WHITE = np.full_like(SCENE, 255)


def found(*parts: tuple[np.ndarray, int], form: str = "rgb24") -> list[float]:
    """The seconds of the flashes of a film of 25 frames a second."""
    flashes, made, number = Flashes(0.25), [], 0
    for pixels, count in parts:
        stored = "rgb24" if pixels.shape[2] == 3 else "rgba"
        frame = av.VideoFrame.from_ndarray(pixels, format=stored).reformat(format=form)
        for _ in range(count):
            picture = Picture(frame, Renderer())
            flash = flashes.take(Shown(TRACK, picture, number / 25, (number + 1) / 25))
            made += [] if flash is None else [flash.start]
            number += 1
    return made


@pytest.mark.parametrize(
    "form",
    [
        "rgb24", "rgba", "argb", "yuv420p", "yuva420p", "yuv420p10le", "yuva444p12be", "gray16be",
        "gbrp", "ya8", "yuyv422",
    ],
)  # fmt: skip
def test_what_is_shown_shortly_between_others_is_a_flash(form):
    assert found((SCENE, 10), (FLASH, 1), (SCENE, 10), form=form) == [0.4]
    assert found((SCENE, 10), (FLASH, 6), (OTHER, 10), (FLASH, 2), (OTHER, 5)) == [0.4, 1.04]


@pytest.mark.parametrize(
    "parts",
    [
        [(SCENE, 10), (OTHER, 10)],
        [(SCENE, 10), (FLASH, 7), (OTHER, 10)],  # for longer than a step
        [(SCENE, 10), (WHITE, 2), (OTHER, 10)],
        [(SCENE // 9 * n, 1) for n in range(10)],
        [(FLASH, 2), (SCENE, 10)],  # the first picture is looked at
    ],
    ids=["cut", "shot", "white", "fade", "first"],
)
def test_what_else_changes_is_none(parts):
    assert found(*parts) == []


@pytest.mark.parametrize("form", ["rgba", "yuva420p"])
def test_a_flash_may_be_in_the_alpha_alone(form):
    seen, hidden = (np.dstack([FLASH, np.full(FLASH.shape[:2], one, np.uint8)]) for one in (255, 0))
    assert found((hidden, 10), (seen, 2), (hidden, 10), form=form) == [0.4]
    assert (
        found((hidden, 10), (np.dstack([OTHER, hidden[..., 3]]), 2), (hidden, 5), form=form) == []
    )


def test_pictures_of_another_size_are_compared():
    small = np.ascontiguousarray(FLASH[:90, :160])
    assert found((SCENE, 5), (small, 2), (SCENE, 5)) == [0.2]


def film(path, codec: str, *, first: int, count: int, options=None):
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(60):
            flashed = first <= number < first + count
            pixels = FLASH if flashed else np.roll(SCENE, 2 * number, axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "options", "count"),
    [
        ("libx264", {"bf": "3"}, 1),
        ("libx264", {"bf": "3"}, 2),
        ("libx265", {"x265-params": "log-level=none"}, 2),
        ("mpeg4", {"qscale": "4"}, 1),
    ],
)
def test_a_flash_is_looked_at(codec, options, count, tmp_path):
    path = film(tmp_path / "a.mkv", codec, first=28, count=count, options=options)
    made = decode(path, frames=True, audio=False, max_seconds=60, max_pixels=10**7)
    _, flashed = made.frames.sights
    assert flashed.name.endswith("between the looks)")
    assert flashed.times.tolist() == pytest.approx([28 / 25], abs=0.01)
    seen = np.asarray(Image.fromarray(flashed.pixels[0]).resize((16, 9), Image.Resampling.BOX))
    shown = np.asarray(Image.fromarray(FLASH).resize((16, 9), Image.Resampling.BOX))
    assert np.abs(seen.astype(int) - shown).mean() < 8


def test_a_packet_that_is_much_larger_than_those_around_is_decoded():
    ahead = Ahead(TrackClock(0.0, 0.04, resets=False), Looks(10.0, b""), pixels=100_000)
    sizes = [*[100] * 20, 370, *[200] * 20, 600, 599, *[500] * 30, 1_499]
    packets = [
        SimpleNamespace(pts=number + 1, size=size, time_base=0.04)
        for number, size in enumerate([*sizes, *[1] * 17])
    ]
    looked = [one.size for packet in packets for one, needed in ahead.through(packet) if needed]
    assert looked == [600]
