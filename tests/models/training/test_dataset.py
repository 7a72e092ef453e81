import pytest

from quorum.core.errors import InputError
from quorum.models.training.dataset import read_labelled
from quorum.models.training.trial import slices_of

ROWS = """text,label,field,kind
see you at dawn,1,comment,threat
a walk by the river,0,description,everyday
bread with rye flour,0,,everyday
mountains,0,tags,everyday
"""


def test_a_text_stands_in_the_field_that_is_named(tmp_path):
    file = tmp_path / "ours.csv"
    file.write_text(ROWS)
    data = read_labelled(file)
    first, second, third, fourth = data.uploads
    assert first.comments == ("see you at dawn",)
    assert (first.title, second.title) == ("", "")
    assert second.description == "a walk by the river"
    assert third.title == "bread with rye flour"
    assert fourth.tags == ("mountains",)
    assert data.kinds == ("threat", "everyday", "everyday", "everyday")
    slices = slices_of(data)
    assert slices["field"] == ["comments", "description", "title", "tags"]
    assert slices["kind"] == list(data.kinds)


def test_a_field_that_no_upload_has_is_refused_with_its_line(tmp_path):
    file = tmp_path / "ours.csv"
    file.write_text(ROWS + "hello,0,footer,everyday\n")
    with pytest.raises(InputError, match=r"ours.csv:6: the field is 'footer'"):
        read_labelled(file)


def test_without_kinds_there_is_no_slice_of_them(tmp_path):
    file = tmp_path / "ours.csv"
    file.write_text("text,label\na,1\nb,0\n")
    data = read_labelled(file)
    assert data.kinds == ()
    assert "kind" not in slices_of(data)


@pytest.mark.parametrize(
    ("name", "encoding", "table"),
    [
        ("ours.csv", "utf-8-sig", 'Text;Label\r\na;1\r\n"b; c";0\r\n'),
        ("ours.tsv", "utf-16", "LABEL\t text \n1\ta\n0\tb; c\n"),
        ("OURS.CSV", "utf-8", '"text","Class"\ra,1\rb; c,0\r'),
        ("ours.jsonl", "utf-8", '{"Text": "a", "LABEL": true}\n\n{"text": "b; c", "label": 0}\n'),
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path, name, encoding, table):
    (tmp_path / name).write_text(table, encoding=encoding, newline="")
    data = read_labelled(tmp_path / name)
    assert [one.title for one in data.uploads] == ["a", "b; c"]
    assert data.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"text,label\ncaf\xe9,1\n", "a.csv cannot be read as UTF-8 .*: save or convert"),
        ("a.csv", b"text,label\nb,1\nalone\n", "a.csv:3: the row has no label"),
        ("a.jsonl", b'{"text": "a", "label": 1}\nno\n', "a.jsonl:2: no JSON"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_labelled(tmp_path / name)
