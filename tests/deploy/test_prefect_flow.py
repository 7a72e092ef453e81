"""The Prefect flow of ``deploy/``, run by Prefect's own test harness."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

if importlib.util.find_spec("prefect") is None:
    pytest.skip("needs quorum-moderation[prefect]", allow_module_level=True)

from quorum.core.messages import Upload, now
from quorum.store.ledger import Ledger

FLOW = Path(__file__).parents[2] / "deploy" / "prefect" / "flow.py"
QUORUM = [sys.executable, "-c", "from quorum.apps.cli import main; main()"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module of the flow, with a server of Prefect's for it."""
    given = dict(os.environ)
    os.environ |= {
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    from prefect.testing.utilities import prefect_test_harness

    spec = importlib.util.spec_from_file_location("quorum_prefect_flow", FLOW)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    # Prefect asks the module for its file.
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    try:
        with prefect_test_harness(server_startup_timeout=200):
            yield made
    finally:
        del sys.modules[spec.name]
        os.environ.clear()
        os.environ |= given


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("QUORUM_DATABASE", url)
    with Ledger(url, create=True) as made:
        made.record(
            [
                Upload(
                    id=f"u{hours}",
                    uploader="by",
                    title="FREE iPhone, click http://bit.ly/x and subscribe to my channel!!!",
                    published_at=now() - timedelta(hours=hours),
                )
                for hours in range(4)
            ]
        )
        yield made


def command(tmp_path: Path, body: str) -> list[str]:
    """A command that counts its calls, beside what it does."""
    file = tmp_path / "command.py"
    file.write_text(
        "import os, sys, time\nfrom pathlib import Path\n"
        f"calls = Path({str(tmp_path / 'calls')!r})\n"
        "calls.open('a').write('x')\n"
        f"call = calls.stat().st_size\n{body}\n"
    )
    return [sys.executable, str(file)]


def test_the_last_whole_hour_is_moderated(flow: ModuleType, ledger: Ledger, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("detectors: {spam: {}}\n")
    told = flow.moderate_window("hourly", options=["--settings", str(settings)], quorum=QUORUM)
    assert "1 read" in told and "1 decided" in told
    case = ledger.get_case("u1")
    assert case is not None and case.verdict is not None
    assert {one.detector for one in case.predictions} == {"spam"}
    assert ledger.stats()["verdicts"] == 1


def test_what_a_retry_may_mend_is_tried_again(
    flow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow.score, "retry_delay_seconds", [0, 0, 0])
    body = (
        "if call < 3:\n    sys.exit('quorum: the database could not be used: it went away')\n"
        "print('the day: 7 read', sys.argv[1:])"
    )
    told = flow.moderate_window("daily", quorum=command(tmp_path, body))
    assert told.startswith("the day: 7 read ['batch', '--window', 'daily', '--until', '20")
    assert (tmp_path / "calls").read_text() == "xxx"


def test_what_no_retry_mends_fails_at_once_in_its_own_words(
    flow: ModuleType, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow.score, "retry_delay_seconds", [600, 600, 600])
    with pytest.raises(flow.BatchFailed, match="has no table videos; give another") as told:
        flow.moderate_window("hourly", options=["--table", "videos"], quorum=QUORUM)
    assert told.value.code == 78
    assert ledger.stats()["verdicts"] == 0


def test_a_run_that_never_succeeds_ends_as_failed(
    flow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow.score, "retry_delay_seconds", [0, 0, 0])
    quorum = command(tmp_path, "os.kill(os.getpid(), 9)")
    with pytest.raises(flow.BatchFailed, match="ended with -9: it said nothing"):
        flow.moderate_window("hourly", quorum=quorum)
    assert (tmp_path / "calls").read_text() == "xxxx"


def test_both_schedules_are_served_one_run_at_a_time(flow: ModuleType) -> None:
    served: list[Any] = []
    flow.main(lambda *deployments: served.extend(deployments))
    crons = {one.parameters["window"]: one.schedules[0].schedule.cron for one in served}
    assert crons == {"hourly": "10 * * * *", "daily": "20 0 * * *"}
    assert {one.concurrency_limit for one in served} == {1}
