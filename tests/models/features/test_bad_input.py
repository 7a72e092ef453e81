"""Bad input ends as a finding with a reason, and does not affect other uploads."""

import pytest
from PIL import Image

from quorum.core.messages import Status
from quorum.core.settings import MediaAccess
from quorum.models.contract import AT, HARD_TEXTS, upload
from quorum.models.features.extract import Extractor
from quorum.models.nsfw.detector import NsfwDetector
from quorum.models.runner import predict, score_safely
from quorum.models.spam.detector import SpamDetector
from quorum.models.violence.detector import ViolenceDetector
from tests.models.features.media_files import audio, png_bomb, video

SCORED, ABSTAINED, FAILED = Status.SCORED, Status.ABSTAINED, Status.FAILED


def without_index(path):
    whole = video(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def broken_index(path):
    """A file whose index (the moov atom) exists but contains garbage."""
    data = bytearray(video(path).read_bytes())
    start = data.index(b"moov") + 4
    data[start : start + 400] = bytes((7 * index) % 251 for index in range(400))
    path.write_bytes(data)


def of_8k(path):
    Image.new("RGB", (7680, 4320), (90, 120, 150)).save(path, compress_level=1)


def over_8k(path):
    Image.new("1", (10_000, 10_000)).save(path)


def ten_hours(path):
    video(path, times=[0.0, 1.0, 2.0, 35_999.0, 36_000.0])


#: Kind of file, expected status of the frames, and expected reason.
MEDIA = {
    "one frame.mp4": (lambda path: video(path, seconds=0.1), SCORED, ""),
    "sound alone.wav": (audio, ABSTAINED, "no video in the media"),
    "no moov.mp4": (without_index, FAILED, "media cannot be read"),
    "broken moov.mp4": (broken_index, FAILED, "media cannot be read"),
    "8K.png": (of_8k, SCORED, ""),
    "over 8K.png": (over_8k, FAILED, "40,000,000 pixels"),
    "variable rate.mkv": (
        lambda path: video(path, times=[0.0, 0.04, 0.5, 0.54, 2.0, 2.9]),
        SCORED,
        "",
    ),
    "zip bomb.png": (lambda path: png_bomb(path, 30_000), FAILED, "40,000,000 pixels"),
    "ten hours.mkv": (ten_hours, SCORED, ""),
    "empty.mp4": (lambda path: path.write_bytes(b""), FAILED, "media cannot be read"),
}


@pytest.fixture(scope="module")
def detectors():
    return [SpamDetector(), ViolenceDetector(), NsfwDetector()]


def judged(detectors, uploads, folder=None):
    """Findings of each detector on a batch, serialised as in the stream."""
    needs = frozenset().union(*(one.needs for one in detectors))
    access = MediaAccess(folders=(str(folder),) if folder else ())
    batch = Extractor(needs, access).extract(uploads)
    found = [score_safely(one, batch, 60) for one in detectors]
    for detector, findings in zip(detectors, found, strict=True):
        for features, finding in zip(batch, findings, strict=True):
            predict(detector, features, finding, AT, 0.0)
    return found


@pytest.mark.parametrize("name", MEDIA)
def test_media_that_is_damaged_vast_or_hostile_ends_as_a_finding(detectors, name, tmp_path):
    make, expected, told = MEDIA[name]
    make(tmp_path / name)
    video(tmp_path / "good.mp4", seconds=0.2)
    batch = [
        upload("bad", title="A walk", media=(tmp_path / name).as_uri()),
        upload("good", title="A walk", media=(tmp_path / "good.mp4").as_uri()),
    ]
    spam, violence, nsfw = judged(detectors, batch, tmp_path)
    assert nsfw[0].status is expected, nsfw[0]
    if expected is not SCORED:
        assert told in nsfw[0].reason
    assert spam[0].status is SCORED
    # Harmless text does not excuse unreadable pictures; a sound file has no pictures.
    assert violence[0].status is (SCORED if expected is ABSTAINED else expected)
    assert [found[1].status for found in (spam, violence, nsfw)] == [SCORED] * 3


TEXTS = {"empty": "", **HARD_TEXTS}
WORDLESS = {"empty", "emoji only", "punctuation", "lone surrogate's replacement"}
#: In a language that a detector does not cover.
FOREIGN: dict[str, set[str]] = {"spam": set(), "violence": set()}


@pytest.mark.parametrize("name", TEXTS)
def test_hard_texts_end_as_a_finding(detectors, name):
    batch = [upload("hard", title=TEXTS[name]), upload("good", title="A walk by the sea")]
    spam, violence, nsfw = judged(detectors, batch)
    for detector, (hard, good) in {"spam": spam, "violence": violence}.items():
        foreign = FOREIGN[detector]
        assert hard.status is (ABSTAINED if name in WORDLESS | foreign else SCORED), hard
        assert (name in foreign) is (hard.reason or "").startswith("language not covered")
        assert good.status is SCORED
    assert nsfw[0].reason == "no media"
