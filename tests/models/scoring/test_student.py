"""A student settles only what it surely knows to be innocent."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.models.scoring import teaching
from quorum.models.scoring.student import Student, Tokens
from quorum.models.scoring.teaching import teach

_WORDS = [
    "river", "garden", "music", "travel", "bread", "morning", "camera", "mountain", "friend",
    "summer", "video", "song", "park", "winter", "kitchen", "story", "school", "football", "city",
    "beach", "dinner", "picture", "family", "holiday", "train",
]  # fmt: skip
_HARM = ["hurt", "attack", "destroy"]
#: Not in any lesson: one near to harm, the others near to nothing.
_NEAR, _STRANGE = "smash", ["zqxj", "vwkq", "pfgh"]
FLOOR = 0.25


class Words:
    """A vocabulary of a few words; those of harm point one way, and one that is never taught."""

    def __init__(self):
        self._words = [*_WORDS, *_HARM, _NEAR, *_STRANGE]
        self._vectors = np.random.default_rng(5).normal(size=(len(self._words), 16))
        harm = [self._words.index(one) for one in (*_HARM, _NEAR)]
        self._vectors[harm] *= 0.3
        self._vectors[harm, 0] += 6.0
        self.size = len(self._words)

    def own_tokens(self, text):
        return [self._words.index(one) for one in text.split() if one in self._words]

    def vectors(self, tokens):
        return self._vectors[tokens].astype(np.float32)


WORDS = Words()


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
    return teach(*lesson_texts(), FLOOR, WORDS)


def test_a_student_settles_most_innocent_texts_and_no_harmful_ones(taught):
    student, report = taught
    texts, odds, *_ = lesson_texts(600, seed=1)
    settled = student.settles(texts, WORDS)
    assert settled[odds < 0].mean() > 0.8
    assert settled[odds > 0].mean() <= 0.01
    assert report["settled"] > 0.6
    assert (report["ordinary"], report["harmful_over_the_floor"]) == (1350, 150)
    assert report["ordinary_missed"] <= 0.0005 * report["ordinary"]
    assert report["harmful_missed"] <= 0.005 * report["harmful_over_the_floor"]
    assert report["agreement"] >= 0.999
    assert 0.0 < student.score < FLOOR / 2


def test_a_word_of_harm_that_it_never_saw_is_near_one_that_it_did(taught):
    student, _ = taught
    calm = " ".join(_WORDS[:9])
    odds = student.odds([calm, f"{calm} {_NEAR}", f"{calm} {_HARM[0]}"], WORDS)
    assert odds[0] < student.cut < odds[1]
    assert odds[0] < student.cut < odds[2]


@pytest.mark.parametrize("text", ["", "👍", "unheard words", " ".join(_STRANGE), "river zqxj"])
def test_what_it_never_saw_it_does_not_settle(taught, text):
    assert not taught[0].settles([text], WORDS).any()


def test_the_same_seed_makes_the_same_student(taught):
    again, _ = teach(*lesson_texts(), FLOOR, WORDS)
    for name, array in again.as_tensors().items():
        np.testing.assert_array_equal(array, taught[0].as_tensors()[name])


def test_a_restored_student_is_the_same(taught):
    student = taught[0]
    again = Student.restore(student.as_tensors())
    texts = lesson_texts(50, seed=2)[0]
    np.testing.assert_array_equal(again.odds(texts, WORDS), student.odds(texts, WORDS))
    np.testing.assert_array_equal(again.settles(texts, WORDS), student.settles(texts, WORDS))


def test_a_student_needs_texts_over_the_floor_and_several_sources():
    texts, odds, sources, ordinary = lesson_texts(50)
    with pytest.raises(ValueError, match="texts over the floor"):
        teach(texts, odds * 0 - 5, sources, ordinary, FLOOR, WORDS)
    with pytest.raises(ValueError, match="several sources"):
        teach(texts, odds, ["one"] * len(texts), ordinary, FLOOR, WORDS)


@given(
    st.lists(st.lists(st.sampled_from(_WORDS), max_size=6).map(" ".join), min_size=1, max_size=6)
)
def test_the_odds_of_a_text_do_not_depend_on_its_neighbours(taught, texts):
    student = taught[0]
    together = student.odds(texts, WORDS)
    for index, text in enumerate(texts):
        np.testing.assert_allclose(student.odds([text], WORDS), together[index], rtol=1e-4)


def test_the_gradients_are_those_of_the_loss():
    rng = np.random.default_rng(3)
    held = Tokens(np.array([1, 2, 3, 4, 0]), np.array([3, 2]))
    table = np.vstack([rng.normal(size=(5, 6)), np.zeros((1, 6))]).astype(np.float32)
    soft = np.array([0.9, 0.2], dtype=np.float32)
    hidden = 4
    weights = [
        rng.normal(size=(3, 6, hidden)).astype(np.float32),
        rng.normal(size=hidden).astype(np.float32),
        rng.normal(size=2 * hidden).astype(np.float32),
        np.zeros(1, dtype=np.float32),
    ]

    class Never:
        """Drops nothing."""

        def random(self, shape, dtype=np.float64):
            return np.full(shape, 0.99, dtype=dtype)

    def loss():
        places = teaching.padded(held, held.tokens, 5)
        products = (table[places] @ weights[0].transpose(1, 0, 2).reshape(6, -1)).reshape(-1, 3, 4)
        _, pooled = teaching.forward(products, held.lengths, weights[1])
        odds = pooled / 0.7 @ weights[2] + weights[3][0]
        return float(np.mean(np.logaddexp(0, odds) - soft * odds))

    slopes = teaching._slopes(weights, table, held, soft, Never())
    for weight, slope in zip(weights, slopes, strict=True):
        flat, told = weight.reshape(-1), slope.reshape(-1)
        for place in range(0, len(flat), max(1, len(flat) // 7)):
            before = flat[place]
            flat[place] = before + 1e-2
            above = loss()
            flat[place] = before - 1e-2
            below = loss()
            flat[place] = before
            assert told[place] == pytest.approx((above - below) / 2e-2, abs=2e-3)
