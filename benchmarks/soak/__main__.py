"""Soak the stream on a real emulator and Prism or Flink, with faults; check what was recorded.

    python -m benchmarks.soak [--seconds 60] [--seed 7] [--scenario kill,pause] [--engine flink]

Exits with 1 if anything broke. The history, the job's log and the report page stay in the folder.
"""

from __future__ import annotations

import argparse
import logging
import random
import shlex
import signal
import sys
from pathlib import Path

from benchmarks.soak.checker import check
from benchmarks.soak.expectation import plain_predictions
from benchmarks.soak.facts import Facts
from benchmarks.soak.history import read_history
from benchmarks.soak.report import summary, write_page
from benchmarks.soak.run import Soak, soak
from benchmarks.soak.scenarios import ENGINES, SCENARIOS, on_engine, selected
from benchmarks.soak.setting import Setting
from benchmarks.soak.workload import Shape, clips
from quorum.core.errors import QuorumError

_ROOT = Path(__file__).parents[2]
_MEDIA = _ROOT / "examples" / "media"


def _arguments() -> argparse.Namespace:
    told = "\n".join(f"  {name:10} {words}" for name, words in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"scenarios:\n{told}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long there is load")
    parser.add_argument("--seed", type=int, help="of workload and faults; default: a random one")
    parser.add_argument("--scenario", default="default", help="names by comma; default, all, none")
    parser.add_argument("--without", default="none", help="scenarios to leave out, by comma")
    parser.add_argument("--engine", choices=list(ENGINES), default="prism", help="what runs it")
    parser.add_argument("--rate", type=float, default=10.0, help="text uploads a second")
    parser.add_argument("--media", type=float, help="share of uploads with media beside them")
    parser.add_argument("--flood", type=int, default=6000, help="messages of a flood")
    parser.add_argument("--deadline", type=float, default=10.0, help="of the policy, in seconds")
    parser.add_argument("--retention", type=float, default=3600.0, help="of the policy, in seconds")
    parser.add_argument("--slack", type=float, default=5.0, help="seconds beyond the deadline")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between samples")
    parser.add_argument("--folder", type=Path, default=Path("build/soak"), help="for what is made")
    parser.add_argument("--check", action="store_true", help="judge the folder's history again")
    return parser.parse_args()


def main() -> int:
    """Run and judge a soak."""
    args = _arguments()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(10**6)
    try:
        without = selected(args.without.split(",")) - {"text"}
        scenarios = on_engine(selected(args.scenario.split(",")) - without, args.engine)
    except ValueError as error:
        sys.exit(str(error))
    words = [each for each in sys.argv[1:] if each != "--check"]
    if args.seed is None:
        words += ["--seed", str(seed)]
    command = f"python -m benchmarks.soak {shlex.join(words)}"
    print(f"seed {seed}; again with: {command}", flush=True)
    logging.getLogger("grpc").setLevel(logging.ERROR)
    whole, damaged = clips(_MEDIA)
    one = Soak(
        seed=seed,
        shape=Shape(
            args.seconds, args.rate, scenarios, whole, damaged, flood=args.flood, media=args.media
        ),
        setting=Setting(args.folder.resolve(), _MEDIA, args.deadline, args.retention),
        slack=args.slack,
        every=args.every,
        command=command,
        root=_ROOT,
        engine=args.engine,
    )
    if not args.check:
        # So that the broker, the engine and the job end with it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            soak(one, lambda line: print(line, flush=True))
        except QuorumError as error:
            sys.exit(str(error))
    facts = Facts(read_history(one.history_path))
    plain = plain_predictions(
        facts.contents, one.setting.settings_path, one.setting.folder / "plugin"
    )
    checked = check(facts, plain)
    page = one.setting.folder / "report.html"
    write_page(page, facts, checked)
    print(summary(facts, checked))
    print(f"the report is {page}; again with: {facts.started.command}")
    return 1 if checked.broken else 0


if __name__ == "__main__":
    sys.exit(main())
