"""Campaigns: one case in the queue, decided once, for later members too if a reviewer says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import bulk, golden, groups, standing, tasks
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.groups import Group, LargestGroups
from quorum.core.messages import Action, Campaign, Upload, Verdict, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import standing_decisions
from quorum.store.ledger.console_schema import tasks as task_table
from tests.apps.console.cases_for_console import take
from tests.apps.console.conftest import soon

WAVE = "Earn {n} euros a day from home: write to us today and receive the first payment tomorrow"
ID = "00c0ffee00c0ffee"


def member(
    ledger: Ledger,
    n: int,
    action: Action = Action.REVIEW,
    text: str = WAVE,
    earlier: tuple[str, ...] = (),
    decided_by: str = "policy",
) -> None:
    at = now() - timedelta(minutes=60 - n)
    made = Upload(id=f"up-{n}", uploader=f"bot-{n}", title=text.format(n=n), published_at=at)
    part = Campaign(
        id=ID, label="wave/text", feature="text_wave@1", uploads=n, uploaders=n, earlier=earlier
    )
    verdict = Verdict(
        id=f"v-{n}", upload_id=made.id, action=action, revision=1, policy_version="test@1",
        rule="wave", category="spam", reasons=("A wave.",), decided_by=decided_by, at=at,
        latency=1.0, campaigns=(part,) if action is Action.REVIEW else None,
    )  # fmt: skip
    ledger.record([made, verdict])


def a_wave(ledger: Ledger, first: int = 20, last: int = 26) -> None:
    """Two that were allowed before it was known, then the others."""
    member(ledger, first, Action.ALLOW)
    member(ledger, first + 1, Action.ALLOW)
    member(ledger, first + 2, earlier=(f"up-{first}", f"up-{first + 1}", "up-unknown"))
    for n in range(first + 3, last):
        member(ledger, n)
    tasks.sync(ledger)


def waiting(ledger: Ledger) -> set[str]:
    found = ledger.transact(lambda c: groups.members_of(c, Group("wave", ID), "ana"))
    return {one.upload_id for one in found.tasks}


def decide(ledger: Ledger, undo: int = 0, *, stands: bool = True) -> str:
    members = ledger.transact(lambda c: groups.members_of(c, Group("wave", ID), "ana"))
    chosen = [one.id for one in members.tasks]
    undone = timedelta(seconds=undo)
    made = bulk.decide_many(ledger, chosen, "ana", Action.REMOVE, "spam", "a wave", undone, "wave")
    if stands:
        standing.stand(ledger, made, ID, "ana", Action.REMOVE, "spam", "a wave")
    return made


def test_a_campaign_is_one_case_with_those_that_came_before_it_was_known(cases: Ledger) -> None:
    a_wave(cases)
    six = {f"up-{n}" for n in range(20, 26)}
    assert waiting(cases) == six
    largest = LargestGroups(cases).current()
    (found,) = [one for one in largest if one.group.by == "wave"]
    assert (found.group.of, found.size) == (ID, 6)
    assert "Earn" in found.label
    assert not [one for one in largest if one.group.by == "text" and "Earn" in one.label]
    of = cases.transact(lambda c: groups.groups_of(c, "up-23", "ana"))
    assert of[0].group == Group("wave", ID)
    made = decide(cases)
    told = bulk.load(cases, made)
    assert {one.upload_id for one in told.decisions} == six
    assert told.group == "wave"
    assert waiting(cases) == set()
    tasks.sync(cases)
    assert waiting(cases) == set(), "what came before is asked about once"


def test_what_a_human_decided_before_is_not_asked_again(cases: Ledger) -> None:
    member(cases, 20, Action.ALLOW, decided_by="reviewer")
    member(cases, 21, Action.REMOVE)
    member(cases, 22, earlier=("up-20", "up-21"))
    tasks.sync(cases)
    assert waiting(cases) == {"up-22"}


def test_later_members_get_the_decision_and_others_wait(cases: Ledger) -> None:
    a_wave(cases)
    made = decide(cases)
    for n in (30, 31, 32, 33):
        member(cases, n)
    member(cases, 34, text="A quite different text that came into the campaign by a band {n}")
    tasks.sync(cases)
    take(cases, 31, "ben")
    golden.set_answer(cases, "up-32", Action.REMOVE, None, "lea")
    assert waiting(cases) == {"up-30", "up-31", "up-33", "up-34"}
    assert standing.follow(cases, timedelta(0)) == 2
    assert waiting(cases) == {"up-31", "up-34"}, "held by another reviewer, and unlike"
    (open_,) = cases.transact(
        lambda c: c.execute(select(task_table.c.state).where(task_table.c.upload_id == "up-32"))
    ).scalars()
    assert open_ == "open", "a case with a known answer is decided one by one"
    assert standing.follow(cases, timedelta(0)) == 0
    found = cases.transact(lambda c: standing.of_campaign(c, ID))
    assert (found.bulk, found.taken) == (made, 2)
    assert [made in str(line.details) for line in audit.newest(cases, limit=1)] == [True]
    assert audit.verify(cases).broken is None


@pytest.mark.parametrize("end", ["stop", "time", "undo", "many"])
def test_it_ends(cases: Ledger, end: str) -> None:
    a_wave(cases)
    made = decide(cases, undo=600)
    s = standing_decisions

    def change(**values: object) -> None:
        cases.transact(lambda c: c.execute(update(s).values(**values)), writes=True)

    if end == "stop":
        assert standing.stop(cases, ID, "ben")
        assert not standing.stop(cases, ID, "ben")
    elif end == "time":
        change(until=now() - timedelta(seconds=1))
    elif end == "many":
        change(taken=1000)
    else:
        assert bulk.undo_many(cases, made, "ana") == 6
    member(cases, 30)
    tasks.sync(cases)
    assert "up-30" in waiting(cases)
    assert standing.follow(cases, timedelta(0)) == 0
    assert "up-30" in waiting(cases)


def test_a_second_review_cannot_stand(cases: Ledger) -> None:
    with pytest.raises(Conflict, match="decides nothing for later members"):
        standing.stand(cases, "b", ID, "ana", Action.REVIEW, "spam", "")


def test_on_its_page(console, cases: Ledger) -> None:
    a_wave(cases)
    ana = console("ana")
    assert "of one campaign" in ana.get("/groups/largest").text
    assert "Part of the campaign" in ana.get("/case?upload=up-23").text
    page = ana.get(f"/group?by=wave&of={ID}").text
    assert "Decide later members in the same way, for 24 h" in page
    members = cases.transact(lambda c: groups.members_of(c, Group("wave", ID), "ana"))
    given = {
        "csrf": ana.csrf(), "by": "wave", "of": ID, "later": "1",
        "task": [one.id for one in members.tasks],
    }  # fmt: skip
    refused = ana.client.post("/group/decide", data={**given, "action": "review"})
    assert refused.status_code == 422
    given |= {"action": "remove", "category": "spam"}
    assert "6 cases decided together" in ana.client.post("/group/decide", data=given).text
    member(cases, 40)
    soon(lambda: cases.get_case("up-40").verdict.action is Action.REMOVE)
    page = ana.get(f"/group?by=wave&of={ID}").text
    assert "Later members get <b>remove</b>" in page
    stopped = ana.client.post("/group/stop", data={"csrf": ana.csrf(), "of": ID})
    assert stopped.status_code == 200
    assert "Later members get" not in stopped.text
    again = ana.client.post("/group/stop", data={"csrf": ana.csrf(), "of": ID})
    assert again.status_code == 404
    audited = console("aud").get("/audit").text
    for event in ("campaign.stands", "campaign.ended", "cases.decided"):
        assert event in audited
