from datetime import UTC, datetime

from quorum.core.messages import Upload
from quorum.models.features.text import text_of
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
