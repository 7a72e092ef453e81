from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.models.supervision.shared import shared_supervisor as shared
from quorum.pipeline.batch import run as batch
from quorum.pipeline.batch.sources import split
from quorum.pipeline.batch.windows import Window, windows
from quorum.store.ledger import Ledger
from tests.pipeline.batch.runs import BEGIN, actions, run, upload


def test_windows_choose_by_the_time_of_publication(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record([upload(n) for n in range(180)])
    told = run("--window", "hourly", "--until", "2026-01-31T14:30:00Z")
    assert "60 read" in told
    assert {row[:3] for row in actions(ledger)} == {"u00", "u01"}
    assert "60 read" in run("--since", "2026-01-31T12:10:00Z", "--until", "2026-01-31T13:10:00Z")
    keys: list[str] = []
    monkeypatch.setattr(batch, "shared_supervisor", lambda one: keys.append(one.key) or shared(one))
    told = run(
        *("--window", "hourly", "--backfill", "--since", "2026-01-31T10:00:00Z"),
        *("--until", "2026-01-31T15:59:00Z"),
    )
    assert re.findall(r"(\d+) read", told) == ["0", "0", "60", "60", "60"]
    assert len(actions(ledger)) == 180
    # The detectors are loaded once for all windows, and an empty window needs none.
    assert len(keys) == 3
    assert len(set(keys)) == 1


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
