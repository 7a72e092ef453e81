"""How many decisions a second one core makes, and what the policy language costs.

Each shipped policy decides the same random cases twice: through the one decision function, and
through the same rules written by hand in Python, which gives the same answer (that is checked)
in the same form. A backtest reads its cases from lines, as a ledger's export has them.
Writes a section of ``docs/benchmarks.md``.

    python -m benchmarks.decisions [--cases N] [--lines N] [--dry-run]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice

from benchmarks.document import machine, table, write_section
from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.decision.evaluate import Decision, Uploader
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.backtest import backtest_lines
from quorum.aggregator.study.record import PastCase
from quorum.core.messages import Action, Upload

ALLOW, RESTRICT, REVIEW, REMOVE = Action.ALLOW, Action.RESTRICT, Action.REVIEW, Action.REMOVE
IP, VIOLENCE, SPAM = "intellectual-property", "violence", "spam"
UPLOAD = Upload(id="u", uploader="a", published_at=datetime(2026, 1, 1, tzinfo=UTC))

#: A rule by hand: its test, action, name, category and reason.
Hand = tuple[Callable[[float, float, float, float], bool], Action, str, str | None, str]

BALANCED: Sequence[Hand] = (
    (lambda s, v, c, k: c >= 0.95, REMOVE, "copyright-match", IP,
     "The media matches a registered work (probability {c:.2f})."),
    (lambda s, v, c, k: v >= 0.97, REMOVE, "violence-certain", VIOLENCE,
     "The upload is almost certainly violent (probability {v:.2f})."),
    (lambda s, v, c, k: s >= 0.98, REMOVE, "spam-certain", SPAM,
     "The upload is almost certainly spam (probability {s:.2f})."),
    (lambda s, v, c, k: c >= 0.6, REVIEW, "copyright-likely", IP,
     "The media resembles a registered work (probability {c:.2f})."),
    (lambda s, v, c, k: v >= 0.75, REVIEW, "violence-likely", VIOLENCE,
     "The upload is likely violent (probability {v:.2f})."),
    (lambda s, v, c, k: s >= 0.85, REVIEW, "spam-likely", SPAM,
     "The upload is likely spam (probability {s:.2f})."),
    (lambda s, v, c, k: v >= 0.5, RESTRICT, "violence-borderline", VIOLENCE,
     "The upload may be violent (probability {v:.2f}), so it is shown to adults only."),
    (lambda s, v, c, k: s >= 0.5, RESTRICT, "spam-borderline", SPAM,
     "The upload may be spam (probability {s:.2f}), so it is not recommended to others."),
)  # fmt: skip
CAUTIOUS: Sequence[Hand] = (
    (lambda s, v, c, k: c >= 0.6, REVIEW, "copyright-match", IP,
     "The media resembles a registered work (probability {c:.2f})."),
    (lambda s, v, c, k: v >= 0.6, REVIEW, "violence-likely", VIOLENCE,
     "The upload may be violent (probability {v:.2f})."),
    (lambda s, v, c, k: s >= 0.95, REVIEW, "spam-certain", SPAM,
     "The upload is very likely spam (probability {s:.2f})."),
    (lambda s, v, c, k: k >= 1.5 and (s >= 0.5 or v >= 0.4), REVIEW, "repeated-offence", None,
     "The uploader has earlier removals, and the upload is suspect."),
    (lambda s, v, c, k: s >= 0.7, RESTRICT, "spam-likely", SPAM,
     "The upload may be spam (probability {s:.2f}), so it is not recommended to others."),
)  # fmt: skip
STRICT: Sequence[Hand] = (
    (lambda s, v, c, k: v >= 0.9, REMOVE, "violence-certain", VIOLENCE,
     "The upload is very likely violent (probability {v:.2f})."),
    (lambda s, v, c, k: c > 0.9, REMOVE, "copyright-match", IP,
     "The media matches a registered work (probability {c:.2f})."),
    (lambda s, v, c, k: s >= 0.95, REMOVE, "spam-certain", SPAM,
     "The upload is very likely spam (probability {s:.2f})."),
    (lambda s, v, c, k: k >= 1.5 and (v >= 0.7 or s >= 0.8), REMOVE, "repeated-offence",
     "other-violation-tc",
     "The uploader has earlier removals, and the upload is likely harmful again."),
    (lambda s, v, c, k: v >= 0.5, REVIEW, "violence-likely", VIOLENCE,
     "The upload is likely violent (probability {v:.2f})."),
    (lambda s, v, c, k: c > 0.55, REVIEW, "copyright-likely", IP,
     "The media resembles a registered work (probability {c:.2f})."),
    (lambda s, v, c, k: s >= 0.7, REVIEW, "spam-likely", SPAM,
     "The upload is likely spam (probability {s:.2f})."),
    (lambda s, v, c, k: v >= 0.25, RESTRICT, "violence-hinted", VIOLENCE,
     "The upload may be violent (probability {v:.2f}), so it is shown to adults only."),
    (lambda s, v, c, k: s >= 0.4, RESTRICT, "spam-hinted", SPAM,
     "The upload may be spam (probability {s:.2f}), so it is not recommended to others."),
)  # fmt: skip

#: By policy: the rules, the quorum, and what an abstention of each detector means.
BY_HAND: dict[str, tuple[Sequence[Hand], int, dict[str, Action | None]]] = {
    "balanced": (BALANCED, 1, {SPAM: None, VIOLENCE: None, "copyright": None}),
    "cautious": (CAUTIOUS, 2, {SPAM: None, VIOLENCE: REVIEW, "copyright": None}),
    "strict": (STRICT, 2, {SPAM: None, VIOLENCE: REVIEW, "copyright": None}),
}
_RANK = {ALLOW: 0, RESTRICT: 1, REVIEW: 2, REMOVE: 3}
_VERBS = {"failed": "failed", "abstained": "abstained"}

Case = tuple[tuple[CompactPrediction, ...], Uploader]


def by_hand(name: str, answers: Sequence[CompactPrediction], uploader: Uploader) -> Decision:
    """The decision of a shipped policy, its rules written out in Python."""
    rules, quorum, abstained = BY_HAND[name]
    heard = {one.detector: one for one in answers}
    scores = [-1.0, -1.0, -1.0]
    scored = 0
    for index, detector in enumerate(abstained):
        one = heard.get(detector)
        if one is not None and one.score is not None:
            scores[index] = one.score
            scored += 1
    spam, violence, copy = scores
    strikes = uploader.strikes
    found = []
    for test, action, rule, category, reason in rules:
        if test(spam, violence, copy, strikes):
            told = reason.format(s=spam, v=violence, c=copy)
            found.append((action, rule, category, told))
    missing = []
    for detector, meaning in abstained.items():
        one = heard.get(detector)
        if one is None:
            missing.append((detector, "no answer by its deadline"))
            told = f"The detector {detector} did not answer: no answer by its deadline."
            found.append((REVIEW, f"missing:{detector}", None, told))
        elif one.code == "failed" or (one.code == "abstained" and meaning is REVIEW):
            told = f"The detector {detector} {_VERBS[one.code]}: {one.reason}."
            found.append((REVIEW, f"{one.code}:{detector}", None, told))
    if scored < quorum:
        told = f"Only {scored} of the {quorum} detectors that are needed could score."
        found.append((REVIEW, "quorum", None, told))
    if not found:
        found.append((ALLOW, "default", None, "No rule asks for more than to allow it."))
    best = max(found, key=lambda one: _RANK[one[0]])
    return Decision(
        action=best[0],
        rule=best[1],
        category=best[2],
        reasons=tuple(told for action, _, _, told in found if action is best[0]),
        matched=tuple(one[1] for one in sorted(found, key=lambda one: -_RANK[one[0]])),
        shadow_matched=(),
        inputs=tuple(sorted(f"{one.id}:{one.code}" for one in answers)),
        used=tuple(sorted(answers, key=lambda one: one.detector)),
        missing=tuple(missing),
    )


def random_cases(count: int, seed: int = 0) -> list[Case]:
    """Cases as a platform has them: most harmless, half of them without media."""
    draw = random.Random(seed)
    cases: list[Case] = []
    for _ in range(count):
        answers = []
        for name in (SPAM, VIOLENCE, "copyright"):
            luck = draw.random()
            if name == "copyright" and luck < 0.5:
                answers.append(
                    CompactPrediction(name, name, "1", 0, "abstained", None, {}, "no media")
                )
            elif luck < 0.98:
                score = draw.betavariate(0.3, 3)
                answers.append(CompactPrediction(name, name, "1", 0, "scored", score, {}))
            elif luck < 0.99:
                answers.append(
                    CompactPrediction(name, name, "1", 0, "failed", None, {}, "out of memory")
                )
        answers.append(CompactPrediction("nsfw", "nsfw", "1", 0, "abstained", None, {}, "no media"))
        strikes = 0.0 if draw.random() < 0.9 else draw.random() * 4
        cases.append((tuple(answers), Uploader(strikes=strikes)))
    return cases


def rate(decide: Callable[[Case], object], cases: Sequence[Case], rounds: int = 3) -> float:
    """Decisions a second of this core's time: the best of some rounds."""
    best = 0.0
    for _ in range(rounds):
        began = time.process_time()
        for case in cases:
            decide(case)
        best = max(best, len(cases) / (time.process_time() - began))
    return best


def through(policy: Policy) -> Callable[[Case], Decision]:
    """The one decision function, as stream and backtest call it."""
    decider = Decider(policy)

    def decide(case: Case) -> Decision:
        return decider.decision(lambda: UPLOAD, case[0], {}, case[1])

    return decide


def lines(count: int) -> list[bytes]:
    """Past cases as lines."""
    facts = json.loads(UPLOAD.to_bytes())
    made = []
    for number, (answers, uploader) in enumerate(random_cases(10_000, seed=1)):
        own = {**facts, "id": f"u{number}", "title": "A day at the lake", "territories": ["DE"]}
        made.append(PastCase(own, answers, uploader=uploader, action=ALLOW).to_json().encode())
    return list(islice(cycle(made), count))


def decisions(name: str, cases: Sequence[Case]) -> list[str]:
    """A policy's line of the table, beside the same rules by hand."""
    decide = through(load_policy(name))

    def hand(case: Case) -> Decision:
        return by_hand(name, *case)

    same = sum(
        (one.action, one.rule, one.category, one.reasons, one.missing)
        == (other.action, other.rule, other.category, other.reasons, other.missing)
        for one, other in ((decide(case), hand(case)) for case in cases)
    )
    if same != len(cases):
        sys.exit(f"{name} by hand differs from the policy in {len(cases) - same} cases")
    ours, theirs = rate(decide, cases), rate(hand, cases)
    return [
        name,
        f"{ours:,.0f}",
        f"{theirs:,.0f}",
        f"{theirs / ours:.1f}",
        f"{same / len(cases):.1%}",
    ]


def backtests(prepared: Sequence[bytes], workers: int) -> list[str]:
    """A line of the table of backtests."""
    began = time.perf_counter()
    found = backtest_lines(iter(prepared), load_policy("strict"), workers=workers)
    took = time.perf_counter() - began
    assert found.cases == len(prepared)
    return [
        f"{workers}",
        f"{found.cases:,}",
        f"{took:.1f}",
        f"{found.cases / took:,.0f}",
        f"{1e6 * took / found.cases:.0f}",
    ]


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--dry-run", action="store_true", help="print, and write nothing")
    chosen = parser.parse_args()
    cases, prepared = random_cases(chosen.cases), lines(chosen.lines)
    made = table(
        ["policy", "decisions/s", "by hand/s", "ratio", "the same decision"],
        [decisions(name, cases) for name in BY_HAND],
    )
    again = table(
        ["processes", "cases", "seconds", "cases/s", "seconds for a million"],
        [backtests(prepared, workers) for workers in (1, 2)],
    )
    body = f"""## Decisions

`python -m benchmarks.decisions`, on {machine()}.

Each shipped policy decides {len(cases):,} random cases on one core (its processor time, best of
3), and so do the same rules written by hand in Python.

{made}

`quorum policy backtest` of `strict`, from lines of past cases (time that passed):

{again}"""
    print(body)
    if not chosen.dry_run:
        write_section("decisions", body)


if __name__ == "__main__":
    main()
