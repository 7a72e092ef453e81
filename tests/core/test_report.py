from datetime import UTC, datetime, timedelta
from pathlib import Path

import jinja2
import pytest

from quorum.core.report.page import KIT, render
from quorum.core.report.plots import bars, histogram

TEMPLATE = """{% extends "page.html" %}
{% from "kit.html" import bars, table %}
{% block main %}
{{ table(title, (title, "#n"), [(title, 1)]) }}{{ bars(plot, title, [title]) }}
{% endblock %}
"""


def write(folder: Path, text: str = TEMPLATE) -> Path:
    file = folder / "report.html"
    file.write_text(text)
    return file


def test_every_value_is_escaped_and_nothing_is_loaded(tmp_path):
    plot = bars([datetime(2026, 1, 1, tzinfo=UTC)], {"allow": [3]})
    page = render(write(tmp_path), title='<script>"', plot=plot)
    assert "<script" not in page
    assert page.count("&lt;script&gt;&#34;") == 7
    assert "http" not in page and "src=" not in page and "url(" not in page


def test_a_value_that_is_not_given_is_an_error(tmp_path):
    with pytest.raises(jinja2.UndefinedError, match="plot"):
        render(write(tmp_path), title="t")


def test_the_page_has_both_colour_schemes():
    assert "light-dark(" in (KIT / "page.css").read_text()


def test_columns_keep_their_width_when_there_are_many():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    plot = bars([start + timedelta(days=n) for n in range(400)], {"allow": [1] * 400})
    assert all(0 < bar.width < plot.width for bar in plot.bars)
    assert len(plot.ticks) <= 7
    assert plot.ticks[0][1] == "2026-01-01"


def test_a_histogram_shows_the_few_beside_the_many():
    many, few, none = histogram([1000, 10, 0], ["a", "b", "c"])
    assert (many.height, none.height) == (1.0, 0.0)
    assert 0.3 < few.height < 0.4
    assert few.title == "b: 10"
