"""A student settles only what it surely knows to be innocent."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.models.scoring.student import Student, _grams

_WORDS = [
    "river", "garden", "music", "travel", "bread", "morning", "camera", "mountain", "friend",
    "summer", "video", "song", "park", "winter", "kitchen", "story", "school", "football", "city",
    "beach", "dinner", "picture", "family", "holiday", "train",
]  # fmt: skip
_HARM = ["hurt", "attack", "destroy"]
FLOOR = 0.25


def lesson_texts(count=1500, seed=0):
    chance = random.Random(seed)
    texts, odds, sources, ordinary = [], [], [], []
    for index in range(count):
        words = chance.choices(_WORDS, k=chance.randint(6, 14))
        harmful = index % 5 == 0
        if harmful:
            words.insert(chance.randrange(len(words)), chance.choice(_HARM))
        texts.append(" ".join(words))
        odds.append(3.0 + chance.random() if harmful else -5.0 - chance.random())
        sources.append(f"source {index % 6}")
        ordinary.append(index % 10 != 0)
    return texts, np.array(odds), sources, np.array(ordinary)


@pytest.fixture(scope="module")
def taught():
    return Student.fit(*lesson_texts(), FLOOR)


def test_a_student_settles_most_innocent_texts_and_no_harmful_ones(taught):
    student, lesson = taught
    texts, odds, *_ = lesson_texts(600, seed=1)
    settled = student.settles(texts)
    assert settled[odds < 0].mean() > 0.8
    assert settled[odds > 0].mean() <= 0.01
    assert lesson.settled > 0.6
    assert (lesson.rows, lesson.harmful) == (1350, 150)
    assert lesson.missed <= 0.0005 * lesson.rows
    assert lesson.harmful_missed <= 0.01 * lesson.harmful
    assert 0.0 < student.score < FLOOR / 2
    assert lesson.as_document()["agreement"] >= 0.999


@pytest.mark.parametrize(
    "text",
    ["", "👍", "今日はとてもいい天気ですね", "Сегодня очень хорошая погода", "zqxj vwkq pfgh"],
)
def test_what_it_never_saw_it_does_not_settle(taught, text):
    assert not taught[0].settles([text]).any()


def test_a_restored_student_is_the_same(taught):
    student = taught[0]
    again = Student.restore(student.as_tensors())
    texts = lesson_texts(50, seed=2)[0]
    np.testing.assert_array_equal(again.odds(texts), student.odds(texts))
    np.testing.assert_array_equal(again.settles(texts), student.settles(texts))
    assert sum(array.nbytes for array in student.as_tensors().values()) < 1_000_000


def test_a_student_needs_texts_over_the_floor_and_several_sources():
    texts, odds, sources, ordinary = lesson_texts(50)
    with pytest.raises(ValueError, match="texts over the floor"):
        Student.fit(texts, odds * 0 - 5, sources, ordinary, FLOOR)
    with pytest.raises(ValueError, match="several sources"):
        Student.fit(texts, odds, ["one"] * len(texts), ordinary, FLOOR)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6))
def test_the_grams_of_a_text_do_not_depend_on_its_neighbours(texts):
    together = _grams(texts)
    for index, text in enumerate(texts):
        alone = _grams([text])
        np.testing.assert_array_equal(together.hashes[together.owner == index], alone.hashes)
