"""The plan of an ensemble: which detector scores what, with which features, and what is skipped."""

import pytest

from quorum.core.errors import ConfigurationError
from quorum.core.messages import NOT_ASKED, Status, Upload
from quorum.core.settings import DetectorSettings, MediaAccess, Settings
from quorum.models.configured import ConfiguredDetector
from quorum.models.detectors import Detector, Feature, Finding
from quorum.models.ensemble import Ensemble
from quorum.models.features import ocr
from quorum.models.plan import Score
from tests.models.features import media_files

WORDS = (Feature.TEXT,)
MEDIA = (Feature.TEXT, Feature.FRAMES)


class Fixed(Detector):
    """Scores as a test sets it, by the upload's title."""

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


def settled(upload, predictions):
    (first,) = [one for one in predictions if one.detector == "words"]
    return f"{NOT_ASKED}it is certain" if (first.score or 0) > 0.9 else None


def configured(*detectors, **settings):
    return [ConfiguredDetector.of(one, DetectorSettings(**settings)) for one in detectors]


def test_the_second_stage_scores_only_unsettled_uploads():
    words = Fixed("words", {"spam": 0.99, "maybe": 0.9})
    pictures = Fixed("pictures", needs=MEDIA)
    sound = Fixed("sound", needs=(Feature.AUDIO,))
    plan = Ensemble(configured(words, pictures, sound), MediaAccess(), True).plan(settled)
    states = plan.run(uploads("spam", "maybe", "calm"))
    assert words.titles == ["spam", "maybe", "calm"]
    assert pictures.titles == sound.titles == ["maybe", "calm"]
    assert [len(state.predictions) for state in states] == [3, 3, 3]
    _, *skipped = states[0].predictions
    for one in skipped:
        assert (one.status, one.score) == (Status.ABSTAINED, None)
        assert one.reason == "not asked: it is certain"
        assert one.detector in ("pictures", "sound")
        assert one.version == "1"
    assert all(one.status is Status.SCORED for state in states[1:] for one in state.predictions)


def test_a_skipped_shadow_detector_abstains_in_shadow():
    one = ConfiguredDetector.of(Fixed("pictures", needs=MEDIA), DetectorSettings(shadow=True))
    assert one.skipped(uploads("x")[0], f"{NOT_ASKED}x").shadow


def test_features_are_extracted_once_and_not_of_settled_uploads(tmp_path):
    media_files.video(tmp_path / "clip.mp4", 1.0)
    access = MediaAccess(folders=(str(tmp_path),))
    needs = (Feature.TEXT, Feature.EMBEDDING)
    words = Fixed("words", {"this is surely spam": 0.99}, needs)
    pictures = Fixed("pictures", needs=(*needs, Feature.FRAMES))
    plan = Ensemble(configured(words, pictures), access, True).plan(settled)
    titles = ("this is surely spam", "a walk along the river")
    plan.run(uploads(*titles, media=(tmp_path / "clip.mp4").as_uri()))
    costs = [cost for step in plan.steps if not isinstance(step, Score) for cost in step.costs]
    assert sum(cost.embeddings for cost in costs) == 2
    assert sum(cost.decodes for cost in costs) == 1
    (seen,) = pictures.seen
    assert seen.frames is not None
    assert (seen.embedding == words.seen[1].embedding).all()


def test_media_features_of_the_first_stage_are_kept(tmp_path):
    media_files.video(tmp_path / "clip.mp4", 1.0)
    access = MediaAccess(folders=(str(tmp_path),))
    words = Fixed("words", needs=MEDIA)
    sound = Fixed("sound", needs=(Feature.AUDIO,))
    plan = Ensemble(configured(words, sound), access, ("words",)).plan(settled)
    plan.run(uploads("x", media=(tmp_path / "clip.mp4").as_uri()))
    (seen,) = sound.seen
    assert seen.frames is words.seen[0].frames
    assert Feature.AUDIO in seen.absent


@pytest.fixture
def read(monkeypatch):
    """Lines that frames are taken to hold."""
    lines = []

    class Reader:
        def read(self, pages):
            return [ocr.MediaLine(line, 0.0, 0.0) for line in lines]

    monkeypatch.setattr(ocr, "shared_reader", Reader)
    return lines


@pytest.mark.parametrize("lines", [[], ["free gift cards"]])
def test_uploads_with_text_in_frames_are_scored_again(tmp_path, read, lines):
    media_files.video(tmp_path / "clip.mp4", 1.0)
    read += lines
    words = Fixed("words", needs=(Feature.TEXT, Feature.OCR))
    ensemble = Ensemble(
        configured(words, Fixed("pictures", needs=MEDIA)),
        MediaAccess(folders=(str(tmp_path),)),
        True,
    )
    (state,) = ensemble.plan(settled).run(uploads("x", media=(tmp_path / "clip.mp4").as_uri()))
    assert [one.text.in_frames for one in words.seen] == ["", *lines]
    assert [one.detector for one in state.predictions].count("words") == 1


def test_unreadable_media_reaches_a_detector_that_had_no_text(tmp_path, read):
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    words = Fixed("words", needs=(Feature.TEXT, Feature.OCR))
    ensemble = Ensemble(
        configured(words, Fixed("pictures", needs=MEDIA)),
        MediaAccess(folders=(str(tmp_path),)),
        True,
    )
    ensemble.plan(settled).run(uploads("", media=(tmp_path / "bad.mp4").as_uri()))
    first, again = words.seen
    assert first.absent[Feature.TEXT] == "no text"
    assert "cannot be read" in again.absent[Feature.TEXT]


def test_batches_are_no_larger_than_max_batch():
    class Counting(Fixed):
        def score(self, batch):
            sizes.append(len(batch))
            return super().score(batch)

    sizes = []
    Ensemble(configured(Counting("words"), max_batch=2), MediaAccess()).plan(settled).run(
        uploads("a", "b", "c")
    )
    assert sizes == [2, 1]


def test_the_first_stage():
    def first(detectors, cascade):
        return {one.name for one in Ensemble(detectors, MediaAccess(), cascade).first}

    detectors = configured(
        Fixed("words"),
        Fixed("captions", needs=(Feature.TEXT, Feature.OCR)),
        Fixed("both", needs=MEDIA),
        Fixed("sound", needs=(Feature.AUDIO,)),
    )
    everything = {"words", "captions", "both", "sound"}
    assert first(detectors, False) == everything
    assert first(detectors, True) == {"words", "captions"}
    assert first(detectors, ("sound",)) == {"sound"}
    assert first(detectors[2:], True) == {"both", "sound"}
    with pytest.raises(ConfigurationError, match="names loud, which does not run here"):
        first(detectors, ("loud",))
    with pytest.raises(ConfigurationError, match="names no detector"):
        first(detectors, ())


class Closing(Fixed):
    """Counts how often it was closed."""

    closed = 0

    def close(self):
        self.closed += 1


def test_a_detector_is_closed_with_the_last_ensemble_that_has_it():
    both, one = Closing("both"), Closing("one")
    first, second = Ensemble.of([both, one]), Ensemble.of([both])
    first.close()
    assert (both.closed, one.closed) == (0, 1)
    second.close()
    assert both.closed == 1


def test_an_ensemble_that_is_loaded_after_the_end_of_an_equal_one_has_a_catalogue():
    settings = Settings(detectors={"copyright": DetectorSettings()})
    first = Ensemble.load(settings)
    second = Ensemble.load(settings)
    (held,) = (one.detector for one in second.detectors.values())
    assert held is first.detectors["copyright"].detector
    first.close()
    assert held._catalogue.works()
    second.close()
    third = Ensemble.load(settings)
    assert third.detectors["copyright"].detector is not held
    assert third.detectors["copyright"].detector._catalogue.works()
    third.close()
