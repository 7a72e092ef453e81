"""What ``/openapi.json`` shows is what the service takes and gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

from pydantic import BaseModel

from quorum.apps.web.answers import (
    BatchAnswer,
    CaseAnswer,
    ModelsAnswer,
    ModeratedAnswer,
    PoliciesAnswer,
    ProblemAnswer,
    WebhookBody,
)
from quorum.apps.web.description import PROBLEM_EXAMPLE, UPLOAD_EXAMPLE, WEBHOOK_EXAMPLE
from quorum.apps.web.endpoints import Endpoint, deliveries_of
from quorum.messages import UsedPrediction, Verdict
from tests.apps.web.serving import serving


@pytest.fixture(scope="module")
def schema() -> Iterator[dict[str, Any]]:
    with serving() as client:
        yield client.get("/openapi.json").json()


@pytest.mark.parametrize(
    ("path", "method", "model"),
    [
        ("/v1/moderate", "post", ModeratedAnswer),
        ("/v1/moderate:batch", "post", BatchAnswer),
        ("/v1/verdicts/{upload_id}", "get", CaseAnswer),
        ("/v1/models", "get", ModelsAnswer),
    ],
)
def test_examples_are_answers(
    schema: dict[str, Any], path: str, method: str, model: type[BaseModel]
) -> None:
    told = schema["paths"][path][method]["responses"]["200"]["content"]["application/json"]
    assert told["schema"]["$ref"].endswith(model.__name__)
    made = model.model_validate(told["example"])
    assert made.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    unknown = set(told["example"]) - set(model.model_fields)
    assert not unknown


#: Probes, and the secret address of a report, which is its own key.
OPEN = (
    *("/health", "/ready", "/v1/reports/{token}"),
    *("/v1/notices/{token}", "/v1/notices/{token}/suit"),
)


def test_who_may_ask_is_told(schema: dict[str, Any]) -> None:
    schemes = schema["components"]["securitySchemes"]
    assert (schemes["bearer"]["scheme"], schemes["x-api-key"]["in"]) == ("bearer", "header")
    assert (schemes["key"]["in"], schemes["x-goog-api-key"]["in"]) == ("query", "header")
    google = {"key", "x-goog-api-key"}
    ours = set(schemes) - google
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            asked = operation["security"]
            ways = ours | google if path.startswith("/v1alpha1/") else ours
            assert asked == ([] if path in OPEN else [{n: []} for n in schemes if n in ways])


def test_the_shown_upload_gets_a_verdict_of_the_shown_form() -> None:
    with serving() as client:
        sent = client.post("/v1/moderate:batch", json={"uploads": [UPLOAD_EXAMPLE, {}]})
        first, second = BatchAnswer.model_validate(sent.json()).results
        assert first.verdict is not None and second.problem is not None
        PoliciesAnswer.model_validate(client.get("/v1/policies").json())
        kind = {"content-type": "Application/JSON; charset=utf-8"}
        assert client.post("/v1/moderate:batch", content="{}", headers=kind).status_code == 422


def test_a_path_or_a_method_that_is_not_there_says_where_to_look() -> None:
    with serving() as client:
        assert "/openapi.json" in client.get("/v2/x").json()["detail"]
        refused = client.delete("/v1/moderate")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("model", [Verdict, UsedPrediction])
def test_messages_are_whole_and_named_once(schema: dict[str, Any], model: type[BaseModel]) -> None:
    told = schema["components"]["schemas"][model.__name__]
    assert set(told["properties"]) == set(model.model_fields)
    assert set(told["required"]) == {
        name for name, field in model.model_fields.items() if field.is_required()
    }
    assert told["additionalProperties"] is True
    alone = model.model_json_schema()["properties"]
    assert {name: part["description"] for name, part in told["properties"].items()} == {
        name: part["description"] for name, part in alone.items()
    }


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    names = set(schema["components"]["schemas"])
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(schema)))
    assert named <= names
    assert '"#/$defs' not in json.dumps(schema)
    assert not {name for name in names if name.startswith("_") or "Validation" in name}
    every = [one for path in schema["paths"].values() for one in path.values()]
    given = [one["operationId"] for one in every]
    assert len(given) == len(set(given)) and all(one.isidentifier() for one in given)
    # Generators give an operation one type of body.
    assert all(len(one["requestBody"]["content"]) == 1 for one in every if "requestBody" in one)


def test_problems_have_their_media_type_alone(schema: dict[str, Any]) -> None:
    problem = {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}
    seen = 0
    for path, operations in schema["paths"].items():
        if path.startswith("/v1alpha1/"):
            continue  # these have the form of Google's errors
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert response["content"] == {"application/problem+json": problem}
                    seen += 1
    assert seen > 20
    assert ProblemAnswer.model_validate(PROBLEM_EXAMPLE).status == 422
    with serving() as client:
        refused = client.post("/v1/moderate", json={})
        assert refused.headers["content-type"] == "application/problem+json"
        assert ProblemAnswer.model_validate(refused.json()).detail


def test_the_webhook_is_described_as_it_is_sent(schema: dict[str, Any]) -> None:
    told = schema["webhooks"]["verdict"]["post"]
    body = told["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/WebhookBody"}
    assert {one["name"] for one in told["parameters"]} == {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    read = WebhookBody.model_validate(body["example"])
    (delivery,) = deliveries_of(read.data, [Endpoint("shop", "https://shop.example.org", "s")])
    assert json.loads(delivery.body) == WEBHOOK_EXAMPLE


def test_the_page_shows_the_webhook_as_it_is_sent() -> None:
    page = Path(__file__).parents[3] / "docs" / "web.md"
    shown = re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert WEBHOOK_EXAMPLE in [json.loads(one) for one in shown]


def test_a_file_comes_in_a_form_alone() -> None:
    with serving() as client:
        assert client.post("/v1/moderate:media", json=UPLOAD_EXAMPLE).status_code == 415
