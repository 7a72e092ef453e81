"""A day of an ordinary platform through each shipped policy: what becomes of innocent uploads.

    python -m benchmarks.traffic [--data FOLDER] [--uploads 2000] [--check] [--dry-run]

Real titles, descriptions, tags and comments of channels, in many languages, nearly all innocent;
decided by the product's own moderator. Told apart are channels that the shipped spam detector was
never trained on (the goals are for these), channels that it was trained on, and uploads in other
languages and forms that were written for this test. A few spam uploads stand in between: a share
of 1 %, as on a platform. ``--check`` exits with 1 if an innocent upload of ``balanced`` is removed,
or more of them are limited or held than the goals allow. Without data only what was written is
decided. Writes a section of ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path

import numpy as np

from benchmarks.document import machine, table, write_section
from benchmarks.texts import DATA
from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import load_policy, shipped_policies
from quorum.core.messages import Action, Prediction, Upload, now
from quorum.core.settings import DetectorSettings, Settings, WorkerSettings
from quorum.models.installed import installed
from quorum.models.spam.made import filled
from quorum.models.spam.sources import uploads_of
from quorum.models.training.channels import held_out
from quorum.pipeline.moderator import Moderator

AT = datetime(2026, 1, 1, tzinfo=UTC)
MADE = Path(__file__).with_name("traffic_made.yaml")
#: The largest share of innocent uploads that may be removed, held and limited; cautious: half.
GOALS = {Action.REMOVE: 0.001, Action.REVIEW: 0.02, Action.RESTRICT: 0.01}
#: Seconds that the detectors may take for a batch.
_PATIENCE = 900.0
NEVER, TRAINED, WRITTEN, SPAM = (
    "channels never trained on", "channels trained on", "other languages, written", "spam",
)  # fmt: skip
ACTIONS = (Action.REMOVE, Action.RESTRICT, Action.REVIEW, Action.ALLOW)


@dataclass(frozen=True)
class Sent:
    """An upload and the part of the traffic that it is of."""

    upload: Upload
    part: str


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: value or "" for key, value in row.items() if key} for row in
                csv.DictReader(file)]  # fmt: skip


def _upload(number: int, rng: np.random.Generator, comments: Sequence[str], **fields: object
            ) -> Upload:  # fmt: skip
    chosen = rng.choice(len(comments), int(rng.integers(0, 4))) if len(comments) else ()
    return Upload.model_validate(
        {"id": f"t{number}", "uploader": f"u{number % 977}", "published_at": AT,
         "comments": tuple(comments[int(index)] for index in chosen), **fields}
    )  # fmt: skip


def written(rng: np.random.Generator, copies: int) -> Iterator[Sent]:
    """Uploads in many languages with their own site, each filled anew for each copy."""
    from ruamel.yaml import YAML

    with MADE.open(encoding="utf-8") as file:
        by_language = YAML(typ="safe", pure=True).load(file)
    for copy in range(copies):
        for language, uploads in by_language.items():
            for index, one in enumerate(uploads):
                yield Sent(
                    Upload(
                        id=f"w-{language}-{index}-{copy}",
                        uploader=f"{language}-{index}",
                        title=one["title"],
                        description=filled(one["description"], rng),
                        comments=tuple(one.get("comments", ())),
                        published_at=AT,
                    ),
                    WRITTEN,
                )


def real(data: Path, rng: np.random.Generator) -> Iterator[Sent]:
    """Real uploads: titles with descriptions, and titles with tags, with innocent comments."""
    comments = [
        row["CONTENT"]
        for path in sorted((data / "youtube_spam").glob("*.csv"))
        for row in _rows(path)
        if row["CLASS"] == "0"
    ]
    number = 0
    for title, description, channel in uploads_of(data / "youtube_uploads"):
        part = NEVER if held_out(channel) else TRAINED
        yield Sent(_upload(number, rng, comments, title=title, description=description), part)
        number += 1
    seen: set[str] = set()
    for path in sorted((data / "youtube_trending").glob("*.csv")):
        for row in _rows(path):
            if row["title"] in seen:
                continue
            seen.add(row["title"])
            tags = tuple(row["tags"].split("|")) if row["tags"] != "[none]" else ()
            part = NEVER if held_out(f"trending {row['channel_title']}") else TRAINED
            yield Sent(_upload(number, rng, comments, title=row["title"], tags=tags), part)
            number += 1


def spam(data: Path, rng: np.random.Generator, count: int) -> Iterator[Sent]:
    """Scams of comments as the words of an upload; what becomes of them is told, not a goal."""
    path = data / "scam_comments" / "scamspot_instagram.csv"
    if not path.is_file():
        return
    texts = sorted({row["text"] for row in _rows(path) if row["label"] == "1"})
    for number in range(count):
        title, description = (texts[int(index)] for index in rng.choice(len(texts), 2))
        yield Sent(_upload(10**6 + number, rng, (), title=title, description=description), SPAM)


def traffic(data: Path | None, count: int, seed: int) -> list[Sent]:
    """So many uploads: all of channels never trained on first, then the others."""
    rng = np.random.default_rng(seed)
    if data is None:
        return list(written(rng, max(1, count // 60)))[:count]
    made = list(real(data, rng))
    never = [one for one in made if one.part == NEVER]
    rest = [one for one in made if one.part == TRAINED]
    other = list(written(rng, 4))
    few = max(1, count // 100)
    for part in (never, rest, other):
        order = rng.permutation(len(part))
        part[:] = [part[index] for index in order]
    room = count - few
    never, other = never[: room * 3 // 5], other[: room // 5]
    return [*never, *other, *rest[: max(0, room - len(never) - len(other))],
            *spam(data, rng, few)]  # fmt: skip


def interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's interval of 95 % for a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    z = 1.96
    middle = (hits + z * z / 2) / (count + z * z)
    half = z * sqrt(hits * (count - hits) / count + z * z / 4) / (count + z * z)
    return max(0.0, middle - half), min(1.0, middle + half)


def predicted(sent: Sequence[Sent]) -> list[list[Prediction]]:
    """What the installed detectors say of the uploads."""
    # Scores are measured, not time: a busy machine must not make findings fail.
    patient = Settings(
        detectors={one: DetectorSettings(timeout=_PATIENCE) for one in installed()},
        workers=WorkerSettings(processes=1, timeout=_PATIENCE),
    )
    with Moderator(patient) as moderator:
        made = []
        for start in range(0, len(sent), 64):
            made += moderator.predict([one.upload for one in sent[start : start + 64]])
            print(f"{len(made)} of {len(sent)} uploads", file=sys.stderr, flush=True)
    return made


def decided(
    sent: Sequence[Sent], predictions: Sequence[Sequence[Prediction]], policy: str
) -> list[tuple[Action, str]]:
    """The action for each upload under a policy, and the rule that chose it."""
    decider = Decider(load_policy(policy))
    made = []
    for one, found in zip(sent, predictions, strict=True):
        at = now()
        verdict = decider.first(one.upload, list(found), arrived=at, at=at).verdict
        made.append((Action(verdict.action), str(verdict.rule)))
    return made


def told(sent: Sequence[Sent], by_policy: dict[str, list[tuple[Action, str]]]) -> str:
    """The tables."""
    rows, rules = [], []
    for policy, results in by_policy.items():
        for part in (NEVER, WRITTEN, TRAINED, SPAM):
            of_part = [made for one, made in zip(sent, results, strict=True) if one.part == part]
            if not of_part:
                continue
            counts = Counter(action for action, _ in of_part)
            cells = []
            for action in ACTIONS:
                low, high = interval(counts[action], len(of_part))
                share = counts[action] / len(of_part)
                cells.append(f"{counts[action]} ({share:.1%}; {low:.1%} to {high:.1%})")
            rows.append([policy, part, str(len(of_part)), *cells])
            for rule, hits in Counter(rule for action, rule in of_part
                                      if action is not Action.ALLOW).most_common():  # fmt: skip
                rules.append([policy, part, f"`{rule}`", str(hits)])
    head = ["policy", "uploads of", "uploads", *(str(action) for action in ACTIONS)]
    return (
        table(head, rows)
        + "\n\nBy the rule that decided, where the action was not `allow`:\n\n"
        + table(["policy", "uploads of", "rule", "uploads"], rules)
    )


def misses(sent: Sequence[Sent], by_policy: dict[str, list[tuple[Action, str]]],
           only: str = "") -> list[str]:  # fmt: skip
    """Which goals are missed on innocent uploads that no detector was trained on.

    Args:
        sent: The traffic.
        by_policy: What was decided.
        only: Count only what rules decided whose names begin so.
    """
    found = []
    for policy, factor in (("balanced", 1.0), ("cautious", 0.5)):
        innocent = [
            made if made[1].startswith(only) else (Action.ALLOW, "")
            for one, made in zip(sent, by_policy[policy], strict=True)
            if one.part in (NEVER, WRITTEN)
        ]
        counts = Counter(action for action, _ in innocent)
        for action, goal in GOALS.items():
            if counts[action] > factor * goal * len(innocent):
                share = counts[action] / len(innocent)
                found.append(f"{policy}: {action} {share:.2%}, the goal is {factor * goal:.2%}")
    return found


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA if DATA.is_dir() else None)
    parser.add_argument("--uploads", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    parser.add_argument("--only", default="", help="check only rules whose names begin so")
    parser.add_argument("--worst", type=int, default=0, help="print so many innocents not allowed")
    parser.add_argument("--dry-run", action="store_true", help="print, and write no page")
    given = parser.parse_args()
    sent = traffic(given.data, given.uploads, given.seed)
    predictions = predicted(sent)
    by_policy = {name: decided(sent, predictions, name) for name in shipped_policies()}
    body = told(sent, by_policy)
    print(body)
    shown = 0
    for one, (action, rule), found in zip(sent, by_policy["balanced"], predictions, strict=True):
        if shown < given.worst and action is not Action.ALLOW and one.part != SPAM:
            scores = {made.detector: made.score for made in found if made.score is not None}
            print(action, rule, scores, repr(one.upload.title), repr(one.upload.description[:300]))
            shown += 1
    if not given.dry_run:
        write_section(
            "traffic",
            f"## Ordinary traffic\n\n`python -m benchmarks.traffic`\n\n{len(sent)} uploads, text "
            f"only, nearly all innocent; {machine()}. Intervals are 95 % (Wilson).\n\n{body}",
        )
    missed = misses(sent, by_policy, given.only)
    print("\n".join(missed) or "every goal is met")
    if given.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
