"""Fill the Grafana dashboard from running processes, by a real Prometheus, and draw what it shows.

    python -m benchmarks.dashboard [--seconds 240] [--out docs/images/dashboard.svg]

Starts the emulator, ``quorum stream``, ``record``, ``serve`` and ``console``, sends them uploads,
and lets Prometheus (Debian's package ``prometheus``) scrape them with the shipped rules. Each panel
of ``deploy/grafana/quorum.json`` is asked as Grafana asks it, and drawn with matplotlib: Grafana
takes no part, so that its own look is not shown. A panel without data is drawn as such, and is an
error unless ``MAY_BE_EMPTY`` says why there is none.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, cycle
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from quorum.pipeline.streams.emulator import emulator, free_port

ROOT = Path(__file__).resolve().parent.parent
DASHBOARD = ROOT / "deploy" / "grafana" / "quorum.json"
PROMETHEUS = ROOT / "deploy" / "prometheus"

#: Seconds between scrapes, and those over which a rate is taken (four scrapes, as in Grafana).
SCRAPE, RATE = 5, 20

#: Panels that may have no data in a short run, and why.
MAY_BE_EMPTY = {
    "Alerts to people: open, and notices in an hour": "`quorum alerts` does not run",
    "Model servers: calls and tokens": "no model runs elsewhere",
    "Oldest message that waits": "no job is on a cluster",
    "Removals against the band of the week": "it needs a week",
    "Drift of scores (alarm above 0.25)": "it needs more scores",
    "Log-ins to the console, by outcome, in an hour": "nobody logged in",
    "Failed": "no detector failed",
    "Silent: failed or missed": "no detector failed or was missed",
    "Workers ended in an hour": "no worker was killed or died",
    "Made at the deadline, something missing": "no verdict was made at the deadline",
    "Late detectors of the web service": "none was late",
    "Capped": "nothing was capped",
}


@dataclass(frozen=True)
class Line:
    """A series of a panel: its legend, its times in seconds since 1970, and its values."""

    legend: str
    times: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Panel:
    """A panel of the dashboard.

    Attributes:
        title: Its title.
        unit: Grafana's name of the unit.
        kind: ``timeseries`` or ``stat``.
        queries: Each an expression of PromQL and the form of its legend.
    """

    title: str
    unit: str
    kind: str
    queries: tuple[tuple[str, str], ...]


def panels() -> Sequence[Panel]:
    """The panels of the dashboard, in their order."""
    read = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [
        Panel(
            one["title"],
            one.get("fieldConfig", {}).get("defaults", {}).get("unit", "short"),
            one["type"],
            tuple((target["expr"], target["legendFormat"]) for target in one["targets"]),
        )
        for one in read
        if one["type"] != "row"
    ]


class Prometheus:
    """A Prometheus that scrapes targets on loopback, with the shipped rules.

    Args:
        folder: Where it keeps its data.
        targets: By the name of a job of ``deploy/prometheus/prometheus.yaml``: host and port.
        scrape: Seconds between scrapes and between evaluations.
    """

    def __init__(self, folder: Path, targets: Mapping[str, str], scrape: int = SCRAPE) -> None:
        binary = shutil.which("prometheus")
        if binary is None:
            msg = "there is no prometheus: apt-get install prometheus"
            raise FileNotFoundError(msg)
        yaml = YAML(typ="safe", pure=True)
        shipped = yaml.load((PROMETHEUS / "prometheus.yaml").read_text(encoding="utf-8"))
        every = {"scrape_interval": f"{scrape}s", "evaluation_interval": f"{scrape}s"}
        config = {
            "global": shipped["global"] | every,
            "rule_files": [str(PROMETHEUS / name) for name in shipped["rule_files"]],
            "scrape_configs": [
                {
                    "job_name": one["job_name"],
                    "static_configs": [{"targets": [targets[one["job_name"]]]}],
                }
                for one in shipped["scrape_configs"]
                if one["job_name"] in targets
            ],
        }
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "prometheus.json"
        file.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [
                binary,
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=error",
            ]
        )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).close()
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.2)
        self.close()
        msg = "prometheus does not start"
        raise RuntimeError(msg)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def ask(self, path: str, **parameters: str) -> Any:
        """The data that its API answers with.

        Raises:
            ValueError: If it refuses the query; with its reason.
        """
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None

    def lines(
        self, panel: Panel, begin: float, end: float, *, rate: int = RATE, step: int = SCRAPE
    ) -> list[Line]:
        """The series of a panel between two times, with Grafana's variables as it sets them."""
        found = []
        for expression, legend in panel.queries:
            query = (
                expression.replace("$__rate_interval", f"{rate}s")
                .replace("$__range", f"{max(1, int(end - begin))}s")
                .replace("$job", ".*")
            )
            told = self.ask(
                "query_range", query=query, start=str(begin), end=str(end), step=str(step)
            )
            for series in told["result"]:
                points = [(float(at), float(value)) for at, value in series["values"]]
                kept = [(at, value) for at, value in points if value == value]  # not NaN
                if kept:
                    times, values = zip(*kept, strict=True)
                    found.append(Line(_named(legend, series["metric"]), times, values))
        return found


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend).strip()


class _Endpoint(BaseHTTPRequestHandler):
    """Takes webhooks; every fifth is refused, so that one is tried again."""

    _counted = count(1)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503 if next(self._counted) % 5 == 0 else 204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def product(folder: Path) -> Iterator[tuple[dict[str, str], str, str]]:
    """Run the processes: where each serves its metrics, the address of the service, the topic."""
    project = "projects/quorum-dashboard"
    ports = {name: free_port() for name in ("stream", "record", "web", "console", "pages")}
    endpoint = ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    hooks = f"- {{name: shop, url: 'http://127.0.0.1:{endpoint.server_port}/h', secret_env: HOOK}}"
    (folder / "hooks.yaml").write_text(hooks + "\n", encoding="utf-8")

    def quorum(*words: str) -> list[str]:
        return [sys.executable, "-m", "quorum", *words]

    def topic(name: str) -> str:
        return f"{project}/topics/quorum-{name}"

    def subscription(name: str) -> str:
        return f"{project}/subscriptions/quorum-{name}"

    database = ["--database", f"sqlite:///{folder / 'quorum.db'}"]
    streams = ("uploads", "predictions", "verdicts", "reviews", "dead-letters")
    recorded = [f"--{name}={subscription(name + '-record')}" for name in streams]
    commands = [
        quorum(
            "stream", f"--uploads={subscription('uploads-stream')}",
            f"--reviews={subscription('reviews-stream')}",
            f"--predictions={topic('predictions')}", f"--verdicts={topic('verdicts')}",
            f"--dead-letters={topic('dead-letters')}", f"--metrics-port={ports['stream']}",
        ),
        quorum(
            "record", *recorded, *database, f"--metrics-port={ports['record']}",
            "--webhooks=hooks.yaml",
        ),
        quorum("serve", *database, f"--port={ports['web']}"),
        quorum(
            "console", *database, f"--reviews={topic('reviews')}", f"--port={ports['pages']}",
            f"--metrics-port={ports['console']}",
        ),
    ]  # fmt: skip
    with emulator() as host, contextlib.ExitStack() as stack:
        stack.callback(endpoint.shutdown)
        secret = base64.b64encode(os.urandom(32)).decode()
        environment = {**os.environ, "PUBSUB_EMULATOR_HOST": host, "HOOK": secret}

        def run(words: list[str]) -> None:
            subprocess.run(words, cwd=folder, env=environment, check=True)

        run(quorum("ledger", "init", *database))
        run(quorum("topics", "create", "--project", project.partition("/")[2], "--record"))
        for words in commands:
            name = words[3]
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                words, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        targets = {
            "quorum-stream": f"127.0.0.1:{ports['stream']}",
            "quorum-record": f"127.0.0.1:{ports['record']}",
            "quorum-serve": f"127.0.0.1:{ports['web']}",
            "quorum-console": f"127.0.0.1:{ports['console']}",
        }
        for name, target in targets.items():
            _wait_until_ready(f"http://{target}/ready", folder / f"{name[7:]}.log")
        yield targets, f"http://127.0.0.1:{ports['web']}", topic("uploads")


def _wait_until_ready(url: str, log: Path) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.5)
    told = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    msg = f"{url} does not answer\n{told}"
    raise RuntimeError(msg)


def send(address: str, topic: str, seconds: float, rate: float) -> int:
    """Send the shipped uploads of text, over and over: to the stream, every fifth to the service.

    Returns:
        How many.
    """
    from google.cloud import pubsub_v1

    texts: list[dict[str, Any]] = []
    for line in (ROOT / "examples" / "uploads.jsonl").read_bytes().split(b"\n"):
        with contextlib.suppress(ValueError):  # one is malformed on purpose
            texts.append(json.loads(line))
    texts = [one for one in texts if not one.get("media")]
    publisher = pubsub_v1.PublisherClient()
    begin = time.monotonic()
    for sent, one in enumerate(cycle(texts), 1):
        one |= {"id": f"upload-{sent}", "published_at": datetime.now(UTC).isoformat()}
        body = json.dumps(one).encode()
        if sent % 40 == 0:
            publisher.publish(topic, b"no upload")
        elif sent % 5:
            publisher.publish(topic, body)
        else:
            asked = urllib.request.Request(
                f"{address}/v1/moderate", body, {"content-type": "application/json"}
            )
            with contextlib.suppress(OSError):
                urllib.request.urlopen(asked, timeout=30).close()
        if time.monotonic() - begin > seconds:
            return sent
        time.sleep(max(0.0, begin + sent / rate - time.monotonic()))
    raise AssertionError


_UNITS = {"percentunit": (100, "%"), "s": (1, "s"), "ops": (1, "per s"), "bytes": (1e-6, "MB")}


def draw(shown: Sequence[tuple[Panel, list[Line]]], out: Path) -> None:
    """Draw the panels, four in a row."""
    import matplotlib as mpl

    mpl.use("svg" if out.suffix == ".svg" else "agg")
    import matplotlib.pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "quorum"
    mpl.rcParams["svg.fonttype"] = "none"
    rows = -(-len(shown) // 4)
    figure, axes = plt.subplots(rows, 4, figsize=(20, 2.9 * rows), layout="constrained")
    first = min((line.times[0] for _, lines in shown for line in lines), default=0.0)
    for axis in axes.flat[len(shown) :]:
        axis.axis("off")
    for axis, (panel, lines) in zip(axes.flat, shown, strict=False):
        factor, unit = _UNITS.get(panel.unit, (1, ""))
        axis.set_title(panel.title, fontsize=10, loc="left", weight="bold")
        if not lines:
            axis.text(0.5, 0.5, "no data in this run", ha="center", va="center", color="#777")
            axis.set_xticks([])
            axis.set_yticks([])
        elif panel.kind == "stat":
            told = "\n".join(f"{one.legend}: {one.values[-1] * factor:.2f} {unit}" for one in lines)
            axis.text(0.5, 0.5, told, ha="center", va="center", fontsize=12)
            axis.axis("off")
        else:
            for line in lines[:8]:
                minutes = [(at - first) / 60 for at in line.times]
                values = [value * factor for value in line.values]
                axis.plot(minutes, values, label=line.legend, linewidth=1.2)
            axis.set_ylabel(unit, fontsize=8)
            axis.set_xlabel("minutes", fontsize=8)
            axis.tick_params(labelsize=8)
            axis.grid(alpha=0.3)
            axis.legend(fontsize=6, loc="best", framealpha=0.6)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)


def main() -> None:
    """Fill the dashboard, draw it, and say which panels had data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=240, help="For how long uploads come.")
    parser.add_argument("--rate", type=float, default=4, help="Uploads in a second.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "dashboard.svg")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quorum-dashboard-") as name:
        folder = Path(name)
        with product(folder) as (targets, address, topic):
            prometheus = Prometheus(folder / "prometheus", targets)
            try:
                begin = time.time()
                sent = send(address, topic, given.seconds, given.rate)
                time.sleep(2 * SCRAPE)
                end = time.time()
                shown = [(panel, prometheus.lines(panel, begin, end)) for panel in panels()]
            finally:
                prometheus.close()
    draw(shown, given.out)
    empty = {panel.title for panel, lines in shown if not lines}
    series = sum(len(lines) for _, lines in shown)
    print(f"{sent} uploads; {len(shown) - len(empty)} of {len(shown)} panels show {series} series")
    for title in sorted(empty):
        print(f"no data: {title}: {MAY_BE_EMPTY.get(title, 'but there should be')}")
    sys.exit(1 if empty - set(MAY_BE_EMPTY) else 0)


if __name__ == "__main__":
    main()
