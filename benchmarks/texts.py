"""Uploads for benchmarks: real texts if ../shared/data exists, else those of the examples."""

from __future__ import annotations

import csv
import json
import os
from itertools import cycle, islice
from pathlib import Path

from quorum.core.messages import Upload

__all__ = ["texts", "uploads"]

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("QUORUM_DATA", ROOT.parent / "shared" / "data"))


def texts() -> tuple[list[str], str]:
    """Texts of comments and titles, and their source."""
    found: list[str] = []
    for file in sorted((DATA / "youtube_spam").glob("*.csv")):
        with file.open(encoding="utf-8-sig", newline="") as rows:
            found += [row["CONTENT"] for row in csv.DictReader(rows)]
    if found:
        return found, "YouTube Spam Collection"
    for line in (ROOT / "examples" / "uploads.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            found.append(str(json.loads(line)["title"]))
        except (ValueError, KeyError):
            continue
    return found, "the shipped examples"


def uploads(count: int) -> tuple[list[Upload], str]:
    """A number of uploads with one text each; texts repeat if there are too few."""
    found, origin = texts()
    return [
        Upload.model_validate_json(
            json.dumps(
                {
                    "id": f"u{number}",
                    "uploader": f"by-{number % 97}",
                    "title": text[:300],
                    "published_at": f"2026-01-{1 + number % 28:02}T12:00:00Z",
                }
            )
        )
        for number, text in enumerate(islice(cycle(found), count))
    ], origin
