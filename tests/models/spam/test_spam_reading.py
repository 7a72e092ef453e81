from dataclasses import replace

from quorum.models.spam.detector import SpamDetector
from quorum.models.spam.judge import judge
from quorum.models.spam.reading import FieldKind, units_of

LINE = "a line of nine words that belong to nobody here"


def test_each_field_is_a_unit_and_tags_are_one():
    made = units_of(
        {
            "title": "one",
            "description": "two",
            "tags[0]": "three",
            "tags[1]": "four",
            "comments[0]": "five",
            "comments[1]": "six",
            "frames[0]": "seven",
            "frames[1]": "eight",
        }
    )
    assert [unit.kind for unit in made] == [
        FieldKind.TITLE,
        FieldKind.DESCRIPTION,
        FieldKind.COMMENT,
        FieldKind.COMMENT,
        FieldKind.TAGS,
        FieldKind.FRAMES,
    ]
    assert [unit.parts[0].raw for unit in made][-2:] == ["three, four", "seven\neight"]


def test_a_long_description_is_read_in_parts_that_leave_nothing_out():
    text = "\n".join(f"{LINE} {number}" for number in range(40))
    (unit,) = units_of({"description": text})
    assert len(unit.parts) > 10
    assert "".join(part.raw for part in unit.parts) == text
    for part in unit.parts:
        assert text[part.start : part.start + len(part.raw)] == part.raw


def test_one_long_line_is_read_in_windows_that_reach_its_end():
    text = " ".join(f"word{number}" for number in range(200))
    (unit,) = units_of({"description": text})
    assert len(unit.parts) > 5
    assert unit.parts[-1].raw.endswith("word199")


def test_text_without_spaces_is_cut_too():
    (unit,) = units_of({"description": "今日は川の近くを歩きました" * 60})
    assert len(unit.parts) > 5


def test_a_comment_of_several_lines_is_read_whole_and_line_by_line():
    text = "so good\n  win a prize now\n\nthat voice"
    (unit,) = units_of({"comments[0]": text})
    assert [part.raw for part in unit.parts] == [
        text, "so good", "win a prize now", "that voice",
    ]  # fmt: skip
    assert all(text.startswith(part.raw, part.start) for part in unit.parts)
    for field, other in (
        ("title", text),
        ("comments[0]", "one line\n"),
        ("comments[0]", "u\np\n!"),
    ):
        (unit,) = units_of({field: other})
        assert len(unit.parts) == 1


def test_links_are_no_words_but_of_comments():
    text = "look at https://oldmill.org now"
    (own,) = units_of({"description": text})
    (comment,) = units_of({"comments[0]": text})
    assert own.parts[0].told == own.parts[0].words == "look at now"
    assert comment.parts[0].words == "look at now"
    assert "url" in comment.parts[0].told.split()


def test_a_field_is_read_in_the_order_in_which_people_read_it():
    text = "join us at https://oldmill.org and win"
    column = "\n\n".join("\n".join(word) for word in text.split())
    for written in (text[::-1], column):
        (unit,) = units_of({"comments[0]": written})
        assert [part.raw for part in unit.parts] == [text]
        assert [link.host for link in unit.parts[0].contacts.links] == ["oldmill.org"]


def test_a_long_line_of_a_comment_is_read_in_windows_too():
    line = " ".join(f"word{number}" for number in range(40))
    (unit,) = units_of({"comments[0]": f"short\n{line}"})
    windows = [part for part in unit.parts if part.window]
    assert [part.raw for part in unit.trained] == [f"short\n{line}", "short", line]
    assert all(line.startswith(part.raw, part.start - 6) for part in windows)
    assert {word for part in windows for word in part.raw.split()} == set(line.split())
    assert windows[-1].raw.endswith("word39")
    (whole,) = units_of({"comments[0]": " ".join(line.split()[:29])})
    assert len(whole.parts) == 1


def test_spam_between_innocent_words_on_one_line_is_seen_in_a_window():
    calm = "the drums in the second half of this song remind me of my brother who plays them"
    spam = "hey guys check out my channel and please subscribe"
    (unit,) = units_of({"comments[0]": " ".join([calm, spam, *[calm] * 5])})
    model = SpamDetector()._model
    seen, unseen = judge(model, [[unit], [replace(unit, parts=unit.trained)]], None)
    assert seen is not None
    assert unseen is not None
    assert spam[4:] in seen.worst.part.raw
    assert seen.worst.part.window
    assert seen.raw > unseen.raw
