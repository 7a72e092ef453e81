"""The training data of the spam detector, each row as the field it stands in."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from quorum.models.registry.artifacts import TrainingData, digest_of_file
from quorum.models.spam.links import contacts_of
from quorum.models.spam.made import NOTICE, form_rows, made_rows
from quorum.models.spam.reading import FieldKind
from quorum.models.training.channels import channels_of

__all__ = ["Row", "comments_of", "read_sources", "uploads_of"]

#: The most rows that are taken of one source with one label, so that none outweighs the rest.
_MOST = 700


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled text.

    Attributes:
        kind: The field it stands in.
        text: As it was written.
        label: 1 for spam.
        source: Data set; evaluation leaves whole sources out.
        group: Channel, video or language within it: never split.
        harm: Kind of spam, such as ``scam``; empty if innocent.
        notice: Whether it is an honest notice or offer that looks like spam.
        composed: Whether it was put together for training, of texts of ``source`` and others:
            no figure is of it.
    """

    kind: FieldKind
    text: str
    label: int
    source: str
    group: str
    harm: str = ""
    notice: bool = False
    composed: bool = False


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {key: value or "" for key, value in row.items() if key is not None}
            for row in csv.DictReader(file)
        ]


def comments_of(path: Path) -> Iterator[tuple[str, int]]:
    """The comments of a video of the YouTube Spam Collection, with 1 for spam.

    The export ends all of them in an invisible character, but for most spam of one video.
    """
    for row in _table(path):
        yield row["CONTENT"].rstrip("\ufeff"), int(row["CLASS"])


def uploads_of(folder: Path) -> list[tuple[str, str, str]]:
    """Real uploads as (title, description, channel), each text once."""
    rows = _table(folder / "innocent.csv")
    seen: set[tuple[str, str]] = set()
    made = []
    for row, channel in zip(rows, channels_of(rows), strict=True):
        key = (row["title"], row["description"])
        if key not in seen and any(part.strip() for part in key):
            seen.add(key)
            made.append((*key, f"channel {channel}"))
    return made


def _sample(rows: Iterable[Row], rng: np.random.Generator, most: int = _MOST) -> list[Row]:
    """Each text once, and at most so many rows of each label, drawn at random."""
    by_label: dict[int, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        if row.text.strip():
            by_label[row.label].setdefault(row.text, row)
    made: list[Row] = []
    for label in sorted(by_label):
        every = list(by_label[label].values())
        chosen = rng.permutation(len(every))[:most]
        made.extend(every[index] for index in sorted(chosen))
    return made


def _placed(rows: list[Row], kinds: tuple[FieldKind, ...], rng: np.random.Generator) -> list[Row]:
    """Comments, put into other fields of an upload.

    Innocent ones, too: else the tone of a comment would tell spam, and people write their titles
    in that tone.
    """
    made: list[Row] = []
    for label, chance in ((1, rng), (0, np.random.default_rng(len(rows)))):
        chosen = [row for row in rows if row.label == label]
        for kind in kinds:
            for index in chance.permutation(len(chosen))[: _MOST // 2]:
                row = chosen[index]
                if kind is not FieldKind.TITLE or len(row.text) <= 150:
                    made.append(Row(kind, row.text, label, row.source, row.group, row.harm))
    return made


def _youtube_spam(folder: Path, rng: np.random.Generator) -> Iterator[Row]:
    for path in sorted(folder.glob("*.csv")):
        rows = [
            Row(FieldKind.COMMENT, text, label, "youtube_spam", path.stem,
                "promotion" if label else "")
            for text, label in comments_of(path)
        ]  # fmt: skip
        yield from rows
        # A call to subscribe is honest in a description, and bait as a title.
        yield from _placed(rows, (FieldKind.TITLE,), rng)
        innocent = [row for row in rows if not row.label]
        yield from _placed(innocent, (FieldKind.DESCRIPTION,), rng)


def _scam_comments(path: Path, source: str, harm: str, rng: np.random.Generator) -> Iterator[Row]:
    rows = _sample(
        (
            Row(FieldKind.COMMENT, row["text"], int(row["label"]), source, source,
                harm if row["label"] == "1" else "")
            for row in _table(path)
        ),
        rng,
    )  # fmt: skip
    yield from rows
    yield from _placed(rows, (FieldKind.TITLE, FieldKind.DESCRIPTION), rng)


def _innocent_uploads(folder: Path) -> Iterator[Row]:
    for title, description, channel in uploads_of(folder):
        if title.strip():
            yield Row(FieldKind.TITLE, title, 0, "youtube_uploads", channel)
        if description.strip():
            yield Row(FieldKind.DESCRIPTION, description, 0, "youtube_uploads", channel)


def _trending(folder: Path, rng: np.random.Generator) -> Iterator[Row]:
    made: list[Row] = []
    for path in sorted(folder.glob("*.csv")):
        for row in _table(path):
            group = f"trending {row['channel_title']}"
            made.append(Row(FieldKind.TITLE, row["title"], 0, "youtube_trending", group))
            tags = row["tags"].replace("|", ", ")
            if tags and tags != "[none]":
                made.append(Row(FieldKind.TAGS, tags, 0, "youtube_trending", group))
    yield from _sample(made, rng, 2 * _MOST)


def _remarks(folder: Path, rng: np.random.Generator) -> Iterator[Row]:
    """Comments and prompts that are no spam, whatever else they are."""
    columns = {
        "civil_comments.csv": ("text", "civil_comments"),
        "multilingual_hatecheck_es_fr_de.csv": ("text", "hatecheck"),
        "surge_toxicity_en.csv": ("text", "surge"),
    }
    for name, (column, source) in columns.items():
        path = folder / name
        if not path.is_file():
            continue
        rows = _table(path)
        key = column if rows and column in rows[0] else next(iter(rows[0]))
        yield from _sample(
            (
                Row(FieldKind.COMMENT, row[key], 0, source, source)
                for row in rows
                if not contacts_of(row[key]).links
            ),
            rng,
            _MOST // 3,
        )


def _made(rng: np.random.Generator) -> Iterator[Row]:
    for kind, text, label, language, harm in chain(made_rows(rng), form_rows(rng)):
        notice = harm == NOTICE
        yield Row(kind, text, label, "made", f"made {language}", "" if notice else harm, notice)


def read_sources(data: Path, seed: int = 0) -> tuple[list[Row], list[TrainingData]]:
    """All training rows below a folder, and where they are from; absent sources are left out.

    Args:
        data: Folder with the data sets, each in a folder of its own.
        seed: Of the samples.
    """
    rng = np.random.default_rng(seed)
    scams = data / "scam_comments"
    readers: list[tuple[str, str, list[Path], Callable[[], Iterator[Row]]]] = [
        ("YouTube Spam Collection (UCI 380)", "CC BY 4.0",
         sorted((data / "youtube_spam").glob("*.csv")),
         lambda: _youtube_spam(data / "youtube_spam", rng)),
        ("ScamSpot, comments under Instagram posts", "MIT", [scams / "scamspot_instagram.csv"],
         lambda: _scam_comments(scams / "scamspot_instagram.csv", "instagram", "scam", rng)),
        ("Indonesian comments with gambling advertisements (gbennnn)", "MIT",
         [scams / "judol_indonesian_youtube.csv"],
         lambda: _scam_comments(scams / "judol_indonesian_youtube.csv", "indonesian", "gambling",
                                rng)),
        ("Titles and descriptions of well-known channels (alejandromonux)", "MIT",
         [data / "youtube_uploads" / "innocent.csv"],
         lambda: _innocent_uploads(data / "youtube_uploads")),
        ("Trending video metadata", "CC0 1.0", sorted((data / "youtube_trending").glob("*.csv")),
         lambda: _trending(data / "youtube_trending", rng)),
        ("Civil Comments, Multilingual HateCheck, Surge toxicity: as innocent of spam",
         "CC0 1.0; CC BY 4.0; MIT", sorted((data / "threats").glob("*.csv")),
         lambda: _remarks(data / "threats", rng)),
    ]  # fmt: skip
    rows: list[Row] = []
    origins: list[TrainingData] = []
    for name, licence, paths, read in readers:
        if not paths or not all(path.is_file() for path in paths):
            continue
        made = list(read())
        rows.extend(made)
        counts = len(made)
        for path in paths:
            told = name if len(paths) == 1 else f"{name}, {path.name}"
            origins.append(TrainingData(told, licence, counts, digest_of_file(path)))
            counts = 0
    written = list(_made(rng))
    rows.extend(written)
    for name in (
        "innocent",
        "spam",
        "forms_innocent",
        "forms_spam",
        "remarks_innocent",
        "remarks_spam",
        "notices_innocent",
        "notices_spam",
    ):
        path = Path(__file__).parent / "made" / f"{name}.yaml"
        own = sum(row.label == ("spam" in name) for row in written) if "_" not in name else 0
        origins.append(TrainingData(f"written for Quorum, {path.name}", "Apache-2.0", own,
                                    digest_of_file(path)))  # fmt: skip
    return rows, origins
