"""What ``/openapi.json`` shows is what the service takes and gives."""

from __future__ import annotations

from collections.abc import Iterator
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
)
from quorum.apps.web.description import UPLOAD_EXAMPLE
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
            assert asked == (
                [] if path in ("/health", "/ready") else [{n: []} for n in schemes if n in ways]
            )


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
