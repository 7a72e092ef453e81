"""The transparency report counts what the ledger knows, marks the rest, and keeps the template."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from quorum.aggregator.policy.categories import SHIPPED_CATEGORIES, Category
from quorum.apps.cli.ledger import app
from quorum.core.messages import Action, Review, Verdict
from quorum.store.ledger import Ledger, TimeRange
from quorum.store.ledger.console_schema import appeals, decisions, samples
from quorum.store.reports import intake as intake_module
from quorum.store.reports.intake import Intake
from quorum.store.reports.settling import settle
from quorum.store.reports.values import Notice, Reporter
from quorum.store.transparency.figures import count
from quorum.store.transparency.parts import build
from quorum.store.transparency.report import NEEDS_A_PERSON, Service
from quorum.store.transparency.template import PARTS
from quorum.store.transparency.values import Asked, Figures
from tests.store.ledger.messages_for_ledger import at, upload, verdict

CATEGORIES = {
    **SHIPPED_CATEGORIES,
    "threats": Category("threats", "violence", ground="law", reference="§ 241 StGB"),
}
MINORS = "STATEMENT_CATEGORY_PROTECTION_OF_MINORS"
VIOLENCE = "STATEMENT_CATEGORY_VIOLENCE"


def review(number: int, revision: int, action: Action, minutes: float, label: str) -> Review:
    return Review(
        upload_id=f"up-{number}",
        verdict_id=verdict(number, revision).id,
        action=action,
        reviewer="ana",
        labels=(label,),
        note="",
        at=at(minutes),
    )


def decided(number: int, action: Action, category: str, revision: int = 1, **more: Any) -> Verdict:
    return verdict(number, revision, revision, action=action, category=category, **more)


def figures(ledger: Ledger, **asked: str) -> Figures:
    period = TimeRange(at(0), at(60 * 24 * 30))
    return ledger.transact(lambda c: count(c, Asked(period, **asked), CATEGORIES))


def test_measures_are_changes_and_have_their_ground_and_means(ledger: Ledger) -> None:
    before = decided(9, Action.REMOVE, "spam").model_copy(update={"at": at(-5)})
    ledger.record(
        [
            *(upload(n, language="de-AT" if n == 1 else "en") for n in range(1, 9)),
            decided(1, Action.REMOVE, "spam"),
            decided(1, Action.REMOVE, "spam", 2),  # repeats the action
            decided(2, Action.REVIEW, "threats"),
            decided(2, Action.REMOVE, "threats", 2, decided_by="reviewer"),  # held by a machine
            decided(3, Action.ALLOW, "spam"),
            decided(3, Action.RESTRICT, "spam", 2, decided_by="reviewer"),  # found by a person
            decided(4, Action.RESTRICT, "spam"),
            decided(4, Action.REMOVE, "spam", 2),  # two measures
            decided(5, Action.ALLOW, "spam", territories={"DE": "remove"}),
            decided(6, Action.REMOVE, "made-up"),
            before,  # not of the period
            decided(9, Action.REMOVE, "spam", 2),
        ]
    )
    found = figures(ledger)
    terms, law = found.own_total("terms"), found.own_total("law")
    assert (law.total, law.detected, law.solely_automated, law.removed) == (1, 1, 0, 1)
    assert found.own["law", VIOLENCE].total == 1
    assert (terms.total, terms.detected, terms.solely_automated) == (6, 5, 5)
    assert (terms.removed, terms.restricted, terms.disabled) == (3, 2, 1)
    assert found.unnamed == {"made-up"}
    assert figures(ledger, language="de").own_total("terms").total == 1
    assert figures(ledger, language="fr").own_total("terms").total == 0


def test_territories_choose_uploads_that_are_shown_there(ledger: Ledger) -> None:
    ledger.record(
        [
            upload(1, territories=("DE", "FR")),
            upload(2, territories=("US",), tags=("DE",)),
            upload(3),
            *(decided(n, Action.REMOVE, "spam") for n in (1, 2, 3)),
        ]
    )
    assert figures(ledger).own_total("terms").total == 3
    assert figures(ledger, territory="DE").own_total("terms").total == 2
    assert figures(ledger, territory="us").own_total("terms").total == 2


def test_notices_have_their_times_grounds_and_trusted_flaggers(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record([one for n in (1, 2, 3) for one in (upload(n), decided(n, Action.ALLOW, "spam"))])
    clock = [at(100)]
    monkeypatch.setattr(intake_module, "now", lambda: clock[0])
    desk = Intake(ledger)

    def send(number: int, who: str, kind: Any = "user", law: bool = True) -> None:
        notice = Notice(
            Reporter(kind, who, "shop"), f"up-{number}", category="violence", law=law, text="x"
        )
        desk.take(notice)

    send(1, "r1")
    send(1, "hotline", "trusted")
    send(2, "r1")
    send(3, "r1", law=False)  # a report of a rule violation is no notice
    ledger.record([review(1, 1, Action.REMOVE, 100 + 120, "threats")])
    removed = decided(1, Action.REMOVE, "threats", 2, decided_by="reviewer")
    ledger.record([removed.model_copy(update={"at": at(221)})])
    ledger.record([review(2, 1, Action.ALLOW, 100 + 360, "violence")])
    ledger.transact(settle, writes=True)
    found = figures(ledger)
    every, trusted = found.notices[VIOLENCE], found.trusted[VIOLENCE]
    assert (every.received, len(every.items), every.median) == (3, 2, 2.0)
    assert (trusted.received, trusted.median) == (1, 2.0)
    assert (len(every.on_law), len(every.on_terms), len(trusted.on_law)) == (1, 0, 1)
    assert (every.by_person, every.automated) == (3, 0)
    assert found.own_total("law").total == 0  # it followed a notice
    assert found.all_measures.total == 1


def test_complaints_precision_and_recall(ledger: Ledger) -> None:
    ledger.record([upload(n) for n in range(1, 9)])
    ledger.record([decided(n, Action.REMOVE, "spam") for n in range(1, 5)])
    ledger.record([decided(n, Action.ALLOW, "spam") for n in range(5, 9)])

    def appeal(number: int, state: str, hours: float, action: str | None) -> None:
        when, end = at(60), at(60) + timedelta(hours=hours)
        given = {"upload_id": f"up-{number}", "verdict_id": verdict(number).id, "at": when}

        def work(connection: Any) -> None:
            connection.execute(
                insert(appeals).values(
                    id=f"a{number}",
                    text="x",
                    state=state,
                    decided_at=end if action else None,
                    **given,
                )
            )
            if action:
                more = {"task_id": "t", "kind": "appeal", "reviewer": "ana", "note": ""}
                connection.execute(
                    insert(decisions).values(
                        id=f"d{number}",
                        action=action,
                        due_at=end,
                        state="published",
                        **{**given, **more, "at": end},
                    )
                )

        ledger.transact(work, writes=True)

    appeal(1, "reversed", 2, "allow")
    appeal(2, "reversed", 4, "restrict")
    appeal(3, "upheld", 6, "remove")
    appeal(4, "open", 0, None)
    for number, action in ((1, Action.ALLOW), (2, Action.RESTRICT), (3, Action.REMOVE)):
        ledger.record([review(number, 1, action, 500, "spam")])
    found = figures(ledger)
    told = found.complaints
    assert (told.total, told.upheld, told.partly, told.reversed, told.omitted) == (4, 1, 1, 1, 1)
    assert told.hours == 4.0
    assert found.precision.looked_at == 3
    assert found.precision.value == pytest.approx(2 / 3)
    assert (found.accuracy.value, found.recall.value) == (None, None)

    def draw(connection: Any) -> None:
        # A removed one drawn always, two allowed ones drawn with a chance of one tenth.
        for number, chance in ((3, 1.0), (5, 0.1), (6, 0.1)):
            action = Action.REMOVE if number == 3 else Action.ALLOW
            connection.execute(
                insert(samples).values(
                    upload_id=f"up-{number}",
                    verdict_id=decided(number, action, "spam").id,
                    probability=chance,
                    at=at(100),
                )
            )

    ledger.transact(draw, writes=True)
    ledger.record(
        [review(5, 1, Action.ALLOW, 501, "spam"), review(6, 1, Action.REMOVE, 502, "spam")]
    )
    found = figures(ledger)
    assert found.accuracy.value == pytest.approx(11 / 21)
    assert found.recall.value == pytest.approx(1 / 11)


def listed() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "columns.txt").read_text().splitlines():
        if line.startswith("["):
            found[line[1:-1]] = []
        elif not line.startswith("#"):
            found[next(reversed(found))].append(line.removesuffix("|"))
    own = found["5_own_initiative_illegal"].copy()
    own[3] = "Category of incompatibility with the provider's terms and conditions"
    return {**found, "6_own_initiative_TC": own}


def test_the_csv_parts_have_the_columns_of_the_template(tmp_path: Path, monkeypatch) -> None:
    url = f"sqlite:///{tmp_path}/l.db"
    monkeypatch.setenv("QUORUM_DATABASE", url)
    with Ledger(url, create=True) as made:
        made.record([upload(1), decided(1, Action.REMOVE, "spam")])
    out = tmp_path / "report"
    args = ["transparency", "--from", "2026-01-01", "--to", "2026-06-30", "--out", str(out)]
    done = CliRunner().invoke(app, [*args, "--service", "Clips"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "1 measures at own initiative" in done.output
    assert "need a person" in done.output
    expected = listed()
    assert len(PARTS) == 11
    for part in PARTS:
        data = (out / f"{part}.csv").read_bytes()
        rows = list(csv.reader(data.decode("utf-8").splitlines()))
        assert data.endswith(b"\r\n")
        assert part == "10_AMAR" or rows[0] == expected[part], part
        assert {len(row) for row in rows} == {len(rows[0])}
        if "Reporting period" in rows[0]:
            assert {row[2] for row in rows[1:]} == {"2026-01-01/2026-06-30"}
    terms = list(csv.reader((out / "6_own_initiative_TC.csv").read_text().splitlines()))
    assert terms[1][3:8] == ["TOTAL", "", "1", "1", "1"]
    assert NEEDS_A_PERSON in terms[1]
    with (out / "needs-a-person.csv").open(newline="") as file:
        gaps = list(csv.DictReader(file))
    marked = sum((out / f"{part}.csv").read_text().count(NEEDS_A_PERSON) for part in PARTS)
    assert len(gaps) == marked > 50
    orders = list(csv.reader((out / "3_member_states_orders.csv").read_text().splitlines()))
    assert orders[1][6:13] == [NEEDS_A_PERSON] * 7


def test_nothing_is_counted_where_nothing_is(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as made:
        empty = TimeRange(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
        found = made.transact(lambda c: count(c, Asked(empty), CATEGORIES))
    report = build(found, Service("P", "S"))
    rows = [row for row in report.parts["8_automated_means"] if "Accuracy" in row[4]]
    assert {row[6] for row in rows} == {NEEDS_A_PERSON}
    notices = report.parts["4_notices"][0]
    assert notices[5:7] == ("0", "0")
    assert notices[9] == ""  # no time of zero
