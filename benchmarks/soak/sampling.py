"""Looks at the job from outside, again and again: memory, backlog, breakers."""

from __future__ import annotations

import re
import threading
import time
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from benchmarks.soak.history import History, Sample
from benchmarks.soak.platform import Platform
from benchmarks.soak.processes import resident_mebibytes
from benchmarks.soak.under_test import UnderTest

__all__ = ["Sampler", "gauges"]

_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_BREAKER = r"quorum_\w*breaker(_state)?"
_open = build_opener(ProxyHandler({})).open


def gauges(text: str, name: str, label: str) -> dict[str, float]:
    """The values of a metric by one of its labels (empty where it has none).

    Args:
        text: In Prometheus' format.
        name: Of the metric, as a regular expression.
        label: The label.
    """
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and re.fullmatch(name, match.group(1)):
            of = re.search(rf'{label}="([^"]*)"', match.group(2) or "") if label else None
            found[of.group(1) if of else ""] = float(match.group(3))
    return found


class Sampler:
    """Adds a sample to the history every few seconds, until it is closed.

    Args:
        job: What is looked at.
        platform: Tells how far it is.
        metrics_port: Where the job serves its metrics.
        history: Takes the samples.
        every: Seconds between them.
    """

    def __init__(
        self, job: UnderTest, platform: Platform, metrics_port: int, history: History, every: float
    ) -> None:
        self._job = job
        self._platform = platform
        self._url = f"http://127.0.0.1:{metrics_port}/metrics"
        self._history = history
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            if pid := self._job.pid:
                self._history.add(self._sample(pid))

    def _sample(self, pid: int) -> Sample:
        try:
            with _open(self._url, timeout=0.5) as response:
                told = response.read().decode()
        except (URLError, OSError):
            told = ""
        children = self._job.processes()
        return Sample(
            at=time.time(),
            pid=pid,
            uploads=self._platform.uploads,
            verdicts=self._platform.verdicts,
            worker=resident_mebibytes(pid),
            children=sum(resident_mebibytes(one.pid) for one in children if not one.is_prism),
            breakers=gauges(told, _BREAKER, "detector"),
            held=sum(gauges(told, "quorum_held_messages", "").values()),
            lag=self._platform.waiting,
            **{"prism": 0.0, **self._job.engine_sample()},
        )
