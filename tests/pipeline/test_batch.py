from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from pipeline.batch import Window, windows
from pipeline.batch_report import drift, page
from pipeline.batch_sources import FileBatch, LedgerBatch, TableBatch, split
from pipeline.tally import Tally
from quorum.cli import batch as command
from quorum.cli import policy as policy_command
from quorum.errors import ConfigurationError, QuorumError
from quorum.ledger import Ledger, LedgerUnavailable, Run, Span
from quorum.messages import Action, Review, Upload, now
from quorum.moderator import Ensemble, Moderator
from tests.quorum.ledger.postgres_server import running
from tests.quorum.web.doubles import POLICY, Slow, Words

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def ensemble() -> Ensemble:
    return Ensemble.of([Words(), Slow()])


@pytest.fixture(autouse=True)
def _with_doubles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.text)
    monkeypatch.setattr("quorum.moderator.Ensemble.load", lambda _settings: ensemble())
    monkeypatch.setenv("QUORUM_DATABASE", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.delenv("QUORUM_SOURCE", raising=False)
    monkeypatch.setenv("TEST_POLICY", str(policy))
    monkeypatch.setattr("quorum.cli.batch.configure_logs", lambda *_: None)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as made:
        yield made


def run(*args: str, policy: str | None = None) -> str:
    chosen = policy or os.environ["TEST_POLICY"]
    done = CliRunner().invoke(command.app, [*args, "--policy", chosen], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def upload(number: int, title: str = "fine", **more: Any) -> Upload:
    at = BEGIN + timedelta(minutes=number)
    return Upload(
        **{"id": f"u{number:04}", "uploader": "by", "title": title, "published_at": at} | more
    )


def actions(ledger: Ledger) -> dict[str, str]:
    return {row.upload_id: str(row.action) for row in ledger.find(limit=10_000)}


def test_the_ledgers_uploads_get_the_verdicts_of_the_moderator(ledger: Ledger) -> None:
    titles = ["bad", "fine", "broken", "late", ""]
    uploads = [upload(n, titles[n % 5]) for n in range(700)]
    ledger.record_uploads(uploads)
    told = run()
    assert "700 read" in told
    assert "700 decided" in told
    wanted = Moderator(policy=POLICY, ensemble=ensemble()).moderate(uploads)
    cases = {case.upload_id: case for case in ledger.cases()}
    for one in wanted:
        case = cases[one.verdict.upload_id]
        made = case.verdict
        assert made is not None
        same = ("id", "action", "rule", "reasons", "missing", "decided_by", "revision")
        assert [getattr(made, name) for name in same] == [
            getattr(one.verdict, name) for name in same
        ]
        assert len(case.predictions) == 2


def test_a_second_run_does_nothing(ledger: Ledger) -> None:
    ledger.record_uploads([upload(n) for n in range(50)])
    run()
    before = ledger.stats()
    assert "50 known" in run()
    assert ledger.stats() == before


def test_a_dry_run_writes_nothing(ledger: Ledger) -> None:
    ledger.record_uploads([upload(n, "bad") for n in range(50)])
    before = ledger.stats()
    assert "50 remove" in run("--dry-run")
    assert ledger.stats() == before
    assert ledger.last_run() is None


def test_again_writes_what_changes_and_leaves_reviews_alone(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record_uploads([upload(n, "bad" if n % 2 else "fine") for n in range(20)])
    run()
    first = ledger.get_case("u0001")
    assert first is not None and first.verdict is not None
    reviewed = ledger.get_case("u0003")
    assert reviewed is not None and reviewed.verdict is not None
    ledger.record_reviews(
        [
            Review(
                upload_id="u0003",
                verdict_id=reviewed.verdict.id,
                action=Action.ALLOW,
                reviewer="ana",
                at=now(),
            )
        ]
    )
    milder = tmp_path / "milder.yaml"
    milder.write_text(POLICY.text.replace("action: remove", "action: restrict"))
    told = run("--again", policy=str(milder))
    assert "9 decided (9 restrict)" in told
    assert "11 unchanged" in told
    second = ledger.get_case("u0001")
    assert second is not None and second.verdict is not None
    assert (second.verdict.revision, second.verdict.supersedes) == (2, first.verdict.id)
    assert second.verdict.action is Action.RESTRICT
    assert actions(ledger)["u0003"] == "remove"
    assert "0 decided" in run("--again", policy=str(milder))


def test_a_policy_in_shadow_is_recorded_and_never_acts(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record_uploads([upload(n, "bad" if n % 2 else "fine") for n in range(20)])
    mild = tmp_path / "mild.yaml"
    mild.write_text(POLICY.text.replace("name: words", "name: mild").replace("remove", "restrict"))
    assert "10 remove" in run("--shadow-policy", str(mild))
    told = CliRunner().invoke(
        policy_command.app, ["compare-shadow", os.environ["TEST_POLICY"], "--database", "-"]
    )
    assert "watched 20 cases" in told.output
    assert "10 would be restrict instead of remove" in told.output


def test_past_removals_of_the_uploader_count(ledger: Ledger, tmp_path: Path) -> None:
    suspicious = tmp_path / "suspicious.yaml"
    suspicious.write_text(
        POLICY.text + "  - {name: again, when: uploader.strikes >= 1.5, action: review,"
        " reason: The uploader has earlier removals.}\n"
    )
    ledger.record_uploads([upload(n, "bad", uploader="rogue") for n in range(2)])
    run(policy=str(suspicious))
    ledger.record_uploads(
        [upload(7, uploader="rogue"), upload(8, uploader="gardener"), upload(9, uploader="rogue")]
    )
    run(policy=str(suspicious))
    assert actions(ledger) == {
        "u0000": "remove",
        "u0001": "remove",
        "u0007": "review",
        "u0008": "allow",
        "u0009": "review",
    }


def test_windows_choose_by_the_time_of_publication(ledger: Ledger) -> None:
    ledger.record_uploads([upload(n) for n in range(180)])
    told = run("--window", "hourly", "--until", "2026-01-31T14:30:00Z")
    assert "60 read" in told
    assert {row[:3] for row in actions(ledger)} == {"u00", "u01"}
    assert "60 read" in run("--since", "2026-01-31T12:10:00Z", "--until", "2026-01-31T13:10:00Z")
    told = run(
        *("--window", "hourly", "--backfill", "--since", "2026-01-31T12:00:00Z"),
        *("--until", "2026-01-31T15:59:00Z"),
    )
    assert re.findall(r"(\d+) read", told) == ["60", "60", "60"]
    assert len(actions(ledger)) == 180


@pytest.mark.parametrize(
    "args",
    [
        ("--since", "2026-01-31T12:00:00"),
        ("--since", "yesterday"),
        ("--backfill", "--window", "daily"),
        ("--window", "daily", "--since", "2026-01-31T12:00:00Z"),
        ("--since", "2026-02-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"),
        ("--column", "id=x"),
        ("--table", "videos", "--column", "id"),
        ("--table", "videos", "--timezone", "Mars/Base"),
        ("--table", "nothing"),
        ("--input", "/no/such/file.jsonl"),
        ("--input", "x.jsonl", "--table", "videos"),
    ],
)
def test_wrong_options_are_told(args: tuple[str, ...], ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError):
        run(*args)


@given(
    window=st.sampled_from(Window),
    since=st.datetimes(datetime(2024, 1, 1), datetime(2024, 3, 1)),  # noqa: DTZ001
    hours=st.integers(0, 2000),
)
def test_windows_are_whole_adjoin_and_end_in_time(
    window: Window, since: datetime, hours: int
) -> None:
    start = since.replace(tzinfo=UTC)
    until = start + timedelta(hours=hours)
    found = windows(window, start, until)
    for one, after in itertools.pairwise(found):
        assert one.until == after.since
    if found:
        assert found[0].since is not None and found[0].since <= start
        assert found[-1].until is not None and found[-1].until <= until


@given(seconds=st.lists(st.integers(0, 10_000), min_size=1, max_size=30), count=st.integers(1, 9))
def test_a_split_holds_each_time_once(seconds: list[int], count: int) -> None:
    times = [BEGIN + timedelta(seconds=value) for value in seconds]
    spans = split(min(times), max(times), count)
    for at in times:
        holding = [s for s in spans if s.since and s.until and s.since <= at < s.until]
        assert len(holding) == 1


def site(path: Path, rows: list[tuple[Any, ...]]) -> str:
    with sqlite3.connect(path) as made:
        made.execute(
            "CREATE TABLE videos (video_id, channel, title, keywords, created TIMESTAMP, x BLOB)"
        )
        made.executemany("INSERT INTO videos VALUES (?,?,?,?,?,NULL)", rows)
    made.close()
    return f"sqlite:///{path}"


COLUMNS = (
    *("--column", "id=video_id", "--column", "uploader=channel"),
    *("--column", "published_at=created", "--column", "tags=keywords"),
)


def test_a_table_of_the_platforms_own(ledger: Ledger, tmp_path: Path) -> None:
    rows: list[tuple[Any, ...]] = [
        (1, "c1", "bad", '["a", "b"]', "2026-01-31T12:00:00Z"),
        ("two", "c1", "fine", "a, b", "2026-01-31 14:00:00+02:00"),
        ("naive", "c1", "fine", None, "2026-01-31 12:00:00"),
        (None, "c1", "no id", None, "2026-01-31T12:00:00Z"),
        ("untimed", "c1", "x", None, None),
        ("nobody", None, "x", None, "2026-01-31T12:00:00Z"),
        ("two", "c1", "again", None, "2026-01-31 14:00:00+02:00"),
        (
            "sql'; DROP TABLE videos; --",
            "c'1",
            "'; DROP TABLE uploads",
            None,
            "2026-01-31T12:00:00Z",
        ),
    ]
    url = site(tmp_path / "site.db", rows)
    told = run("--database", url, "--table", "videos", *COLUMNS)
    assert "8 read" in told
    assert "4 dead letters" in told
    assert actions(ledger) == {
        "1": "remove",
        "two": "allow",
        "sql'; DROP TABLE videos; --": "allow",
    }
    case = ledger.get_case("two")
    assert case is not None and case.upload is not None
    assert case.upload.tags == ("a", "b")
    assert case.upload.published_at == BEGIN
    letters = list(ledger.dead_letters())
    assert any("published_at" in letter.error for letter in letters)
    assert b"no id" in b"".join(letter.data for letter in letters)
    told = run("--database", url, "--table", "videos", *COLUMNS, "--timezone", "Europe/Berlin")
    assert "1 decided" in told
    berlin = ledger.get_case("naive")
    assert berlin is not None and berlin.upload is not None
    assert berlin.upload.published_at == BEGIN - timedelta(hours=1)


def test_a_table_that_lacks_columns_is_told_before_it_begins(
    ledger: Ledger, tmp_path: Path
) -> None:
    url = site(tmp_path / "site.db", [])
    with pytest.raises(ConfigurationError, match=r"no column id .*--column id=COLUMN"):
        run("--database", url, "--table", "videos")
    with pytest.raises(ConfigurationError, match="no field colour"):
        run("--database", url, "--table", "videos", "--column", "colour=title")
    with pytest.raises(ConfigurationError, match="no column words"):
        run("--database", url, "--table", "videos", *COLUMNS, "--column", "title=words")


def test_files_with_bad_lines(ledger: Ledger, tmp_path: Path) -> None:
    lines = [upload(n, "bad").to_bytes() for n in range(30)]
    lines.insert(3, b"not json")
    lines.insert(9, b"\xff\xfe")
    lines.insert(12, b"")
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines[:20]) + b"\n")
    (tmp_path / "b.jsonl").write_bytes(b"\n".join(lines[20:]))
    report = tmp_path / "report.html"
    told = run("--input", f"{tmp_path}/*.jsonl", "--report", str(report))
    assert "30 decided (30 remove), 0 known, 0 unchanged, 2 dead letters" in told
    assert {letter.data for letter in ledger.dead_letters()} == {b"not json", b"\xff\xfe"}
    assert "30" in report.read_text()


def test_gs_files_are_opened_through_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Match:
        metadata_list: list[Any] = []

    def match(patterns: list[str]) -> list[Match]:
        seen.extend(patterns)
        return [Match()]

    monkeypatch.setattr("pipeline.batch_sources.FileSystems.match", match)
    with pytest.raises(ConfigurationError, match="no file gs://bucket/x"):
        FileBatch("gs://bucket/x-*.jsonl").ranges(Span(), 1)
    assert seen == ["gs://bucket/x-*.jsonl"]


@pytest.mark.postgres
def test_postgresql_in_ranges_with_and_without_zones(tmp_path: Path) -> None:
    with running() as server:
        url = server.url()
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE TABLE videos AS SELECT 'v' || n AS id, 'c' || n % 7 AS uploader, "
                    "CASE WHEN n % 3 = 0 THEN 'bad' ELSE 'fine' END AS title, "
                    "ARRAY['a','b'] AS tags, timestamptz '2026-01-31 12:00Z' + n % 50 * "
                    "interval '1 minute' AS published_at, timestamp '2026-01-31 12:00' + n * "
                    "interval '1 second' AS plain FROM generate_series(1, 2500) n"
                )
            )
            connection.execute(text("INSERT INTO videos (id, uploader) VALUES ('w', 'c')"))
        engine.dispose()
        table = TableBatch(url, "videos")
        ranges = table.ranges(Span(), 4)
        assert len(ranges) == 5
        parts = [[json.loads(row)["id"] for row in table.read(part)] for part in ranges]
        assert all(parts)
        ids = [one for part in parts for one in part]
        assert len(ids) == len(set(ids)) == 2501
        assert table.size(Span(BEGIN, BEGIN + timedelta(minutes=10))) == 500
        plain = TableBatch(url, "videos", {"published_at": "plain"})
        with pytest.raises(ConfigurationError, match="--timezone"):
            plain.ranges(Span(), 2)
        zoned = TableBatch(url, "videos", {"published_at": "plain"}, "Europe/Berlin")
        assert zoned.size(Span(BEGIN - timedelta(hours=1), BEGIN)) == 2500
        with Ledger(url, create=True) as ledger:
            told = run("--database", url, "--ledger", url, "--table", "videos")
            assert "2,500 decided" in told
            assert "1 dead letters" in told
            assert ledger.count() == {"remove": 833, "allow": 1667}
            server.stop()
            with pytest.raises(LedgerUnavailable, match="could not be used"):
                run("--database", url, "--ledger", url, "--table", "videos")


def test_a_ledger_that_goes_away_in_mid_run_is_one_clear_error(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record_uploads([upload(n) for n in range(1000)])
    real = Ledger.record

    def record(self: Ledger, messages: Any) -> None:
        if self.stats()["verdicts"] > 300:
            msg = "the database could not be used: it went away"
            raise LedgerUnavailable(msg)
        real(self, messages)

    monkeypatch.setattr(Ledger, "record", record)
    with pytest.raises(QuorumError, match="went away"):
        run("--parts", "1")
    monkeypatch.undo()
    assert ledger.stats()["verdicts"] == ledger.stats()["predictions"] / 2 == 512


KILLED = """
import sys
sys.path.insert(0, ".")
from quorum.moderator import Ensemble
from tests.quorum.web.doubles import Slow, Words
import quorum.moderator
Ensemble.load = classmethod(lambda cls, settings: Ensemble.of([Words(), Slow(0.15)]))
from quorum.cli.batch import app
app(sys.argv[1:])
"""


def test_a_killed_run_goes_on_where_it_ended(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record_uploads([upload(n, "bad") for n in range(2000)])
    args = ["--policy", str(tmp_path / "policy.yaml")]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *args], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while ledger.stats()["verdicts"] < 300:
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    done = ledger.stats()["verdicts"]
    assert 300 <= done < 2000
    assert ledger.stats()["predictions"] == 2 * done
    told = run()
    assert f"{2000 - done:,} decided" in told
    assert f"{done:,} known" in told
    assert ledger.stats()["verdicts"] == 2000


def test_memory_does_not_grow_with_rows(ledger: Ledger) -> None:
    """Reading goes on only as fast as deciding: no stage holds the whole source."""
    seen: list[int] = []
    source = LedgerBatch(None)
    ledger.record_uploads([upload(n) for n in range(3000)])
    real = LedgerBatch.read

    def read(self: LedgerBatch, part: Any) -> Iterator[bytes]:
        for index, row in enumerate(real(self, part), 1):
            if index % 500 == 0:
                seen.append(ledger.stats()["verdicts"])
            yield row

    LedgerBatch.read = read  # type: ignore[method-assign]
    try:
        run("--parts", "1")
    finally:
        LedgerBatch.read = real  # type: ignore[method-assign]
    assert source.size(Span()) == 3000
    assert seen == sorted(seen)
    assert seen[-1] > 2000


def test_the_report_escapes_and_tells_drift() -> None:
    tally = Tally(read=10)
    tally.dead_letter("<script>alert(1)</script>")
    chance = random.Random(3)
    for _ in range(400):
        tally.scores[f"spam {min(19, int(chance.betavariate(2, 8) * 20))}"] += 1
    tally.versions["spam v1"] = 400
    other = Tally()
    for _ in range(400):
        other.scores[f"spam {min(19, int(chance.betavariate(8, 2) * 20))}"] += 1
    at = now()
    before = Run("a", at, at, "p", other.as_json())
    made = page(Run("b", at, at, "<p>", tally.as_json()), tally, before, title="<t>")
    assert "<script>alert" not in made
    assert "&lt;script&gt;" in made
    assert "large (" in made
    assert drift(tally.scores, tally.scores, "spam") == 0.0
    assert drift(tally.scores, Tally().scores, "spam") is None
    assert Tally.from_json(json.loads(json.dumps(tally.as_json()))) == tally


def test_runs_are_kept_for_the_next_report(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record_uploads([upload(n) for n in range(100)])
    report = tmp_path / "r.html"
    run("--until", "2026-01-31T12:50:00Z", "--report", str(report))
    assert "no run before" in report.read_text()
    run("--report", str(report))
    assert "since 20" in report.read_text()
    last = ledger.last_run()
    assert last is not None
    assert last.summary["read"] == 100
