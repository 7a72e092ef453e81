"""``comments:analyze`` answers as Perspective does."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

from quorum.apps.http.keys import new_key, read_keys
from quorum.apps.http.problems import Problem
from quorum.apps.web.perspective.attributes import score_of
from quorum.apps.web.settings import ServiceLimits
from quorum.core.errors import ConfigurationError
from quorum.core.settings import AttributeSource, Settings
from quorum.store.ledger import Ledger
from tests.apps.web.perspective.detectors import POLICY, Insults, Spam, Violence
from tests.apps.web.serving import event, serving

PATH = "/v1alpha1/comments:analyze"
TABLES = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN "
    "('uploads', 'predictions', 'verdicts')"
)
ENGLISH = "This is a comment in plain English, and it is bad."


def ask(client: httpx.Client, text: str = ENGLISH, **more: Any) -> httpx.Response:
    body = {"comment": {"text": text}, "requestedAttributes": {"SPAM": {}}} | more
    return client.post(PATH, json=body)


def failure(response: httpx.Response, code: int) -> dict[str, Any]:
    assert response.status_code == code, response.text
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert error["code"] == code
    return error


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(Spam(), Violence(), policy=POLICY) as made:
        yield made


def test_the_answer_has_perspectives_form(client: httpx.Client) -> None:
    answer = ask(client, clientToken="mine", doNotStore=True, sessionId="s", communityId="c")
    assert answer.json() == {
        "attributeScores": {
            "SPAM": {
                "spanScores": [
                    {
                        "begin": 0,
                        "end": len(ENGLISH),
                        "score": {"value": 0.95, "type": "PROBABILITY"},
                    }
                ],
                "summaryScore": {"value": 0.95, "type": "PROBABILITY"},
            }
        },
        "languages": ["en"],
        "detectedLanguages": ["en"],
        "clientToken": "mine",
    }


def test_a_token_goes_back_as_it_came(client: httpx.Client) -> None:
    body = {"comment": {"text": ENGLISH}, "requestedAttributes": {"SPAM": {}}}
    sent = json.dumps(body | {"clientToken": "\ud800 ü"})
    answer = client.post(PATH, content=sent, headers={"content-type": "application/json"})
    assert json.loads(answer.text)["clientToken"] == "\ud800 ü"


def test_an_attribute_is_a_score_or_a_label(client: httpx.Client) -> None:
    answer = ask(client, requestedAttributes={"THREAT": {}, "SPAM": {}}).json()
    scores = answer["attributeScores"]
    assert scores["THREAT"]["summaryScore"]["value"] == 0.25  # not that of the fight
    assert scores["SPAM"]["summaryScore"]["value"] == 0.95


def test_sentences_have_scores_in_utf_16_units(client: httpx.Client) -> None:
    text = "🌊 A sentence that is fine. One that is bad! An unsayable one."
    answer = ask(client, text, spanAnnotations=True, languages=["en"])
    spans = answer.json()["attributeScores"]["SPAM"]["spanScores"]
    units = text.encode("utf-16-le")
    found = [
        (units[2 * one["begin"] : 2 * one["end"]].decode("utf-16-le"), one["score"]["value"])
        for one in spans
    ]
    assert found == [("🌊 A sentence that is fine.", 0.05), ("One that is bad!", 0.95)]


def test_scores_below_the_threshold_are_left_out(client: httpx.Client) -> None:
    some = ask(
        client,
        requestedAttributes={"SPAM": {"scoreThreshold": 0.9}, "THREAT": {"scoreThreshold": 0.9}},
    )
    assert set(some.json()["attributeScores"]) == {"SPAM"}
    none = ask(client, requestedAttributes={"THREAT": {"scoreThreshold": 0.9}})
    assert none.json() == {"languages": ["en"], "detectedLanguages": ["en"]}


@pytest.mark.parametrize(
    ("languages", "told"), [(["fr"], ["fr"]), (["en-GB"], ["en-GB"]), (["de", "en"], ["de", "en"])]
)
def test_a_request_may_name_the_language(
    client: httpx.Client, languages: list[str], told: list[str]
) -> None:
    answer = ask(client, languages=languages).json()
    assert answer["languages"] == told
    assert answer["detectedLanguages"] == ["en"]


def test_a_language_that_is_not_covered_has_no_score(client: httpx.Client) -> None:
    error = failure(ask(client, languages=["hi-Latn"]), 400)
    assert error["message"] == "Attribute SPAM does not support request languages: hi-Latn"
    assert error["status"] == "INVALID_ARGUMENT"
    (detail,) = error["details"]
    assert detail["errorType"] == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
    assert detail["languageNotSupportedByAttributeError"] == {
        "detectedLanguages": ["en"],
        "requestedLanguages": ["hi-Latn"],
        "attribute": "SPAM",
    }
    german = failure(ask(client, "Das ist ein deutscher Satz, den niemand hier versteht."), 400)
    assert german["message"] == "Attribute SPAM does not support request languages: de"
    unknown = failure(ask(client, "hm"), 400)
    assert unknown["message"] == "Unable to detect language"
    assert unknown["details"][0]["errorType"] == "LANGUAGE_DETECTION_FAILED"


@pytest.mark.parametrize(
    ("change", "message", "kind"),
    [
        ({"comment": {"text": " "}}, "Comment must be non-empty.", "COMMENT_EMPTY"),
        ({"comment": {"text": "ä" * 10_241}}, "Comment text too long.", "COMMENT_TOO_LONG"),
        (
            {"comment": {"text": "<p>", "type": "HTML"}},
            "Currently, only 'PLAIN_TEXT' comments are supported",
            "INVALID_REQUEST",
        ),
        ({"requestedAttributes": {}}, "Missing requested_attributes", "NO_REQUESTED_ATTRIBUTES"),
        (
            {"requestedAttributes": {"SPAM": {}, "TOXICITY": {}}},
            "Unknown requested attribute: TOXICITY",
            "INVALID_REQUEST",
        ),
        (
            {"requestedAttributes": {"SPAM": {"scoreType": "RAW"}}},
            "Requested score type RAW is not supported by attribute SPAM",
            "INVALID_REQUEST",
        ),
        (
            {
                "context": {
                    "entries": [{"text": "x"}],
                    "articleAndParentComment": {"article": {"text": "x"}},
                }
            },
            (
                "Context can have either entries or article_and_parent_comment, but both fields "
                "were populated."
            ),
            "INVALID_REQUEST",
        ),
        ({"languages": ["english, please"]}, "languages[0] must be a BCP 47 tag such as en", None),
        ({"wrong": 1}, "Invalid JSON payload received. wrong: Cannot find field", None),
        (
            {"comment": {"text": "An unsayable one"}},
            "Attribute SPAM cannot be scored: no words in the text",
            None,
        ),
    ],
)
def test_perspectives_refusals(
    client: httpx.Client, change: dict[str, Any], message: str, kind: str | None
) -> None:
    error = failure(ask(client, **change), 400)
    assert (error["message"], error["status"]) == (message, "INVALID_ARGUMENT")
    assert error["details"][0]["errorType"] == (kind or "INVALID_REQUEST")


def test_what_is_as_good_as_absent(client: httpx.Client) -> None:
    body = {
        "comment": {"text": ENGLISH, "type": None},
        "requested_attributes": {"SPAM": {"score_threshold": None}},
        "languages": None,
        "context": {"entries": [{"text": "What do you think?"}]},
        "span_annotations": None,
    }
    assert client.post(f"{PATH}?alt=json&prettyPrint=false", json=body).status_code == 200


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"comment": 1}', b"[" * 5000, b"\xff"])
def test_a_body_that_is_no_request(client: httpx.Client, body: bytes) -> None:
    answer = client.post(PATH, content=body, headers={"content-type": "application/json"})
    assert failure(answer, 400)["message"].startswith("Invalid JSON payload received")
    plain = client.post(PATH, content=b"{}", headers={"content-type": "text/plain"})
    assert failure(plain, 400)["message"] == "send application/json"


def test_every_error_has_googles_form(client: httpx.Client) -> None:
    assert failure(client.post("/v1alpha1/comments:other"), 404)["status"] == "NOT_FOUND"
    assert failure(client.get(PATH), 405)["status"] == "INVALID_ARGUMENT"
    suggestion = {"comment": {"text": "x"}, "attributeScores": {"SPAM": {}}}
    refused = failure(client.post("/v1alpha1/comments:suggestscore", json=suggestion), 400)
    assert refused["status"] == "FAILED_PRECONDITION"
    assert "reviews" in refused["message"]
    assert client.post("/v1/moderate", json={}).headers["content-type"] == (
        "application/problem+json"
    )


def test_a_detector_that_fails_or_hangs_gives_no_score() -> None:
    spam = Spam()
    with serving(spam, policy=POLICY) as client:
        failed = failure(ask(client, "this is broken"), 503)
        assert failed["status"] == "UNAVAILABLE"
        assert failed["message"].startswith("Attribute SPAM could not be scored: ")
        late = failure(ask(client, "this hangs for ever"), 503)
        spam.gate.set()
    assert "timed out" in late["message"]
    with pytest.raises(Problem) as missing:
        score_of("SPAM", AttributeSource(detector="spam"), (), requested=(), detected=("en",))
    assert missing.value.status == 504


def test_the_users_attributes_are_asked_whatever_the_cascade() -> None:
    spam, insults = Spam(), Insults()
    attributes = Settings.model_validate(
        {
            "perspective": {
                "TOXICITY": "insults",
                "FLIRTATION": "insults/mild",
                "INSULT": {"detector": "insults", "label": "hate/insult"},
                "SPAM": None,
            }
        }
    ).perspective
    settings = Settings(cascade=("spam",))
    with serving(spam, insults, settings=settings, policy=POLICY, attributes=attributes) as client:
        wanted: dict[str, Any] = {"TOXICITY": {}, "FLIRTATION": {}, "INSULT": {}}
        scores = ask(client, requestedAttributes=wanted).json()["attributeScores"]
        assert failure(ask(client), 400)["message"] == "Unknown requested attribute: SPAM"
        # The policy removes by the first stage alone, so that the second one is not asked there.
        decided = client.post("/v1/moderate", json=event(title=ENGLISH)).json()
    assert {name: one["summaryScore"]["value"] for name, one in scores.items()} == {
        "TOXICITY": 0.5,
        "FLIRTATION": 0.125,
        "INSULT": 0.75,
    }
    assert decided["verdict"]["action"] == "remove"
    assert [features.upload.id for features in spam.seen] == ["u1"]  # was not asked for comments
    (comment,) = insults.seen
    assert comment.upload.comments == (ENGLISH,)


def test_an_attribute_of_a_detector_that_does_not_run() -> None:
    source = AttributeSource(detector="toxicity")
    with (
        pytest.raises(ConfigurationError, match=r"perspective.TOXICITY: no detector toxicity"),
        serving(Spam(), policy=POLICY, attributes={"TOXICITY": source}),
    ):
        pass


def test_nothing_is_kept(tmp_path: Path) -> None:
    with (
        Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger,
        serving(Spam(), policy=POLICY, ledger=ledger) as client,
    ):
        assert ask(client, doNotStore=False).status_code == 200
    with closing(sqlite3.connect(tmp_path / "l.db")) as database:
        tables = [name for (name,) in database.execute(TABLES)]
        assert "verdicts" in tables
        rows = {
            name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables
        }
    assert not any(rows.values()), rows


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[tuple[httpx.Client, str, str]]:
    secret, line = new_key("shop", frozenset({"moderate"}))
    reader, reading = new_key("reader", frozenset({"read"}))
    (tmp_path / "keys").write_text(f"{line}\n{reading}\n")
    limits = ServiceLimits(rate=0.01, burst=4, body_bytes=2000)
    keys = read_keys(tmp_path / "keys")
    with serving(Spam(), policy=POLICY, keys=keys, limits=limits) as client:
        yield client, secret, reader


def test_keys_as_google_and_as_we_take_them(keyed: tuple[httpx.Client, str, str]) -> None:
    client, secret, reader = keyed
    body = {"comment": {"text": ENGLISH}, "requestedAttributes": {"SPAM": {}}}
    for how in (
        {"params": {"key": secret}},
        {"headers": {"x-goog-api-key": secret}},
        {"headers": {"authorization": f"Bearer {secret}"}},
        {"headers": {"x-api-key": secret}},
    ):
        assert client.post(PATH, json=body, **how).status_code == 200  # type: ignore[arg-type]
    over = client.post(PATH, json=body, params={"key": secret})
    limited = failure(over, 429)
    assert limited["status"] == "RESOURCE_EXHAUSTED"
    assert limited["details"][0]["retryDelay"] == f"{over.headers['retry-after']}s"
    unknown = failure(client.post(PATH, json=body, params={"key": "qm_no"}), 400)
    assert unknown["message"] == "API key not valid. Please pass a valid API key."
    assert unknown["details"][0]["reason"] == "API_KEY_INVALID"
    assert failure(client.post(PATH, json=body), 403)["status"] == "PERMISSION_DENIED"
    assert failure(client.post(PATH, json=body, params={"key": reader}), 403)
    # The key in the address is for this interface alone.
    assert client.get("/v1/models", params={"key": reader}).status_code == 401


def test_bodies_are_limited_as_elsewhere(keyed: tuple[httpx.Client, str, str]) -> None:
    client, secret, _ = keyed
    large = {"comment": {"text": "x" * 4000}, "requestedAttributes": {"SPAM": {}}}
    assert failure(client.post(PATH, json=large, params={"key": secret}), 413)
