from datetime import UTC, datetime

import numpy as np
import pytest

from quorum.core.errors import InputError, MediaRefused
from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Feature
from quorum.models.features import extract
from quorum.models.features.extract import Extractor
from tests.models.features.media_files import audio, video

ALL = frozenset(Feature)


def upload(**fields):
    return Upload(id="u", uploader="x", published_at=datetime(2026, 1, 1, tzinfo=UTC), **fields)


@pytest.fixture
def folder(tmp_path):
    video(tmp_path / "both.mp4", sound=True)
    audio(tmp_path / "sound.wav")
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    return tmp_path


def made(folder, needs=ALL, fingerprinter=lambda path: path.stat().st_size):
    return Extractor(needs, MediaAccess(folders=(str(folder),), speech="off"), fingerprinter)


def test_each_feature_is_made_once_for_all(folder):
    extractor = made(folder)
    media = (folder / "both.mp4").as_uri()
    batch = extractor.extract([upload(title=f"number {n}", media=media) for n in range(3)])
    assert extractor.costs.decodes == 3
    assert extractor.costs.fetches == 3
    assert extractor.costs.fingerprints == 3
    assert extractor.costs.embeddings == 3
    assert extractor.costs.embedding_batches == 1
    for features in batch:
        assert features.absent == {Feature.MOTION: "nothing moves in the media"}
        assert features.frames is not None
        assert features.audio is not None
        assert features.fingerprint > 0
        assert features.embedding.shape == (384,)
        assert np.linalg.norm(features.embedding) == pytest.approx(1.0, abs=1e-5)


def test_only_what_is_needed_is_made(folder):
    extractor = made(folder, frozenset({Feature.TEXT}))
    (features,) = extractor.extract([upload(title="x", media=(folder / "both.mp4").as_uri())])
    assert features.text is not None
    assert features.embedding is None
    assert features.frames is None
    assert features.absent == {}
    assert (extractor.costs.fetches, extractor.costs.embeddings) == (0, 0)


def test_what_is_not_there_is_said(folder):
    extractor = made(folder)
    batch = extractor.extract(
        [
            upload(),
            upload(title="x", media=(folder / "sound.wav").as_uri()),
            upload(title="x", media=(folder / "gone.mp4").as_uri()),
            upload(title="x", media="file:///etc/hostname"),
            upload(title="x", media="https://example.org/a.mp4"),
            upload(title="x", media=(folder / "bad.mp4").as_uri()),
        ]
    )
    assert batch[0].absent == {
        Feature.TEXT: "no text",
        Feature.EMBEDDING: "no text",
        Feature.FRAMES: "no media",
        Feature.MOTION: "no media",
        Feature.AUDIO: "no media",
        Feature.FINGERPRINT: "no media",
        Feature.DIGESTS: "no media",
        Feature.OCR: "no media",
    }
    no_video = "no video in the media"
    of_pictures = (Feature.FRAMES, Feature.MOTION, Feature.OCR)
    assert batch[1].absent == dict.fromkeys(of_pictures, no_video)
    assert batch[1].audio is not None
    assert batch[2].absent[Feature.FRAMES] == "media is gone: no such file"
    assert "media.folders" in batch[3].absent[Feature.FRAMES]
    assert "media.hosts" in batch[4].absent[Feature.FINGERPRINT]
    assert "media cannot be read" in batch[5].absent[Feature.FRAMES]
    assert batch[5].fingerprint == 7


def test_one_bad_upload_takes_nothing_else_with_it(folder, monkeypatch):
    def fingerprinter(path):
        if path.name == "sound.wav":
            raise ZeroDivisionError("no luck")
        if path.name == "bad.mp4":
            raise MediaRefused("media refused: a reason")
        return 1

    real = extract.text_of

    def text_of(one, seen):
        if one.title == "bad":
            raise RuntimeError("boom")
        return real(one, seen)

    monkeypatch.setattr(extract, "text_of", text_of)
    extractor = made(folder, fingerprinter=fingerprinter)
    names = ["both.mp4", "sound.wav", "bad.mp4"]
    batch = extractor.extract(
        [upload(title="bad", media=(folder / name).as_uri()) for name in names]
        + [upload(title="good")]
    )
    assert batch[0].fingerprint == 1
    assert batch[0].absent[Feature.TEXT] == "text cannot be read: RuntimeError"
    assert batch[1].absent[Feature.FINGERPRINT] == "no fingerprint: ZeroDivisionError: no luck"
    assert batch[1].audio is not None
    assert batch[2].absent[Feature.FINGERPRINT] == "media refused: a reason"
    assert batch[3].embedding is not None


def test_an_embedding_that_fails_is_a_feature_lacking(folder, monkeypatch):
    from quorum.models.features import embedding

    def broken():
        raise OSError("no weights")

    monkeypatch.setattr(embedding, "shared_embedder", broken)
    (features,) = made(folder).extract([upload(title="hello")])
    assert features.text is not None
    assert features.absent[Feature.EMBEDDING] == "embedding failed: OSError"


def test_a_partial_text_says_so(folder):
    (features,) = made(folder, frozenset({Feature.TEXT})).extract([upload(title="word " * 20_000)])
    assert "50,000 characters" in features.partial[Feature.TEXT]


def test_a_downloaded_file_is_removed(folder, monkeypatch):
    seen = []

    def download(uri, access, out, admits, context):
        out.write((folder / "both.mp4").read_bytes())

    from quorum.models.media import fetch as media

    monkeypatch.setattr(media, "_download", download)
    extractor = Extractor(
        frozenset({Feature.FRAMES, Feature.FINGERPRINT}),
        MediaAccess(hosts=("example.org",)),
        lambda path: seen.append(path) or path.stat().st_size,
    )
    (features,) = extractor.extract([upload(media="https://example.org/a.mp4")])
    assert features.frames is not None
    assert features.fingerprint == (folder / "both.mp4").stat().st_size
    assert not seen[0].exists()


def test_a_reason_does_not_name_the_temporary_file(folder):
    def refuse(path):
        msg = f"{path.name} has neither video nor audio"
        raise InputError(msg)

    extractor = made(folder, fingerprinter=refuse)
    features = extractor.extract([upload(media=(folder / "both.mp4").as_uri())])[0]
    told = features.absent[Feature.FINGERPRINT]
    assert told == "no fingerprint: the media has neither video nor audio"


def test_a_fingerprint_keeps_to_the_limits(folder):
    video(folder / "long.mp4", seconds=6.0)
    needs = frozenset({Feature.FINGERPRINT})
    media = (folder / "long.mp4").as_uri()

    def found(**limits):
        access = MediaAccess(folders=(str(folder),), **limits)
        return Extractor(needs, access).extract([upload(media=media)])[0]

    assert found().fingerprint.notices == ()
    short = found(max_seconds=2.0).fingerprint
    assert short.notices == ("only the first 2 s were compared",)
    assert short.video.times.max() <= 2.0
    assert "64 x 48" in found(max_pixels=100).absent[Feature.FINGERPRINT]
