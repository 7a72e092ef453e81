"""The workload: what is published and when, drawn from a seed before the soak begins."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.soak.detectors import ANSWERS, MADNESS
from quorum.core.messages import Prediction, Status, prediction_id

__all__ = ["PARTNER", "Operation", "Shape", "clips", "operations", "prediction"]

#: The external detector of the policy.
PARTNER: Final = "partner"

_WORDS: Final = (
    "river", "morning", "guitar", "lesson", "bread", "city", "train", "garden", "winter", "goal",
    "paint", "ocean", "coffee", "robot", "forest", "song", "kitchen", "mountain", "street", "dog",
)  # fmt: skip
#: Shares of the operations that a scenario adds to those of ``text``.
_SHARES: Final = {
    "text": 1.0,
    "media": 0.05,
    "duplicate": 0.08,
    "malformed": 0.04,
    "partner": 0.12,
    "review": 0.04,
    "edit": 0.06,
    "forged": 0.04,
    "answers": 0.02,
}
#: Seconds between two mad uploads, and between two floods, on average.
_BETWEEN_MAD: Final = 6.0
_BETWEEN_FLOODS: Final = 60.0
_FAR: Final = datetime(2099, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Operation:
    """One message to publish.

    Attributes:
        at: Seconds after the start of the soak.
        stream: The topic: ``uploads``, ``partner`` or ``reviews``.
        kind: What it is.
        upload_id: What it is about.
        data: The message. None for a review, which is made when its upload has a verdict.
        count: How many such messages, each for another upload that does not exist.
    """

    at: float
    stream: str
    kind: str
    upload_id: str = ""
    data: bytes | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Shape:
    """How much of what.

    Attributes:
        seconds: How long messages are published.
        rate: Text uploads a second.
        scenarios: What is added to them.
        clips: Media files, each a ``file:`` URI.
        damaged: Such files that cannot be decoded to their end.
        flood: Messages of a flood.
        media: Share of uploads with media, in place of that of the scenario.
    """

    seconds: float
    rate: float
    scenarios: frozenset[str]
    clips: Sequence[str] = ()
    damaged: Sequence[str] = ()
    flood: int = 6000
    media: float | None = None


def operations(seed: int, shape: Shape, began: datetime) -> list[Operation]:
    """The operations of a seed, in the order of their times; the same for the same arguments."""
    draw = _Draw(random.Random(seed), shape, began)
    made = list(draw.ordinary())
    if "mad" in shape.scenarios:
        made += draw.mad()
    if "flood" in shape.scenarios:
        made += draw.floods()
    return sorted(made, key=lambda one: one.at)


@dataclass(frozen=True, slots=True)
class _Draw:
    random: random.Random
    shape: Shape
    began: datetime

    def ordinary(self) -> Iterator[Operation]:
        shares = {name: each for name, each in _SHARES.items() if name in self.shape.scenarios}
        if self.shape.media is not None:
            shares["media"] = self.shape.media
        names, weights = list(shares), list(shares.values())
        at, number = 0.0, 0
        rate = self.shape.rate * sum(weights)
        while (at := at + self.random.expovariate(rate)) < self.shape.seconds:
            number += 1
            kind = self.random.choices(names, weights)[0]
            yield from self._of_kind(kind, at, f"{kind}-{number}")

    def _of_kind(self, kind: str, at: float, name: str) -> Iterator[Operation]:
        title = self._title(self.random.randint(2, 8))
        plain = self._upload(at, name, title)
        if kind == "media":
            damaged = self.shape.damaged if self.random.random() < 0.2 else ()
            clip = self.random.choice(damaged or self.shape.clips)
            told = "damaged" if damaged else kind
            yield Operation(at, "uploads", told, name, self._upload(at, name, title, clip))
        elif kind == "duplicate":
            yield Operation(at, "uploads", kind, name, plain)
            later = at + self.random.choice((0.0, 0.5, 5.0))
            yield Operation(later, "uploads", kind, name, plain)
        elif kind == "malformed":
            stream = self.random.choice(("uploads", "uploads", "partner", "reviews"))
            yield Operation(at, stream, kind, "", _malformed(self.random, name))
        elif kind == "partner":
            yield from self._partner(at, name, plain)
        elif kind == "review":
            yield Operation(at, "uploads", kind, name, plain)
            yield Operation(at + self.random.uniform(3.0, 8.0), "reviews", kind, name)
        elif kind == "edit":
            yield Operation(at, "uploads", kind, name, plain)
            later = at + self.random.choice((0.2, 4.0))
            other = self._upload(later, name, self._title(9))
            yield Operation(later, "uploads", "edit:again", name, other)
        elif kind == "forged":
            yield from self._forged(at, name, plain)
        elif kind == "answers":
            told = self.random.choice(sorted(ANSWERS))
            odd = self._upload(at, name, f"{title} soak:{told}")
            yield Operation(at, "uploads", f"answers:{told}", name, odd)
        else:
            yield Operation(at, "uploads", kind, name, plain)

    def mad(self) -> Iterator[Operation]:
        """Each madness in turn, in a random order."""
        at, number = self.random.uniform(1.0, _BETWEEN_MAD), 0
        order: list[str] = []
        while at < self.shape.seconds:
            order = order or self.random.sample(sorted(MADNESS), len(MADNESS))
            told, number = order.pop(), number + 1
            data = self._upload(at, f"mad-{number}", f"{self._title(3)} soak:{told}")
            yield Operation(at, "uploads", f"mad:{told}", f"mad-{number}", data)
            at += self.random.uniform(0.5, 1.5) * _BETWEEN_MAD

    def floods(self) -> Iterator[Operation]:
        """Bursts of predictions for uploads that do not exist."""
        at = min(self.shape.seconds * 0.3, self.random.uniform(5.0, _BETWEEN_FLOODS))
        while at < self.shape.seconds:
            yield Operation(at, "partner", "stranger", count=self.shape.flood)
            at += self.random.uniform(0.5, 1.5) * _BETWEEN_FLOODS

    def _partner(self, at: float, name: str, upload: bytes) -> Iterator[Operation]:
        """An upload, and its prediction by the partner: before, with, late or twice."""
        yield Operation(at, "uploads", "partner", name, upload)
        later = max(0.0, at + self.random.choice((-0.5, 0.0, 0.3, 4.0)))
        score = round(self.random.random(), 3)
        data = prediction(name, PARTNER, score, self._time(later)).to_bytes()
        yield Operation(later, "partner", "partner", name, data)
        if self.random.random() < 0.3:
            yield Operation(later + 1.0, "partner", "partner", name, data)

    def _forged(self, at: float, name: str, upload: bytes) -> Iterator[Operation]:
        """What must count for nothing, about an upload that is honest."""
        told = self.random.choice(("upload", "prediction", "review"))
        later = at + self.random.uniform(0.0, 4.0)
        if told == "upload":
            dated = json.loads(upload) | {"published_at": _FAR.isoformat()}
            yield Operation(at, "uploads", "future:upload", "", _json(dated))
            return
        yield Operation(at, "uploads", "forged", name, upload)
        if told == "prediction":
            data = prediction(name, PARTNER, 0.99, _FAR).to_bytes()
            yield Operation(later, "partner", "future:prediction", name, data)
            return
        review = {"upload_id": name, "verdict_id": "0" * 32, "action": "remove",
                  "reviewer": "mallory", "at": self._time(later).isoformat()}  # fmt: skip
        yield Operation(later, "reviews", "unknown:review", name, _json(review))

    def _title(self, words: int) -> str:
        return " ".join(self.random.choices(_WORDS, k=words))

    def _time(self, at: float) -> datetime:
        return self.began + timedelta(seconds=at)

    def _upload(self, at: float, name: str, title: str, media: str | None = None) -> bytes:
        made: dict[str, Any] = {
            "id": name,
            "uploader": f"by-{sum(name.encode()) % 97}",
            "title": title,
            "published_at": self._time(at).isoformat(),
        }
        return _json(made | {"media": media} if media else made)


def prediction(upload_id: str, detector: str, score: float, at: datetime) -> Prediction:
    """A prediction by somebody else's detector."""
    return Prediction(
        id=prediction_id(upload_id, detector, "1"),
        upload_id=upload_id,
        detector=detector,
        version="1",
        status=Status.SCORED,
        score=score,
        at=at,
    )


def _malformed(random_: random.Random, name: str) -> bytes:
    return random_.choice(
        (
            name.encode() + b" no JSON",
            b'{"id": "' + name.encode() + b'", "title": 5}',
            b'{"id": "' + name.encode() + b"\xff\xfe",
            b"[" * 2000 + name.encode(),
            _json({"id": name + "\u202e", "uploader": "x", "published_at": "2026-01-01T00:00:00Z"}),
            _json({"id": name, "uploader": "x", "published_at": "yesterday"}),
        )
    )


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def clips(folder: Path) -> tuple[list[str], list[str]]:
    """The shipped clips, whole and damaged."""
    whole = [path for path in sorted(folder.glob("*.m*")) if path.name != "damaged.mp4"]
    return [path.as_uri() for path in whole], [(folder / "damaged.mp4").as_uri()]
