"""Check the files of a folder against digests: ``python FILE LOCK FOLDER [EXCEPT ...]``."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path


def known(lock: str) -> dict[str, set[str]]:
    """By a package's name, the SHA-256 digests that a lock with hashes names."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in lock.splitlines():
        if pinned := re.match(r"([A-Za-z0-9._-]+)(\[[^\]]*\])?==", line):
            name = plain(pinned[1])
        found.setdefault(name, set()).update(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
    return found


def plain(name: str) -> str:
    """A package's name as names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def strangers(digests: dict[str, set[str]], folder: Path, excepted: set[str]) -> list[str]:
    """The files whose digest the lock does not name."""
    wrong = []
    for file in sorted(folder.iterdir()):
        # A wheel's name has no "-"; that of an archive of sources ends before its version.
        stem = file.name.split("-")[0] if file.suffix == ".whl" else file.name.rsplit("-", 1)[0]
        name = plain(stem)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if name not in excepted and digest not in digests.get(name, ()):
            wrong.append(file.name)
    return wrong


def main(arguments: list[str]) -> int:
    """Print the files that are not of the lock; returns 1 if there are any."""
    lock, folder, *excepted = arguments
    found = known(Path(lock).read_text(encoding="utf-8"))
    wrong = strangers(
        found, Path(folder), {plain(each) for each in excepted} | {"quorum-moderation"}
    )
    for name in wrong:
        print(f"{name} has another digest than {lock} names, or is not in it", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
