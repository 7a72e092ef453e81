"""Copies of removed intimate images are found among uploads kept and to come."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.store.ledger import Ledger
from quorum.store.ledger.notices_schema import notice_copies
from quorum.store.notices import sweeping
from quorum.store.notices.copies import work_id
from quorum.store.notices.sweeping import sweep
from tests.models.copyright.test_copies import still
from tests.store.ledger.messages_for_ledger import at, upload, verdict
from tests.store.notices.test_notices import RULES, clock, log, send, take_down

__all__ = ["clock"]


@pytest.fixture
def times(clock: list[datetime], monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    monkeypatch.setattr(sweeping, "now", lambda: clock[0])
    return clock


@pytest.fixture
def catalogue(tmp_path: Path):
    made = Catalogue(tmp_path / "catalogue")
    yield made
    made.close()


def keep(catalogue: Catalogue, number: int, found: Any, when: datetime) -> None:
    kept = catalogue.kept_uploads()
    assert kept is not None
    kept.keep(upload(number), found, {}, when)
    kept.close()


def copies(ledger: Ledger) -> dict[str, tuple[str, datetime]]:
    rows = ledger.transact(lambda c: c.execute(select(notice_copies)).all())
    return {row.upload_id: (row.how, row.due_at) for row in rows}


def test_copies_are_found_among_what_is_kept_and_what_comes(
    ledger: Ledger, catalogue: Catalogue, times: list[datetime]
) -> None:
    ledger.record([one for n in range(6) for one in (upload(n), verdict(n))])
    made = send(ledger, 0, kind="intimate")
    other = send(ledger, 1, kind="intimate", who="another")
    take_down(ledger, made.id, times[0])
    take_down(ledger, other.id, times[0])
    with pytest.raises(ConfigurationError, match="quorum catalogue keep"):
        sweep(ledger, catalogue, RULES)
    catalogue.keep_uploads(365)
    catalogue.refresh()
    keep(catalogue, 0, still("a"), at(1))
    keep(catalogue, 2, still("a"), at(2))
    keep(catalogue, 3, still("a", flipped=9, file="edited"), at(3))
    keep(catalogue, 4, still("innocent"), at(4))
    done = sweep(ledger, catalogue, RULES)
    assert (done.originals, done.compared, done.found) == (1, 4, 2)
    assert done.without == (other.id,)
    assert log(ledger, other.id)[-1] == "no-fingerprint"
    due = at(10_000) + timedelta(hours=48)
    assert copies(ledger) == {"up-2": ("identical", due), "up-3": ("similar", due)}
    # What is registered is held by the detector from now on.
    catalogue.refresh()
    work, _ = catalogue.get(work_id(made.id))
    assert work.rule.action is Action.REVIEW
    again = sweep(ledger, catalogue, RULES)
    assert (again.compared, again.found) == (0, 0)
    times[0] += timedelta(days=9)
    keep(catalogue, 5, still("a"), at(5))
    later = sweep(ledger, catalogue, RULES)
    assert (later.compared, later.found) == (1, 1)
    assert copies(ledger)["up-5"] == ("identical", times[0] + timedelta(hours=48))
    assert log(ledger, made.id).count("copy-found") == 3
    assert log(ledger, other.id).count("no-fingerprint") == 1
