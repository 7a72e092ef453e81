"""A policy: read from YAML, versioned by its content, found by its name or path.

All checks run when the text is read, and two texts with the same content have the same version.
A ``Policy`` is cheap to send to another process: its text is pickled, and read once there.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from quorum.aggregator.policy.expression import did_you_mean
from quorum.aggregator.policy.reader import read_content
from quorum.aggregator.policy.tree import MAX_POLICY_BYTES
from quorum.aggregator.policy.values import PolicyContent
from quorum.core.errors import PolicyError

__all__ = ["Policy", "load_policy", "shipped_policies"]

_FOLDER: Final = "shipped"


class Policy(PolicyContent):
    """A policy that passed all checks; policies of one version are equal."""

    @classmethod
    def from_text(cls, text: str, file: str | None = None) -> Policy:
        """Read a policy.

        Args:
            text: The YAML.
            file: Its name in errors.

        Raises:
            PolicyError: If anything is invalid; the message has line and column, and often a
                suggestion.
        """
        return _read(text, file)

    @classmethod
    def of_draft(cls, text: str) -> Policy:
        """Read a policy that is being written: it is not kept for the next who asks for it.

        Raises:
            PolicyError: As ``from_text``.
        """
        return cls(**vars(read_content(text)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Policy.from_text, (self.text, self.file))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.version == other.version

    def __hash__(self) -> int:
        return hash(self.version)


def shipped_policies() -> tuple[str, ...]:
    """The names of the shipped policies."""
    folder = resources.files("quorum.aggregator.policy").joinpath(_FOLDER)
    names = (item.name for item in folder.iterdir())
    return tuple(
        sorted(
            name.removesuffix(".yaml")
            for name in names
            if name.endswith(".yaml") and not name.endswith(".cases.yaml")
        )
    )


def load_policy(name_or_path: str | Path) -> Policy:
    """Load a shipped policy by its name, or a policy from a file.

    Raises:
        PolicyError: If it does not exist or is invalid.
    """
    given = str(name_or_path)
    shipped = shipped_policies()
    if given in shipped:
        item = resources.files("quorum.aggregator.policy").joinpath(_FOLDER, f"{given}.yaml")
        return Policy.from_text(item.read_text(encoding="utf-8"), f"{given}.yaml")
    path = Path(given)
    try:
        data = path.read_bytes()
    except OSError as error:
        if path.suffix or "/" in given:
            msg = f"cannot read the policy {given}: {error.strerror or error}"
        else:
            ships = ", ".join(shipped)
            msg = f"no policy is named {given}{did_you_mean(given, shipped)} (there are: {ships})"
        raise PolicyError(msg) from None
    if len(data) > MAX_POLICY_BYTES:
        msg = f"the policy has {len(data):,} bytes; the limit is {MAX_POLICY_BYTES:,}"
        raise PolicyError(msg, file=given)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        msg = "the policy is not valid UTF-8"
        raise PolicyError(msg, file=given, line=line) from None
    return Policy.from_text(text, given)


@lru_cache(maxsize=256)
def _read(text: str, file: str | None) -> Policy:
    return Policy(**vars(read_content(text, file)))
