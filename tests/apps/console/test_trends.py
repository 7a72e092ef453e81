"""Plots are of events, windows and categories are chosen, and shares have intervals."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from quorum.apps.console.desk.overview import Overturned, _sorted
from quorum.apps.console.desk.trends import TrendCache
from quorum.core.intervals import difference, wilson
from quorum.core.messages import Action, Verdict, digest, now
from quorum.core.report.plots import line
from quorum.store.ledger import Ledger


def verdict(ledger: Ledger, upload: str, hours: float, **given: Any) -> None:
    """Record a verdict that was made so many hours ago."""
    made = {
        "action": Action.REMOVE,
        "category": "spam",
        "revision": 1,
        "rule": "r",
        "decided_by": "policy",
        "latency": 2.0,
        **given,
    }
    ledger.record(
        [
            Verdict(
                id=digest("trend", upload, str(made["revision"])),
                upload_id=upload,
                policy_version="test@1",
                reasons=("It is so.",),
                at=now() - timedelta(hours=hours),
                **made,
            )
        ]
    )


def test_each_revision_is_counted_when_it_was_made(ledger: Ledger):
    began = now() - timedelta(hours=20)
    verdict(ledger, "a", 20, action=Action.ALLOW, category=None)
    ended = now() - timedelta(hours=20)
    verdict(ledger, "a", 1, revision=2, decided_by="reviewer", latency=9.0)
    verdict(ledger, "b", 30, action=Action.REVIEW)
    found = TrendCache(ledger).trend("24h")
    (early,) = [n for n, count in enumerate(found.by_action["allow"]) if count]
    (late,) = [n for n, count in enumerate(found.by_action["remove"]) if count]
    assert early < 10 < 30 < late
    assert sum(found.by_action["review"]) == 0
    assert found.times[early] <= ended
    assert began < found.times[early + 1]
    # Reviewers' verdicts have no latency.
    assert [one for one in found.median if one is not None] == [2.0]
    assert found.median[early] == 2.0


def test_a_window_and_a_category(ledger: Ledger):
    for number, hours in enumerate((0.5, 5, 20, 100, 500)):
        verdict(ledger, f"s-{number}", hours)
        verdict(ledger, f"v-{number}", hours, category="violence", action=Action.REVIEW)
    cache = TrendCache(ledger)
    counts = {
        window: sum(sum(values) for values in cache.trend(window).by_action.values())
        for window in ("1h", "6h", "24h", "7d", "30d")
    }
    assert counts == {"1h": 2, "6h": 4, "24h": 6, "7d": 8, "30d": 10}
    only = cache.trend("7d", "violence")
    assert sum(only.by_action["review"]) == 4
    assert sum(only.by_action["remove"]) == 0
    assert only.categories == ("spam", "violence")


def test_whether_a_harm_is_more_frequent_now_than_before(ledger: Ledger):
    for number in range(200):
        spam, violence = number < 60, 60 <= number < 70
        category = "spam" if spam else "violence" if violence else None
        action = Action.REMOVE if category else Action.ALLOW
        verdict(ledger, f"now-{number}", 3, category=category, action=action)
        spam, violence = number < 20, 20 <= number < 31
        category = "spam" if spam else "violence" if violence else None
        action = Action.REMOVE if category else Action.ALLOW
        verdict(ledger, f"before-{number}", 27, category=category, action=action)
    # A later revision is no further upload.
    verdict(ledger, "now-0", 1, revision=2)
    spam, violence = TrendCache(ledger).trend("24h").harms
    assert (spam.category, spam.count, spam.total, spam.before) == ("spam", 60, 200, 20)
    assert (spam.change, violence.change) == ("more", "no clear change")
    assert spam.low < spam.share == 0.3 < spam.high


def test_intervals():
    # Newcombe 1998, table II: 56/70 and 48/80 by method 10; Wilson of 81 of 263 by his table I.
    assert difference(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)
    assert difference(1, 1, 0, 0) == (-1.0, 1.0)


def test_rates_are_ranked_by_what_is_sure():
    ranked = _sorted({"one of one": (1, 1), "many": (100, 60), "few": (10, 5)})
    assert [one.name for one in ranked] == ["many", "few", "one of one"]
    assert Overturned("x", 0, 0).interval == (0.0, 1.0)


def test_isolated_points_are_drawn():
    times = [now() + timedelta(hours=n) for n in range(5)]
    found = line(times, [None, 1.0, None, 2.0, 2.0])
    assert len(found.dots) == 1
    assert found.dots[0][0] == float(found.paths[0].split(",")[0])


def test_the_page_answers_for_any_window_and_category(serve: Any, ledger: Ledger):
    verdict(ledger, "a", 2)
    verdict(ledger, "b", 30)
    ana = serve()("ana")
    page = ana.get("/overview?window=6h&category=spam").text
    assert "seconds to the verdict" in page
    assert "verdicts in 10 min" in page
    assert "time (UTC)" in page
    assert 'class="dot"' in page
    assert "1 of 1" in page
    assert ana.get("/overview", params={"window": "<b>", "category": "<b>x"}).status_code == 200
    assert "<b>x" not in ana.get("/overview", params={"category": "<b>x"}).text


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_window_and_a_category_are_chosen(browse: Any, cases: Ledger, width: int):
    verdict(cases, "a", 30)
    page = browse("eve", viewport={"width": width, "height": 800})
    page.goto("/overview")
    page.select_option("[name=window]", "7d")
    page.select_option("[name=category]", "spam")
    page.click("form.filters button")
    page.wait_for_url("**/overview?window=7d&category=spam")
    assert "remove 1" in page.inner_text("[aria-label='Verdicts over time']")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.troubles == []
