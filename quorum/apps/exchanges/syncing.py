"""Pulls what an exchange lists into the database, and tells it what people here say of it.

Each page is one transaction with its checkpoint: a pull that is cut off goes on where it was, and a
page that comes twice changes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from quorum.apps.exchanges.calls import CallRefused
from quorum.apps.exchanges.ncmec import Ncmec
from quorum.apps.exchanges.stopncii import StopNcii
from quorum.apps.exchanges.tat import TechAgainstTerrorism
from quorum.apps.exchanges.values import Changes, ExchangeClient, Told
from quorum.core.child_safety_settings import Exchange, NcmecExchange, StopNciiExchange
from quorum.core.errors import QuorumError
from quorum.core.messages import now
from quorum.models.known import records
from quorum.models.known.hashes import Listed
from quorum.store.ledger import Ledger

__all__ = ["Pulled", "Pushed", "client_of", "pull", "push"]

_log = logging.getLogger(__name__)

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull changed: hashes that are new, that are gone, and of kinds not compared here."""

    new: int = 0
    gone: int = 0
    passed: int = 0


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push told: opinions that were sent, and why others were not, by hash."""

    sent: int
    failed: tuple[tuple[str, str], ...] = ()


def client_of(name: str, settings: Exchange, **how: Any) -> ExchangeClient:
    """The client of an exchange.

    Args:
        name: What the settings call it.
        settings: Its settings.
        how: How it is called; see ``Calls``.

    Raises:
        ConfigurationError: If the environment has no credentials of it.
    """
    if isinstance(settings, NcmecExchange):
        return Ncmec.of(name, settings, **how)
    if isinstance(settings, StopNciiExchange):
        return StopNcii.of(name, settings, **how)
    return TechAgainstTerrorism.of(name, settings, **how)


def pull(ledger: Ledger, name: str, client: ExchangeClient) -> Pulled:
    """Take what an exchange changed since the last pull.

    Raises:
        CallRefused: If the exchange refuses; why is kept, and told by ``quorum hashes list``.
        EngineUnavailable: If it does not answer as it should.
    """
    done = Pulled()
    begun = ledger.transact(lambda c: records.get_state(c, f"checkpoint:{name}"))
    try:
        for page in client.changes(begun):
            new, gone = ledger.transact(partial(_take, name=name, page=page), writes=True)
            done = Pulled(done.new + new, done.gone + gone, done.passed + page.passed)
    except QuorumError as error:
        why = str(error)[:500]
        ledger.transact(lambda c: records.set_state(c, f"error:{name}", why), writes=True)
        raise
    return done


def _take(connection: Connection, name: str, page: Changes) -> tuple[int, int]:
    at = now()
    listed = {(one.kind, one.value) for one in page.listed}
    gone = records.withdraw_references(connection, name, page.gone)
    gone += records.withdraw_hashes(connection, name, page.gone_hashes)
    new = records.add_entries(connection, page.listed, at) if page.listed else 0
    if page.whole:
        gone += records.withdraw(connection, name, listed)
    records.set_state(connection, f"checkpoint:{name}", page.checkpoint)
    if page.done:
        records.set_state(connection, f"pulled:{name}", at.isoformat())
        records.set_state(connection, f"error:{name}", "")
    return new, gone


def push(ledger: Ledger, name: str, client: ExchangeClient) -> Pushed:
    """Tell an exchange what is still to be told; what it refuses is kept, with why.

    Raises:
        EngineUnavailable: If it does not answer; what was told before is noted.
    """
    sent, failed = 0, []
    rows = ledger.transact(lambda c: records.waiting_opinions(c, name, _BATCH))
    for row in rows:
        hashed = Listed(row.kind, row.value, source=row.source, reference=row.reference)
        try:
            if row.opinion not in client.takes:
                msg = f"{name} takes no such opinion ({row.opinion})"
                raise CallRefused(msg, 405)
            client.tell(Told(row.opinion, hashed))
        except QuorumError as error:
            why = str(error)
            ledger.transact(partial(records.failed_opinion, name=row.id, error=why), writes=True)
            if not isinstance(error, CallRefused):
                raise
            failed.append((hashed.name, why))
            continue
        ledger.transact(partial(records.sent_opinion, name=row.id, at=now()), writes=True)
        sent += 1
    return Pushed(sent, tuple(failed))
