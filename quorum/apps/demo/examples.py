"""The example uploads that the package ships."""

from __future__ import annotations

import json
from pathlib import Path

from quorum.core.errors import ConfigurationError

__all__ = ["example_messages", "examples_folder"]

#: ``shipped/`` in a wheel; in the repository its files are links into ``examples/``.
_SHIPPED = (Path(__file__).parent / "shipped" / "uploads.jsonl").resolve().parent


def examples_folder(given: Path | None = None) -> Path:
    """Return the folder of ``uploads.jsonl`` and its media.

    Args:
        given: A folder to use instead of the shipped one.

    Raises:
        ConfigurationError: If the folder holds no ``uploads.jsonl``.
    """
    folder = given or _SHIPPED
    if not (folder / "uploads.jsonl").is_file():
        msg = f"there is no uploads.jsonl in {folder}: give a folder that has one with --examples"
        raise ConfigurationError(msg)
    return folder.resolve()


def example_messages(folder: Path) -> list[bytes]:
    """Return the lines of ``uploads.jsonl`` as messages, with absolute ``file:`` URIs for media.

    Invalid lines are kept as they are: the demo shows how they become dead letters.
    """
    messages = []
    for line in (folder / "uploads.jsonl").read_bytes().splitlines():
        if not line.strip():
            continue
        try:
            upload = json.loads(line)
            media = upload.get("media")
        except (ValueError, AttributeError):
            messages.append(line)
            continue
        if isinstance(media, str) and "://" not in media:
            upload["media"] = (folder / media).as_uri()
        messages.append(json.dumps(upload, ensure_ascii=False).encode())
    return messages
