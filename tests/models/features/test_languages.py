"""The language gate: what is not covered is not judged, and hides nothing that is."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.core.errors import ArtifactError
from quorum.core.messages import Status, Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Feature, Features, Finding
from quorum.models.features.extract import Extractor
from quorum.models.features.languages import Languages
from quorum.models.features.text import text_of
from quorum.models.spam.detector import SpamDetector
from quorum.models.violence.detector import ViolenceDetector

ENGLISH = Languages(["en"])
FOREIGN = [
    "Das Wetter ist heute wirklich schön, wir gehen alle zusammen spazieren",
    "Hoy hace muy buen tiempo y vamos todos juntos al parque de la ciudad",
    "Сегодня очень хорошая погода, мы все вместе идём гулять в парк",
    "今日はとてもいい天気ですから公園へ行きましょう",
    "今天天气很好我们一起去公园散步吧",
    "วันนี้อากาศดีมาก เราไปเดินเล่นในสวนกัน",
    "오늘은 날씨가 아주 좋아서 공원에 갑니다",
    "الطقس جميل جدا اليوم ونحن ذاهبون إلى الحديقة",
]
THREAT = "I will find you and kill you"


def upload(**fields):
    return Upload(id="u", uploader="x", published_at=datetime(2026, 1, 1, tzinfo=UTC), **fields)


def text(**fields):
    return text_of(upload(**fields))[0]


@pytest.mark.parametrize("words", FOREIGN)
def test_a_language_that_is_not_covered_is_told(words):
    found = ENGLISH.read(text(title=words))
    assert (found.text, found.unread) == (None, 1.0)
    assert found.reason.startswith("language not covered: ")


@pytest.mark.parametrize(
    ("words", "code"),
    list(zip(FOREIGN, ["de", "es", "ru", "ja", "zh", "th", "ko", "ar"], strict=True)),
)
def test_a_covered_language_is_read_whole(words, code):
    given_text = text(title=words, description="And a line of English for those who read it.")
    found = Languages(["en", code]).read(given_text)
    assert found.text is given_text and found.reason == ""


@pytest.mark.parametrize("words", ["ok", "lol xD", "kill him", "Vlog 12", "👍👍", "12:30", "free"])
def test_what_is_too_short_to_tell_is_read(words):
    assert ENGLISH.read(text(title=words)).reason == ""


@pytest.mark.parametrize("beside", FOREIGN)
def test_a_foreign_line_hides_no_threat(beside):
    for fields in (
        {"title": THREAT, "description": beside},
        {"title": f"{beside}\n{THREAT}\n{beside}"},
        {"title": f"{beside} {THREAT} {beside}"[:300]},
    ):
        found = ENGLISH.read(text(**fields))
        assert found.text is not None
        assert "kill you" in found.text.normalised


@pytest.mark.parametrize(
    "words",
    [
        "І wіll fіnd уоu аnd kіll уоu аnd уоur fаmіlу",
        "I w\u200bill f\u200bind y\u200bou and k\u200bill you",
        "𝕴 𝖜𝖎𝖑𝖑 𝖋𝖎𝖓𝖉 𝖞𝖔𝖚 𝖆𝖓𝖉 𝖐𝖎𝖑𝖑 𝖞𝖔𝖚",
        "1 w1ll f1nd y0u 4nd k1ll y0u and your f4m1ly",
    ],
)
def test_look_alike_letters_do_not_make_english_foreign(words):
    assert ENGLISH.read(text(title=words)).reason == ""


def test_what_an_uploader_declares_is_not_believed():
    assert ENGLISH.read(text(title=THREAT, language="th")).reason == ""
    assert ENGLISH.read(text(title=FOREIGN[0], language="en")).text is None


def test_places_in_fields_hold_where_words_are_left_out():
    both = text(title=THREAT, description=f"{FOREIGN[5]}\n{THREAT}")
    left = ENGLISH.read(both).text
    assert {name: len(value) for name, value in left.fields.items()} == {
        name: len(value) for name, value in both.fields.items()
    }
    place = both.fields["description"].index(THREAT)
    assert left.fields["description"][place:] == THREAT
    assert left.fields["description"][:place].isspace()


def finding_of(detector, **fields):
    extractor = Extractor(detector.needs, MediaAccess())
    return detector.score(extractor.extract([upload(**fields)]))[0]


@pytest.fixture(scope="module", params=[SpamDetector, ViolenceDetector])
def detector(request):
    made = request.param()
    made._languages = ENGLISH
    return made


def test_a_detector_abstains_with_the_reason(detector):
    finding = finding_of(detector, title=FOREIGN[2])
    assert finding.status is Status.ABSTAINED
    assert "language not covered: " in finding.reason
    assert "no text" not in finding.reason


def test_a_high_score_stands_beside_foreign_words():
    made = ViolenceDetector()
    made._languages = ENGLISH
    finding = finding_of(made, title=THREAT, description="\n".join(FOREIGN))
    assert finding.score >= 0.5


def test_a_low_score_of_a_small_part_is_no_finding(detector):
    mostly = finding_of(detector, title="A walk by the sea", description="\n".join(FOREIGN))
    assert mostly.status is Status.ABSTAINED
    assert "; the rest scores 0." in mostly.reason
    partly = finding_of(
        detector, title="A walk by the sea with my dog on a sunny day", tags=(FOREIGN[4],)
    )
    assert partly.status is Status.SCORED and partly.score < 0.5


def test_a_failure_stays_a_failure():
    features = Features(upload(title=FOREIGN[0]), text(title=FOREIGN[0]))
    (finding,) = ENGLISH.judged([features], lambda read: [Finding.failed("broken")])
    assert (finding.status, finding.reason) == (Status.FAILED, "broken")
    features = Features(upload(), None, absent={Feature.TEXT: "no text"})
    (finding,) = ENGLISH.judged([features], lambda read: [Finding.without(read[0], Feature.TEXT)])
    assert (finding.status, finding.reason) == (Status.ABSTAINED, "no text")


@given(st.text(max_size=200))
def test_any_text_is_read_or_told(words):
    found = ENGLISH.read(text(title=words))
    assert 0.0 <= found.unread <= 1.0
    assert (found.text is None) == (found.unread == 1.0)
    if found.text is not None and words.strip():
        assert len(found.text.fields["title"]) == len(words)


def test_languages_of_an_artifact():
    assert Languages.from_document({}).codes == {"en"}
    assert Languages.from_document({"languages": ["*"]}).read(text(title=FOREIGN[0])).reason == ""
    for wrong in ([], "en", [1], None):
        with pytest.raises(ArtifactError, match="list of ISO 639-1 codes"):
            Languages.from_document({"languages": wrong})
