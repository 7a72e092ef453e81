"""The cache of fetched models on this machine, and a record of the last good version of each.

A model from a registry is cached, so that a service starts while the registry is unavailable. The
folder is ``QUORUM_CACHE``, else ``quorum`` in the user's own cache folder. Cached models are
checked like fetched ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

__all__ = ["add_to_cache", "cached_folder", "last_good", "new_folder", "record_last_good"]

#: Versions of one registered model that stay, besides the last good ones of its aliases.
KEPT = 5


def _root() -> Path:
    named = os.environ.get("QUORUM_CACHE")
    if named:
        return Path(named) / "quorum-models"
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "quorum" / "quorum-models"


def _folder_name(*parts: str) -> str:
    """A readable folder name that is unique for its parts."""
    readable = re.sub(r"[^\w.-]+", "-", "-".join(parts))[:60]
    return f"{readable}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"


def new_folder(*parts: str) -> Path:
    """Create a private folder, so that no other process reads half of a model."""
    name = re.sub(r"[^\w.-]+", "-", "-".join(parts))[:80]
    try:
        root = _root()
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
    except (OSError, RuntimeError):  # a file system that is read only, a user without a home
        return Path(tempfile.mkdtemp(prefix=f"quorum-{name}-"))


def cached_folder(registry: str, name: str, number: str) -> Path:
    """The folder of a version of a registered model, which may not exist."""
    return _root() / "mlflow" / _folder_name(registry, name) / number


def add_to_cache(folder: Path, registry: str, name: str, number: str) -> Path:
    """Move a checked model into the cache, and return its folder; on failure it stays in place."""
    target = cached_folder(registry, name, number)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if target.exists():
            before = new_folder("replaced")
            target.rename(before / number)
            shutil.rmtree(before, ignore_errors=True)
        folder.rename(target)
    except OSError:
        return target if target.is_dir() and not folder.is_dir() else folder
    _prune(target.parent)
    return target


def _prune(folder: Path) -> None:
    named = {last.rpartition("/")[2].partition("#")[0] for last in _all_last_good()}
    known = [path for path in folder.iterdir() if path.is_dir()]
    known.sort(key=lambda path: path.stat().st_mtime)
    for path in known[:-KEPT]:
        if path.name not in named:
            shutil.rmtree(path, ignore_errors=True)


def _pointer(registry: str, detector: str, reference: str) -> Path:
    return _root() / "last-good" / f"{_folder_name(registry, detector, reference)}.json"


def last_good(registry: str, detector: str, reference: str) -> str | None:
    """The version that a detector last loaded for a reference; None if unknown."""
    return _read(_pointer(registry, detector, reference))


def record_last_good(registry: str, detector: str, reference: str, pinned: str) -> None:
    """Record the version that a detector loaded for a reference."""
    path = _pointer(registry, detector, reference)
    if _read(path) == pinned:
        return
    with contextlib.suppress(OSError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".new", delete=False) as file:
            json.dump({"reference": reference, "good": pinned}, file)
        Path(file.name).replace(path)


def _read(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["good"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None


def _all_last_good() -> list[str]:
    found = [_read(path) for path in (_root() / "last-good").glob("*.json")]
    return [one for one in found if one is not None]
