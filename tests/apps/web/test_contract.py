"""Whatever a client sends, the service answers by its own description, and never with 5xx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

schemathesis = pytest.importorskip("schemathesis", reason="needs quorum-moderation[dev]")

from schemathesis import GenerationMode  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from quorum.store.ledger import Ledger  # noqa: E402
from tests.apps.web.serving import serving  # noqa: E402

#: Not whether all that fits the schema is taken: the identifiers' rules say more than it can.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_described(mode: GenerationMode, tmp_path: Path) -> None:
    tried: list[str] = []
    with (
        Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger,
        serving(ledger=ledger) as client,
    ):
        schema = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()
            if mode is GenerationMode.NEGATIVE and not operation.body:
                continue

            @settings(
                max_examples=60,
                deadline=None,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def answers(case: Any) -> None:
                case.call_and_validate(checks=CHECKS)

            answers()
            tried.append(operation.label)
        assert client.get("/ready").status_code == 200
    assert {"POST /v1/moderate", "POST /v1/moderate:batch"} <= set(tried)
