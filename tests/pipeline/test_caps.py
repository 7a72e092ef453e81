from datetime import UTC, datetime, timedelta

import apache_beam as beam
from apache_beam.testing import test_pipeline
from apache_beam.testing.util import assert_that

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.messages import Verdict
from quorum.pipeline.caps import CapRemovals
from quorum.pipeline.streams.base import Outgoing

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT = load_policy("balanced").text
CAPPED = Policy.from_text(
    TEXT.replace("each_rule: {removals: 200, per: 1 h}", "each_rule: {removals: 5, per: 1 h}")
)
UNCAPPED = Policy.from_text(TEXT[: TEXT.index("caps:")] + TEXT[TEXT.index("rules:\n") :])


def outgoing(number, action="remove", decided_by="policy"):
    verdict = Verdict(
        id=f"v{number}", upload_id=f"u{number}", action=action, revision=1, policy_version="p",
        rule="spam-certain", reasons=("Certain.",), decided_by=decided_by,
        at=START + timedelta(seconds=number), latency=0,
    )  # fmt: skip
    return Outgoing((verdict,), (f"ack_id-{number}",))


def run(policy, elements, check):
    with test_pipeline.TestPipeline() as pipeline:
        decided = pipeline | beam.Create(elements).with_output_types(Outgoing)
        assert_that(((decided,) | CapRemovals(policy)) | beam.Flatten(), check)
    return pipeline.result


def test_removals_stop_at_the_cap_and_everything_flows():
    elements = [outgoing(n) for n in range(12)]
    elements += [outgoing(n, "allow") for n in range(12, 20)]
    elements += [outgoing(n, "remove", "reviewer") for n in range(20, 28)]
    elements.append(Outgoing((), ("ack_id-alone",)))

    def check(found):
        verdicts = [one.messages[0] for one in found if one.messages]
        removed = [v for v in verdicts if v.action == "remove" and v.decided_by == "policy"]
        capped = [v for v in verdicts if v.decided_by == "cap"]
        assert (len(removed), len(capped)) == (5, 7)
        assert all(v.action == "review" for v in capped)
        assert sum(v.decided_by == "reviewer" for v in verdicts) == 8
        ack_ids = [ack_id for one in found for ack_id in one.ack_ids]
        assert sorted(ack_ids) == sorted(r for one in elements for r in one.ack_ids)

    result = run(CAPPED, elements, check)
    counted = result.metrics().query(beam.metrics.MetricsFilter().with_name("capped.spam-certain"))
    assert sum(one.result for one in counted["counters"]) == 7


def test_without_caps_nothing_is_touched():
    elements = [outgoing(n) for n in range(30)]

    def check(found):
        assert all(one.messages[0].action == "remove" for one in found)
        assert len(found) == 30

    run(UNCAPPED, elements, check)
