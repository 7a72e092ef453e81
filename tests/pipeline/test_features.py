"""Features over time in the stream: as in batch, and refused where they cannot be kept."""

import pickle
from datetime import timedelta
from itertools import count

import apache_beam as beam
import pytest

from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.pipeline.cases.in_memory import InMemoryCaseDoFn
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.decide import KEYED, Decide
from quorum.pipeline.streams.base import Joined, Outgoing, Received
from quorum.store.ledger import Ledger
from tests.aggregator.aggregator_cases import said
from tests.aggregator.features.test_features import KEY, POLICY, an_upload

_JOBS = count()


def some_uploads():
    begin = now() - timedelta(minutes=10)
    made = [an_upload(n, 0, f"c{n % 3}", title="Buy our pills", ip="10.0.0.1") for n in range(12)]
    return [
        one.model_copy(update={"published_at": begin + timedelta(seconds=5 * number)})
        for number, one in enumerate(made)
    ]


def stream(dofns, uploads):
    """The verdicts of uploads that several copies of one step decide in turn."""
    found = {}
    for number, upload in enumerate(uploads):
        received = Received(upload.to_bytes(), {}, f"s|{number}", "uploads")
        spoken = (CompactPrediction.of(said("spam", 0.6, upload_id=upload.id)),)
        for one in dofns[number % len(dofns)].process(
            (upload.id, Joined((received,), spoken, upload))
        ):
            if isinstance(one, Outgoing):
                found |= {verdict.upload_id: verdict for verdict in one.messages}
    return found


def started(options=None):
    first = InMemoryCaseDoFn(f"features-{next(_JOBS)}", POLICY, options)
    dofns = [first, pickle.loads(pickle.dumps(first))]
    for one in dofns:
        one.setup()
    return dofns


def test_the_stream_decides_as_batch_does():
    uploads = some_uploads()
    streamed = stream(started(), uploads)
    decider = Decider(POLICY)
    for upload in uploads:
        spoken = [said("spam", 0.6, upload_id=upload.id)]
        batch = decider.first(upload, spoken, arrived=now(), at=now()).verdict
        verdict = streamed[upload.id]
        assert verdict.features == batch.features
        assert (verdict.action, verdict.rule, verdict.id) == (batch.action, batch.rule, batch.id)
    assert streamed["u11"].features[KEY["accounts_of_text"]] == 3.0


def test_a_restart_begins_with_what_the_ledger_has(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    uploads = some_uploads()
    with Ledger(url, create=True) as ledger:
        ledger.record(uploads[:11])
    streamed = stream(started(CaseOptions(ledger=url)), uploads[11:])
    whole = stream(started(), uploads)
    assert streamed["u11"].features == whole["u11"].features


def test_an_engine_that_does_not_keep_them_is_refused():
    with pytest.raises(ConfigurationError, match="use --runner prism"):
        pipeline = beam.Pipeline()
        keyed = pipeline | beam.Create([]).with_output_types(KEYED)
        keyed | Decide(POLICY, bounded=False)
