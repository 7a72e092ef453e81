from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from typer.testing import CliRunner

from quorum.apps.cli import batch as command
from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess, WorkerSettings
from quorum.models.ensemble import Ensemble
from quorum.models.supervision.spec import EnsembleSpec
from quorum.store.ledger import Ledger
from tests.apps.web.doubles import Slow, Words

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def ensemble() -> Ensemble:
    return Ensemble.of([Words(), Slow()])


def spec(ensemble: Ensemble) -> EnsembleSpec:
    """The ensemble's detectors in threads of the process that runs them."""
    workers = WorkerSettings(isolation=False)
    return EnsembleSpec(tuple(ensemble.detectors.values()), MediaAccess(), workers=workers)


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
