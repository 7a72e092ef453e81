from hypothesis import given
from hypothesis import strategies as st

from quorum.models.scoring.segments import sentences, windows


def test_a_short_text_is_one_window_as_it_is():
    assert windows("one  two\nthree") == ["one  two\nthree"]


@given(st.integers(1, 500))
def test_windows_cover_every_word(count):
    words = [f"w{index}" for index in range(count)]
    made = windows(" ".join(words))
    assert {word for window in made for word in window.split()} == set(words)
    assert all(len(window.split()) <= 40 for window in made)


def test_no_more_windows_than_asked():
    assert len(windows("word " * 100_000, most=7)) == 7


def test_sentences_point_into_the_text():
    text = "  First one. Second!\nThird line\n\n?? "
    assert [text[start:end] for start, end in sentences(text)] == [
        "First one.",
        "Second!",
        "Third line",
    ]
