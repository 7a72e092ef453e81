"""Pictures of high dynamic range look as on a screen of the usual range."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from quorum.models.features.decode import decode
from quorum.models.media.picture import _tone_mapped

PQ, HLG = 16, 18
#: Candela per square metre of what is white in print and in graphics (ITU-R BT.2408, table 1).
WHITE = 203.0


def pq_of(nits):
    """The signal of SMPTE ST 2084."""
    power = np.power(np.asarray(nits, float) / 10_000, 0.1593017578125)
    return np.power((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power), 78.84375)


def linear_of(level):
    """Light of a level of sRGB, both from 0 to 1."""
    level = np.asarray(level, float)
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def mapped(signal, transfer):
    return _tone_mapped(np.asarray(signal, np.float32).reshape(1, -1, 3), transfer)[0]


def gray(signal, transfer):
    (pixel,) = mapped([signal] * 3, transfer)
    assert int(pixel.max()) - int(pixel.min()) <= 1, "grey stays grey"
    return int(pixel[1])


@pytest.mark.parametrize(
    ("signal", "transfer"), [(0.58, PQ), (0.75, HLG)], ids=["58 % of PQ", "75 % of HLG"]
)
def test_the_reference_white_is_nearly_white(signal, transfer):
    assert 235 <= gray(signal, transfer) <= 250


@pytest.mark.parametrize(("signal", "transfer"), [(0.38, PQ), (0.38, HLG)])
def test_a_grey_card_is_grey(signal, transfer):
    """A card of 18 % is at 26 candela, 13 % of white: level 101 of sRGB."""
    assert gray(signal, transfer) == pytest.approx(101, abs=6)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_black_is_black_and_brighter_is_brighter(transfer):
    ramp = [gray(signal, transfer) for signal in np.linspace(0, 1, 64)]
    assert ramp[0] == 0
    assert ramp == sorted(ramp)
    assert ramp[-1] >= 250


def test_what_is_brighter_than_white_still_has_levels():
    levels = [gray(float(pq_of(nits)), PQ) for nits in (WHITE, 400, 1000, 4000)]
    assert levels == sorted(set(levels))


def test_colours_keep_their_hue():
    """Colours of Rec. 709, put into Rec. 2020 and PQ, come back."""
    to_2020 = np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    )
    colours = np.array([[180, 40, 40], [40, 160, 60], [50, 60, 170], [190, 150, 120], [20, 20, 20]])
    light = linear_of(colours / 255) @ to_2020.T
    found = mapped(pq_of(light * WHITE), PQ).astype(int)
    assert np.abs(found - colours).max() <= 3


def test_a_film_of_high_dynamic_range_looks_like_its_usual_form(tmp_path):
    """Patches of grey, coded as ten bits of PQ with their tags by the ffmpeg tool."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="no ffmpeg tool").get_ffmpeg_exe()
    levels = np.array([0, 40, 80, 120, 160, 200])
    row = np.repeat(pq_of(linear_of(levels / 255) * WHITE), 64)
    picture = np.broadcast_to((row * 65535).round().astype("<u2")[None, :, None], (96, 384, 3))
    (tmp_path / "raw").write_bytes(np.ascontiguousarray(picture).tobytes() * 4)
    tags = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:log-level=none"
    out = tmp_path / "a.mp4"
    subprocess.run(
        [ffmpeg, "-v", "error", "-nostdin", "-f", "rawvideo", "-pix_fmt", "rgb48le", "-s", "384x96",
         "-r", "4", "-i", str(tmp_path / "raw"), "-vf",
         "scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le", "-c:v", "libx265",
         "-crf", "4", "-x265-params", tags, "-color_primaries", "bt2020", "-color_trc", "smpte2084",
         "-colorspace", "bt2020nc", "-tag:v", "hvc1", str(out)],
        check=True,
    )  # fmt: skip
    frames = decode(out, frames=True, audio=False, max_seconds=60, max_pixels=10**7).frames
    found = frames.pixels[0][20:80].reshape(60, 6, 64, 3)[:, :, 16:48].mean(axis=(0, 2))
    assert np.abs(found - levels[:, None]).max() <= 6, found
