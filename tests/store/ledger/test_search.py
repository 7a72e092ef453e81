from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.core.messages import Action, Status, UsedPrediction, Verdict
from quorum.store.ledger import CaseFilter, Ledger
from quorum.store.ledger.indexing import LEAST, fill
from quorum.store.ledger.search import Found, Search, search
from quorum.store.ledger.search_schema import case_labels, texts
from quorum.store.ledger.words import MAX_WORDS, as_tsvector, parse, words_of
from tests.store.ledger.messages_for_ledger import at, upload, verdict


def labelled(number: int, labels: dict[str, float], **more: Any) -> Verdict:
    said = UsedPrediction(
        id="p", detector="spam", version="v1", status=Status.SCORED, score=0.5, labels=labels
    )
    return verdict(number, predictions=(said,), **more)


def record(
    ledger: Ledger, number: int, *, labels: dict[str, float] | None = None, **more: Any
) -> None:
    ledger.record([upload(number, **more), labelled(number, labels or {})])


def find(ledger: Ledger, words: str = "", **more: Any) -> list[str]:
    asked = Search(words=words, **more)
    return [row.upload_id for row in ledger.transact(lambda c: search(c, asked)).rows]


def page(ledger: Ledger, asked: Search, **more: Any) -> Found:
    return ledger.transact(lambda c: search(c, asked, **more))


def test_words_of_every_field_are_found(ledger: Ledger) -> None:
    record(ledger, 1, title="The old Harbour", description="Lights at night, rain.")
    record(ledger, 2, title="Über Größe", tags=("drum'n'bass",), comments=("so good", "NIGHT!"))
    record(ledger, 3, title="港の夜景", description="ประเทศไทย हिन्दी")
    assert find(ledger, "harbour") == ["up-1"]
    assert find(ledger, "NIGHT") == ["up-2", "up-1"]
    assert find(ledger, "night old") == ["up-1"]
    assert find(ledger, "uber grosse") == ["up-2"]
    assert find(ledger, '"at night"') == ["up-1"]
    assert find(ledger, '"night at"') == []
    assert find(ledger, "harb*") == ["up-1"]
    assert find(ledger, "harb") == []
    assert find(ledger, '"old harb*"') == []
    assert find(ledger, "drum'n'bass") == ["up-2"]
    assert find(ledger, "夜景") == ["up-3"]
    assert find(ledger, "景夜") == []
    assert find(ledger, "ไทย") == ["up-3"]
    assert find(ledger, "हिन्दी") == ["up-3"]
    assert find(ledger, "...") == []


@pytest.mark.parametrize(
    "asked", ["'", '"', "a:*", "!a & | b", "a' <-> 'b", "NEAR(a b)", "\x00", "\\'"]
)
def test_what_is_asked_for_is_no_query_language(ledger: Ledger, asked: str) -> None:
    record(ledger, 1, title="quite another")
    assert find(ledger, asked) == []


def test_an_upload_that_is_published_anew_is_found_by_its_new_words(ledger: Ledger) -> None:
    record(ledger, 1, title="first")
    ledger.record([upload(1, published_at=at(999), title="second")])
    assert (find(ledger, "first"), find(ledger, "second")) == ([], ["up-1"])
    ledger.record([upload(1, published_at=at(0), title="third")])
    assert (find(ledger, "third"), find(ledger, "second")) == ([], ["up-1"])


def test_labels_are_those_of_the_verdict_that_holds(ledger: Ledger) -> None:
    record(ledger, 1, labels={"violence/fight": 0.9, "nsfw": LEAST - 0.01})
    record(ledger, 2, labels={"Violence/Weapon": LEAST})
    assert find(ledger, label="violence/fight") == ["up-1"]
    assert find(ledger, label="Violence") == ["up-2", "up-1"]
    assert find(ledger, label="nsfw") == []
    assert find(ledger, "nothing", label="violence") == []
    ledger.record([labelled(1, {"violence/weapon": 0.9}, revision=2, minutes=999)])
    assert find(ledger, label="violence/fight") == []
    assert find(ledger, label="violence/weapon") == ["up-1", "up-2"]


def test_words_labels_and_facts_together(ledger: Ledger) -> None:
    for number in range(6):
        record(ledger, number, title="same", labels={"spam": 0.5 if number % 2 else 0.1})
    assert find(ledger, "same", label="spam") == ["up-5", "up-3", "up-1"]
    removed = CaseFilter(actions=(Action.REMOVE,))
    assert find(ledger, "same", label="spam", chosen=removed) == []
    held = CaseFilter(uploader="nobody")
    assert find(ledger, label="spam", chosen=held) == []


@pytest.mark.parametrize("more", [{"words": "same"}, {"label": "spam"}, {}])
def test_pages_join_without_a_gap_or_a_double(ledger: Ledger, more: dict[str, str]) -> None:
    for number in range(25):
        record(ledger, number, title="same", labels={"spam": 0.5})
    asked, seen, after = Search(**more), [], ""
    for _ in range(4):
        found = page(ledger, asked, after=after, limit=10)
        seen += [row.upload_id for row in found.rows]
        if found.next is None:
            break
        after = found.next
    assert seen == [f"up-{number}" for number in reversed(range(25))]
    assert page(ledger, asked, after="nonsense").rows[0].upload_id == "up-24"


def test_a_page_that_read_enough_ends_and_can_be_gone_on_from(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorum.store.ledger.search._STEPS", (4, 4))
    for number in range(20):
        record(ledger, number, title="same", uploader="rare" if number == 2 else "often")
    asked, after, cuts = Search(CaseFilter(uploader="rare"), "same"), "", 0
    while True:
        found = page(ledger, asked, after=after)
        cuts += found.cut
        if found.rows or found.next is None:
            break
        after = found.next
    assert [row.upload_id for row in found.rows] == ["up-2"]
    assert cuts == 2


def test_a_ledger_older_than_search_is_filled(ledger: Ledger) -> None:
    for number in range(3):
        record(ledger, number, title="old times", labels={"spam": 0.5})
    for table in (texts, case_labels):
        ledger.transact(lambda c, t=table: c.execute(t.delete()), writes=True)
    assert find(ledger, "old") == find(ledger, label="spam") == []
    assert ledger.transact(lambda c: fill(c), writes=True) is None
    assert len(find(ledger, "old")) == len(find(ledger, label="spam")) == 3


def test_who_is_erased_is_found_no_more(ledger: Ledger) -> None:
    record(ledger, 1, title="private", uploader="zoe", labels={"spam": 0.5})
    ledger.forget("zoe", dry_run=False)
    for table in (texts, case_labels):
        assert ledger.transact(lambda c, t=table: c.execute(t.select()).all()) == []


@given(st.text(max_size=300))
def test_words_are_found_by_themselves(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words
    assert [word for term in parse(" ".join(words[:10])) for word in term.words] == words[:10]
    assert all(not set(word) & set("'\" \\*:&|!\x00") for word in words)


def test_very_long_texts_keep_their_beginning() -> None:
    assert len(words_of("a b " * MAX_WORDS)) == MAX_WORDS
    assert as_tsvector("b a b") == "'b':1,3 'a':2"
    assert as_tsvector("a " * 1000).count(",") == 255
