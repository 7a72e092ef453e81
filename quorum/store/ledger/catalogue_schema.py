"""The catalogue's tables, where they lie in the ledger's database.

They are defined in ``quorum.models.copyright.catalogue.tables``; here they join the tables that the
migrations make.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete

from quorum.models.copyright.catalogue.tables import metadata as catalogue
from quorum.store.ledger.schema import metadata

__all__ = ["take_kept_uploads"]

for _table in catalogue.sorted_tables:
    _table.to_metadata(metadata)


def take_kept_uploads(connection: Connection, upload_ids: Sequence[str]) -> None:
    """Take the fingerprints that are kept of these uploads."""
    table = metadata.tables["catalogue_uploads"]
    connection.execute(delete(table).where(table.c.id.in_(upload_ids)))
