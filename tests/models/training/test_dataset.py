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
