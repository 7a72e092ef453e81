"""Hash exchanges: pulled to a checkpoint, told what people say, against servers with faults."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from quorum.apps.exchanges import calls as calls_module
from quorum.apps.exchanges.calls import CallRefused
from quorum.apps.exchanges.syncing import client_of, pull, push
from quorum.core.child_safety_settings import NcmecExchange, StopNciiExchange, TatExchange
from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.core.messages import now
from quorum.models.known import records
from quorum.models.known.hashes import Listed
from quorum.store.ledger import Ledger

NS = 'xmlns="https://hashsharing.ncmec.org/hashsharing/v2"'
PDQ = "f8" * 32
A, B, C = ("a" * 32, "b" * 32, "c" * 32)


@dataclass
class Exchange:
    """A server of the test's own; ``answers`` are given in order, the last one again and again."""

    url: str = ""
    answers: list[Any] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, list[str]], bytes, Any]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes, headers: Any) -> tuple[int, bytes, dict]:
        parts = urlsplit(path)
        self.asked.append((method, parts.path, parse_qs(parts.query), body, headers))
        one = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(one):
            one = one(method, parts.path)
        status, data, *more = one if isinstance(one, tuple) else (200, one)
        data = data if isinstance(data, str | bytes) else json.dumps(data)
        return status, data.encode() if isinstance(data, str) else data, more[0] if more else {}


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    made = Exchange()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            status, data, more = made.answer(self.command, self.path, body, self.headers)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ledger: its migrations run once."""
    path = tmp_path_factory.mktemp("exchanges") / "l.db"
    Ledger(f"sqlite:///{path}", create=True).close()
    return path


@pytest.fixture
def ledger(tmp_path: Path, template: Path) -> Iterator[Ledger]:
    shutil.copy(template, tmp_path / "l.db")
    with Ledger(f"sqlite:///{tmp_path}/l.db") as made:
        yield made


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NCMEC_HASH", "TAT"):
        monkeypatch.setenv(f"{name}_USER", "quorum")
        monkeypatch.setenv(f"{name}_PASSWORD", "very secret")
    for name in ("SUBSCRIPTION", "FETCH", "FEEDBACK", "SUBMIT"):
        monkeypatch.setenv(f"STOPNCII_{name}_KEY", f"key of {name}")


waits: list[float] = []


def no_wait(seconds: float) -> None:
    waits.append(seconds)


def ncmec(exchange: Exchange, **more: Any) -> Any:
    settings = NcmecExchange(kind="ncmec", url=f"{exchange.url}/hashsharing", **more)
    return client_of("ncmec", settings, wait=no_wait, seconds=5.0)


def stopncii(exchange: Exchange) -> Any:
    settings = StopNciiExchange(kind="stopncii", url=f"{exchange.url}/v1")
    return client_of("stopncii", settings, wait=no_wait)


def tat(exchange: Exchange) -> Any:
    return client_of("tat", TatExchange(kind="tat", url=exchange.url), wait=no_wait)


def entries(ledger: Ledger) -> list[tuple[str, str, str]]:
    found = ledger.transact(lambda c: list(records.every_entry(c)))
    return sorted((one.kind, one.value, one.reference) for one in found)


def page(images: str, newest: str, following: str = "") -> str:
    paging = f"<paging><next>{following}</next></paging>" if following else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><queryResult {NS}>'
        f'<images count="1" maxTimestamp="{newest}">{images}</images>{paging}</queryResult>'
    )


def image(name: str, *prints: str) -> str:
    made = "".join(
        f"<{one.split(':')[0]}>{one.split(':')[1]}</{one.split(':')[0]}>" for one in prints
    )
    return (
        f'<image><member id="42">Example</member><timestamp>2026-01-01T00:00:00Z</timestamp>'
        f"<id>{name}</id><classification>A1</classification>"
        f"<fingerprints>{made}</fingerprints><feedback /></image>"
    )


def deleted(name: str) -> str:
    return f'<deletedImage><member id="42">Example</member><id>{name}</id></deletedImage>'


NEXT = "/v2/entries?from=1970&amp;to=2026&amp;start=2001&amp;size=1000&amp;max=3000"


def test_ncmec_is_pulled_to_its_end_and_then_from_the_newest(
    exchange: Exchange, ledger: Ledger
) -> None:
    exchange.answers = [
        page(
            image("one", f"md5:{A.upper()}", "pdna:xx", f"pdq:{PDQ}"), "2026-01-03T00:00:00Z", NEXT
        ),
        page(image("two", f"md5:{B}"), "2026-01-02T00:00:00Z"),
        page(image("two", f"md5:{C}") + deleted("one"), "2026-02-01T00:00:00Z"),
    ]
    done = pull(ledger, "ncmec", ncmec(exchange))
    assert (done.new, done.passed) == (3, 1)
    assert entries(ledger) == [("md5", A, "42/one"), ("md5", B, "42/two"), ("pdq", PDQ, "42/one")]
    first, second = exchange.asked
    assert first[1] == "/hashsharing/v2/entries" and first[2]["from"] == ["1970-01-01T00:00:00Z"]
    assert second[2]["start"] == ["2001"]
    assert first[4]["authorization"].startswith("Basic ")
    pull(ledger, "ncmec", ncmec(exchange))
    # The newest of all pages, whatever their order; an entry that changed replaces what it had.
    assert exchange.asked[2][2]["from"] == ["2026-01-03T00:00:00Z"]
    assert entries(ledger) == [("md5", C, "42/two")]


def test_a_pull_that_is_cut_off_goes_on_where_it_was(exchange: Exchange, ledger: Ledger) -> None:
    whole = page(image("two", f"md5:{B}"), "2026-01-02T00:00:00Z")
    exchange.answers = [page(image("one", f"md5:{A}"), "2026-01-03T00:00:00Z", NEXT), (503, "")]
    waits.clear()
    with pytest.raises(EngineUnavailable, match="ncmec answers 503"):
        pull(ledger, "ncmec", ncmec(exchange))
    assert waits == [1.0, 2.0, 4.0] and len(exchange.asked) == 5
    assert entries(ledger) == [("md5", A, "42/one")]
    ((_, pulled, why, _),) = ledger.transact(records.exchange_states)
    assert pulled == "" and "503" in why
    exchange.answers = [whole]
    pull(ledger, "ncmec", ncmec(exchange))
    assert exchange.asked[-1][2]["start"] == ["2001"] and len(entries(ledger)) == 2
    ((_, pulled, why, _),) = ledger.transact(records.exchange_states)
    assert pulled and why == ""


def test_a_cursor_that_is_too_old_begins_the_range_again(
    exchange: Exchange, ledger: Ledger
) -> None:
    one = page(image("one", f"md5:{A}"), "2026-01-03T00:00:00Z", NEXT)
    exchange.answers = [one, (503, "")]
    with pytest.raises(EngineUnavailable):
        pull(ledger, "ncmec", ncmec(exchange))
    exchange.answers = [
        (400, "no such page"),
        page(image("two", f"md5:{B}"), "2026-01-04T00:00:00Z"),
    ]
    pull(ledger, "ncmec", ncmec(exchange))
    assert len(entries(ledger)) == 2


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        ((401, ""), CallRefused, "refuses the credentials; check the variables"),
        ((302, "", {"location": "http://127.0.0.1:1/"}), CallRefused, "it has moved"),
        ("<html>", EngineUnavailable, "answers no XML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', EngineUnavailable, "document type"),
        (page("<image><id>x</id></image>", "x"), EngineUnavailable, "without an id or a member"),
        (page("", "x", "https://elsewhere/"), EngineUnavailable, "a next page elsewhere"),
    ],
    ids=["401", "moved", "html", "entities", "entry", "elsewhere"],
)
def test_what_ncmec_must_not_answer_changes_nothing(
    exchange: Exchange, ledger: Ledger, answer: Any, error: type[Exception], why: str
) -> None:
    ledger.transact(
        lambda c: records.add_entries(c, [Listed("md5", A, source="ncmec")], now()), writes=True
    )
    exchange.answers = [answer]
    with pytest.raises(error, match=why) as caught:
        pull(ledger, "ncmec", ncmec(exchange))
    assert "very secret" not in str(caught.value)
    assert [one[1] for one in entries(ledger)] == [A]


def test_an_answer_that_is_too_large_or_asks_to_wait(
    exchange: Exchange, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits.clear()
    exchange.answers = [
        (429, "", {"retry-after": "7"}),
        page(image("one", f"md5:{A}"), "2026-01-01T00:00:00Z"),
    ]
    assert pull(ledger, "ncmec", ncmec(exchange)).new == 1 and waits == [7.0]
    monkeypatch.setattr(calls_module.Calls.get, "__defaults__", (None, 1000))
    exchange.answers = ["x" * 2000]
    with pytest.raises(EngineUnavailable, match="more than 1,000 bytes"):
        pull(ledger, "ncmec", ncmec(exchange))


def test_a_missing_credential_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NCMEC_HASH_PASSWORD")
    with pytest.raises(ConfigurationError, match="set NCMEC_HASH_PASSWORD in the environment"):
        client_of("ncmec", NcmecExchange(kind="ncmec"))


def opinion(ledger: Ledger, what: Any, one: Listed, of: str = "case") -> None:
    ledger.transact(
        lambda c: records.add_opinion(c, what, one, of=of, by="sam", at=now()), writes=True
    )


def waiting(ledger: Ledger, name: str) -> list[Any]:
    return list(ledger.transact(lambda c: records.waiting_opinions(c, name, 10)))


def reasons(*names: str) -> str:
    made = "".join(f'<reason guid="guid-{one}" name="{one}" type="Md5"/>' for one in names)
    return f"<availableFeedbackReasons {NS}>{made}</availableFeedbackReasons>"


def test_ncmec_is_told_what_was_confirmed_and_denied(exchange: Exchange, ledger: Ledger) -> None:
    opinion(ledger, "confirm", Listed("md5", A, source="ncmec", reference="42/one"))
    opinion(ledger, "deny", Listed("md5", B, source="ncmec", reference="42/t/o"))
    opinion(ledger, "share", Listed("md5", C, source="ncmec"))
    exchange.answers = [f"<r {NS}/>", reasons("wrong"), f"<r {NS}/>"]
    done = push(ledger, "ncmec", ncmec(exchange))
    assert done.sent == 2
    assert done.failed == ((f"md5:{C}", "ncmec takes no such opinion (share)"),)
    confirmed, asked, denied = exchange.asked
    assert confirmed[:2] == ("PUT", "/hashsharing/v2/entries/42/one/MD5/feedback")
    assert b"<affirmative" in confirmed[3] and NS.encode() in confirmed[3]
    assert asked[1] == "/hashsharing/v2/feedback/MD5/reasons"
    assert denied[1] == "/hashsharing/v2/entries/42/t%2Fo/MD5/feedback"
    assert b"<reasonIds><guid>guid-wrong</guid></reasonIds>" in denied[3]
    assert [one.opinion for one in waiting(ledger, "ncmec")] == ["share"]


def test_a_denial_with_several_reasons_asks_for_one(exchange: Exchange, ledger: Ledger) -> None:
    opinion(ledger, "deny", Listed("md5", B, source="ncmec", reference="42/two"))
    exchange.answers = [reasons("wrong", "legal")]
    ((_, why),) = push(ledger, "ncmec", ncmec(exchange)).failed
    assert "choose hashes.exchanges.ncmec.reasons.md5" in why and "guid-legal (legal)" in why
    (row,) = waiting(ledger, "ncmec")
    assert row.tries == 1 and "choose" in row.error
    exchange.answers = [f"<r {NS}/>"]
    assert push(ledger, "ncmec", ncmec(exchange, reasons={"md5": "guid-legal"})).sent == 1
    assert waiting(ledger, "ncmec") == []


def test_an_opinion_waits_while_the_exchange_is_away(exchange: Exchange, ledger: Ledger) -> None:
    opinion(ledger, "confirm", Listed("md5", A, source="ncmec", reference="42/one"))
    exchange.answers = [(500, "")]
    with pytest.raises(EngineUnavailable):
        push(ledger, "ncmec", ncmec(exchange))
    # A call that changes something is made once: it may have been taken.
    assert len(exchange.asked) == 1 and len(waiting(ledger, "ncmec")) == 1
    exchange.answers = [f"<r {NS}/>"]
    assert push(ledger, "ncmec", ncmec(exchange)).sent == 1


def record(value: str, signal: str = "ImagePDQ", status: str = "Active") -> dict[str, Any]:
    return {
        "lastModtimestamp": 1,
        "signalType": signal,
        "hashValue": value,
        "hashStatus": status,
        "caseNumbers": {"case-7": status},
        "CSPFeedbacks": [],
    }


def hashes(*found: Any, more: bool = False, token: str = "", after: int = 99) -> dict[str, Any]:
    return {
        "count": len(found),
        "nextPageToken": token,
        "nextSetTimestamp": after,
        "hasMoreRecords": more,
        "hashRecords": list(found),
    }


def test_stopncii_is_pulled_by_pages_and_forgets_what_was_withdrawn(
    exchange: Exchange, ledger: Ledger
) -> None:
    exchange.answers = [
        hashes(record(PDQ), record("x", "VideoTMK"), more=True, token="t1"),
        hashes(record(A, "VideoMD5")),
        hashes(record(PDQ, status="Withdrawn"), after=200),
    ]
    done = pull(ledger, "stopncii", stopncii(exchange))
    assert (done.new, done.passed) == (2, 1)
    first, second = exchange.asked
    assert (first[1], first[2]["startTimestamp"]) == ("/v1/FetchHashes", ["10"])
    assert second[2]["nextPageToken"] == ["t1"]
    assert first[4]["x-functions-key"] == "key of FETCH"
    assert first[4]["Ocp-Apim-Subscription-Key"] == "key of SUBSCRIPTION"
    assert entries(ledger) == [("md5", A, "case-7"), ("pdq", PDQ, "case-7")]
    pull(ledger, "stopncii", stopncii(exchange))
    assert exchange.asked[2][2]["startTimestamp"] == ["99"]
    assert entries(ledger) == [("md5", A, "case-7")]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("<html>", "answers no JSON"),
        ([], "what is no page of hashes"),
        ({**hashes(), "hasMoreRecords": True}, "no token for them"),
        ({**hashes(), "hashRecords": [{"hashValue": 1}]}, "what is no page of hashes"),
        ({**hashes(), "nextSetTimestamp": "soon"}, "what is no page of hashes"),
    ],
    ids=["html", "list", "token", "record", "time"],
)
def test_what_stopncii_must_not_answer_changes_nothing(
    exchange: Exchange, ledger: Ledger, answer: Any, why: str
) -> None:
    exchange.answers = [answer]
    with pytest.raises(EngineUnavailable, match=why):
        pull(ledger, "stopncii", stopncii(exchange))
    assert ledger.transact(lambda c: records.get_state(c, "checkpoint:stopncii")) is None


def test_stopncii_is_told_and_gets_new_hashes(exchange: Exchange, ledger: Ledger) -> None:
    opinion(ledger, "confirm", Listed("pdq", PDQ, source="stopncii"))
    opinion(ledger, "deny", Listed("md5", A, source="stopncii"), of="other")
    opinion(ledger, "share", Listed("md5", B, source="stopncii"))
    exchange.answers = [{}]
    assert push(ledger, "stopncii", stopncii(exchange)).sent == 3
    told = {path: json.loads(body) for _, path, _, body, _ in exchange.asked[:2]}
    assert set(told) == {"/v1/SubmitFeedback"}
    bodies = [json.loads(one[3]) for one in exchange.asked]
    assert bodies[0]["hashFeedbacks"] == [
        {"tags": [], "feedbackValue": "Blocked", "hashValue": PDQ}
    ]
    assert bodies[1]["hashFeedbacks"][0]["feedbackValue"] == "NotBlocked"
    assert exchange.asked[2][1] == "/v1/SubmitHashes"
    assert bodies[2]["hashRecords"][0]["signalType"] == "VideoMD5"
    assert exchange.asked[2][4]["x-functions-key"] == "key of SUBMIT"


def terror(exchange: Exchange, rows: Any, total: int, made: str) -> Callable[[str, str], Any]:
    def answer(method: str, path: str) -> Any:
        match (method, path):
            case ("POST", "/token-auth/tcap/"):
                return {"token": "jwt", "user": {}}
            case ("GET", "/api/hash-list/all"):
                address = f"{exchange.url}/file?signed=1"
                about = {"file_url": address, "file_name": "f", "created_on": made}
                return {**about, "total_hashes": total, "ideology": "all"}
            case ("GET", "/file"):
                return 200, json.dumps(rows)
        return 404, ""

    return answer


def test_the_list_of_tech_against_terrorism_replaces_the_one_before(
    exchange: Exchange, ledger: Ledger
) -> None:
    rows = [
        {"id": 1, "algorithm": "MD5", "hash_digest": A},
        {"algorithm": "PDQ", "hash_digest": PDQ},
    ]
    exchange.answers = [terror(exchange, rows, 2, "2026-01-01")]
    assert pull(ledger, "tat", tat(exchange)).new == 2
    assert exchange.asked[1][4]["authorization"] == "Bearer jwt"
    assert exchange.asked[2][4]["authorization"] is None
    assert b"very+secret" in exchange.asked[0][3]
    pull(ledger, "tat", tat(exchange))
    assert [one[1] for one in exchange.asked].count("/file") == 1
    shorter = [{"algorithm": "MD5", "hash_digest": B}, {"algorithm": "SHA-3", "hash_digest": "x"}]
    exchange.answers = [terror(exchange, shorter, 2, "2026-01-02")]
    done = pull(ledger, "tat", tat(exchange))
    assert (done.new, done.gone, done.passed) == (1, 2, 1)
    # Half of a file must not forget the other half.
    exchange.answers = [terror(exchange, [], 2, "2026-01-03")]
    with pytest.raises(EngineUnavailable, match="names 2 hashes, and its file has 0"):
        pull(ledger, "tat", tat(exchange))
    assert [one[1] for one in entries(ledger)] == [B]
    opinion(ledger, "deny", Listed("md5", B, source="tat"))
    assert "takes no such opinion" in push(ledger, "tat", tat(exchange)).failed[0][1]
