"""Run every benchmark, example and documented command at its smallest size.

    python -m benchmarks.smoke [NAME ...]

Two at a time, each in a process of its own, with all output in a temporary folder. The figures
mean nothing at this size. What needs data or tools that this machine lacks is skipped with the
reason. Exits with 1 if anything failed, after the end of its output.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from benchmarks.texts import DATA, ROOT
from benchmarks.typescript_client import SKIPPED

EXAMPLES = ROOT / "examples"
PLUGIN = EXAMPLES / "detector-plugin"

#: The commands of the README and the guides, one after the other in one folder.
COMMANDS = f"""
export QUORUM_DATABASE=sqlite:///quorum.db
head -n 3 {EXAMPLES}/uploads.jsonl > uploads.jsonl
quorum stream --uploads uploads.jsonl --verdicts verdicts.jsonl --dead-letters dead.jsonl \\
  --predictions predictions.jsonl
quorum moderate uploads.jsonl > moderated.jsonl
quorum policy show balanced > mine.yaml
quorum policy check mine.yaml
quorum policy explain --policy mine.yaml --score spam=0.9 --score violence=0.1 \\
  --score copyright=abstained
quorum ledger init
quorum record --uploads uploads.jsonl --verdicts verdicts.jsonl --predictions predictions.jsonl
quorum policy diff balanced mine.yaml --database -
quorum policy backtest mine.yaml --database - --report backtest.html
quorum policy statements balanced --text --language de
quorum replay --policy mine.yaml --since 2026-03-01
quorum batch --window daily --report report.html
quorum ledger prune --keep 365
quorum ledger stats
quorum audit verify
quorum models list
quorum models show spam
quorum catalogue add {EXAMPLES}/media/lights.mp4 --id lights --owner me --action remove
quorum catalogue search {EXAMPLES}/media/lights.mp4 --catalogue catalogue
quorum catalogue keep --days 90
quorum catalogue rescan --dry-run --ledger -
quorum topics create --project my-project --record --dry-run
quorum serve --new-key shop --scopes moderate,read
quorum console create-user ana --no-password
quorum schemas --check --folder {ROOT}/docs/schemas
"""

#: The page whose shell blocks are run as they stand, and the sections that need no server.
TUTORIAL = ROOT / "docs" / "tutorial" / "README.md"
OFFLINE = "1. Offline"

RIDES = """
python -m examples.rides.made 20 > rides.jsonl
python -m examples.rides.stream rides.jsonl estimates.jsonl dead.jsonl
python -m examples.rides.made 300 month > month.jsonl
python -m examples.rides.churn train month.jsonl model
python -m examples.rides.churn score month.jsonl churn.jsonl --report churn.html
python -m examples.rides.churn score month.jsonl churn.jsonl | grep -q '^0 new scores'
"""


def shell_blocks(page: Path, section: str) -> str:
    """The shell blocks of a section, but for those under a comment ``not run: WHY``."""
    text = page.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = re.findall(r"(<!-- not run: .*? -->\n)?```sh\n(.*?)```", text, re.DOTALL)
    return "".join(block for comment, block in found if not comment)


#: Each starts a cluster of its own. The load is short: its exit code says whether the machine has
#: room for the burst, which it need not here.
FLINK = {
    "checkpoints": "--checkpoints 16 --milliseconds 300 --retention 3 --phase 2 "
    "--samples checkpoints.csv || grep -q ^busy checkpoints.csv",
    "state": "--cases 50 150 --real 0 0",
    "engines": "--warm 20 --uploads 100 --rates 5 --seconds 2 --rounds 1",
    "scaling": "--workers 1 2 --uploads 20 --bursts 1",
    "load": "--seconds 6 --burst 0.2 --capacity-seconds 6 || grep -q load benchmarks.md",
}


@dataclass(frozen=True)
class Check:
    """Something to run.

    Attributes:
        name: As it is chosen on the command line.
        script: Lines for a shell that stops at the first failure.
        lacking: Why it cannot run here; empty if it can.
    """

    name: str
    script: str
    lacking: str = ""


def shrink(source: Path, folder: Path) -> None:
    """Fill ``folder`` with a part of the data in ``source``, laid out in the same way."""
    for name in ("youtube_spam", "openai_moderation", "clips", "copydetect", "audio", "fights"):
        (folder / name).mkdir(parents=True)
    for path in sorted((source / "youtube_spam").glob("*.csv"))[:3]:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        with (folder / "youtube_spam" / path.name).open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, reader.fieldnames or ())
            writer.writeheader()
            for label in ("0", "1"):
                writer.writerows([row for row in rows if row["CLASS"] == label][:12])
    for folder_name in ("youtube_uploads", "youtube_trending", "scam_comments"):
        (folder / folder_name).mkdir()
        for path in sorted((source / folder_name).glob("*.csv")):
            _first_rows(path, folder / folder_name / path.name, 20)
    prompts = Path("openai_moderation") / "violence_filtered.jsonl"
    lines = (source / prompts).read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / prompts).write_text("".join(lines[:200]), encoding="utf-8")
    for name in ("bigbuckbunny.mp4", "carphone_distorted.mp4", "fl_arrow_menu.mp4"):
        (folder / "clips" / name).symlink_to(source / "clips" / name)


def _first_rows(source: Path, target: Path, count: int) -> None:
    with source.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(islice(reader, count))
    with target.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, reader.fieldnames or ())
        writer.writeheader()
        writer.writerows(rows)


def checks(data: Path, work: Path) -> Iterator[Check]:
    """All that is run, the longest first."""
    from benchmarks.flink.cluster import flink_home
    from quorum.pipeline.engines import find_prism
    from quorum.pipeline.streams.emulator import find_emulator

    lacking = "" if data.is_dir() else f"there is no data in {DATA}; QUORUM_DATA names it"
    command, why = find_emulator()
    no_stream = why if command is None else ""
    if command is not None and find_prism()[0] is None:
        no_stream = "there is no Prism; QUORUM_PRISM names it"

    def bench(name: str, options: str = "", lacking: str = lacking) -> Check:
        return Check(name, f"python -m benchmarks.{name} {options}", lacking)

    yield bench("batch", "--rows 200 --real-rows 20 --dry-run", "")
    yield Check("commands", COMMANDS)
    copyright_options = f"--data {data} --cache {work}/edits"
    yield Check(
        "copyright",
        f"""
        python -m benchmarks.copyright --only recall --works 1 --edits 2 {copyright_options}
        python -m benchmarks.copyright --only index --hashes 20000
        python -m benchmarks.copyright_unseen {EXAMPLES}/media/bunny.mp4 --edits 1 \\
          {copyright_options}
        """,
        lacking,
    )
    yield bench("stream", "--trivial 50 --real 5 --rate 2 --seconds 2 --rounds 0", no_stream)
    yield bench(
        "dashboard",
        "--seconds 60 --rate 2 --out dashboard.svg",
        no_stream or ("" if shutil.which("prometheus") else "there is no prometheus"),
    )
    yield bench("latency", "--seconds 2 --rounds 1 --rate 2 --dry-run", no_stream)
    # Half the pace and twice the slack of a quiet machine: it may be shared.
    soak = "--seconds 60 --rate 2 --slack 20 --seed 510720 --folder soak"
    yield Check("soak", f"python -m benchmarks.soak {soak}", no_stream)
    for name, options in FLINK.items():
        script = f"python -m benchmarks.flink.{name} {options}"
        yield Check(f"flink-{name}", script, no_stream or flink_home()[1])
    yield bench("detectors", f"--data {data} --texts 4 --clips 2 --rounds 1")
    media = "--codecs h264 --sizes 360p --seconds 1 --rounds 1 --before"
    yield bench("media", f"{media} {ROOT}", "")
    yield bench("cascade", f"--data {data} --uploads 2")
    yield bench("web", "--seconds 0.3 --dry-run", "")
    yield bench("evasions", f"--data {data}/youtube_spam")
    yield bench("violence_padding", f"--data {data} --sentences 4 --innocent 5")
    yield bench("violence_words", f"--data {data} --uploads 3")
    yield Check(
        "traffic",
        "QUORUM_DATA=none python -m benchmarks.traffic --uploads 62 --check --only spam --dry-run",
    )
    yield Check("spam-uploads", "QUORUM_DATA=none python -m benchmarks.spam_uploads")
    yield bench("console", "--cases 200 --rounds 2", "")
    yield bench("decisions", "--cases 100 --lines 1000 --dry-run", "")
    yield Check("typescript-client", "python -m benchmarks.typescript_client")
    yield Check("rides", RIDES)
    yield Check("tutorial", f"ln -s {EXAMPLES} examples\n{shell_blocks(TUTORIAL, OFFLINE)}")
    yield Check("detector-plugin", f"cd {PLUGIN}; python -m pytest -q -p no:cacheprovider tests")


def run(check: Check, work: Path) -> tuple[Check, float, str | None]:
    """Run a check in a folder of its own; the end of its output if it failed, else None."""
    folder = work / "runs" / check.name
    folder.mkdir(parents=True)
    began = time.monotonic()
    paths = (str(ROOT), str(PLUGIN)) if check.name == "detector-plugin" else (str(ROOT),)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(paths),
        "QUORUM_BENCHMARKS_PAGE": str(folder / "benchmarks.md"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    made = subprocess.run(
        ["bash", "-euc", check.script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if made.returncode == SKIPPED:
        reason = (made.stdout.strip().splitlines() or ["without a reason"])[-1]
        return replace(check, lacking=reason), time.monotonic() - began, None
    failed = made.stdout[-3000:] if made.returncode else None
    return check, time.monotonic() - began, failed


def main() -> None:
    """Run them, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="run these alone")
    chosen = parser.parse_args().names
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="quorum-smoke-") as folder:
        work = Path(folder)
        data = work / "data"
        if DATA.is_dir():
            shrink(DATA, data)
        every = list(checks(data, work))
        if unknown := set(chosen) - {check.name for check in every}:
            parser.error(f"there is no {', '.join(sorted(unknown))}")
        asked = [check for check in every if not chosen or check.name in chosen]
        for check in asked:
            if check.lacking:
                print(f"skipped  {check.name}: {check.lacking}", flush=True)
        with ThreadPoolExecutor(2) as pool:
            able = [check for check in asked if not check.lacking]
            for check, seconds, failed in pool.map(lambda one: run(one, work), able):
                if check.lacking:
                    print(f"skipped  {check.name}: {check.lacking}", flush=True)
                    continue
                word = "FAILED " if failed else "ran    "
                print(f"{word}  {check.name} in {seconds:.0f} s", flush=True)
                if failed:
                    failures.append(f"--- {check.name}\n{failed}")
    print("\n".join(failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
