"""Values that no browser sends are refused or ignored; none of them is an error of the server."""

from __future__ import annotations

import pytest

DIGITS = "9" * 400


@pytest.mark.parametrize(
    ("url", "name", "values"),
    [
        ("/queue", "severity", ("\u00b2", DIGITS)),
        ("/queue", "hours", ("\u00b2", DIGITS)),
        ("/queue", "page", (DIGITS,)),
        ("/audit", "before", (DIGITS, "2147483648", "-1")),
        ("/appeals", "before", (DIGITS, "0001-01-01T00:00:00+23:59,a", f"{DIGITS},a")),
        ("/search", "since", (DIGITS, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")),
        ("/search", "until", ("9999-12-31T23:59:59-23:59", "\x00")),
        ("/search", "after", (DIGITS, "\x00")),
        ("/case/frame", "at", (DIGITS, "1e400", "nan")),
        ("/case/frame", "upload", ("\x00", "a" * 5000)),
    ],
)
def test_it_is_refused_or_ignored(console, url, name, values):
    root = console("root")
    for value in values:
        assert root.get(url, params={name: value}).status_code in (200, 404, 422)
