"""Replies to uploaders: templates, macros, previews, and where a reply goes."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import appeals, bulk, decisions, outbox
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.groups import Group
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.desk.replies import Replies, filled, load_replies, replier
from quorum.apps.console.desk.tasks import get_task
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action, Review, Verdict
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions as decision_table
from tests.apps.console.cases_for_console import record_case, take
from tests.apps.console.conftest import soon
from tests.apps.console.test_groups import task_ids, wave

FILE = """\
templates:
  - name: Spam, removed
    category: spam
    language: en
    text: |
      Hello {uploader}, "{title}" is {category}: {explanation} {{ 7*7 }} <b>{title.__class__}</b>
  - name: Werbung, entfernt
    category: spam
    language: de
    text: Guten Tag {uploader}, Ihr Upload {upload} vom {date} ist Werbung.
  - name: Appeal upheld
    to: appellant
    text: We looked at {upload} again.
macros:
  - name: Spam wave
    action: remove
    category: spam
    note: A wave.
    template: Spam, removed
"""
POLICY = load_policy("balanced")
SPAM = "spam"


@pytest.fixture
def replies(tmp_path: Path) -> Replies:
    (tmp_path / "replies.yaml").write_text(FILE)
    return load_replies(tmp_path / "replies.yaml", POLICY.categories)


def choose(ledger: Ledger, number: int, who: str, action: Action, text: str) -> None:
    decisions.decide(
        ledger,
        take(ledger, number, who),
        who,
        action,
        SPAM,
        "",
        timedelta(0),
        reply=replier(text, POLICY.categories),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{date}", "{dato}", r"replies.yaml:10: .*there is no field \{dato\}; there are \{title\}"),
        ("category: spam\n    language: en", "category: spaam", r"replies.yaml:3: .*no category"),
        ("template: Spam, removed", "template: Spam", r"there is no 'Spam'"),
        ("language: de", "langauge: de", r"replies.yaml:9: .*[Ee]xtra"),
        ("action: remove", "action: burn", r"replies.yaml:16: "),
        ("Werbung, entfernt", "Spam, removed", r"two templates are called"),
        ("templates:", "templates: [", r"replies.yaml:\d+: not valid YAML"),
        ("templates:", "!!python/object/apply:os.system ['true']\nx:", r"replies.yaml"),
    ],
    ids=["field", "category", "template", "key", "action", "twice", "yaml", "code"],
)
def test_a_file_that_is_wrong_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
):
    assert FILE.count(old) >= 1
    (tmp_path / "replies.yaml").write_text(FILE.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=message):
        load_replies(tmp_path / "replies.yaml", POLICY.categories)


def test_fields_are_replaced_and_code_is_text(cases: Ledger, replies: Replies):
    record_case(cases, 40, title="{uploader} {upload} {{config}} %s {0}", uploader="me")
    from quorum.apps.console.desk import tasks

    tasks.sync(cases)
    task_id = take(cases, 40, "ana")
    task = cases.transact(lambda c: get_task(c, task_id))
    made = filled(replies.templates[0].text, task, SPAM, POLICY.categories)
    assert 'Hello me, "{uploader} {upload} {{config}} %s {0}" is spam: ' in made
    assert made.endswith("{{ 7*7 }} <b>{title.__class__}</b>")
    assert POLICY.categories[SPAM].explanation in made
    assert filled("{nothing} {title!r} {title:>9} {}", task, None, {}) == (
        "{nothing} {title!r} {title:>9} {}"
    )


def test_templates_by_language_and_reader(replies: Replies):
    def names(language: str | None, *, appeal: bool = False) -> list[str]:
        return [one.name for one in replies.for_case(language, appeal=appeal)]

    assert names("de-AT") == ["Werbung, entfernt"]
    assert names("fr") == []
    assert names(None) == ["Spam, removed", "Werbung, entfernt"]
    assert names("en", appeal=True) == ["Spam, removed", "Appeal upheld"]


def test_a_reply_goes_out_with_the_review_and_the_verdict(cases: Ledger):
    choose(cases, 3, "ana", Action.REMOVE, "About {upload}: {category}")
    published: list[Review] = []

    def publish(reviews) -> None:
        published.extend(reviews)
        LedgerReviewPublisher(cases, POLICY).publish(reviews)

    outbox.publish_due(cases, publish, double_rate=0)
    assert [Review.from_bytes(one.to_bytes()).reply for one in published] == ["About up-3: spam"]
    verdict = cases.get_case("up-3").verdict
    assert Verdict.from_bytes(verdict.to_bytes()).reply == "About up-3: spam"
    assert verdict.statement
    # Another decision without a reply does not say it again.
    assert audit.verify(cases).broken is None
    changed = decision_table.update().values(reply="other")
    cases.transact(lambda c: c.execute(changed), writes=True)
    assert "was changed" in str(audit.verify(cases).broken)


def test_an_appellant_is_answered_in_the_reviewers_words(cases: Ledger):
    removed = record_case(cases, 50, action=Action.REMOVE)
    made, _ = appeals.appeal(cases, "up-50", removed.id, "It is a game.", "shop")
    choose(cases, 50, "ben", Action.REMOVE, "We looked at {upload} again: it stays.")
    outbox.publish_due(cases, lambda _: None, double_rate=0)
    assert appeals.find_appeal(cases, made).statement == "We looked at up-50 again: it stays."


def test_each_case_of_a_group_has_its_own_reply(cases: Ledger):
    wave(cases, range(20, 24))
    bulk.decide_many(
        cases,
        task_ids(cases, Group("text", "up-20")),
        "ana",
        Action.REMOVE,
        SPAM,
        "",
        timedelta(0),
        "text",
        replier("{uploader}: {upload}", POLICY.categories),
    )
    published: list[Review] = []
    outbox.publish_due(cases, published.extend, double_rate=0)
    assert sorted(one.reply for one in published) == [f"bot-{n}: up-{n}" for n in range(20, 24)]


def test_a_reply_that_is_too_long_is_refused(cases: Ledger):
    with pytest.raises(Conflict, match="4,010 characters; the limit is 4,000"):
        choose(cases, 3, "ana", Action.REMOVE, "x" * 4000 + " {uploader}s are")
    assert cases.transact(lambda c: decisions.of_case(c, "up-3")) == []


def test_preview_and_my_decisions(serve, cases: Ledger, replies: Replies):
    person = serve(replies=replies)
    ana, eve = person("ana"), person("eve")
    task_id = take(cases, 2, "ana")
    page = ana.get("/case?upload=up-2").text
    assert "Spam wave" in page
    hostile = "<script>x</script> {upload} {{ 7*7 }}"
    shown = ana.post("/reply/preview", task=task_id, category=SPAM, reply=hostile).text
    assert "&lt;script&gt;x&lt;/script&gt; up-2 {{ 7*7 }}" in shown
    assert eve.post("/reply/preview", task=task_id, reply="x").status_code == 403
    ana.post("/decide", task=task_id, upload="up-2", action="remove", category=SPAM, reply=hostile)
    soon(lambda: cases.get_case("up-2").verdict.action is Action.REMOVE)
    assert cases.get_case("up-2").verdict.reply == "<script>x</script> up-2 {{ 7*7 }}"
    mine = ana.get("/mine").text
    assert "Title 2" in mine
    assert "&lt;script&gt;x&lt;/script&gt; up-2" in mine
    assert "Title 2" not in person("ben").get("/mine").text
    assert "decided nothing of this kind" in ana.get("/mine?action=allow").text
    assert eve.get("/mine").status_code == 403
    assert re.search(r'href="/mine"', ana.get("/queue").text)
