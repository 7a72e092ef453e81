"""The service that ``benchmarks.web`` measures, and its models alone, in one process.

Prints what the models do alone as a line of JSON, with the port; then it serves.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence

from benchmarks.texts import uploads
from quorum.aggregator.policy.policy import load_policy
from quorum.apps.http.server import Server, bind
from quorum.apps.web.app import create_app
from quorum.apps.web.settings import ServiceLimits
from quorum.core.messages import Upload
from quorum.core.settings import Settings
from quorum.models.configured import needs_of
from quorum.models.ensemble import Ensemble
from quorum.models.features.extract import Extractor
from quorum.store.ledger import Ledger

#: Uploads of a batch of the bare models: as many as the service makes features of at once.
BATCH = 64


def alone(ensemble: Ensemble) -> dict[str, float]:
    """What the models do on one thread: in batches, and one upload at a time."""
    members = list(ensemble.detectors.values())
    extractor = Extractor(needs_of(members), Settings().media)
    some, _ = uploads(600)

    def bare(batch: Sequence[Upload]) -> None:
        features = extractor.extract(batch)
        for member in members:
            member.detector.score(features)

    bare(some[:BATCH])
    count = len(some) // BATCH * BATCH
    began, spent = time.perf_counter(), time.process_time()
    for start in range(0, count, BATCH):
        bare(some[start : start + BATCH])
    rate = count / (time.perf_counter() - began)
    cpu = (time.process_time() - spent) / count
    times = []
    for one in some[:150]:
        began = time.perf_counter()
        bare([one])
        times.append(time.perf_counter() - began)
    return {
        "rate": rate,
        "cpu": cpu,
        "p50": statistics.median(times),
        "p99": statistics.quantiles(times, n=100)[98],
    }


def main(url: str) -> None:
    """Measure the models, then serve until asked to stop.

    Args:
        url: Of the ledger to make.
    """
    ensemble = Ensemble.load(Settings())
    told = alone(ensemble)
    taken = bind("127.0.0.1", 0)
    ledger = Ledger(url, create=True)
    limits = ServiceLimits(pending=256)
    app = create_app(load_policy("balanced"), ensemble, ledger=ledger, limits=limits)
    print(json.dumps({"port": taken.getsockname()[1], **told}), flush=True)
    Server(app).run(sockets=[taken])


if __name__ == "__main__":
    main(sys.argv[1])
