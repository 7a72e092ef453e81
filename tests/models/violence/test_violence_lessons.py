"""Ordinary texts of the student: none of a channel that is kept for tests, each once."""

import csv

import pytest

from quorum.models.registry.artifacts import TrainingData, open_artifact
from quorum.models.scoring.student import Student
from quorum.models.training.channels import held_out
from quorum.models.violence.detector import ARTIFACT, STUDENT, ViolenceDetector
from quorum.models.violence.lessons import FOR_STUDENT, ordinary, origins_of
from quorum.models.violence.trainer import write_student


def table(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture(scope="module")
def lessons(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    uploads = [
        (
            f"title number {index}",
            f"A video. More on https://site{index}.example/a\nThanks {index}.",
        )
        for index in range(40)
    ]
    table(data / "youtube_uploads" / "innocent.csv", ("title", "description"), uploads)
    titles = [(f"Trailer {index}", f"Studio {index}", "film|new" if index % 2 else "[none]")
              for index in range(40)]  # fmt: skip
    table(data / "youtube_trending" / "a.csv", ("title", "channel_title", "tags"), titles)
    comments = [("lovely song", "0"), ("lovely song", "0"), ("first!", "1")]
    table(data / "youtube_spam" / "Song.csv", ("CONTENT", "CLASS"), comments)
    return ordinary(data)


def test_channels_that_are_kept_for_tests_teach_nothing(lessons):
    channels = {one.group for one in lessons if one.group.startswith(("channel", "trending"))}
    kept = [f"trending Studio {index}" for index in range(40)]
    assert {one for one in kept if not held_out(one)} <= channels
    assert not any(held_out(one) for one in channels)
    assert any(held_out(one) for one in kept)


def test_texts_are_whole_and_in_parts_and_each_stands_once(lessons):
    texts = [one.text for one in lessons]
    assert len(texts) == len(set(texts))
    assert texts.count("lovely song") == 1
    sources = {one.source for one in lessons}
    assert {"uploads", "parts of uploads", "trending", "comments"} <= sources
    rows = {one.name.removesuffix(FOR_STUDENT): one.rows for one in origins_of(lessons)}
    assert sum(rows.values()) == len(lessons)


def test_a_new_student_changes_nothing_else(tmp_path):
    held = open_artifact(ARTIFACT, "violence")
    student = Student.restore(held.tensors(STUDENT))
    told = TrainingData(f"few texts{FOR_STUDENT}", "CC0", 3, "00")
    write_student(tmp_path, student, {"settled": 0.5}, [told], held, 0, "Apache-2.0")
    made = open_artifact(tmp_path, "violence")
    names = [one.name for one in made.manifest.training_data]
    before = [one.name for one in held.manifest.training_data]
    assert [one for one in names if FOR_STUDENT not in one] == [
        one for one in before if FOR_STUDENT not in one
    ]
    assert names.count(told.name) == 1
    assert made.document("model.json")["sources_of_text"] == names.index(told.name) + 1
    assert made.manifest.files.keys() == held.manifest.files.keys()
    assert made.manifest.files["words.safetensors"] == held.manifest.files["words.safetensors"]
    assert made.manifest.metrics["text"]["student"] == {"settled": 0.5}
    assert made.manifest.metrics["frames"] == held.manifest.metrics["frames"]
    assert ViolenceDetector(tmp_path).version != held.version
