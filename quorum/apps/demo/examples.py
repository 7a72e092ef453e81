"""The uploads that ship in ``examples/``."""

from __future__ import annotations

import json
from pathlib import Path

from quorum.core.errors import ConfigurationError

__all__ = ["example_messages", "examples_folder"]


def examples_folder(named: Path | None = None) -> Path:
    """Where the examples lie: as named, in the working directory, or beside the source.

    Raises:
        ConfigurationError: If they are nowhere.
    """
    candidates = (
        [named] if named else [Path("examples"), Path(__file__).resolve().parents[3] / "examples"]
    )
    for folder in candidates:
        if (folder / "uploads.jsonl").is_file():
            return folder.resolve()
    msg = (
        f"there is no uploads.jsonl in {', '.join(str(each) for each in candidates)}: run it in a "
        "clone of Quorum, or give --examples FOLDER"
    )
    raise ConfigurationError(msg)


def example_messages(folder: Path) -> list[bytes]:
    """The lines of ``uploads.jsonl`` as messages, their media as absolute ``file:`` URIs.

    Lines that are no uploads are left as they are: they are part of the show.
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
