from datetime import UTC, datetime

from quorum.core.messages import Upload
from quorum.models.features.text import MAX_CHARACTERS, evidence_of, language_of, text_of
from quorum.models.media.lines import MediaLine


def upload(**fields):
    return Upload(id="u", uploader="x", published_at=datetime(2026, 1, 1, tzinfo=UTC), **fields)


def test_fields_are_named_by_their_place_and_empty_ones_left_out():
    text, whole = text_of(
        upload(title="One", tags=("", "two"), comments=("three", "  ")),
        [MediaLine("four", 2.0, 4.0)],
    )
    assert dict(text.fields) == {
        "title": "One",
        "tags[1]": "two",
        "comments[0]": "three",
        "frames[0]": "four",
    }
    assert text.joined == "One\ntwo\nthree\nfour"
    assert text.normalised == "one\ntwo\nthree\nfour"
    assert text.own == "one\ntwo\nthree"
    assert text.in_frames == "four"
    assert text.seen == {"frames[0]": (2.0, 4.0)}
    assert whole


def test_words_of_frames_alone_are_no_own_words():
    text, _ = text_of(upload(), [MediaLine("Four", 0.0, 0.0), MediaLine("five", 2.0, 2.0)])
    assert text.own == ""
    assert text.in_frames == text.normalised == "four\nfive"


def test_the_language_is_that_of_the_own_words():
    said = "Bonjour tout le monde, voici notre nouvelle recette de cuisine"
    line = MediaLine("Subscribe to my channel and win a lot of free gift cards today", 0.0, 0.0)
    assert text_of(upload(title=said), [line])[0].language == "fr"
    assert text_of(upload(title="👍"), [line])[0].language == "en"


def test_evidence_of_frames_tells_seconds_and_other_evidence_characters():
    text, _ = text_of(upload(title="One two"), [MediaLine("three four", 2.0, 4.0)])
    own = evidence_of(text, "title", 0, 3, "One", 0.5)
    seen = evidence_of(text, "frames[0]", 6, 10, "four", 0.5)
    assert (own.kind, own.field, own.start, own.end) == ("text", "title", 0, 3)
    assert (seen.kind, seen.field, seen.start, seen.end) == ("video", "frames", 2.0, 4.0)


def test_language_is_told_or_taken_from_the_upload():
    said = "Bonjour tout le monde, voici notre nouvelle recette de cuisine"
    assert text_of(upload(title=said))[0].language == "fr"
    assert text_of(upload(title=said, language="de"))[0].language == "de"
    assert language_of("👍👍👍") is None


def test_of_a_vast_text_only_the_beginning_is_read():
    text, whole = text_of(upload(title="word " * 200_000))
    assert not whole
    assert len(text.joined) == MAX_CHARACTERS
