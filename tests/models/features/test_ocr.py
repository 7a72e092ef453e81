"""Text in frames: read once, with its seconds, and used by the text detectors."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from quorum.core.messages import Status, Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Feature, Frames
from quorum.models.features import ocr
from quorum.models.features.decode import decode
from quorum.models.features.extract import Extractor
from quorum.models.features.grid import Pages
from quorum.models.features.ocr import shared_reader
from quorum.models.media.between import Looks
from quorum.models.spam.detector import SpamDetector
from quorum.models.violence.detector import ViolenceDetector
from quorum.models.violence.readings import readings_of
from tests.models.features.media_files import audio, captions, video

SPAM = "SUBSCRIBE to my channel for free gift cards"
CALM = "The river at sunrise"


def upload(**fields):
    return Upload(id="u", uploader="x", published_at=datetime(2026, 1, 1, tzinfo=UTC), **fields)


def extractor(folder, needs=SpamDetector.needs, **access):
    return Extractor(needs, MediaAccess(folders=(str(folder),), **access))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("captions")
    captions(made / "spam.mp4", [(0.0, CALM), (4.0, SPAM), (6.0, CALM)], 8.0)
    # Innocent whenever somebody looks who looks every two seconds.
    lying = [(at + late, line) for at in (0.0, 2.0, 4.0) for late, line in ((0, CALM), (0.2, SPAM))]
    captions(made / "lying.mp4", lying, 6.0)
    captions(made / "threat.mp4", [(2.0, "I will find you and kill you all")], 4.0)
    captions(made / "bare.mp4", [], 3.0)
    video(made / "plain.mp4")
    audio(made / "sound.wav")
    whole = (made / "spam.mp4").read_bytes()
    (made / "broken.mp4").write_bytes(whole[: len(whole) // 3])
    return made


def test_lines_are_read_once_with_the_seconds_in_which_they_stand(folder):
    pages = decode(
        folder / "spam.mp4",
        frames=False,
        audio=False,
        max_seconds=60,
        max_pixels=10**7,
        max_pages=8,
    ).pages
    spam = pages.times[(pages.times >= 4) & (pages.times < 6)]
    assert len(spam) > 0, "what stands for two seconds is read"
    reader = shared_reader()
    before = reader.frames
    seen = reader.read(pages)
    assert {line.text: (line.start, line.end) for line in seen} == {
        CALM: (0.0, pages.times[-1]),
        SPAM: (spam[0], spam[-1]),
    }
    assert pages.times[-1] >= 6
    assert reader.frames - before == 3, "a picture that has not changed is not read again"


def test_spam_in_a_video_with_an_innocent_title_is_flagged_and_the_second_told(folder):
    title = "Walking along the river at sunrise"
    detector = SpamDetector()
    batch = extractor(folder).extract(
        [
            upload(title=title, media=(folder / "spam.mp4").as_uri()),
            upload(title=title, media=(folder / "bare.mp4").as_uri()),
            upload(title=title),
            upload(media=(folder / "spam.mp4").as_uri()),
            upload(title=title, media=(folder / "lying.mp4").as_uri()),
        ]
    )
    flagged, bare, alone, untitled, lying = detector.score(batch)
    assert flagged.score > 0.5
    assert lying.score > 0.5
    assert untitled.score > 0.5
    assert bare.score == alone.score < 0.2
    evidence = [one for one in flagged.evidence if one.kind == "video"]
    assert {one.what.lower() for one in evidence} & {"subscribe", "channel", "gift"}
    for one in evidence:
        assert one.field == "frames"
        assert 4 <= one.start <= one.end < 6


def test_a_threat_in_the_frames_counts_as_one_in_the_title(folder):
    needs = ViolenceDetector.needs - {Feature.FRAMES}
    batch = extractor(folder, needs).extract(
        [
            upload(title="How to bake bread", media=(folder / "threat.mp4").as_uri()),
            upload(title="How to bake bread"),
        ]
    )
    detector = ViolenceDetector()
    words = [detector._score_text(readings_of(one.text))[0] for one in batch]
    assert words[0] > 0.5 > words[1]
    (evidence, *_) = detector._sentence_evidence(batch[0].text)
    assert evidence.kind == "video"
    assert 2 <= evidence.start < 4
    assert "kill you" in evidence.what


def test_it_is_read_once_for_all_and_only_where_it_is_wanted(folder):
    media = (folder / "spam.mp4").as_uri()
    for needs, access, readings in (
        (SpamDetector.needs | ViolenceDetector.needs, {}, 1),
        (SpamDetector.needs - {Feature.OCR}, {}, 0),
        (SpamDetector.needs, {"read_frames": 0}, 0),
    ):
        made = extractor(folder, needs - {Feature.SPEECH}, **access)
        (features,) = made.extract([upload(title="A title", media=media)])
        assert made.costs.readings == readings
        assert made.costs.decodes == (readings or Feature.FRAMES in needs)
        assert bool(features.text.in_frames) == bool(readings)


def test_media_that_cannot_be_read_leaves_the_words_a_finding(folder):
    (folder / "bad.mp4").write_bytes(b"nothing")
    made = extractor(folder)
    batch = made.extract(
        [
            upload(title="A river", media=(folder / "bad.mp4").as_uri()),
            upload(media=(folder / "bad.mp4").as_uri()),
            upload(title="A river", media=(folder / "sound.wav").as_uri()),
            upload(media=(folder / "plain.mp4").as_uri()),
            upload(title="A river", media=(folder / "broken.mp4").as_uri()),
        ]
    )
    statuses = [finding.status for finding in SpamDetector().score(batch)]
    scored, failed, abstained = Status.SCORED, Status.FAILED, Status.ABSTAINED
    assert statuses == [scored, failed, scored, abstained, scored]
    assert "media cannot be read" in batch[0].partial[Feature.TEXT]
    assert batch[1].absent[Feature.TEXT].startswith("no text, and media cannot be read")
    assert Feature.TEXT not in batch[2].partial


def test_a_reader_that_fails_is_words_lacking(folder, monkeypatch):
    def broken():
        raise OSError("no weights")

    monkeypatch.setattr(ocr, "shared_reader", broken)
    (features,) = extractor(folder).extract(
        [upload(title="A river", media=(folder / "spam.mp4").as_uri())]
    )
    assert features.text.own == "a river"
    assert features.absent[Feature.OCR] == "words in frames cannot be read: OSError"


@pytest.mark.parametrize("most", [1, 2, 5, 6])
@pytest.mark.parametrize("seconds", [0, 1, 9, 100, 601])
def test_pages_are_spread_and_no_more_than_asked(most, seconds):
    pages = Pages(most, looks=Looks(0.25, b"seed"))
    pixel = np.zeros((2, 2, 3), np.uint8)
    for tenth in range(seconds * 10 + 1):
        pages.show(tenth / 10, (tenth + 1) / 10, lambda: pixel)
    pages.finish()
    assert 1 <= len(pages.times) <= most
    assert pages.times == sorted(pages.times)
    assert pages.times[0] == 0.0
    if most > 1 and seconds > 9:
        assert len(pages.times) > most // 2
        assert pages.times[-1] >= seconds / 2 - 1


def test_a_page_without_words_gives_none():
    noise = np.random.default_rng(0).integers(0, 255, (1, 240, 320, 3), dtype=np.uint8)
    assert shared_reader().read(Frames(noise, np.zeros(1), 0.0)) == []


def test_nothing_is_loaded_before_it_is_wanted():
    heavy = "('rapidocr', 'cv2', 'onnxruntime', 'av')"
    code = "import sys, quorum.models.features.extract, quorum.models.features.ocr\n"
    code += f"print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
