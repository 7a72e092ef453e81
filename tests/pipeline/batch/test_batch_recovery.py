from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from quorum.core.errors import QuorumError
from quorum.store.ledger import Ledger, LedgerUnavailable
from tests.pipeline.batch.runs import run, upload


def test_a_ledger_that_goes_away_in_mid_run_is_one_clear_error(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record([upload(n) for n in range(1000)])
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
from quorum.models.ensemble import Ensemble
from quorum.pipeline.batch import run
from tests.apps.web.doubles import Slow, Words
from tests.pipeline.batch.runs import spec

run.ensemble_of = lambda settings, policies: spec(Ensemble.of([Words(), Slow(0.15)]))
from quorum.apps.cli.batch import app
app(sys.argv[1:])
"""


def test_a_killed_run_goes_on_where_it_ended(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record([upload(n, "bad") for n in range(2000)])
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
