from datetime import UTC, datetime

import pytest

from quorum.core.messages import Upload
from quorum.models.detectors import Features
from quorum.models.features.text import text_of
from quorum.models.spam.detector import SpamDetector
from quorum.models.spam.evidence import locate


def test_words_are_found_where_they_stand_before_normalising():
    upload = Upload(
        id="u",
        uploader="x",
        title="fine title",
        description="go s u b s c r i b e at http://spam.example.com/x?y",
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    text, _ = text_of(upload)
    found = locate([("subscribe", 3.0), ("url", 1.0), ("absent", 0.5), ("go", -1.0)], text)
    assert [(one.field, one.what) for one in found] == [
        ("description", "s u b s c r i b e"),
        ("description", "a link: http://spam.example.com/x?y"),
    ]
    first = found[0]
    assert upload.description[int(first.start) : int(first.end)] == "s u b s c r i b e"
    assert first.weight == round(3.0 / 4.5, 4)


@pytest.mark.parametrize("backwards", [False, True])
def test_what_is_written_backwards_is_found_and_shown_as_it_stands(backwards):
    spam = "Subscribe to my channel for free gift cards at http://free-cards.xyz"
    written = spam[::-1] if backwards else spam
    at = datetime(2026, 1, 1, tzinfo=UTC)
    upload = Upload(id="u", uploader="x", title="hello", comments=(written,), published_at=at)
    (found,) = SpamDetector().score([Features(upload, text_of(upload)[0])])
    assert found.score is not None and found.score > 0.5
    first = found.evidence[0]
    assert first.field == "comments[0]"
    assert written[int(first.start or 0) : int(first.end or 0)] == written
