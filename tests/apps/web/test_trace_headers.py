"""The trace of a client goes on through the web service; metrics are in the format asked for."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from quorum.aggregator.policy.policy import Policy
from tests.apps.web.doubles import POLICY
from tests.apps.web.serving import event, serving
from tests.tracing import PRODUCER, TRACE, traces_in_memory

#: A machine under load decides by the policy, too.
PATIENT = Policy.from_text(POLICY.text.replace("deadline: 2 s", "deadline: 60 s"))


def test_the_clients_trace_goes_on_and_metrics_are_served() -> None:
    with traces_in_memory() as spans, serving(policy=PATIENT) as client:
        secret = "bad words that nobody may read"
        answer = client.post("/v1/moderate", json=event(1, secret), headers=PRODUCER)
        assert answer.json()["verdict"]["action"] == "remove"
        client.post("/v1/moderate", json=event(2))
        first, second = spans.of("u1"), spans.of("u2")
        assert {f"{one.context.trace_id:032x}" for one in first} == {TRACE}
        # Nothing waits for the slow detector, whose span comes when it is done.
        names = {one.name for one in first} - {"score slow"}
        assert names == {"receive upload", "features", "score words", "case"}
        assert len({one.context.trace_id for one in second}) == 1
        assert TRACE not in {f"{one.context.trace_id:032x}" for one in second}
        assert secret not in str([dict(one.attributes) for one in first])
        accept = {"accept": "application/openmetrics-text; version=1.0.0"}
        told = client.get("/metrics", headers=accept).text
        names = {one.name for one in text_string_to_metric_families(told)}
        assert {"quorum_first_verdicts", "quorum_rule_verdicts", "quorum_ready"} <= names
        assert "quorum_uploads" not in names
