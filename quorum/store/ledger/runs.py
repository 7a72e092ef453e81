"""Queries for batch runs."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select

from quorum.store.ledger import schema
from quorum.store.ledger.values import Run

__all__ = ["last_run", "write_run"]


def write_run(connection: Connection, run: Run) -> None:
    """Insert a run."""
    connection.execute(
        schema.runs.insert(),
        {
            "id": run.id,
            "started_at": run.started_at,
            "ended_at": run.ended_at,
            "policy_version": run.policy_version,
            "summary": json.dumps(dict(run.summary), sort_keys=True),
        },
    )


def last_run(connection: Connection) -> Run | None:
    """The run that ended last; None if there was none."""
    table = schema.runs
    query = select(table).order_by(table.c.ended_at.desc(), table.c.id).limit(1)
    row = connection.execute(query).first()
    if row is None:
        return None
    return Run(row.id, row.started_at, row.ended_at, row.policy_version, json.loads(row.summary))
