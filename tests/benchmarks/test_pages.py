"""How the commands of a page are found, and how what they print is compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.page_files import PAGES
from benchmarks.pages import Command, commands, differences, is_service

ROOT = Path(__file__).resolve().parents[2]

PAGE = """
# Title

```sh
# only words
quorum ledger init   # a comment
quorum batch --input a.csv \\
  --column id=x

cat > s.yaml <<'YAML'
detectors:

  spam: {}
YAML
```

```yaml
not: a command
```

<!-- prints: quorum policy check a.yaml -->
```
it is fine
…
```

```sh
quorum models list
```

And this comes of it:

<!-- prints -->
```
spam
```
"""


def test_commands_are_found_in_their_order_and_with_their_lines() -> None:
    assert commands(PAGE) == [
        Command("quorum ledger init   # a comment", 6),
        Command("quorum batch --input a.csv \\\n  --column id=x", 7),
        Command("cat > s.yaml <<'YAML'\ndetectors:\n\n  spam: {}\nYAML", 10),
        Command("quorum policy check a.yaml", 23, "it is fine\n…\n"),
        Command("quorum models list", 28, "spam\n"),
    ]


@pytest.mark.parametrize(
    ("command", "serves"),
    [
        ("quorum serve --settings a.yaml &", True),
        ("quorum serve --new-key shop", False),
        ("quorum console --port 1", True),
        ("quorum console create-user ana", False),
        ("quorum stream --uploads projects/p/subscriptions/s", True),
        ("quorum stream --uploads uploads.jsonl", False),
        ("python -m examples.rides.serve &", True),
        ("quorum topics create --project p", False),
    ],
)
def test_what_runs_until_it_is_stopped_is_a_service(command: str, serves: bool) -> None:
    assert is_service(command) is serves


@pytest.mark.parametrize(
    ("page", "printed", "same"),
    [
        ("version 0123456789abcdef", "version fedcba9876543210", True),
        ("read in 1.5 s (3/s)", "read in 20.1 s (400/s)", True),
        ("from 2026-01-31 12:00 UTC", "from 2027-02-01 13:30 UTC", True),
        ("3 removed", "4 removed", False),
        ("first\n…\nlast", "first\nmore\nand more\nlast", True),
        ("first\n…\nlast", "first\nmore", False),
        ("it says … here", "it says any thing here", True),
        ("[a] (b)", "\x1b[1m[a] (b)\x1b[0m  \n", True),
        ("a", "a\nand more", False),
    ],
    ids=["digest", "duration", "time", "count", "lines", "no end", "words", "colour", "more"],
)
def test_what_varies_is_left_out_of_the_comparison(page: str, printed: str, same: bool) -> None:
    assert (differences(page, printed) == "") is same


def test_every_page_with_commands_is_followed() -> None:
    found = {
        str(page.relative_to(ROOT))
        for folder in (".", "docs", "deploy", "recipes", "examples")
        for page in (ROOT.glob("*.md") if folder == "." else (ROOT / folder).rglob("*.md"))
        if re.search(r"^```sh\n", page.read_text(encoding="utf-8"), re.M)
    }
    assert found - {"CHANGELOG.md"} <= set(PAGES)
