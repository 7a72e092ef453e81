from datetime import UTC, datetime

from models.features.text import MAX_CHARACTERS, language_of, text_of
from quorum.messages import Upload


def upload(**fields):
    return Upload(id="u", uploader="x", published_at=datetime(2026, 1, 1, tzinfo=UTC), **fields)


def test_fields_are_named_by_their_place_and_empty_ones_left_out():
    text, whole = text_of(
        upload(title="One", tags=("", "two"), comments=("three", "  ")), frames="four"
    )
    assert dict(text.fields) == {
        "title": "One",
        "tags[1]": "two",
        "comments[0]": "three",
        "frames": "four",
    }
    assert text.joined == "One\ntwo\nthree\nfour"
    assert text.normalised == "one\ntwo\nthree\nfour"
    assert whole


def test_language_is_told_or_taken_from_the_upload():
    said = "Bonjour tout le monde, voici notre nouvelle recette de cuisine"
    assert text_of(upload(title=said))[0].language == "fr"
    assert text_of(upload(title=said, language="de"))[0].language == "de"
    assert language_of("👍👍👍") is None


def test_of_a_vast_text_only_the_beginning_is_read():
    text, whole = text_of(upload(title="word " * 200_000))
    assert not whole
    assert len(text.joined) == MAX_CHARACTERS
