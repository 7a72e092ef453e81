"""What is behind is told on every page: since when, and what it means for the work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.app import create_console
from quorum.apps.console.desk import outbox, tasks
from quorum.apps.console.desk.alarms import Alarm, Bounds, digest_of, measure, undecided
from quorum.apps.console.settings import ConsoleSettings
from quorum.apps.console.watch import Watch
from quorum.core import metrics
from quorum.core.errors import EngineUnavailable
from quorum.core.messages import (
    Action,
    DeadLetter,
    Prediction,
    Status,
    Upload,
    now,
    prediction_id,
)
from quorum.store.ledger import Ledger, LedgerUnavailable
from quorum.store.ledger.console_schema import decisions
from tests.apps.console.cases_for_console import choose, record_case, take
from tests.apps.console.conftest import PASSWORD, Person, listening, soon

POLICY = load_policy("balanced")
BOUNDS = Bounds()


def found(ledger: Ledger, waiting: Any = None, **later: float) -> dict[str, Alarm]:
    at = now() + timedelta(**later)
    made = ledger.transact(lambda c: measure(c, POLICY, BOUNDS, waiting or {}, at))
    return {one.name: one for one in made}


def heard(ledger: Ledger, *detectors: str, minutes: float = 0) -> None:
    at = now() - timedelta(minutes=minutes)
    ledger.record(
        [
            Prediction(
                id=prediction_id("up-1", name, f"at {minutes}"),
                upload_id="up-1",
                detector=name,
                version=f"at {minutes}",
                status=Status.ABSTAINED,
                reason="No words.",
                at=at,
            )
            for name in detectors
        ]
    )


def test_an_empty_ledger_has_no_alarms(ledger: Ledger):
    assert found(ledger) == {}


def test_a_published_decision_without_a_verdict_is_told_after_a_bound(cases: Ledger):
    heard(cases, *POLICY.detectors)
    choose(cases, take(cases, 1, "ana"), "ana", Action.REMOVE)
    choose(cases, take(cases, 2, "ana"), "ana", Action.ALLOW)
    assert outbox.publish_due(cases, lambda _: None, double_rate=0) == 2
    assert "verdicts" not in found(cases)
    told = found(cases, seconds=61)["verdicts"]
    assert told.grave
    assert told.what == "2 published decisions led to no verdict yet."
    assert now() - told.since < timedelta(seconds=60)
    record_case(cases, 1, action=Action.REMOVE, revision=2, decided_by="reviewer")
    assert found(cases, seconds=61)["verdicts"].what.startswith("1 published decision ")
    record_case(cases, 2, action=Action.ALLOW, revision=2, decided_by="reviewer")
    assert "verdicts" not in found(cases, seconds=61)


def test_who_confirms_a_verdict_waits_for_no_other(cases: Ledger):
    record_case(cases, 20, action=Action.REMOVE)
    choose(cases, take(cases, 3, "ana"), "ana", Action.REMOVE)
    row = update(decisions).values(state="published", action="review", kind="appeal")
    cases.transact(lambda c: c.execute(row), writes=True)
    assert "verdicts" not in found(cases, seconds=61)


def test_decisions_that_cannot_be_published_are_told_with_the_first_ones_time(cases: Ledger):
    choose(cases, take(cases, 1, "ana"), "ana", Action.REMOVE)

    def away(_: object) -> None:
        msg = "the broker is away"
        raise EngineUnavailable(msg)

    outbox.publish_due(cases, away, double_rate=0)
    told = found(cases, seconds=11)["publisher"]
    assert told.what == "1 decision could not be published."
    assert "tried again" in told.means
    outbox.publish_due(cases, lambda _: None, double_rate=0)
    assert "publisher" not in found(cases, seconds=11)


def test_uploads_past_the_deadline_are_told_but_no_dead_letters(ledger: Ledger):
    at = now()
    uploads = [Upload(id=f"new-{n}", uploader="by", title="t", published_at=at) for n in range(3)]
    ledger.record(uploads)
    dead = DeadLetter(
        original_id="new-2",
        data=uploads[2].to_bytes(),
        attributes=uploads[2].attributes("/test"),
        stage="detect",
        error="it cannot be read",
        at=at,
    )
    ledger.record([dead])
    waiting = sorted(ledger.transact(lambda c: undecided(c, at)))
    assert waiting == ["new-0", "new-1"]
    since = dict.fromkeys(waiting, at)
    assert found(ledger, since, seconds=60) == {}
    told = found(ledger, since, seconds=POLICY.deadline + 61)["uploads"]
    assert (told.what, told.since) == ("2 uploads wait for a verdict past the deadline.", at)


def test_detectors_that_are_not_heard_are_told(ledger: Ledger):
    record_case(ledger, 1)
    told = found(ledger)["stream"]
    assert not told.grave
    assert "No detector was heard" in told.what
    heard(ledger, "spam", "violence", minutes=31)
    heard(ledger, "nsfw")
    told = found(ledger)["detectors"]
    assert told.what == "Not heard: spam, violence."
    heard(ledger, "spam", "violence", minutes=29)
    assert found(ledger) == {}
    at = now()
    quiet = Bounds(quiet=None)
    assert ledger.transact(lambda c: measure(c, POLICY, quiet, {}, at + timedelta(days=1))) == []


def test_a_database_that_is_away_is_told_at_once_and_not_waited_for(
    cases: Ledger, serve: Callable[..., Callable[[str | None], Person]], monkeypatch: Any
):
    heard(cases, *POLICY.detectors)
    ana = serve()("ana")
    assert soon(lambda: ana.get("/pulse").text.count("data-alarm") == 0)

    def away(*_: object, **__: object) -> None:
        msg = "no connection to db.internal"
        raise LedgerUnavailable(msg)

    with monkeypatch.context() as patched:
        patched.setattr(cases, "transact", away)
        told = soon(lambda: (answer := ana.get("/pulse")).status_code == 200 and answer)
        assert 'data-alarm="ledger"' in told.text
        assert "db.internal" not in told.text
        page = ana.get("/queue", headers={"accept": "text/html"})
        assert page.status_code == 503
        assert "The ledger is unavailable" in page.text
        assert 'data-alarm="ledger"' in page.text or "kept in this browser" in page.text
        seen = re.search(r'id="seen" value="([^"]*)"', told.text)[1]
        body, _ = metrics.page("console", {})
        behind = re.search(rb'quorum_console_behind_seconds{what="ledger"} (\S+)', body)
        assert float(behind[1]) >= 0
    soon(lambda: ana.get("/pulse", params={"seen": seen}).status_code == 200)
    soon(lambda: ana.get("/queue").status_code == 200)
    assert ana.get("/pulse").status_code == 204


def test_pulses_need_a_session(serve: Any, cases: Ledger):
    nobody = serve()(None)
    answer = nobody.client.get("/pulse", headers={"hx-request": "true"})
    assert answer.status_code == 401


def test_alarms_are_logged_once_and_have_a_digest(cases: Ledger, caplog: Any):
    watch = Watch(cases, lambda: POLICY, BOUNDS, lambda: None)
    for _ in range(3):
        watch.step()
    assert [one.message for one in caplog.records if "behind" in one.message] == [
        "behind: stream: No detector was heard since then."
    ]
    first = watch.current()
    assert digest_of(first) == digest_of(watch.current()) != ""
    heard(cases, *POLICY.detectors)
    watch.step()
    assert "no longer behind: stream" in caplog.text
    assert digest_of(watch.current()) == ""
    standing = Watch(cases, lambda: POLICY, BOUNDS, lambda: "it ended")
    standing.step()
    assert [one.name for one in standing.current()] == ["worker"]


class Silent:
    """Publishes into nothing, as a topic whose stream is dead."""

    name = "nothing"

    def publish(self, reviews: object) -> None:
        pass


@pytest.fixture
def dead_stream(chromium: Any, cases: Ledger, tmp_path: Path) -> Iterator[str]:
    settings = ConsoleSettings(
        undo=timedelta(0), answer=timedelta(seconds=1), golden_rate=0, double_rate=0
    )
    # Before the console starts: its first look must not find a stream that was never heard.
    heard(cases, *POLICY.detectors)
    with listening(create_console(cases, POLICY, Silent(), settings)) as url:
        yield url


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_tells_that_the_stream_is_dead(
    chromium: Any, dead_stream: str, cases: Ledger, width: int
):
    tasks.sync(cases)
    context = chromium.new_context(base_url=dead_stream, viewport={"width": width, "height": 800})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto("/login")
    page.fill("[name=name]", "ana")
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("html[data-ready] nav")
    # On a busy machine the database may answer late, which is told until it answers.
    page.wait_for_selector("[data-alarm]", state="detached")
    page.keyboard.press("n")
    page.wait_for_selector("html[data-ready] #decide")
    page.keyboard.press("x")
    # The page that is open tells it, without being loaded again.
    page.wait_for_selector("[data-alarm=verdicts]")
    told = page.inner_text("[data-alarm=verdicts]")
    assert "1 published decision led to no verdict yet" in told
    assert "still visible" in told
    for address in ("/queue", "/search", "/overview", "/case?upload=up-1"):
        page.goto(address)
        assert page.locator("[data-alarm=verdicts]").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.goto("/overview")
    assert "published decisions without a verdict" in page.inner_text("main")
    context.close()
