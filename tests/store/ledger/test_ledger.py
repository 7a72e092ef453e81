from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect, text

from quorum.core.messages import Action, DeadLetter, Status, Upload, UsedPrediction, now
from quorum.store.ledger import CaseFilter, Ledger, StatementRecord, TimeRange, database_url
from quorum.store.ledger.schema import metadata
from tests.store.ledger.messages_for_ledger import at, prediction, review, upload, verdict


def dump(ledger: Ledger) -> dict[str, list[tuple]]:
    engine = create_engine(database_url(ledger.test_url))  # type: ignore[attr-defined]
    with engine.connect() as connection:
        found = {
            table.name: sorted(map(tuple, connection.execute(table.select())), key=repr)
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return found


@pytest.fixture(autouse=True)
def _remember_url(ledger: Ledger, url: str) -> None:
    ledger.test_url = url  # type: ignore[attr-defined]


def stream() -> list:
    first = [verdict(number) for number in range(6)]
    letters = DeadLetter.of(b"\x00\xff broken", {"ce-id": "x"}, "decode", "not UTF-8", at(1))
    return [
        *[upload(number) for number in range(6)],
        *[prediction(number, detector) for number in range(6) for detector in ("spam", "nsfw")],
        *first,
        verdict(2, 2, 3, action=Action.REMOVE, category="scams", rule="spam-high"),
        verdict(2, 3, 4, action=Action.RESTRICT, category="scams", rule="reviewer"),
        verdict(4, 1, 0.7, action=Action.REVIEW, rule="lacking"),
        review(2, first[2]),
        StatementRecord(first[2].id, "up-2", at(3), "Your video is limited.", {"category": "SCAM"}),
        *letters,
    ]


def test_a_case_holds_all_that_was_said(ledger: Ledger) -> None:
    ledger.record(stream())
    case = ledger.get_case("up-2")
    assert case is not None
    assert case.upload == upload(2)
    assert [item.detector for item in case.predictions] == ["nsfw", "spam"]
    assert [item.revision for item in case.verdicts] == [1, 2, 3]
    assert case.verdict == verdict(
        2, 3, 4, action=Action.RESTRICT, category="scams", rule="reviewer"
    )
    assert case.reviews == (review(2, verdict(2)),)
    assert case.statements[0].record == {"category": "SCAM"}
    assert ledger.get_case("nobody") is None


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_order_and_repetition_change_nothing(ledger: Ledger, seed: int) -> None:
    ledger.record(stream())
    wanted = dump(ledger)
    chance = random.Random(seed)
    messages = stream() + chance.sample(stream(), 10)
    chance.shuffle(messages)
    while messages:
        size = chance.randint(1, 9)
        ledger.record(messages[:size])
        messages = messages[size:]
    assert dump(ledger) == wanted


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_a_fresh_ledger_filled_in_any_order_is_the_same(
    ledger: Ledger, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    ledger.record(stream())
    chance = random.Random(seed)
    messages = stream()
    chance.shuffle(messages)
    other_url = f"sqlite:///{tmp_path_factory.mktemp('other')}/o.db"
    with Ledger(other_url, create=True) as other:
        for message in messages:
            other.record([message])
        assert list(other.cases()) == list(ledger.cases())
        assert other.find(newest_first=False) == ledger.find(newest_first=False)


def test_the_greatest_revision_then_time_is_current(ledger: Ledger) -> None:
    early = verdict(1, 2, 3, action=Action.REVIEW)
    late = verdict(1, 2, 9, action=Action.REMOVE)
    ledger.record([late])
    ledger.record([early, verdict(1, 1, 30)])
    assert [row.verdict_id for row in ledger.find()] == [late.id]
    case = ledger.get_case("up-1")
    assert case is not None
    assert case.verdict == late


def test_a_retry_that_scores_replaces_the_failure(ledger: Ledger) -> None:
    failed = prediction(1, status=Status.FAILED, score=None, reason="timeout", at=at(1))
    scored = prediction(1, at=at(2))
    ledger.record([scored])
    ledger.record([failed])
    case = ledger.get_case("up-1")
    assert case is not None
    assert case.predictions == (scored,)


def test_all_or_nothing(ledger: Ledger) -> None:
    with pytest.raises(TypeError, match="records no str"):
        ledger.record([upload(1), "not a message"])  # type: ignore[list-item]
    assert ledger.stats()["uploads"] == 0


def test_ranges_are_half_open_and_ordered(ledger: Ledger) -> None:
    numbers = list(range(40))
    random.Random(7).shuffle(numbers)
    same_time = [upload(100 + number, published_at=at(5)) for number in range(7)]
    ledger.record([*(upload(number) for number in numbers), *same_time])
    span = TimeRange(at(5), at(20))
    found = [case.upload_id for case in ledger.cases(span, page=3, parts=("upload",))]
    wanted = ["up-5", *(f"up-{100 + number}" for number in range(7))]
    assert sorted(found[:8]) == sorted(wanted)
    assert found[8:] == [f"up-{number}" for number in range(6, 20)]
    assert [one.id for one in ledger.uploads(span, page=4)] == found


def test_cases_by_decision_need_no_upload(ledger: Ledger) -> None:
    ledger.record([verdict(3), prediction(3), upload(4)])
    assert [case.upload_id for case in ledger.cases(order="decided")] == ["up-3"]
    assert [case.upload_id for case in ledger.cases()] == ["up-4"]


def test_a_list_pages_filters_and_counts(ledger: Ledger) -> None:
    ledger.record(stream())
    ledger.record([upload(number) for number in range(50, 70)])
    ledger.record([verdict(number, action=Action.REVIEW) for number in range(50, 70)])
    rows, after = [], None
    while page := ledger.find(CaseFilter(actions=(Action.REVIEW,)), after=after, limit=6):
        rows += page
        after = page[-1]
    assert [row.upload_id for row in rows] == [
        *(f"up-{number}" for number in range(69, 49, -1)),
        "up-4",
    ]
    assert ledger.count() == {"allow": 4, "restrict": 1, "review": 21}
    assert ledger.count(CaseFilter(uploader="by-2"), by="rule")["reviewer"] == 1
    assert [row.upload_id for row in ledger.find(CaseFilter(categories=("scams",)))] == ["up-2"]
    assert [row.upload_id for row in ledger.find(CaseFilter(reviewed=True))] == ["up-2"]
    assert len(ledger.find(CaseFilter(decided=TimeRange(at(50), at(52))))) == 2


def test_sql_in_a_title_is_just_a_title(ledger: Ledger) -> None:
    nasty = "'); DROP TABLE uploads; -- 100% _sure_ \x00 \U0001f600"
    ledger.record([upload(1, title=nasty), verdict(1, rule="r\x00'\"")])
    case = ledger.get_case("up-1")
    assert case is not None and case.upload is not None
    assert case.upload.title == nasty
    assert len(ledger.find(CaseFilter(title="100% _SURE_"))) == 1
    assert ledger.find(CaseFilter(title="100_ _sure_")) == []
    assert ledger.find(CaseFilter(uploader="' OR 1=1 --")) == []


def test_times_without_zone_are_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        TimeRange(datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="no zone"):
        ledger.prune(datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="lies before"):
        TimeRange(at(2), at(1))


def test_other_zones_mean_the_same_instant(ledger: Ledger) -> None:
    ledger.record([upload(1)])
    there = timezone(timedelta(hours=5, minutes=30))
    span = TimeRange(at(1).astimezone(there), at(1.5).astimezone(there))
    found = list(ledger.cases(span))
    assert [case.upload_id for case in found] == ["up-1"]
    assert found[0].upload is not None
    assert found[0].upload.published_at.tzinfo == UTC


def test_unknown_fields_are_kept(ledger: Ledger) -> None:
    ledger.record([Upload.model_validate({**upload(1).model_dump(), "reach": 12})])
    case = ledger.get_case("up-1")
    assert case is not None and case.upload is not None
    assert case.upload.model_extra == {"reach": 12}


def test_dead_letters_come_back_byte_for_byte(ledger: Ledger) -> None:
    raw = bytes(range(256)) * 3
    letters = DeadLetter.of(raw, {"a": "b\x00"}, "decode", "bad\x00", at(1))
    ledger.record(letters)
    ledger.record(letters)
    (back,) = ledger.dead_letters()
    assert back.data == raw
    assert back.original == {"a": "b\x00"}


def test_verdict_texts_become_statements(ledger: Ledger) -> None:
    told = verdict(1, statement="Your video is held.")
    ledger.record([told])
    ledger.record([StatementRecord(told.id, "up-1", told.at, "Better.", {"a": 1})])
    ledger.record([told])
    case = ledger.get_case("up-1")
    assert case is not None
    assert case.statements == (StatementRecord(told.id, "up-1", told.at, "Better.", {"a": 1}),)


def test_the_top_score_leaves_shadows_out(ledger: Ledger) -> None:
    def used(name: str, score: float | None, *, shadow: bool = False) -> UsedPrediction:
        status = Status.FAILED if score is None else Status.SCORED
        return UsedPrediction(
            id=name, detector=name, version="v", status=status, score=score, shadow=shadow
        )

    said = (used("a", 0.4), used("b", 0.9, shadow=True), used("c", None))
    ledger.record([verdict(1, predictions=said), verdict(2, predictions=())])
    assert {row.upload_id: row.top_score for row in ledger.find()} == {"up-1": 0.4, "up-2": None}


def test_retention_takes_whole_old_cases_only(ledger: Ledger) -> None:
    ledger.record(stream())
    ledger.record([prediction(900, at=at(0))])
    before = at(2.6)
    planned = ledger.prune(before)
    assert ledger.stats()["cases"] == 6
    taken = ledger.prune(before, dry_run=False)
    assert taken == planned
    # up-2 was reviewed later; the prediction without a case was old.
    assert [case.upload_id for case in ledger.cases()] == ["up-2", "up-3", "up-4", "up-5"]
    assert (taken.cases, taken.predictions, taken.dead_letters) == (2, 5, 1)
    assert ledger.prune(before, dry_run=False).total == 0


def test_erasure_is_whole_and_survives_a_replay(ledger: Ledger) -> None:
    ledger.record(stream())
    theirs = upload(1).to_bytes()[:-1] + b', "duration": -1}'
    ledger.record(DeadLetter.of(theirs, {}, "decode", "negative", at(1)))
    planned = ledger.forget("by-1")
    taken = ledger.forget("by-1", dry_run=False)
    assert taken == planned
    assert (taken.rows.uploads, taken.rows.cases, taken.rows.dead_letters) == (2, 2, 1)
    assert taken.unread == 1
    after = dump(ledger)
    assert "by-1" not in repr(after)
    assert "up-1'" not in repr(after)
    ledger.record(stream())
    ledger.record(DeadLetter.of(theirs, {}, "decode", "negative", at(1)))
    assert dump(ledger) == after
    ledger.forget("by-1", dry_run=False)


def test_who_was_erased_may_come_back(ledger: Ledger) -> None:
    ledger.record(stream())
    ledger.forget("by-1", dry_run=False)
    later = now() + timedelta(seconds=5)
    ledger.record([upload(1, published_at=later), verdict(1, at=later)])
    case = ledger.get_case("up-1")
    assert case is not None
    assert case.verdict is not None
    ledger.record([prediction(1, at=later)])
    assert len(ledger.get_case("up-1").predictions) == 1  # type: ignore[union-attr]


def test_lists_are_served_by_an_index(ledger: Ledger, url: str) -> None:
    ledger.record([message for n in range(300) for message in (upload(n), verdict(n))])
    if not url.startswith("sqlite"):
        pytest.skip("a planner that counts rows reads a table as small as this one whole")
    engine = create_engine(database_url(url))
    with engine.connect() as connection:
        for where in ("action = 'allow'", "category = 'x'", "uploader = 'by-1'", "rule = 'r'"):
            plan = connection.execute(
                text(
                    f"EXPLAIN QUERY PLAN SELECT * FROM cases WHERE {where} AND at IS NOT NULL "
                    "ORDER BY at DESC, upload_id DESC LIMIT 50"
                )
            ).all()
            said = " ".join(str(row[-1]) for row in plan)
            assert "USING INDEX ix_cases" in said
            assert "TEMP B-TREE" not in said
    names = {index["name"] for index in inspect(engine).get_indexes("cases")}
    engine.dispose()
    assert "ix_cases_at_upload_id" in names


def test_one_bad_record_is_one_dead_letter_wherever_it_fails(ledger: Ledger) -> None:
    for stage in ("detect.uploads", "decide.uploads", "record.uploads"):
        ledger.record(DeadLetter.of(b"no upload", {}, stage, f"bad in {stage}", at(1)))
    ledger.record(DeadLetter.of(b"another", {}, "detect.uploads", "bad", at(2)))
    assert ledger.stats()["dead_letters"] == 2
