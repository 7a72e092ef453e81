"""The console's secret as a client of the identity provider."""

from __future__ import annotations

import os
from typing import Final

from quorum.core.private_files import read_secret

__all__ = ["SECRET", "client_secret"]

#: The variable that holds it; with ``_FILE``, the one that names a file with it.
SECRET: Final = "QUORUM_OIDC_SECRET"  # noqa: S105


def client_secret() -> str | None:
    """The secret; None if there is none, as public clients have.

    Raises:
        ConfigurationError: If its file cannot be read, or both variables are set.
    """
    found = read_secret(
        os.environ.get(SECRET), os.environ.get(f"{SECRET}_FILE"), SECRET, "the OIDC client's secret"
    )
    return found[0].strip() if found and found[0].strip() else None
