"""Verdicts and predictions of a batch in files and tables of others."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Verdict
from quorum.pipeline.batch.outputs import COLUMNS, Output
from quorum.store.ledger import Ledger
from tests.pipeline.batch.runs import BEGIN, run, upload


def rows_of(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".parquet":
        return list(pq.read_table(file).to_pylist())
    with file.open(encoding="utf-8", newline="") as opened:
        if file.suffix == ".csv":
            return list(csv.DictReader(opened))
        return [json.loads(line) for line in opened]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_all_that_was_read_is_written(suffix: str, ledger: Ledger, tmp_path: Path) -> None:
    ledger.record([upload(n, 'bad, "x"\nü' if n % 2 else "fine") for n in range(3)])
    run()
    ledger.record([upload(n, "bad") for n in range(3, 5)])
    # Three are known and two are new, as after a run that was killed.
    verdicts, predictions = tmp_path / f"v{suffix}", tmp_path / f"p{suffix}"
    told = run("--verdicts", str(verdicts), "--predictions", str(predictions))
    assert "2 decided" in told
    made = rows_of(verdicts)
    wanted = {f"u{n:04}": "remove" if n % 2 or n > 2 else "allow" for n in range(5)}
    assert {row["upload_id"]: row["action"] for row in made} == wanted
    scored = rows_of(predictions)
    assert {(row["upload_id"], row["detector"]) for row in scored} == {
        (one, name) for one in wanted for name in ("words", "slow")
    }
    if suffix == ".jsonl":
        return
    assert list(made[0]) == list(COLUMNS["verdicts"])
    whole = Verdict.from_bytes(made[0]["message"].encode())
    assert whole.id == made[0]["id"]
    reasons = made[0]["reasons"]
    assert tuple(json.loads(reasons) if suffix == ".csv" else reasons) == whole.reasons
    at = made[0]["at"]
    assert (at if suffix == ".parquet" else type(whole.at).fromisoformat(at)) == whole.at


def test_each_window_has_its_files_and_a_dry_run_writes_them(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.record([upload(n) for n in (0, 70)])
    run(
        *("--window", "hourly", "--backfill", "--since", BEGIN.isoformat(), "--dry-run"),
        *("--until", (BEGIN + timedelta(hours=2)).isoformat(), "--verdicts", f"{tmp_path}/v.csv"),
    )
    assert [path.name for path in sorted(tmp_path.glob("v*.csv"))] == [
        "v-20260131T1200Z.csv", "v-20260131T1300Z.csv"
    ]  # fmt: skip
    assert [len(rows_of(path)) for path in tmp_path.glob("v*.csv")] == [1, 1]
    assert ledger.stats()["verdicts"] == 0


@pytest.mark.parametrize(
    "place", ["verdicts", "verdicts.txt", "bigquery://p/d", "bigquery://project-1/d/`x`"]
)
def test_other_places_are_told(place: str, ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot write verdicts|names no table"):
        run("--verdicts", place)
    assert Output("verdicts", "bigquery://project-1/d/t").place
