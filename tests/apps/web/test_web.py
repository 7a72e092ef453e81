from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from quorum.aggregator.policy.policy import Policy
from quorum.apps.http.keys import new_key, read_keys
from quorum.apps.web.settings import ServiceLimits
from quorum.core.messages import Prediction, Upload, Verdict
from quorum.core.settings import MediaAccess, Settings
from quorum.models.ensemble import Ensemble
from quorum.pipeline.moderator import Moderator
from quorum.store.ledger import Ledger, LedgerUnavailable
from tests.apps.web.doubles import PATIENT, POLICY, Slow, Words
from tests.apps.web.serving import event, serving


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(limits=ServiceLimits(batch=20, body_bytes=100_000, body_seconds=0.5)) as made:
        yield made


def is_problem(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    return str(body["detail"])


def test_one_upload_one_verdict(client: httpx.Client) -> None:
    answer = client.post("/v1/moderate", json=event(title="bad words"))
    assert answer.status_code == 200
    verdict = Verdict.model_validate_json(json.dumps(answer.json()["verdict"]))
    assert (verdict.action, verdict.rule, verdict.category) == ("remove", "bad-words", "spam")
    assert verdict.reasons == ("The words are bad (probability 0.95).",)
    said = [Prediction.model_validate_json(json.dumps(p)) for p in answer.json()["predictions"]]
    assert {one.detector for one in said} == {"words", "slow"}
    assert "quorum-recorded" not in answer.headers


def test_the_same_upload_gets_the_same_verdict_in_process(client: httpx.Client) -> None:
    moderator = Moderator(policy=POLICY, ensemble=Ensemble.of([Words(), Slow()]))
    for number, title in enumerate(["bad", "fine", "broken", "", "late", "bad late"]):
        upload = Upload.model_validate_json(json.dumps(event(1000 + number, title)))
        here = moderator.moderate([upload])[0].verdict
        there = client.post("/v1/moderate", content=upload.to_bytes(), headers=JSON).json()
        verdict = Verdict.model_validate_json(json.dumps(there["verdict"]))
        assert (here.id, here.action, here.rule, here.reasons, here.decided_by) == (
            verdict.id,
            verdict.action,
            verdict.rule,
            verdict.reasons,
            verdict.decided_by,
        )


JSON = {"content-type": "application/json"}


def test_a_batch_keeps_its_order_and_one_bad_takes_none_with_it(client: httpx.Client) -> None:
    uploads = [event(1, "bad"), {"id": "x"}, event(3), "no", event(5, "broken")]
    uploads.append(event(6, published_at="2099-01-31T12:00:00Z"))
    results = client.post("/v1/moderate:batch", json={"uploads": uploads}).json()["results"]
    told = [one.get("verdict", one.get("problem")) for one in results]
    assert [one.get("action", one.get("status")) for one in told] == [
        "remove",
        422,
        "allow",
        422,
        "review",
        422,
    ]
    assert "uploader" in told[1]["detail"]
    assert "in the future" in told[5]["detail"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"not json", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"{}", "application/json", 422),
        (json.dumps(event(id="a\x00b")).encode(), "application/json", 422),
        (json.dumps(event(published_at="2026-01-31T12:00:00")).encode(), "application/json", 422),
        (json.dumps(event(published_at="2099-01-31T12:00:00Z")).encode(), "application/json", 422),
        (b"[" * 50_000, "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"x" * 100_001, "application/json", 413),
        (b"{}", "multipart/form-data; boundary=x", 415),
    ],
)
def test_bad_bodies_get_clear_answers(
    client: httpx.Client, body: bytes, kind: str, status: int
) -> None:
    answer = client.post("/v1/moderate", content=body, headers={"content-type": kind})
    assert is_problem(answer, status)
    assert client.get("/health").status_code == 200


def test_bad_batches(client: httpx.Client) -> None:
    too_many = {"uploads": [event(n) for n in range(21)]}
    assert "20 of one batch" in is_problem(client.post("/v1/moderate:batch", json=too_many), 422)
    assert is_problem(client.post("/v1/moderate:batch", json={"uploads": 3}), 422)
    assert is_problem(client.post("/v1/moderate:batch", content=b"{", headers=JSON), 422)
    assert client.post("/v1/moderate:batch", json={"uploads": []}).json() == {"results": []}


def test_bodies_without_a_length_or_of_50_mb_are_refused(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 10_000

    answer = client.post("/v1/moderate", content=endless(), headers=JSON)
    assert is_problem(answer, 413)
    fifty = client.post("/v1/moderate", content=b"x" * 50_000_000, headers=JSON)
    assert is_problem(fifty, 413)
    assert client.get("/health").status_code == 200


def test_a_slow_client_is_let_go(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port)) as slow:
        slow.sendall(
            b"POST /v1/moderate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: 1000\r\n\r\n{"
        )
        slow.settimeout(10)
        assert b"408" in slow.recv(4096)
    assert client.get("/health").status_code == 200


def test_unknown_paths_and_methods_are_problems(client: httpx.Client) -> None:
    assert is_problem(client.get("/nothing"), 404)
    assert is_problem(client.get("/v1/moderate"), 405)
    assert is_problem(client.get("/v1/verdicts/nobody"), 404)
    assert is_problem(client.get("/v1/verdicts/%00"), 404)


def test_verdicts_can_be_asked_for_without_a_ledger(client: httpx.Client) -> None:
    made = client.post("/v1/moderate", json=event(77, "bad", id="a/b c")).json()
    assert client.get("/v1/verdicts/a/b c").json()["verdict"] == made["verdict"]


def test_it_tells_its_policy_and_models(client: httpx.Client) -> None:
    policy = client.get("/v1/policies").json()
    assert policy["active"]["version"] == POLICY.version
    assert "balanced" in policy["shipped"]
    models = {one["name"]: one["version"] for one in client.get("/v1/models").json()["models"]}
    assert models == {"words": "w1", "slow": "s1"}
    assert client.get("/ready").json() == {"status": "ready"}
    assert client.post("/v1/moderate", json=event(78, "bad")).status_code == 200
    client.get("/v1/verdicts/nobody")
    counts = client.get("/metrics").text
    assert 'quorum_verdicts_total{action="remove",decided_by="policy"}' in counts
    assert 'route="/v1/verdicts/{upload_id:path}"' in counts


def test_openapi_has_examples_and_all_routes(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()
    body = schema["paths"]["/v1/moderate"]["post"]["requestBody"]["content"]
    named = body["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    example = schema["components"]["schemas"][named]["example"]
    assert client.post("/v1/moderate", json=example).status_code == 200
    form = schema["paths"]["/v1/moderate:media"]["post"]["requestBody"]["content"]
    parts = form["multipart/form-data"]["example"]
    assert Upload.model_validate_json(parts["upload"]).id == example["id"]
    assert {"/v1/moderate", "/v1/moderate:batch", "/v1/policies", "/v1/models"} <= set(
        schema["paths"]
    )


def test_a_detector_that_is_late_is_missing_and_may_supersede() -> None:
    slow = Slow()
    slow.gate.clear()
    with serving(Words(), slow) as client:
        made = client.post("/v1/moderate", json=event(1, "late")).json()["verdict"]
        assert (made["action"], made["decided_by"]) == ("review", "deadline")
        assert [one["detector"] for one in made["missing"]] == ["slow"]
        assert made["latency"] >= 0.3
        slow.gate.set()
        end = time.monotonic() + 10
        while (told := client.get("/v1/verdicts/u1").json())["verdict"]["revision"] == 1:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert told["verdict"]["action"] == "remove"
        assert told["verdict"]["supersedes"] == made["id"]
        assert [one["id"] for one in told["earlier"]] == [made["id"]]
        assert {one["detector"] for one in told["predictions"]} == {"words", "slow"}


def test_a_policy_in_shadow_is_told_and_never_acts() -> None:
    text = POLICY.text.replace("name: words", "name: mild").replace("remove", "restrict")
    with serving(shadows=[Policy.from_text(text)]) as client:
        made = client.post("/v1/moderate", json=event(1, "bad")).json()["verdict"]
    assert made["action"] == "remove"
    (told,) = made["shadow_policies"]
    assert (told["action"], told["rule"]) == ("restrict", "bad-words")


SUSPICIOUS = Policy.from_text(
    POLICY.text + "  - {name: again, when: uploader.strikes >= 1.5, action: review,"
    " reason: The uploader has earlier removals.}\n"
)


def test_past_removals_of_the_uploader_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorum.store.histories.MEMORY_SECONDS", 0.0)
    with (
        Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as ledger,
        serving(policy=SUSPICIOUS, ledger=ledger) as client,
    ):

        def rule(number: int, title: str, uploader: str) -> str:
            sent = event(number, title, uploader=uploader)
            return str(client.post("/v1/moderate", json=sent).json()["verdict"]["rule"])

        assert rule(1, "bad", "rogue") == "bad-words"
        assert rule(2, "fine", "rogue") == "default"
        assert rule(3, "bad", "rogue") == "bad-words"
        assert rule(4, "fine", "rogue") == "again"
        assert rule(5, "fine", "gardener") == "default"


def test_a_ledger_that_is_away_leaves_the_history_unknown(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/none.db", check_schema=False, retry=())
    with (
        ledger,
        serving(policy=SUSPICIOUS, ledger=ledger, limits=ServiceLimits(record_seconds=0.1)) as c,
    ):
        answer = c.post("/v1/moderate", json=event(1))
        assert answer.headers["quorum-recorded"] == "pending"
        verdict = answer.json()["verdict"]
        assert (verdict["action"], verdict["rule"]) == ("review", "error:again")
        told = c.get("/metrics").text
        assert "quorum_unknown_histories_total" in told


def test_requests_that_come_together_are_scored_together() -> None:
    words, slow = Words(), Slow()
    with serving(words, slow) as client, ThreadPoolExecutor(24) as pool:
        first = threading.Event()
        real = words.score

        def held(batch):  # type: ignore[no-untyped-def]
            first.wait(5)
            return real(batch)

        words.score = held  # type: ignore[method-assign]
        answers = [pool.submit(client.post, "/v1/moderate", json=event(n)) for n in range(24)]
        time.sleep(0.3)
        first.set()
        assert {one.result().json()["verdict"]["upload_id"] for one in answers} == {
            f"u{n}" for n in range(24)
        }
    assert max(words.batches) > 4


def test_more_than_it_can_hold_is_turned_away_with_a_time() -> None:
    slow = Slow()
    slow.gate.clear()
    with serving(Words(), slow, limits=ServiceLimits(pending=3)) as client:
        with ThreadPoolExecutor(8) as pool:
            answers = [
                pool.submit(client.post, "/v1/moderate", json=event(n)).result for n in range(8)
            ]
            found = [answer() for answer in answers]
        slow.gate.set()
        codes = sorted(one.status_code for one in found)
        assert codes.count(200) >= 3
        refused = [one for one in found if one.status_code == 429]
        assert refused
        assert all(1 <= int(one.headers["retry-after"]) <= 60 for one in refused)
        batch = {"uploads": [event(n) for n in range(4)]}
        assert is_problem(client.post("/v1/moderate:batch", json=batch), 429)
        assert client.post("/v1/moderate", json=event(9)).status_code == 200


def test_a_full_service_refuses_before_it_asks_the_ledger(tmp_path: Path) -> None:
    words, slow = Words(), Slow()
    slow.gate.clear()
    asked: list[str] = []
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger:
        real = ledger.recorded_upload

        def look_up(upload_id: str, parts: Sequence[str]):  # type: ignore[no-untyped-def]
            asked.append(upload_id)
            return real(upload_id, parts)

        ledger.recorded_upload = look_up  # type: ignore[method-assign]
        more = {"policy": PATIENT, "ledger": ledger, "limits": ServiceLimits(pending=1)}
        with serving(words, slow, **more) as client, ThreadPoolExecutor(1) as pool:
            first = pool.submit(client.post, "/v1/moderate", json=event(1))
            while not words.batches and not first.done():
                time.sleep(0.02)
            is_problem(client.post("/v1/moderate", json=event(2)), 429)
            slow.gate.set()
            assert first.result().status_code == 200
    assert asked == ["u1"]


def test_idempotency_keys() -> None:
    words = Words()
    with serving(words, Slow()) as client:
        head = {"idempotency-key": "k1"}
        first = client.post("/v1/moderate", json=event(1), headers=head)
        again = client.post("/v1/moderate", json=event(1), headers=head)
        assert again.content == first.content
        assert again.headers["idempotent-replayed"] == "true"
        assert sum(words.batches) == 1
        assert "another body" in is_problem(
            client.post("/v1/moderate", json=event(2), headers=head), 422
        )
        bad = client.post("/v1/moderate", json={"id": 1}, headers={"idempotency-key": "k2"})
        assert bad.status_code == 422
        good = client.post("/v1/moderate", json=event(1), headers={"idempotency-key": "k2"})
        assert good.status_code == 200
        assert is_problem(
            client.post("/v1/moderate", json=event(1), headers={"idempotency-key": "k" * 300}), 400
        )


def test_keys_scopes_and_rates(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    writer, one = new_key("writer", frozenset({"moderate"}))
    reader, two = new_key("reader", frozenset({"read", "metrics"}))
    file.write_text(f"# ours\n{one}\n{two}\n")
    assert writer not in file.read_text()
    with serving(keys=read_keys(file), limits=ServiceLimits(rate=0.5, burst=2)) as client:
        assert is_problem(client.post("/v1/moderate", json=event(1)), 401)
        for wrong in ("qm_wrong", "", "\u00e4"):
            head = {"x-api-key": wrong.encode()}
            refused = client.post("/v1/moderate", json=event(1), headers=head)
            assert is_problem(refused, 401)
            assert "this API key is unknown" in refused.json()["detail"]
        write, read = {"authorization": f"Bearer {writer}"}, {"x-api-key": reader}
        assert is_problem(client.post("/v1/moderate", json=event(1), headers=read), 403)
        assert is_problem(client.get("/v1/models", headers=write), 403)
        assert client.get("/v1/models", headers=read).status_code == 200
        assert client.get("/metrics", headers=read).status_code == 200
        assert client.get("/health").status_code == 200
        codes = [
            client.post("/v1/moderate", json=event(n), headers=write).status_code for n in range(4)
        ]
        assert codes[:2] == [200, 200]
        assert 429 in codes[2:]


def test_what_is_answered_is_in_the_ledger(tmp_path: Path) -> None:
    nasty = "Robert'); DROP TABLE uploads;--"
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger:
        with serving(ledger=ledger) as client:
            made = client.post("/v1/moderate", json=event(1, f"bad {nasty}")).json()
            case = ledger.get_case("u1")
            assert case is not None and case.upload is not None and case.verdict is not None
            assert case.upload.title == f"bad {nasty}"
            assert case.verdict.id == made["verdict"]["id"]
            assert len(case.predictions) == 2
            client.post("/v1/moderate", json=event(1, f"bad {nasty}"))
            assert client.get("/v1/verdicts/u1").json()["verdict"]["id"] == made["verdict"]["id"]
        assert ledger.stats()["verdicts"] == 1


def test_a_ledger_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger:
        real = ledger.record
        away = threading.Event()
        away.set()

        def record(messages):  # type: ignore[no-untyped-def]
            if away.is_set():
                msg = "away"
                raise LedgerUnavailable(msg)
            real(messages)

        ledger.record = record  # type: ignore[method-assign]
        with serving(ledger=ledger, limits=ServiceLimits(record_seconds=0.1, backlog=2)) as client:
            first = client.post("/v1/moderate", json=event(1))
            assert first.status_code == 200
            assert first.headers["quorum-recorded"] == "pending"
            assert is_problem(client.get("/ready"), 503)
            client.post("/v1/moderate", json=event(2))
            refused = client.post("/v1/moderate", json=event(3))
            assert is_problem(refused, 503)
            assert refused.headers["retry-after"]
            away.clear()
            end = time.monotonic() + 10
            while client.get("/v1/verdicts/u2").status_code != 200:
                assert time.monotonic() < end
                time.sleep(0.05)
            assert client.get("/ready").status_code == 200
        assert ledger.stats()["verdicts"] == 2


def test_media_comes_with_its_upload_and_goes_again(tmp_path: Path) -> None:
    folder = tmp_path / "sent-media"
    folder.mkdir()
    settings = Settings(media=MediaAccess(folders=(str(folder),)))
    seen: list[str | None] = []

    class Looks(Words):
        def score(self, batch):  # type: ignore[no-untyped-def]
            seen.extend(one.upload.media for one in batch)
            return super().score(batch)

    limits = ServiceLimits(media_bytes=200_000)
    with serving(Looks(), Slow(), settings=settings, media_folder=folder, limits=limits) as client:
        files = {"media": ("clip.mp4", b"x" * 150_000, "video/mp4")}
        answer = client.post("/v1/moderate", data={"upload": json.dumps(event(1))}, files=files)
        assert answer.status_code == 200, answer.text
        assert seen[0] is not None and seen[0].endswith(".mp4")
        assert list(folder.iterdir()) == []
        again = {"idempotency-key": "k"}
        for replayed in (None, "true", "true"):
            sent = {"data": {"upload": json.dumps(event(1))}, "files": files, "headers": again}
            answer = client.post("/v1/moderate", **sent)
            assert answer.headers.get("idempotent-replayed") == replayed
            assert list(folder.iterdir()) == []
        large = {"media": ("clip.mp4", b"x" * 250_000, "video/mp4")}
        assert is_problem(
            client.post("/v1/moderate", data={"upload": json.dumps(event(1))}, files=large), 413
        )
        assert is_problem(client.post("/v1/moderate", data={"upload": "{"}, files=files), 422)
        assert is_problem(client.post("/v1/moderate", files=files), 422)
        inside = event(2, media=f"file://{folder}/other.mp4")
        assert is_problem(client.post("/v1/moderate", json=inside), 422)
        assert list(folder.iterdir()) == []
        broken = client.post(
            "/v1/moderate",
            content=b"no parts here",
            headers={"content-type": "multipart/form-data; boundary=x"},
        )
        assert is_problem(broken, 400) or is_problem(broken, 422)


def test_an_ensemble_is_swapped_without_dropping_a_request() -> None:
    from quorum.apps.web.service import Service

    class Newer(Words):
        version = "w2"

    async def scenario() -> set[str]:
        service = Service(POLICY, Ensemble.of([Words(), Slow()]))
        uploads = [Upload.model_validate_json(json.dumps(event(n))) for n in range(60)]

        async def one(upload: Upload) -> str:
            await asyncio.sleep(int(upload.id[1:]) / 200)
            made = await service.moderate(upload)
            return next(p.version for p in made.predictions if p.detector == "words")

        asked = [asyncio.create_task(one(upload)) for upload in uploads]
        await asyncio.sleep(0.15)
        await service.replace(Ensemble.of([Newer(), Slow()]))
        versions = [await task for task in asked]
        await service.close()
        return set(versions)

    assert asyncio.run(scenario()) == {"w1", "w2"}
