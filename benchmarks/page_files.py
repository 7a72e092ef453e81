"""What each page of the docs presumes: files in its folder, and what stands for its placeholders.

    python -m benchmarks.page_files comments | table | cases | site | ledger

makes such a file in the current folder, of made-up content.
"""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)

#: In each folder.
FILES = f"""
head -n 3 {ROOT}/examples/uploads.jsonl > uploads.jsonl
"""

_MAKE = "python -m benchmarks.page_files"
_SMOKE = "is run by benchmarks.smoke"
_NO_PROMTOOL = {} if shutil.which("promtool") else {"promtool": "needs Debian's package prometheus"}


@dataclass(frozen=True)
class Setting:
    """What a page presumes.

    Attributes:
        before: Commands that make its files.
        instead: What stands for its placeholders.
        left_out: Parts of commands that do not run, and why.
        codes: Exit codes that are right, by a part of a command; else 0.
    """

    before: str = ""
    instead: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


#: The pages that are followed, the longest first.
PAGES: Mapping[str, Setting] = {
    "docs/models.md": Setting(
        f"{_MAKE} comments\n{_MAKE} ledger",
        # Candidates of such small data need not be better.
        codes={"quorum models compare": (0, 1)},
    ),
    "docs/tutorial/README.md": Setting(
        f"mkdir examples && cp uploads.jsonl examples\n{_MAKE} site",
        left_out={
            "quorum models ": "is run for docs/models.md",
            "--watch-models": "is run for docs/models.md",
        },
    ),
    "docs/policy.md": Setting(
        f"{_MAKE} cases\n{_MAKE} ledger\ncp cases.jsonl last-month.jsonl\n"
        "head -n 300 cases.jsonl > today.jsonl\n"
        f"cp {ROOT}/aggregator/policy/shipped/cautious.yaml stricter.yaml",
        instead={
            "explain UPLOAD": "explain u7",
            "spam@VERSION": "spam@v1",
            # The version of one's own policy is a digest of its text.
            "mine@1234567890abcdef": (
                "$(quorum policy releases --json | grep -o 'mine@[0-9a-f]*' | tail -1)"
            ),
            "--since 2026-03-01": "--since 2026-01-31",
        },
        left_out={"quorum replay": "needs the topics of a stream; benchmarks.smoke runs it"},
        codes={"quorum policy drift": (0, 1)},
    ),
    "README.md": Setting(f"cp -r {ROOT}/examples ."),
    "docs/web.md": Setting(
        "printf '[]\\n' > hooks.yaml\n"
        "quorum serve --new-key shop --scopes moderate,read | grep '^shop' > keys.txt\n"
        "quorum ledger init --database postgresql://db/quorum",
    ),
    "docs/tables.md": Setting(
        f"mkdir export && {_MAKE} table && {_MAKE} ledger",
        left_out={"--window hourly": "needs another database"},
    ),
    "docs/console.md": Setting(
        f"{_MAKE} ledger",
        instead={"projects/P/": "projects/console-project/"},
        left_out={
            "create-user ana": "asks for a password",
            "link-user ana": "needs a user and an identity provider",
            "quorum ledger init": "its files have a ledger",
            "link-user": "needs an identity provider; tests/apps/console/test_sign_on.py",
        },
    ),
    "docs/reports.md": Setting(f"{_MAKE} ledger"),
    "docs/notices.md": Setting(f"{_MAKE} ledger"),
    "docs/child-safety.md": Setting(f"{_MAKE} ledger"),
    "docs/transparency.md": Setting(f"{_MAKE} ledger"),
    "docs/copyright.md": Setting(
        f"cp {ROOT}/examples/media/lights.mp4 film.mp4\ncp film.mp4 upload.mp4\nmkdir films\n"
        "cp film.mp4 films",
        left_out={"--ledger -": "needs a ledger with films", "--database ledger": _SMOKE},
    ),
    "docs/write-a-detector.md": Setting(
        left_out={
            "pytest": _SMOKE,
            "settings.yaml": "needs a model of the Hub; tests/examples/test_huggingface_guide.py",
            "calibrate hate": "needs a model of the Hub; tests/examples/test_huggingface_guide.py",
        },
    ),
    "docs/security.md": Setting(),
    "docs/operations.md": Setting(
        left_out={
            "quorum doctor": "needs the deployment that it asks",
            "quorum alerts": "needs people to tell, and weeks of traffic; tests/apps/alerts",
        }
    ),
    "docs/upgrade.md": Setting(codes={"grep": (0, 1)}),
    "docs/evaluation.md": Setting(
        f"{_MAKE} comments\nmv comments.csv labelled.csv",
        left_out={"benchmarks.evasions": _SMOKE, "ours.csv": "needs data of the reader's own"},
    ),
    "CONTRIBUTING.md": Setting(),
    "deploy/README.md": Setting(f"cp -r {ROOT}/deploy .", left_out=_NO_PROMTOOL),
    "recipes/README.md": Setting(),
    "examples/rides/README.md": Setting(left_out={"examples.rides": _SMOKE}),
    "examples/detector-plugin/README.md": Setting(left_out={"pytest": _SMOKE}),
}

_SPAM = (
    "check out my channel {0}", "subscribe to my channel for {0}", "free gift cards number {0}",
    "visit http://spam{0}.example.com now", "earn money from home {0} dollars a day",
)  # fmt: skip
_HAM = (
    "I love this song {0}", "the part at {0} is beautiful", "who is watching in year {0}",
    "my brother plays this {0} times", "great voice and great video {0}",
)  # fmt: skip


def comments() -> None:
    """``comments.csv`` and ``held-out.csv``: labelled texts that have no row in common."""
    for name, first in (("comments.csv", 0), ("held-out.csv", 500)):
        with Path(name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label", "source"])
            for index in range(first, first + 40):
                for label, texts in ((1, _SPAM), (0, _HAM)):
                    text = texts[index % 5].format(index)
                    writer.writerow([text, label, f"video-{index % 4}"])


def table() -> None:
    """``export/comments-1.csv``: comments as a database writes them."""
    with Path("export/comments-1.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["comment_id", "author", "text", "created"])
        for index, text in enumerate((*_SPAM[:2], *_HAM[:2])):
            writer.writerow([index, "c1", text.format(index), f"2026-01-31 12:00:0{index}"])


def cases() -> None:
    """``cases.jsonl``: past cases with reviews, high scores mostly right."""
    with Path("cases.jsonl").open("w", encoding="utf-8") as file:
        for index in range(600):
            score = (index * 37 % 600) / 600
            harmful = score > 0.6 or index % 50 == 0
            case = {
                "upload": _upload(index),
                "predictions": [
                    {"detector": name, "version": "v1", "score": score if name == "spam" else 0.01}
                    for name in ("spam", "violence", "copyright", "nsfw")
                ],
                "action": "remove" if score >= 0.98 else "review" if score >= 0.85 else "allow",
                "rule": "spam-certain",
                "review": "remove" if harmful else "allow",
                "at": (_BEGIN + timedelta(minutes=index)).isoformat(),
            }
            file.write(json.dumps(case) + "\n")


def site() -> None:
    """``site.db``: a table of the platform's own."""
    with sqlite3.connect("site.db") as made:
        made.execute("CREATE TABLE videos (video_id, channel, title, created)")
        rows = [
            (index, "c1", text.format(index), f"2026-01-0{1 + index % 2} 12:00:00")
            for index, text in enumerate((*_SPAM[:2], *_HAM[:2]))
        ]
        made.executemany("INSERT INTO videos VALUES (?, ?, ?, ?)", rows)
    made.close()


def ledger() -> None:
    """``quorum.db``: a ledger of 60 decided uploads, 40 of them reviewed by another tool.

    A rule and a candidate were rolled out to two of the seven uploaders.
    """
    from quorum.core.messages import (
        Action,
        Prediction,
        Review,
        Status,
        Upload,
        UsedPrediction,
        Verdict,
        prediction_id,
    )
    from quorum.store.ledger import Ledger

    with Ledger("sqlite:///quorum.db", create=True) as made:
        messages: list[Any] = []
        for index in range(60):
            upload = Upload.model_validate(_upload(index))
            spam = index % 2 == 1
            at = upload.published_at + timedelta(seconds=1)
            score = 0.99 if spam else 0.01
            prediction = Prediction(
                id=prediction_id(upload.id, "spam", "v1", upload.digest),
                upload_id=upload.id, detector="spam", version="v1", status=Status.SCORED,
                score=score, at=at, digest=upload.digest,
            )  # fmt: skip
            used = UsedPrediction(
                id=prediction.id, detector="spam", version="v1", status=Status.SCORED, score=score
            )
            verdict = Verdict(
                id=f"verdict-{index}", upload_id=upload.id, digest=upload.digest,
                published_at=upload.published_at, action=Action.REMOVE if spam else Action.ALLOW,
                revision=1, policy_version="balanced@0", rule="spam-certain" if spam else "default",
                category="spam" if spam else None, reasons=("It was decided.",),
                predictions=(used,),
                decided_by="policy", at=at, latency=1,
                rollout=dict.fromkeys(
                    ("spam-new", "stricter@1234567890abcdef"), "in" if index % 7 < 2 else "out"
                ),
            )  # fmt: skip
            messages += [upload, prediction, verdict]
            if index < 40:
                messages.append(
                    Review(
                        upload_id=upload.id,
                        verdict_id=verdict.id,
                        action=verdict.action,
                        reviewer="tool",
                        labels=("spam",) if spam else (),
                        at=at + timedelta(minutes=1),
                    )
                )
        made.record(messages)


def _upload(index: int) -> dict[str, Any]:
    text = (_SPAM if index % 2 else _HAM)[index % 5].format(index)
    at = (_BEGIN + timedelta(minutes=index)).isoformat()
    return {"id": f"u{index}", "uploader": f"c{index % 7}", "title": text, "published_at": at}


if __name__ == "__main__":
    makers = {one.__name__: one for one in (comments, cases, site, ledger, table)}
    makers[sys.argv[1]]()
