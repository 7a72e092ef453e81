"""A picture that cannot be read, by each door of the web service: a human decides, no error 500."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

from quorum.aggregator.policy.policy import Policy
from quorum.core.settings import MediaAccess, Settings
from quorum.models.detectors import Detector, Example, Feature, Features, Finding
from tests.apps.web.serving import event, serving

_SPACE = b'xmlns="http://www.w3.org/2000/svg"'
_LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (depth, b"&l%d;" % (depth - 1) * 10) for depth in range(1, 10)
)
#: By name, what a client may send as a picture; none of them is read.
SVGS = {
    "plain": b"<svg %s/>" % _SPACE,
    "script": b"<svg %s><script>alert(1)</script></svg>" % _SPACE,
    "local file": b'<svg %s><image href="file:///etc/hostname"/></svg>' % _SPACE,
    "entity": b'<!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/hostname">]><svg %s>&e;</svg>'
    % _SPACE,
    "laughs": b'<!DOCTYPE svg [<!ENTITY l0 "ha">%s]><svg %s>&l9;</svg>' % (_LAUGHS, _SPACE),
    "cut off": b"<svg %s><g transform=" % _SPACE,
    "no size": b'<svg %s width="1e999" height="-1" viewBox="0 0 0 0"/>' % _SPACE,
    "compressed": gzip.compress(b"<svg %s/>" % _SPACE),
    "not text": b"\xff\xfe<svg\0>",
    "empty": b"",
}
#: What such a file may be called: by its name, as a picture, as a film, by nothing.
NAMES = ("a.svg", "a.svgz", "a.png", "a.mp4", "a")

SEES = Policy.from_text(
    """
name: sees
deadline: 60 s
retention: 1 h
orphan_wait: 1 min
quorum: 1
detectors:
  sees: {required: true, missing: review, failed: review, abstained: review}
rules:
  - name: bad-picture
    when: score("sees") >= 0.9
    action: remove
    category: spam
    reason: The picture is bad (probability {sees}).
"""
)


class Sees(Detector):
    """Looks at frames, and finds nothing wrong with any."""

    name = "sees"
    version = "1"
    needs = frozenset({Feature.FRAMES})

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        return [
            Finding.failed(one.absent[Feature.FRAMES])
            if one.frames is None
            else Finding.scored(0.01)
            for one in batch
        ]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return ()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where files of requests are stored, and where the platform's own are."""
    return tmp_path_factory.mktemp("sent-media"), tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def client(folders: tuple[Path, Path]) -> Iterator[httpx.Client]:
    access = MediaAccess(folders=tuple(map(str, folders)))
    settings = Settings(media=access)
    with serving(Sees(), settings=settings, policy=SEES, media_folder=folders[0]) as made:
        yield made


def held(answer: httpx.Response) -> None:
    """A human decides it, who is told why."""
    assert answer.status_code == 200, answer.text
    body: Any = answer.json()
    assert body["verdict"]["action"] == "review"
    (prediction,) = body["predictions"]
    assert prediction["status"] == "failed"
    assert prediction["reason"]


@pytest.mark.parametrize("door", ["/v1/moderate", "/v1/moderate:media"])
@pytest.mark.parametrize("kind", list(SVGS))
def test_sent_with_its_upload(
    client: httpx.Client, folders: tuple[Path, Path], door: str, kind: str
) -> None:
    for number, name in enumerate(NAMES):
        upload = json.dumps(event(number))
        files = {"media": (name, SVGS[kind], "image/svg+xml")}
        held(client.post(door, data={"upload": upload}, files=files))
    assert list(folders[0].iterdir()) == []


@pytest.mark.parametrize("kind", list(SVGS))
def test_named_by_its_address(client: httpx.Client, folders: tuple[Path, Path], kind: str) -> None:
    uploads = []
    for number, name in enumerate(NAMES):
        path = folders[1] / name
        path.write_bytes(SVGS[kind])
        uploads.append(event(number, media=path.as_uri()))
    held(client.post("/v1/moderate", json=uploads[0]))
    answer = client.post("/v1/moderate:batch", json={"uploads": uploads})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert len(results) == len(NAMES)
    assert all(one["verdict"]["action"] == "review" for one in results), answer.text


@pytest.mark.parametrize(
    "media",
    [
        "data:image/svg+xml,<svg/>",
        "<svg onload=alert(1)>",
        "https://x.example/a.svg",
        "file:///a.svg",
    ],
)
def test_named_by_an_address_that_is_not_fetched(client: httpx.Client, media: str) -> None:
    answer = client.post("/v1/moderate", json=event(1, media=media))
    if answer.status_code != 422:
        held(answer)


@pytest.mark.parametrize("field", ["upload", "media"])
def test_in_the_place_of_another_part_it_is_refused(client: httpx.Client, field: str) -> None:
    svg = ("a.svg", SVGS["plain"], "image/svg+xml")
    parts = {"upload": svg} if field == "upload" else {"media": svg}
    answer = client.post("/v1/moderate:media", files=parts)
    assert answer.status_code == 422
    answer = client.post(
        "/v1/moderate", content=SVGS["plain"], headers={"content-type": "image/svg+xml"}
    )
    assert answer.status_code == 415
