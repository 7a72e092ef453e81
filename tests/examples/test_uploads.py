from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import av
import pytest

from quorum.core.errors import MalformedMessage
from quorum.core.messages import Upload

FOLDER = Path(__file__).parents[2] / "examples"
LINES = (FOLDER / "uploads.jsonl").read_bytes().splitlines()
LICENCES = ("CC-BY-4.0", "CC-BY-3.0", "CC0-1.0", "MIT", "Apache-2.0", "public domain")


def readable() -> list[Upload]:
    made = []
    for line in LINES:
        try:
            made.append(Upload.from_bytes(line))
        except MalformedMessage:
            continue
    return made


def media_of(uploads: list[Upload]) -> set[str]:
    return {upload.media for upload in uploads if upload.media}


def test_about_sixty_messages_two_of_them_malformed():
    assert 55 <= len(LINES) <= 65
    assert len(LINES) - len(readable()) == 2


def test_the_malformed_ones_are_no_json_and_of_the_wrong_shape():
    told = []
    for line in LINES:
        try:
            Upload.from_bytes(line)
        except MalformedMessage as error:
            told.append(str(error))
    assert sum("Invalid JSON" in text for text in told) == 1
    assert sum("published_at" in text for text in told) == 1


def test_one_exact_duplicate_and_no_other_id_twice():
    twice = [line for line, count in Counter(LINES).items() if count > 1]
    assert len(twice) == 1
    assert Counter(LINES)[twice[0]] == 2
    ids = Counter(upload.id for upload in readable())
    assert [count for count in ids.values() if count > 1] == [2]


@pytest.mark.parametrize("upload", readable(), ids=lambda upload: upload.id)
def test_each_text_has_its_origin_and_licence(upload):
    attribution = upload.model_extra["attribution"]
    told = dict(part.split(": ", 1) for part in attribution.split("; "))
    texts = {"title": upload.title, "description": upload.description}
    texts |= {f"comments[{n}]": text for n, text in enumerate(upload.comments)}
    assert {name for name, text in texts.items() if text} == told.keys() - {"media"}
    assert all(origin.endswith(LICENCES) for origin in told.values())


def test_origins_are_in_the_readme():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for upload in readable():
        for part in upload.model_extra["attribution"].split("; "):
            origin = re.split(r"[,(]", part.split(": ", 1)[1])[0].strip()
            assert origin in readme


def test_media_is_relative_and_there_but_for_the_one_that_is_gone():
    named = media_of(readable())
    assert all(re.fullmatch(r"media/[\w.-]+", media) for media in named)
    assert {media for media in named if not (FOLDER / media).exists()} == {"media/gone.mp4"}


def test_each_clip_is_used_small_and_readable_but_for_the_damaged_one():
    files = {file for file in (FOLDER / "media").iterdir() if file.suffix in (".mp4", ".mkv")}
    works = json.loads((FOLDER / "media" / "works.json").read_text(encoding="utf-8"))["works"]
    used = {FOLDER / media for media in media_of(readable())}
    used |= {FOLDER / "media" / work["file"] for work in works}
    assert files == {file for file in used if file.exists()}
    assert all(file.stat().st_size < 300_000 for file in files)
    assert sum(file.stat().st_size for file in files) < 3_000_000
    for file in files - {FOLDER / "media" / "damaged.mp4"}:
        with av.open(str(file)) as clip:
            assert sum(1 for _ in clip.decode(video=0)) >= 90
    with pytest.raises(av.error.InvalidDataError):
        av.open(str(FOLDER / "media" / "damaged.mp4"))


def test_works_are_described():
    works = json.loads((FOLDER / "media" / "works.json").read_text(encoding="utf-8"))["works"]
    assert works
    for work in works:
        assert work.keys() == {"id", "title", "owner", "licence", "file"}
        assert (FOLDER / "media" / work["file"]).is_file()
        assert work["licence"].startswith(LICENCES)
    assert len({work["id"] for work in works}) == len(works)
