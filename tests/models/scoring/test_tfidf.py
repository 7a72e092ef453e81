import numpy as np
import pytest

from quorum.models.scoring.tfidf import TfidfLogistic

SPAM = ["check out my channel", "subscribe to my channel now", "free gift cards here", "free money"]
HAM = ["this song is great", "i love this video", "great video and song", "love the song"]


@pytest.fixture(scope="module")
def trained():
    return TfidfLogistic.fit((SPAM + HAM) * 2, [1] * 4 + [0] * 4 + [1] * 4 + [0] * 4)


def test_it_tells_them_apart(trained):
    odds = trained.decide(["my channel is free", "a great song"])
    assert odds[0] > 0 > odds[1]


def test_restored_it_decides_alike(trained):
    again = TfidfLogistic.restore(trained.as_tensors(), trained.as_document())
    texts = [*SPAM, *HAM, "", "unknown words entirely"]
    assert np.allclose(again.decide(texts), trained.decide(texts), atol=1e-5)


def test_training_is_deterministic(trained):
    again = TfidfLogistic.fit((SPAM + HAM) * 2, [1] * 4 + [0] * 4 + [1] * 4 + [0] * 4)
    assert all(
        np.array_equal(value, again.as_tensors()[name])
        for name, value in trained.as_tensors().items()
    )
    assert again.as_document() == trained.as_document()


@pytest.mark.parametrize("text", ["check out my channel", "free free song", "a song about money"])
def test_the_parts_of_words_sum_to_the_log_odds(trained, text):
    intercept = float(trained.as_tensors()["intercept"][0])
    total = sum(part for _, part in trained.words(text)) + intercept
    assert total == pytest.approx(float(trained.decide([text])[0]), abs=1e-6)


def test_words_are_ordered_by_what_they_weigh(trained):
    words = trained.words("love my channel")
    assert words[0][0] == "channel"
    assert words[-1][0] == "love"


def test_vectors_are_those_of_scikit_learn(trained):
    from scipy.sparse import hstack

    texts = [*SPAM, "free free free channel", "", "unknown"]
    theirs = hstack([made.transform(texts) for made in trained._vectorizers.values()])
    assert np.allclose(trained.vectors(texts).toarray(), theirs.toarray())
    assert np.allclose(trained.decide(texts), trained._model.decision_function(theirs.tocsr()))
