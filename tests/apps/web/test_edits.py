"""One id, two contents, over HTTP: who may edit, what supersedes what, and who may read it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

import itertools

from quorum.apps.http.keys import ApiKey, new_key, read_keys
from quorum.apps.web.known import KnownUpload, RecentUploads
from quorum.core.messages import Action, Review, Upload, Verdict, now
from quorum.core.settings import MediaAccess, Settings
from quorum.store.ledger import Ledger, Owner
from tests.apps.web.doubles import Slow, Words
from tests.apps.web.serving import event, serving
from tests.apps.web.test_web import is_problem

FIRST = event(1, "bad")
EDIT = event(1, "fine", published_at="2026-01-31T13:00:00Z")

NAMES = {
    "shop": "moderate,read",
    "rival": "moderate,read",
    "auditor": "read-all",
    "viewer": "read",
}


class Keys:
    """A key of each client, in a file as version 0.2 reads it."""

    def __init__(self, folder: Path) -> None:
        made = {name: new_key(name, frozenset(how.split(","))) for name, how in NAMES.items()}
        self.secrets = {name: secret for name, (secret, _) in made.items()}
        secret, line = new_key("shop", frozenset({"moderate"}))
        self.secrets["shop, replaced"] = secret
        file = folder / "keys"
        file.write_text("\n".join([*(line for _, line in made.values()), line]))
        self.keys: tuple[ApiKey, ...] = read_keys(file)

    def __getitem__(self, name: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secrets[name]}"}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture(params=["in memory", "in the ledger"])
def client(request: Any, tmp_path: Path, keys: Keys) -> Iterator[httpx.Client]:
    with contextlib.ExitStack() as stack:
        ledger = None
        if request.param == "in the ledger":
            ledger = stack.enter_context(Ledger(f"sqlite:///{tmp_path}/l.db", create=True))
        yield stack.enter_context(serving(keys=keys.keys, ledger=ledger))


def verdict_of(answer: httpx.Response) -> Verdict:
    assert answer.status_code == 200, answer.text
    return Verdict.model_validate_json(json.dumps(answer.json()["verdict"]))


def digest(sent: dict[str, Any]) -> str:
    return Upload.model_validate_json(json.dumps(sent)).digest


def test_the_client_that_made_an_upload_edits_it(client: httpx.Client, keys: Keys) -> None:
    first = verdict_of(client.post("/v1/moderate", json=FIRST, headers=keys["shop"]))
    assert (first.action, first.revision, first.digest) == (Action.REMOVE, 1, digest(FIRST))
    answer = client.post("/v1/moderate", json=EDIT, headers=keys["shop, replaced"])
    edited = verdict_of(answer)
    assert (edited.action, edited.revision, edited.digest) == (Action.ALLOW, 2, digest(EDIT))
    assert edited.supersedes == first.id
    assert {one["digest"] for one in answer.json()["predictions"]} == {digest(EDIT)}
    again = verdict_of(client.post("/v1/moderate", json=EDIT, headers=keys["shop"]))
    assert (again.id, again.revision) == (edited.id, 2)
    told = client.get("/v1/verdicts/u1", headers=keys["shop"]).json()
    assert told["verdict"]["id"] == edited.id
    assert [one["id"] for one in told["earlier"]] == [first.id]
    assert {one["digest"] for one in told["predictions"]} == {digest(EDIT)}
    back = FIRST | {"published_at": "2026-01-31T14:00:00Z"}
    third = verdict_of(client.post("/v1/moderate", json=back, headers=keys["shop"]))
    assert (third.action, third.revision, third.digest) == (Action.REMOVE, 3, digest(FIRST))


@pytest.mark.parametrize("sent", [EDIT, FIRST], ids=["other content", "same content"])
def test_another_client_may_not(client: httpx.Client, keys: Keys, sent: dict[str, Any]) -> None:
    first = verdict_of(client.post("/v1/moderate", json=FIRST, headers=keys["shop"]))
    refused = client.post("/v1/moderate", json=sent, headers=keys["rival"])
    assert "give your upload an id of its own" in is_problem(refused, 409)
    batch = {"uploads": [sent, event(2)]}
    results = client.post("/v1/moderate:batch", json=batch, headers=keys["rival"]).json()["results"]
    assert results[0]["problem"]["status"] == 409
    assert results[1]["verdict"]["revision"] == 1
    told = client.get("/v1/verdicts/u1", headers=keys["shop"]).json()
    assert (told["verdict"]["id"], told["earlier"]) == (first.id, [])


def test_an_earlier_content_does_not_win(client: httpx.Client, keys: Keys) -> None:
    edited = verdict_of(client.post("/v1/moderate", json=EDIT, headers=keys["shop"]))
    late = client.post("/v1/moderate", json=FIRST, headers=keys["shop"])
    detail = is_problem(late, 409)
    assert "2026-01-31T13:00:00Z" in detail and "later published_at" in detail
    told = client.get("/v1/verdicts/u1", headers=keys["shop"]).json()
    assert (told["verdict"]["id"], told["earlier"]) == (edited.id, [])


def test_a_key_reads_its_own_uploads_unless_it_has_more(client: httpx.Client, keys: Keys) -> None:
    client.post("/v1/moderate", json=FIRST, headers=keys["shop"])
    codes = {name: client.get("/v1/verdicts/u1", headers=keys[name]).status_code for name in NAMES}
    assert codes == {"shop": 200, "rival": 404, "auditor": 200, "viewer": 404}
    nothing = client.get("/v1/verdicts/none", headers=keys["rival"])
    assert nothing.json() == client.get("/v1/verdicts/u1", headers=keys["rival"]).json()
    assert client.get("/v1/models", headers=keys["auditor"]).status_code == 200
    assert client.get("/v1/models", headers=keys["viewer"]).status_code == 200
    only = client.get("/v1/verdicts/u1", headers=keys["shop, replaced"])
    assert is_problem(only, 403)


def test_two_contents_at_once_are_decided_one_after_another(keys: Keys) -> None:
    contents = [
        event(1, f"title {number}", published_at=f"2026-01-31T12:00:0{number}Z")
        for number in range(6)
    ]
    with serving(Words(), Slow(0.05), keys=keys.keys) as client, ThreadPoolExecutor(6) as pool:

        def send(sent: dict[str, Any]) -> httpx.Response:
            return client.post("/v1/moderate", json=sent, headers=keys["shop"])

        answers = list(pool.map(send, contents))
        assert {one.status_code for one in answers} <= {200, 409}
        made = sorted(
            (verdict_of(one) for one in answers if one.status_code == 200),
            key=lambda one: one.revision,
        )
        assert [one.revision for one in made] == list(range(1, len(made) + 1))
        for before, after in itertools.pairwise(made):
            assert after.supersedes == before.id
            assert after.published_at > before.published_at
        assert made[-1].digest == digest(contents[-1])


def test_duplicates_at_once_get_one_verdict(keys: Keys) -> None:
    with serving(keys=keys.keys) as client, ThreadPoolExecutor(6) as pool:

        def send(_: int) -> str:
            answer = client.post("/v1/moderate", json=FIRST, headers=keys["shop"])
            return verdict_of(answer).id

        assert len(set(pool.map(send, range(12)))) == 1


def test_who_made_an_upload_is_known_after_a_restart(tmp_path: Path, keys: Keys) -> None:
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger:
        with serving(keys=keys.keys, ledger=ledger) as client:
            first = verdict_of(client.post("/v1/moderate", json=FIRST, headers=keys["shop"]))
        with serving(keys=keys.keys, ledger=ledger) as client:
            assert is_problem(client.post("/v1/moderate", json=EDIT, headers=keys["rival"]), 409)
            edited = verdict_of(client.post("/v1/moderate", json=EDIT, headers=keys["shop"]))
            assert (edited.revision, edited.supersedes) == (2, first.id)
        case = ledger.get_case("u1")
        assert case is not None and case.verdict is not None
        assert [one.revision for one in case.verdicts] == [1, 2]
        assert case.verdict.id == edited.id
        assert len(case.predictions) == 4 and len(case.current_predictions) == 2


def test_an_upload_of_a_stream_is_no_clients(tmp_path: Path, keys: Keys) -> None:
    upload = Upload.model_validate_json(json.dumps(FIRST))
    with (
        Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger,
        serving(keys=keys.keys, ledger=ledger) as client,
    ):
        ledger.record([upload])
        refused = client.post("/v1/moderate", json=EDIT, headers=keys["shop"])
        assert "no client of this service made" in is_problem(refused, 409)
        assert client.post("/v1/moderate", json=FIRST, headers=keys["shop"]).status_code == 200
        assert ledger.owners(["u1"]) == {}
        assert client.get("/v1/verdicts/u1", headers=keys["shop"]).status_code == 404
        assert client.get("/v1/verdicts/u1", headers=keys["auditor"]).status_code == 200


def test_an_edit_of_what_a_reviewer_removed_goes_to_a_reviewer(tmp_path: Path, keys: Keys) -> None:
    with (
        Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger,
        serving(keys=keys.keys, ledger=ledger) as client,
    ):
        sent = event(1, "fine")
        seen = verdict_of(client.post("/v1/moderate", json=sent, headers=keys["shop"]))
        ledger.record(
            [
                Review(
                    upload_id="u1",
                    verdict_id=seen.id,
                    action=Action.REMOVE,
                    reviewer="ana",
                    at=now(),
                )
            ]
        )
        edit = sent | {"title": "finer", "published_at": "2026-01-31T13:00:00Z"}
        verdict = verdict_of(client.post("/v1/moderate", json=edit, headers=keys["shop"]))
        assert (verdict.action, verdict.rule) == (Action.REVIEW, "edited-after-review")


def test_what_could_not_be_asked_is_not_overwritten(tmp_path: Path) -> None:
    """The ledger was away when the requests came, and is back when their answers are recorded."""
    first, edit = (Upload.model_validate_json(json.dumps(one)) for one in (FIRST, EDIT))
    other = Upload.model_validate_json(json.dumps(event(2)))
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger:
        ledger.record([first, Owner("u1", "shop"), other])
        ledger.record([edit, Owner("u1", "rival"), other.model_copy(update={"title": "x"}),
                       Owner("u2", "rival")])  # fmt: skip
        assert [case.upload for case in ledger.get_cases(["u1", "u2"])] == [first, other]
        assert ledger.owners(["u1", "u2"]) == {"u1": "shop"}
        ledger.record([edit, Owner("u1", "shop")])
        assert ledger.get_cases(["u1"])[0].upload == edit


def test_another_file_is_another_content(tmp_path: Path, keys: Keys) -> None:
    folder = tmp_path / "sent-media"
    folder.mkdir()
    settings = Settings(media=MediaAccess(folders=(str(folder),)))
    with serving(keys=keys.keys, settings=settings, media_folder=folder) as client:

        def send(content: bytes, at: str) -> Verdict:
            sent = event(1, published_at=f"2026-01-31T{at}:00:00Z")
            files = {"media": ("clip.mp4", content, "video/mp4")}
            data = {"upload": json.dumps(sent)}
            answer = client.post("/v1/moderate", data=data, files=files, headers=keys["shop"])
            verdict = verdict_of(answer)
            assert {one["digest"] for one in answer.json()["predictions"]} == {verdict.digest}
            return verdict

        first, again, edited = send(b"one", "12"), send(b"one", "12"), send(b"two", "13")
        assert (first.revision, again.id) == (1, first.id)
        assert (edited.revision, edited.supersedes) == (2, first.id)
        assert edited.digest != first.digest


def test_without_keys_everyone_is_one_client() -> None:
    with serving() as client:
        first = verdict_of(client.post("/v1/moderate", json=FIRST))
        edited = verdict_of(client.post("/v1/moderate", json=EDIT))
        assert (edited.revision, edited.supersedes) == (2, first.id)
        assert client.get("/v1/verdicts/u1").json()["verdict"]["id"] == edited.id


def test_what_is_remembered_is_bounded_in_bytes() -> None:
    recent = RecentUploads(1000, 100_000)
    known = KnownUpload("shop", "d", datetime(2026, 1, 31, tzinfo=UTC))
    verdict = Verdict(
        id="v", upload_id="u", action=Action.ALLOW, revision=1, policy_version="p", rule="r",
        reasons=("x" * 10_000,), decided_by="policy", at=now(), latency=0.0,
    )  # fmt: skip
    for number in range(50):
        recent.put(f"u{number}", known.with_answer([verdict], []))
        recent.put(f"u{number}", known.with_answer([verdict], []))
    assert len(recent) == 9
    assert recent.size <= 100_000
    assert recent.get("u49") is not None and recent.get("u0") is None


def test_a_ledger_that_hangs_costs_one_request_its_wait(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorum.apps.web.state.LOOK_UP_SECONDS", 0.3)
    asked = []

    def hang(self: Ledger, *_: object) -> None:
        asked.append(1)
        time.sleep(2)

    with (
        Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger,
        serving(keys=keys.keys, ledger=ledger) as client,
    ):
        monkeypatch.setattr(Ledger, "recorded_upload", hang)
        for number in range(5):
            verdict_of(client.post("/v1/moderate", json=event(number), headers=keys["shop"]))
        assert len(asked) == 1
