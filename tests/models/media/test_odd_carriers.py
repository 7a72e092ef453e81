"""Odd files that play: what is seen and heard of them is judged, or it is told what is not."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image, ImageCms

from quorum.core.messages import Status, Upload
from quorum.core.settings import MediaAccess
from quorum.models.copyright.matching.matching import find_matches
from quorum.models.detectors import Feature
from quorum.models.features.decode import decode
from quorum.models.features.extract import Extractor
from quorum.models.fingerprint.audio import AudioHasher
from quorum.models.fingerprint.fingerprint import fingerprint
from quorum.models.media.aperture import Aperture, Part, apertures_of_boxes
from quorum.models.media.colours import on_screen
from quorum.models.media.door import open_media
from quorum.models.media.loops import missed
from quorum.models.media.tracks import TrackKind
from quorum.models.spam.detector import SpamDetector
from tests.models.copyright.matching.test_matching import catalogue_of

carriers = pytest.importorskip("tests.models.media.carriers", reason="no ffmpeg tool")
odd = pytest.importorskip("tests.models.media.odd", reason="no ffmpeg tool")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("odd")


@pytest.fixture(scope="module")
def picture(folder):
    return carriers.plain_picture(folder)


@pytest.fixture(scope="module")
def features(folder):
    needs = SpamDetector().needs | {Feature.FRAMES, Feature.FINGERPRINT}
    extractor = Extractor(needs, MediaAccess(folders=(str(folder),)))

    def make(path):
        at = datetime(2026, 1, 1, tzinfo=UTC)
        upload = Upload(id="u", uploader="x", media=path.as_uri(), published_at=at)
        return extractor.extract([upload])[0]

    return make


@pytest.fixture(scope="module")
def judge(features):
    detector = SpamDetector()
    return lambda path: detector.score([features(path)])[0]


@pytest.fixture(scope="module")
def plain_score(judge, picture):
    return judge(picture).score


#: Kinds that were read before, too, and whose like are in the grid of carriers.
USUAL = {
    "once-late.gif", "xmp.jpg", "thumbnail.jpg", "gray16.png", "two-bits.png", "avis.avif",
    "attached.mkv", "covers.mp3", "covers.flac", "covers.m4a", "same-coding.mp4", "larger.mp4",
    "gap.mp4", "beyond.mp4", "aperture.mkv", "larger.hevc", "larger.ts", "larger.mpg",
    "chapters.mkv", "drawn.m2ts", "disc.mpg", "broadcast.mkv", "captions-av1.mp4",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.long) if n in USUAL else n for n in odd.PICTURES],
)
def test_words_that_a_viewer_sees_are_read(name, folder, picture, judge, plain_score):
    path = folder / name
    odd.PICTURES[name](picture, path)
    finding = judge(path)
    assert finding.status is Status.SCORED, finding
    assert finding.score == pytest.approx(plain_score, abs=0.05)
    assert plain_score > 0.9


@pytest.mark.parametrize("name", odd.UNSEEN)
def test_what_cannot_be_seen_is_told(name, folder, picture, features):
    path = folder / name
    odd.UNSEEN[name](picture, path)
    made = features(path)
    told = odd.UNSEEN_TOLD[name.rpartition(".")[2]]
    if made.frames is None:
        assert told in made.absent[Feature.FRAMES]
    else:
        assert told in made.partial[Feature.FRAMES]
        assert any(told in one for one in made.frames.unread)
    assert told in {**made.partial, **made.absent}[Feature.TEXT]
    if made.fingerprint is None:
        assert told in made.absent[Feature.FINGERPRINT]
    else:
        assert any(told in one for one in made.fingerprint.unread)


@pytest.mark.skipif(not AudioHasher.available(), reason="no Chromaprint")
@pytest.mark.parametrize("name", odd.SOUNDS)
def test_a_sound_that_a_listener_hears_is_found(name, folder):
    sound = folder / "plain.m4a"
    if not sound.exists():
        carriers.plain_sound(folder)
    path = folder / f"sound-{name}"
    odd.SOUNDS[name](sound, path)
    matches = find_matches(fingerprint(path, max_seconds=60.0), catalogue_of(sound))
    assert [match.work.id for match in matches] == ["plain"]


@pytest.mark.parametrize(("name", "seconds"), [("rates.aac", 13.1), ("chained.ogg", 13.0)])
def test_sound_is_heard_to_its_end(name, seconds, folder):
    sound = folder / "plain.m4a"
    if not sound.exists():
        carriers.plain_sound(folder)
    path = folder / f"heard-{name}"
    odd.SOUNDS[name](sound, path)
    made = decode(path, frames=False, audio=True, max_seconds=60, max_pixels=1)
    assert len(made.audio.samples) / 16_000 == pytest.approx(seconds, abs=0.1)
    assert np.abs(made.audio.samples[-80_000:]).max() > 0.05
    printed = fingerprint(path, max_seconds=60.0)
    assert printed.duration == pytest.approx(seconds, abs=0.1)
    assert printed.notices == ()


def film_of(path):
    return decode(path, frames=True, audio=False, max_seconds=60, max_pixels=10**7).frames


def test_a_loop_that_goes_on_for_long_enough_is_shown_once(folder, picture):
    path = folder / "long.gif"
    odd.gif(0, *[500] * 5)(picture, path)
    assert film_of(path).times.tolist() == [n / 4 for n in range(10)]


def test_pictures_of_a_short_loop_that_look_the_same_are_not_shown_again(folder):
    path = folder / "same.gif"
    pictures = [Image.new("RGB", (64, 48), (90, 90 + n, 90)) for n in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[50] * 3, loop=0)
    assert film_of(path).times.tolist() == [0.0]


def test_the_four_pictures_that_differ_most_are_shown_again():
    looks = [np.full((18, 32), 10 * level, np.uint8) for level in (0, 1, 25, 12, 24, 6, 18, 3)]
    assert missed(looks) == [2, 3, 5, 6]
    assert missed(looks[:2]) == []
    assert missed([]) == []


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_an_animation_that_is_cut_off_is_told(folder, picture, share):
    whole, cut = folder / "held.avif", folder / f"cut-{share}.avif"
    carriers.held(quality=90)(picture, whole)
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with open_media(cut) as media:
        list(media.read({TrackKind.VIDEO, TrackKind.ATTACHED}))
        assert "damaged: the file is cut off" in media.problems


def test_a_turn_that_browsers_do_not_know_is_none(folder, picture):
    path = folder / "xmp-turned.jpg"
    odd.xmp_turned(picture, path)
    with open_media(path) as media:
        (shown,) = media.read({TrackKind.VIDEO})
    assert shown.picture.size == (640, 360)


def test_a_part_is_a_track_unless_it_is_nearly_all_or_nothing():
    large = odd.aperture(1800, 1000, 2560, 1440)
    (found,) = apertures_of_boxes(b"any" + large, 2560, 1440)
    assert found == Aperture(1800, 1000, 640, 360)
    assert found.within(2560, 1440) == found
    assert found.within(2000, 1100) == Aperture(1800, 1000, 200, 100)
    assert found.within(1800, 1440) is None
    assert Aperture(-8, -8, 640, 360).within(640, 360) is None
    assert list(apertures_of_boxes(large[:-1], 2560, 1440)) == []
    assert list(apertures_of_boxes(large[:8] + bytes(32), 2560, 1440)) == []


def test_a_part_that_cannot_be_cut_out_is_told(folder, picture, monkeypatch):
    path = folder / "uncut.avif"
    odd.cropped_avif(picture, path)
    monkeypatch.setattr(Part, "_cut", lambda *_: int("no number"))
    with open_media(path) as media:
        (shown,) = media.read({TrackKind.VIDEO})
        assert shown.picture.size == (2560, 1440)
        (told,) = media.left_out
    assert told.endswith("the part that is shown) could not be cut out")


def test_ordinary_colours_stay_and_a_bad_profile_is_ignored():
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5)
    plain = np.asarray(picture).astype(int)
    assert on_screen(picture) is picture
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.info["icc_profile"] = usual
    assert np.abs(np.asarray(on_screen(picture)) - plain).max() <= 1
    for wrong in (b"no profile", usual[:200], usual[:16] + b"CMYK" + usual[20:]):
        picture.info["icc_profile"] = wrong
        assert (np.asarray(on_screen(picture)) == plain).all()
    del picture.info["icc_profile"]
    for gamma in (0.45455, 0.0, 1e9):
        picture.info["gamma"] = gamma
        assert on_screen(picture) is picture


def test_alpha_stays_beside_a_profile_and_a_gamma():
    picture = Image.new("RGBA", (2, 2), (200, 100, 50, 77))
    for facts in ({"icc_profile": odd.profile(1.0)}, {"gamma": 1.0}):
        picture.info = dict(facts)
        made = on_screen(picture)
        assert made.mode == "RGBA"
        assert made.getpixel((0, 0))[3] == 77
        assert made.getpixel((0, 0))[:3] != (200, 100, 50)
