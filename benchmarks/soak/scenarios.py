"""The scenarios of the soak by name: what each adds to the workload, and the faults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = [
    "DEFAULT",
    "ENGINES",
    "FAULTS",
    "KILLS",
    "SCENARIOS",
    "on_engine",
    "scenario_of",
    "selected",
]

#: Each scenario, and what it does. ``text`` is always there.
SCENARIOS: Final[dict[str, str]] = {
    "text": "ordinary uploads without media",
    "media": "uploads with a clip, some damaged",
    "duplicate": "uploads published twice",
    "malformed": "messages that are no upload, prediction or review",
    "partner": "predictions by an external detector: early, late, twice, before their upload",
    "review": "reviewers' decisions on verdicts",
    "edit": "the same id with other content",
    "flood": "thousands of predictions for uploads that do not exist",
    "forged": "predictions, reviews and uploads dated in the future; reviews of no verdict",
    "mad": "a detector that hangs, loops, crashes, exits, eats memory or files",
    "answers": "a detector that raises or answers what cannot be sent",
    "kill": "SIGKILL of the worker",
    "prism": "SIGKILL of Prism",
    "taskmanager": "on Flink: SIGKILL of the TaskManager",
    "jobmanager": "on Flink: SIGKILL of the JobManager, which forgets its jobs, then jobs resume",
    "pause": "SIGSTOP of the whole job, then SIGCONT",
    "slow": "each packet between job and broker late",
    "stall": "no packet between job and broker passes",
    "away": "the broker refuses connections",
    "remade": "the broker loses all, and its topics are made again",
    "disk": "no file of the job may grow",
}

#: Those of them that are faults of the job's surroundings, one at a time.
FAULTS: Final[tuple[str, ...]] = (
    "kill",
    "prism",
    "pause",
    "slow",
    "stall",
    "away",
    "remade",
    "disk",
    "taskmanager",
    "jobmanager",
)

#: Faults that end a part of the job, which is then started anew.
KILLS: Final = ("kill", "prism", "taskmanager", "jobmanager")

#: The scenarios that an engine alone has.
ENGINES: Final[dict[str, frozenset[str]]] = {
    "prism": frozenset({"prism"}),
    "flink": frozenset({"taskmanager", "jobmanager"}),
}

#: Those that hold, and are run by default.
DEFAULT: Final = (
    "text",
    "media",
    "duplicate",
    "malformed",
    "partner",
    "review",
    "edit",
    "forged",
    "mad",
    "answers",
    *FAULTS,
)

_OF_KIND: Final = {
    "damaged": "media",
    "stranger": "flood",
    "future": "forged",
    "unknown": "forged",
}


def scenario_of(kind: str) -> str:
    """The scenario that a message's kind (``mad:loop``, ``edit``) belongs to."""
    root = kind.split(":", 1)[0]
    return _OF_KIND.get(root, root)


def selected(names: Iterable[str]) -> frozenset[str]:
    """The scenarios of a command line: names, ``default``, ``all`` and ``none`` (besides text).

    Raises:
        ValueError: If there is none of a name.
    """
    chosen = {"text"}
    for name in names:
        if name == "all":
            chosen |= set(SCENARIOS)
        elif name == "default":
            chosen |= set(DEFAULT)
        elif name in SCENARIOS:
            chosen.add(name)
        elif name != "none":
            msg = f"there is no scenario {name}; there are {', '.join(SCENARIOS)}"
            raise ValueError(msg)
    return frozenset(chosen)


def on_engine(scenarios: frozenset[str], engine: str) -> frozenset[str]:
    """Those scenarios that there are on an engine."""
    others = frozenset().union(*(names for name, names in ENGINES.items() if name != engine))
    return scenarios - others
