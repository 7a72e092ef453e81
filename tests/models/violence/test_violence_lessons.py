"""Ordinary texts of the student: none of a channel that is kept for tests, each once."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from quorum.models.registry.artifacts import TrainingData, open_artifact
from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.student import Student
from quorum.models.training.channels import held_out
from quorum.models.violence import train_words
from quorum.models.violence.detector import ARTIFACT, STUDENT, ViolenceDetector
from quorum.models.violence.lessons import FOR_STUDENT, channels, ordinary, origins_of
from quorum.models.violence.sources import innocents
from quorum.models.violence.trainer import write_student


def table(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
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
    for name in ("scamspot_instagram", "judol_indonesian_youtube"):
        table(data / "scam_comments" / f"{name}.csv", ("text",), [(f"a comment of {name}",)])
    return data


@pytest.fixture(scope="module")
def lessons(data):
    return ordinary(data)


def test_channels_that_are_kept_for_tests_teach_nothing(lessons):
    groups = {one.group for one in lessons if one.group.startswith(("channel", "trending"))}
    kept = [f"trending Studio {index}" for index in range(40)]
    assert {one for one in kept if not held_out(one)} <= groups
    assert not any(held_out(one) for one in groups)
    assert any(held_out(one) for one in kept)


def test_nor_do_the_sentences_of_the_words_from_these_channels(data, lessons, monkeypatch):
    found = innocents(data)
    sentences = SimpleNamespace(
        read=[one.text for one in found],
        features=np.zeros((len(found), 1)),
        sources=np.array([one.source for one in found]),
        groups=np.array([one.group for one in found]),
    )
    network = SimpleNamespace(answer=lambda rows: SimpleNamespace(odds=np.zeros(len(rows))))
    given = {}

    def teach(texts, odds, groups, *_):
        given.update(zip(texts, groups, strict=True))
        assert len(odds) == len(texts)
        return None, {}

    monkeypatch.setattr(train_words, "teach", teach)
    train_words.taught(sentences, [], channels(data), network, Platt(1.0, 0.0), 0, print, None)
    assert "lovely song" in given
    trailers = {f"Trailer {index}": f"trending Studio {index}" for index in range(40)}
    assert trailers.items() & given.items() == {
        (title, channel) for title, channel in trailers.items() if not held_out(channel)
    }
    # What one channel says is in one fold, whether it teaches the words, the student or both.
    assert {group for group in given.values() if group.startswith("channel")} == {
        one.group for one in lessons if one.group.startswith("channel")
    }


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
