"""The function that is written for a plan reads what the lists of its histories hold."""

import random

from quorum.aggregator.features.keys import UNITS, Event
from quorum.aggregator.features.totals import totals_reader
from quorum.aggregator.features.windows import History, Spans
from quorum.aggregator.policy.values import Feature

OVERS, LATENESS = (60.0, 600.0, 86_400.0), 3.0


def a_feature(kind, over, of=""):
    return Feature(f"{kind}{of}{over}", f"{kind} '{of}' {over}", kind, "ip", of, over, LATENESS, 9)


def test_of_each_total_the_greatest_of_all_keys_counts_in_any_order_and_below_zero() -> None:
    draw, spans = random.Random(1), Spans.of(OVERS, LATENESS)
    features = [a_feature(kind, over) for kind in ("count", "rate", "distinct") for over in OVERS]
    features += [a_feature("sum", over, "likes") for over in OVERS[1:]]
    read = totals_reader(features, ("", "likes"), spans)
    for keys in (0, 1, 3):
        histories = [History(2) for _ in range(keys)]
        for second in range(0, 4_000, 11):
            for one in histories:
                if draw.random() < 0.6:
                    one.add(second, (1, draw.randrange(-9 * UNITS, UNITS)), (), spans)
        for at in (4_001.5, 2_000.0):  # the second is later than it may be
            event = Event(at, int(at - LATENESS), (1, 5), ())
            begins = spans.begins(event.edge)
            each = [one.within(event.edge, begins, spans) for one in histories]
            most = [
                [max(same) for same in zip(*one, strict=True)] for one in zip(*each, strict=True)
            ]
            uploads, likes = most or [[0] * 3] * 2
            found: dict[str, float] = {}
            read(histories, event, begins, found)
            wanted = {f"count '' {over}": 1.0 + uploads[at] for at, over in enumerate(OVERS)}
            wanted |= {f"rate '' {o}": wanted[f"count '' {o}"] * 60.0 / o for o in OVERS}
            for place, over in list(enumerate(OVERS))[1:]:
                wanted[f"sum 'likes' {over}"] = (5 + likes[place]) / UNITS
            assert found == wanted
