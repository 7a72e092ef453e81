"""Where models from elsewhere lie on this machine, and which of them was good last.

A model from a registry is kept, so that a service starts while the registry is away. The folder is
``QUORUM_CACHE``, else ``quorum`` in the user's own cache folder. What is read from it is checked as
if it had just come: it is a copy, not a proof.
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

__all__ = ["keep", "kept_folder", "last_good", "new_folder", "remember"]

#: Versions of one registered model that stay, beside those that an alias named last.
KEPT = 5


def _root() -> Path:
    named = os.environ.get("QUORUM_CACHE")
    if named:
        return Path(named) / "quorum-models"
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "quorum" / "quorum-models"


def _plain(*parts: str) -> str:
    """A folder's name that says what it is, and is another one for other parts."""
    told = re.sub(r"[^\w.-]+", "-", "-".join(parts))[:60]
    return f"{told}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"


def new_folder(*parts: str) -> Path:
    """A new private folder: another process never sees a half of a model."""
    name = re.sub(r"[^\w.-]+", "-", "-".join(parts))[:80]
    try:
        root = _root()
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
    except (OSError, RuntimeError):  # a file system that is read only, a user without a home
        return Path(tempfile.mkdtemp(prefix=f"quorum-{name}-"))


def kept_folder(registry: str, name: str, number: str) -> Path:
    """Where a version of a registered model lies, or would lie."""
    return _root() / "mlflow" / _plain(registry, name) / number


def keep(folder: Path, registry: str, name: str, number: str) -> Path:
    """Move a model that was checked to where it is kept; where that cannot be, it stays."""
    target = kept_folder(registry, name, number)
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
    return _root() / "last-good" / f"{_plain(registry, detector, reference)}.json"


def last_good(registry: str, detector: str, reference: str) -> str | None:
    """The version that a reference named when its detector was last loaded; None if unknown."""
    return _read(_pointer(registry, detector, reference))


def remember(registry: str, detector: str, reference: str, pinned: str) -> None:
    """Note the version that a reference names, which a detector was loaded with."""
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
