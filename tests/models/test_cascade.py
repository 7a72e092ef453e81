"""The two lines of a cascade: who is asked, with which features, and what stands for the rest."""

import pytest

from quorum.core.errors import ConfigurationError
from quorum.core.messages import NOT_ASKED, Status, Upload
from quorum.core.settings import DetectorSettings, MediaAccess
from quorum.models.cascade import Cascade, ask, first_line
from quorum.models.configured import ConfiguredDetector
from quorum.models.detectors import Detector, Feature, Finding
from quorum.models.features import ocr
from tests.models.features import media_files

WORDS = (Feature.TEXT,)
MEDIA = (Feature.TEXT, Feature.FRAMES)


class Fixed(Detector):
    """Says what a test gives it, by the upload's title."""

    version = "1"

    def __init__(self, name, scores=None, needs=WORDS):
        self.name = name
        self.needs = frozenset(needs)
        self._scores = scores or {}
        self.seen = []

    def score(self, batch):
        self.seen.extend(features for features in batch)
        return [Finding.scored(self._scores.get(f.upload.title, 0.0)) for f in batch]

    @property
    def titles(self):
        return [features.upload.title for features in self.seen]

    @classmethod
    def examples(cls):
        return []


def uploads(*titles, **more):
    return [
        Upload(
            id=f"u{index}",
            uploader="x",
            title=title,
            published_at="2026-01-01T00:00:00Z",
            **more,
        )
        for index, title in enumerate(titles)
    ]


def settled(upload, said):
    (first,) = [one for one in said if one.detector == "words"]
    return f"{NOT_ASKED}it is certain" if (first.score or 0) > 0.9 else None


def run(cascade, batch, asked=settled):
    looks = cascade.begin(batch)
    for member in cascade.first:
        looks = ask(member, looks)
    looks = cascade.go_on(looks, asked)
    for member in cascade.first:
        looks = ask(member, looks, again=True)
    for member in cascade.second:
        looks = ask(member, looks)
    return looks


def members(*detectors, **settings):
    return [ConfiguredDetector.of(one, DetectorSettings(**settings)) for one in detectors]


def test_the_second_line_sees_only_what_is_not_settled():
    words = Fixed("words", {"spam": 0.99, "maybe": 0.9})
    pictures = Fixed("pictures", needs=MEDIA)
    sound = Fixed("sound", needs=(Feature.AUDIO,))
    cascade = Cascade(members(words, pictures, sound), True, MediaAccess())
    looks = run(cascade, uploads("spam", "maybe", "calm"))
    assert words.titles == ["spam", "maybe", "calm"]
    assert pictures.titles == sound.titles == ["maybe", "calm"]
    assert [len(look.predictions) for look in looks] == [3, 3, 3]
    _, *spared = looks[0].predictions
    for one in spared:
        assert (one.status, one.score) == (Status.ABSTAINED, None)
        assert one.reason == "not asked: it is certain"
        assert one.detector in ("pictures", "sound")
        assert one.version == "1"
    assert all(one.status is Status.SCORED for look in looks[1:] for one in look.predictions)


def test_a_spared_shadow_is_still_one():
    one = ConfiguredDetector.of(Fixed("pictures", needs=MEDIA), DetectorSettings(shadow=True))
    assert one.spared(uploads("x")[0], f"{NOT_ASKED}x").shadow


def test_features_are_made_once_and_not_of_what_is_settled(tmp_path):
    media_files.video(tmp_path / "clip.mp4", 1.0)
    access = MediaAccess(folders=(str(tmp_path),))
    needs = (Feature.TEXT, Feature.EMBEDDING)
    words = Fixed("words", {"this is surely spam": 0.99}, needs)
    pictures = Fixed("pictures", needs=(*needs, Feature.FRAMES))
    cascade = Cascade(members(words, pictures), True, access)
    titles = ("this is surely spam", "a walk along the river")
    run(cascade, uploads(*titles, media=(tmp_path / "clip.mp4").as_uri()))
    assert sum(costs.embeddings for costs in cascade.costs) == 2
    assert sum(costs.decodes for costs in cascade.costs) == 1
    (seen,) = pictures.seen
    assert seen.frames is not None
    assert (seen.embedding == words.seen[1].embedding).all()


def test_a_detector_of_the_first_line_keeps_its_media(tmp_path):
    media_files.video(tmp_path / "clip.mp4", 1.0)
    access = MediaAccess(folders=(str(tmp_path),))
    words = Fixed("words", needs=MEDIA)
    sound = Fixed("sound", needs=(Feature.AUDIO,))
    cascade = Cascade(members(words, sound), ("words",), access)
    run(cascade, uploads("x", media=(tmp_path / "clip.mp4").as_uri()))
    (seen,) = sound.seen
    assert seen.frames is words.seen[0].frames
    assert Feature.AUDIO in seen.absent


@pytest.fixture
def read(monkeypatch):
    """Lines that frames are taken to hold."""
    lines = []

    class Reader:
        def read(self, pages):
            return [ocr.OcrLine(line, 0.0, 0.0) for line in lines]

    monkeypatch.setattr(ocr, "shared_reader", Reader)
    return lines


@pytest.mark.parametrize("lines", [[], ["free gift cards"]])
def test_words_in_frames_are_looked_at_again(tmp_path, read, lines):
    media_files.video(tmp_path / "clip.mp4", 1.0)
    read += lines
    words = Fixed("words", needs=(Feature.TEXT, Feature.OCR))
    cascade = Cascade(members(words, Fixed("pictures", needs=MEDIA)), True,
                      MediaAccess(folders=(str(tmp_path),)))  # fmt: skip
    (look,) = run(cascade, uploads("x", media=(tmp_path / "clip.mp4").as_uri()))
    assert [one.text.in_frames for one in words.seen] == ["", *lines]
    assert [one.detector for one in look.predictions].count("words") == 1


def test_media_that_cannot_be_read_is_told_to_who_had_no_words(tmp_path, read):
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    words = Fixed("words", needs=(Feature.TEXT, Feature.OCR))
    cascade = Cascade(members(words, Fixed("pictures", needs=MEDIA)), True,
                      MediaAccess(folders=(str(tmp_path),)))  # fmt: skip
    run(cascade, uploads("", media=(tmp_path / "bad.mp4").as_uri()))
    first, again = words.seen
    assert first.absent[Feature.TEXT] == "no text"
    assert "cannot be read" in again.absent[Feature.TEXT]


def test_batches_are_no_larger_than_asked():
    class Counting(Fixed):
        def score(self, batch):
            sizes.append(len(batch))
            return super().score(batch)

    sizes = []
    cascade = Cascade(members(Counting("words"), max_batch=2), False, MediaAccess())
    run(cascade, uploads("a", "b", "c"))
    assert sizes == [2, 1]


def test_who_is_asked_first():
    ensemble = members(
        Fixed("words"),
        Fixed("captions", needs=(Feature.TEXT, Feature.OCR)),
        Fixed("both", needs=MEDIA),
        Fixed("sound", needs=(Feature.AUDIO,)),
    )
    everybody = {"words", "captions", "both", "sound"}
    assert first_line(ensemble, False) == everybody
    assert first_line(ensemble, True) == {"words", "captions"}
    assert first_line(ensemble, ("sound",)) == {"sound"}
    assert first_line(ensemble[2:], True) == {"both", "sound"}
    with pytest.raises(ConfigurationError, match="names loud, which does not run here"):
        first_line(ensemble, ("loud",))
    with pytest.raises(ConfigurationError, match="names no detector"):
        first_line(ensemble, ())
