"""The processes of the job under test, as Linux shows them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Process", "descendants", "of_session", "processor_seconds", "resident_mebibytes"]

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that lives.

    Attributes:
        pid: Its id.
        parent: Of its parent.
        session: Of its session.
        command: Its command line.
    """

    pid: int
    parent: int
    session: int
    command: str

    @property
    def is_prism(self) -> bool:
        """Whether it is Beam's engine."""
        return "prism" in self.command.split(" ", 1)[0].rsplit("/", 1)[-1]


def _processes() -> list[Process]:
    found = []
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text()
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
        except OSError:
            continue
        state, parent, _, session = stat.rsplit(")", 1)[1].split()[:4]
        if state not in "ZX":
            found.append(Process(int(folder.name), int(parent), int(session), command))
    return found


def descendants(pid: int) -> list[Process]:
    """The children of a process, and theirs."""
    every = _processes()
    found: list[Process] = []
    todo = {pid}
    while todo:
        children = [one for one in every if one.parent in todo]
        found += children
        todo = {one.pid for one in children}
    return found


def of_session(session: int) -> list[Process]:
    """The processes of a session, whoever their parents are."""
    return [one for one in _processes() if one.session == session]


def processor_seconds(pids: Iterable[int]) -> float:
    """What processes and their descendants have computed, with children that have ended."""
    ticks = 0
    for pid in {each for root in pids for each in (root, *(one.pid for one in descendants(root)))}:
        try:
            stat = (_PROC / str(pid) / "stat").read_text()
        except OSError:
            continue
        # utime, stime, cutime and cstime; see proc(5).
        ticks += sum(int(value) for value in stat.rsplit(")", 1)[1].split()[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mebibytes(pid: int) -> float:
    """Resident memory of a process; 0 if it is gone."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)
