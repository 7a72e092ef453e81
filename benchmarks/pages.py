"""Run every shell block of the README and the docs as a reader would, and compare what it prints.

    python -m benchmarks.pages [PAGE ...] [--seconds 300]

Each page has an empty folder, with the files that its text presumes. Its commands run in their
order, against the Pub/Sub emulator, a real MLflow server and a real PostgreSQL server, whose
addresses take the place of those on the page. What cannot run here (a cloud, a container, an
installation) is counted with the reason. ``<!-- prints -->`` before a block says that the last
command before it prints the block, ``<!-- prints: COMMAND -->`` that this command does; times,
durations, identifiers and ``…`` stand for anything of their kind.

Prints a line for each page, and all commands that failed; exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.page_files import FILES, PAGES, Setting
from benchmarks.texts import ROOT
from quorum.pipeline.streams.emulator import free_port

#: Seconds for one command, on a machine that does other things too; ``--seconds`` gives others.
PATIENCE = 300.0
#: Seconds for which a service without a port must live.
LIVES = 8.0

#: What does not run here, by the beginning of a command or a part of it, and why.
NOT_HERE = {
    r"^pip (install|download)\b": "installs packages",
    r"^make\b": "is run by the gate or by hand",
    r"^npx @": "installs packages",
    r"^(docker|kubectl|terraform|helm|gcloud)\b": "needs containers or a cloud",
    r"(gs|s3|bigquery|mysql)://": "needs a cloud or another database",
    r"\b(DATA|FILM|CHECKOUT|PACKAGES)\b": "needs data that is not in the repository",
    r"(^|\s)\.\.\.(\s|$)": "is shown in part",
    r"^R=": "needs containers or a cloud",
}

#: The web service of the tutorial; it takes its port, 8081 where none is given.
_RIDES = "python -m examples.rides.serve"

#: A stream of Pub/Sub.
_STREAMS = re.compile(r"\bprojects/[\w-]+/(topics|subscriptions)/|--project my-project")

#: What is printed differently in each run, and what stands for it.
VARIES = (
    (r"\x1b\[[0-9;]*m", ""),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d| UTC)?", "TIME"),
    (r"\b[0-9a-f]{16,64}\b", "DIGEST"),
    (r"\d[\d,.]* ?(ms|s|min|/s)\b", "DURATION"),
    (r"[ \t]+$", ""),
    (r"/tmp/\S*?/(?=[\w.-]+)", ""),
)


@dataclass(frozen=True)
class Command:
    """One command of a page.

    Attributes:
        text: As a shell reads it.
        line: Where it stands.
        prints: What the page says that it prints; None if it does not say.
    """

    text: str
    line: int
    prints: str | None = None


@dataclass
class Outcome:
    """What became of the commands of a page."""

    page: str
    ran: int = 0
    compared: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def told(self) -> str:
        """One line."""
        rest = ", ".join(f"{count} {why}" for why, count in sorted(self.left_out.items()))
        word = "FAILED" if self.failures else "ran   "
        return (
            f"{word}  {self.page}: {self.ran} commands, {self.compared} outputs compared"
            + (f"; not run: {rest}" if rest else "")
            + f" ({self.seconds:.0f} s)"
        )


def commands(text: str) -> list[Command]:
    """The commands of the shell blocks of a page, and those whose output it shows."""
    blocks = re.finditer(
        r"^(?:<!-- prints(?:: (?P<of>.*?))? (?P<shown>-->)\n)?"
        r"```(?P<kind>\w*)[^\n]*\n(?P<body>.*?)^```",
        text,
        re.S | re.M,
    )
    found: list[Command] = []
    for block in blocks:
        line = text.count("\n", 0, block.start("body")) + 1
        if block["of"]:
            found.append(Command(block["of"], line, block["body"]))
        elif block["shown"]:
            found[-1] = replace(found[-1], prints=block["body"])
        elif block["kind"] in ("sh", "bash"):
            found += _commands_of(block["body"], line)
    return found


def _commands_of(body: str, line: int) -> Iterator[Command]:
    """The commands of a block: lines joined by a backslash, and with what stands in them."""
    held: list[str] = []
    end = None
    first = line
    for number, text in enumerate(body.splitlines(), line):
        if not held and (not text.strip() or text.lstrip().startswith("#")):
            continue
        if not held:
            first = number
        held.append(text)
        if end is not None:
            if text == end:
                end = None
            else:
                continue
        elif found := re.search(r"<<'?(\w+)'?\s*$", text):
            end = found[1]
            continue
        elif text.endswith("\\"):
            continue
        yield Command("\n".join(held), first)
        held = []


def is_service(command: str) -> bool:
    """Whether a command runs until it is stopped."""
    words = _words(command)
    if _RIDES in command:
        return True
    if words[:2] == ["quorum", "serve"]:
        return "--new-key" not in words
    if words[:2] == ["quorum", "console"]:
        return len(words) == 2 or words[2].startswith("--")
    reads_topics = any("/subscriptions/" in word for word in words)
    waits = "watch" in words or (words[:1] == ["quorum"] and words[1:2] != ["topics"])
    return waits and reads_topics


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return command.split()


class Reader:
    """Follows one page in a folder of its own.

    Args:
        page: Its path in the repository.
        setting: What its text presumes.
        folder: An empty folder.
        addresses: What takes the place of the addresses on pages.
        patience: Seconds for one command.
    """

    def __init__(
        self,
        page: str,
        setting: Setting,
        folder: Path,
        addresses: dict[str, str],
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        self._page, self._setting, self._folder = page, setting, folder
        self._ports = {port: str(free_port()) for port in ("8080", "8081", "9464")}
        self._addresses = addresses
        self._services: list[tuple[Command, subprocess.Popen[bytes], Path]] = []
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "QUORUM_CACHE": str(folder.parent / f"{folder.name}-cache"),
        }
        for name in ("QUORUM_DATABASE", "QUORUM_SOURCE", "QUORUM_SETTINGS"):
            self._environment.pop(name, None)
        self._environment |= {name: value for name, value in addresses.items() if name.isupper()}

    def follow(self, text: str) -> Outcome:
        """Run the commands of the page's text."""
        outcome = Outcome(self._page)
        began = time.monotonic()
        self._folder.mkdir(parents=True)
        before = FILES + self._setting.before
        for part, address in self._addresses.items():
            before = before.replace(part, address) if not part.isupper() else before
        made = self._run(before)
        if made.returncode:
            outcome.failures.append(f"{self._page}: its files:\n{made.stdout[-2000:]}")
            return outcome
        try:
            for command in commands(text):
                if why := self._why_not(command):
                    outcome.left_out[why] += 1
                elif problem := self._one(command):
                    outcome.failures.append(
                        f"{self._page}:{command.line}: {command.text}\n{problem}"
                    )
                else:
                    outcome.ran += 1
                    outcome.compared += command.prints is not None
        finally:
            outcome.failures += self._stop()
        outcome.seconds = time.monotonic() - began
        return outcome

    def _why_not(self, command: Command) -> str:
        own = {re.escape(part): why for part, why in self._setting.left_out.items()}
        for pattern, why in (NOT_HERE | own).items():
            if re.search(pattern, re.sub(r"\s#.*$", "", command.text, flags=re.M)):
                return why
        if _STREAMS.search(command.text) and "PUBSUB_EMULATOR_HOST" not in self._environment:
            return "needs the Pub/Sub emulator"
        for part in ("postgresql://db", "http://127.0.0.1:5000"):
            here = any(one.startswith(part) for one in self._addresses)
            if part in command.text and not here:
                return "needs a server that this machine lacks"
        return ""

    def _one(self, command: Command) -> str:
        """Run one command; what is wrong with it, or nothing."""
        text = self._placed(command.text)
        if text.startswith("export "):
            for word in shlex.split(text, comments=True)[1:]:
                name, _, value = word.partition("=")
                self._environment[name] = value.replace("$PWD", str(self._folder))
            return ""
        if is_service(command.text):
            return self._serve(command, text)
        allowed = next(
            (codes for part, codes in self._setting.codes.items() if part in command.text), (0,)
        )
        done = self._run(text)
        if done.returncode not in allowed:
            return f"exit code {done.returncode}\n{done.stdout[-2000:]}"
        if command.prints is not None:
            return differences(command.prints, done.stdout)
        return ""

    def _placed(self, text: str) -> str:
        """A command with the addresses of this run."""
        for part, address in self._addresses.items():
            if not part.isupper():
                text = text.replace(part, address)
        for part, value in self._setting.instead.items():
            text = text.replace(part, value)
        for port, free in self._ports.items():
            text = text.replace(f":{port}", f":{free}").replace(f" {port}", f" {free}")
        text = text.replace(_RIDES, f"{_RIDES} {self._ports['8081']}")
        for name, port in (("serve", "8080"), ("console", "8081")):
            if is_service(text) and f"quorum {name}" in text and "--port" not in text:
                text = text.replace(
                    f"quorum {name}", f"quorum {name} --port {self._ports[port]}", 1
                )
        return text

    def _run(self, text: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=self._patience,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            told = (late.stdout or b"").decode(errors="replace")
            return subprocess.CompletedProcess(text, 124, f"{told}\nno end in {self._patience:g} s")

    def _serve(self, command: Command, text: str) -> str:
        """Start a service, in place of an earlier one of its kind, and wait until it is ready."""
        kind = _words(command.text)[:2]
        for one in [one for one in self._services if _words(one[0].text)[:2] == kind]:
            self._services.remove(one)
            if problem := _ended(one):
                return problem
        log = self._folder / f"service-{command.line}.log"
        text = re.sub(r"\s*&\s*$", "", re.sub(r"\s+#.*$", "", text, flags=re.M).strip())
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-euc", f"exec {text}"],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._services.append((command, process, log))
        port = next((one for one in self._ports.values() if f" {one}" in text), None)
        until = time.monotonic() + (self._patience if port else LIVES)
        while time.monotonic() < until:
            if process.poll() is not None:
                return f"ended with {process.returncode}\n{log.read_text(errors='replace')[-2000:]}"
            if port and _answers(port, ready="--metrics-port" in text):
                return ""
            time.sleep(0.2)
        return f"not ready\n{log.read_text(errors='replace')[-2000:]}" if port else ""

    def _stop(self) -> list[str]:
        problems = []
        for one in self._services:
            if problem := _ended(one):
                problems.append(f"{self._page}:{one[0].line}: {one[0].text}\n{problem}")
        return problems


def _ended(service: tuple[Command, subprocess.Popen[bytes], Path]) -> str:
    """Stop a service; what is wrong with its end, or nothing."""
    _, process, log = service
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(timeout=90)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return f"did not end at SIGTERM\n{log.read_text(errors='replace')[-2000:]}"
    if code in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
        return ""
    return f"ended with {code} at SIGTERM\n{log.read_text(errors='replace')[-2000:]}"


def _answers(port: str, *, ready: bool) -> bool:
    """Whether HTTP is answered on a port; a job that is not ready yet answers, too.

    Args:
        port: The port.
        ready: Whether it must be ready; else any status will do.
    """
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5).close()
    except urllib.error.HTTPError:
        return not ready
    except OSError:
        return False
    return True


def differences(page: str, printed: str) -> str:
    """Where a page and what was printed differ; nothing if they are the same.

    A line ``…`` of the page stands for any lines, and ``…`` within a line for any text.
    """
    wanted, got = _plain(page), _plain(printed)
    pattern = "\n".join(
        r"(?:.*\n)*?.*" if line.strip() == "…" else re.escape(line).replace("…", ".*?")
        for line in wanted.splitlines()
    )
    if re.fullmatch(pattern, got):
        return ""
    return f"the page says\n{wanted}\nand it prints\n{got[-3000:]}"


def _plain(text: str) -> str:
    """A text without what differs in each run."""
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text, flags=re.M)
    lines = [re.sub(r"([─━═-])\1{3,}", r"\1\1\1", line.rstrip()) for line in text.splitlines()]
    return "\n".join(lines).strip("\n")


@contextlib.contextmanager
def servers(folder: Path, text: str) -> Iterator[dict[str, str]]:
    """The servers that a text names, as far as this machine has them; their addresses."""
    found: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        if _STREAMS.search(text):
            from quorum.pipeline.streams.emulator import emulator, find_emulator

            if find_emulator()[0] is not None:
                found["PUBSUB_EMULATOR_HOST"] = stack.enter_context(emulator())
        from tests import mlflow_server

        if ":5000" in text and mlflow_server.absent() is None:
            (folder / "mlflow").mkdir()
            server = mlflow_server.MlflowServer(folder / "mlflow")
            stack.callback(server.stop)
            found["http://127.0.0.1:5000"] = server.url
        from tests.store.ledger import postgres_server

        if "postgresql://db" in text and postgres_server.binary("initdb") is not None:
            postgres = stack.enter_context(postgres_server.running())
            found["postgresql://db/quorum"] = postgres.new_database()
        yield found


def main() -> None:
    """Follow the pages, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="these alone")
    parser.add_argument(
        "--seconds", type=float, default=PATIENCE, help="For one command; more on a busy machine."
    )
    given = parser.parse_args()
    asked = given.pages or list(PAGES)
    if unknown := set(asked) - set(PAGES):
        parser.error(f"no page {', '.join(sorted(unknown))}; there are {', '.join(PAGES)}")
    with tempfile.TemporaryDirectory(prefix="quorum-pages-") as name:
        work = Path(name)
        named = "".join((ROOT / page).read_text(encoding="utf-8") for page in asked)
        with servers(work, named) as addresses, ThreadPoolExecutor(2) as pool:

            def follow(page: str) -> Outcome:
                folder = work / page.replace("/", "-")
                reader = Reader(page, PAGES[page], folder, addresses, given.seconds)
                return reader.follow((ROOT / page).read_text(encoding="utf-8"))

            outcomes = []
            for outcome in pool.map(follow, asked):
                print(outcome.told(), flush=True)
                outcomes.append(outcome)
    ran = sum(one.ran for one in outcomes)
    compared = sum(one.compared for one in outcomes)
    print(f"{len(outcomes)} pages, {ran} commands run, {compared} outputs compared")
    failures = [problem for one in outcomes for problem in one.failures]
    print("\n---\n".join(failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
