"""Ordinary texts that teach the student of the words, as the detector reads them.

Uploads, titles with tags and comments, whole and in parts. A quarter of the channels is left out
(``training.channels``), so that what the student settles can be measured on them.
"""

from __future__ import annotations

import csv
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from quorum.core.messages import Upload
from quorum.models.features.text import text_of
from quorum.models.registry.artifacts import TrainingData
from quorum.models.training.channels import channels_of, held_out
from quorum.models.violence.readings import readings_of

__all__ = ["FOR_STUDENT", "Ordinary", "channels", "ordinary", "origins_of"]

#: How the names of these sources end in a manifest.
FOR_STUDENT = ", for the student"
#: The most texts of each source and form.
_MOST = {
    "uploads": 600,
    "parts of uploads": 8_000,
    "titles": 2_000,
    "trending": 2_000,
    "parts of trending": 2_000,
}
_MOST_COMMENTS = 1_500
#: One in so many comments of a large source is read.
_READ = {"judol_indonesian_youtube": 5}
_AT = datetime(2026, 1, 1, tzinfo=UTC)
#: Name and licence by the first word of a source.
_NAMES = {
    "uploads": ("Clickbait_Detector-YT, real uploads", "MIT"),
    "titles": ("Clickbait_Detector-YT, titles", "MIT"),
    "trending": ("YouTube trending titles and tags", "CC0"),
    "comments": ("YouTube Spam Collection (UCI 380)", "CC BY 4.0"),
    "scamspot_instagram": ("ScamSpot/scamspot_ml-models, comments", "MIT"),
    "judol_indonesian_youtube": ("gbennnn/judol-comment-classification", "MIT"),
}


class Ordinary(NamedTuple):
    """A text of ordinary traffic.

    Attributes:
        text: Normalised, as the detector embeds it.
        source: Data set and form, such as ``parts of uploads``.
        group: Channel or comment: never split.
    """

    text: str
    source: str
    group: str


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return [
            {key: value or "" for key, value in row.items() if key} for row in csv.DictReader(file)
        ]


def _read(source: str, group: str, **fields: Any) -> Iterator[Ordinary]:
    """The whole text and its parts, as of an upload."""
    upload = Upload(id="lesson", uploader="dataset", published_at=_AT, **fields)
    for place, text in enumerate(readings_of(text_of(upload)[0]).texts):
        yield Ordinary(text, source if place == 0 else f"parts of {source}", group)


def _by_channel(data: Path) -> Iterator[tuple[dict[str, str], str]]:
    path = data / "youtube_uploads" / "innocent.csv"
    rows = _rows(path) if path.is_file() else []
    for row, channel in zip(rows, channels_of(rows), strict=True):
        yield row, f"channel {channel}"


def _trending_by_channel(data: Path) -> Iterator[tuple[dict[str, str], str]]:
    for path in sorted((data / "youtube_trending").glob("*.csv")):
        for row in _rows(path):
            yield row, f"trending {row['channel_title']}"


def channels(data: Path) -> dict[tuple[str, str], str]:
    """The channel of each source and group of sentences (``sources.innocents``)."""
    uploads = enumerate(_by_channel(data))
    return {
        **{("uploads", str(index)): channel for index, (_, channel) in uploads},
        **{("trending", row["channel_title"]): name for row, name in _trending_by_channel(data)},
    }


def _uploads(data: Path) -> Iterator[Ordinary]:
    for row, group in _by_channel(data):
        if not held_out(group):
            title, description = row["title"][:300], row["description"][:5000]
            yield from _read("uploads", group, title=title, description=description)
            yield from _read("titles", group, title=title)


def _trending(data: Path) -> Iterator[Ordinary]:
    for row, group in _trending_by_channel(data):
        if not held_out(group):
            tags = () if row["tags"] == "[none]" else tuple(row["tags"].split("|"))
            yield from _read("trending", group, title=row["title"])
            yield from _read("trending", group, title=row["title"], tags=tags)


def _comments(data: Path) -> Iterator[Ordinary]:
    for path in sorted((data / "youtube_spam").glob("*.csv")):
        for row in _rows(path):
            yield from _read(
                "comments", f"comments: {path.stem}", title="", comments=(row["CONTENT"],)
            )
    for name, one_in in (("scamspot_instagram", 1), *_READ.items()):
        path = data / "scam_comments" / f"{name}.csv"
        for index, row in enumerate(_rows(path) if path.is_file() else []):
            text = next(row[key] for key in ("text", "comment", "content") if key in row)
            if text.strip() and _chance(text) % one_in == 0:
                yield from _read(name, f"{name}: {index}", title="", comments=(text[:5000],))


def _chance(text: str) -> int:
    return zlib.crc32(text.encode(errors="replace"))


def ordinary(data: Path) -> list[Ordinary]:
    """Ordinary texts, each once, the same ones each time."""
    found: dict[str, Ordinary] = {}
    for one in (*_uploads(data), *_trending(data), *_comments(data)):
        found.setdefault(one.text, one)
    counts: dict[str, int] = {}
    kept = []
    for one in sorted(found.values(), key=lambda one: (one.source, _chance(one.text), one.text)):
        counts[one.source] = counts.get(one.source, 0) + 1
        if counts[one.source] <= _MOST.get(one.source, _MOST_COMMENTS):
            kept.append(one)
    return kept


def origins_of(lessons: Sequence[Ordinary]) -> tuple[TrainingData, ...]:
    """The data sets with the digest of the texts that were used."""
    made = []
    for source, (name, licence) in _NAMES.items():
        texts = [one.text for one in lessons if one.source.removeprefix("parts of ") == source]
        if texts:
            digest = hashlib.sha256("\n".join(texts).encode(errors="replace")).hexdigest()
            made.append(TrainingData(f"{name}{FOR_STUDENT}", licence, len(texts), digest))
    return tuple(made)
