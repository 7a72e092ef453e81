from hypothesis import given
from hypothesis import strategies as st

from quorum.models.scoring.segments import passages_of, segments_of, sentences, windows


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


@given(st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_segments_cover_every_word_and_never_cross_lines(lengths):
    lines = [[f"l{row}w{index}" for index in range(count)] for row, count in enumerate(lengths)]
    text = "\n".join(" ".join(line) for line in lines)
    made = segments_of(text)
    assert {word for one in made for word in one.split()} == {w for line in lines for w in line}
    if sum(lengths) <= 60:
        assert made == [text]
    else:
        assert all("\n" not in one for one in made)
        assert all(len(one.split()) <= 40 for one in made)


def test_segments_are_limited():
    assert len(segments_of("word " * 20_000)) <= 1000


@given(st.lists(st.integers(0, 200), min_size=1, max_size=30))
def test_passages_are_few_and_leave_nothing_out(lengths):
    text = "\n".join(" ".join(f"l{row}w{n}" for n in range(count)) for row, count in
                     enumerate(lengths))  # fmt: skip
    made = passages_of(text)
    assert (made == []) == (sum(lengths) <= 40)
    assert len(made) <= 16
    assert not made or {w for one in made for w in one.split()} == set(text.split())
