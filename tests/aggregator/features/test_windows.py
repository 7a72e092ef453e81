"""What is kept of a key gives what all of its events give, in any order, and stays small."""

import random

import pytest

from quorum.aggregator.features.windows import SKETCH, History, Spans, distinct_values, step_of

LATENESS = 3
OVERS = (60, 600, 3600, 86_400)


def some_events(draw, count, values, fastest):
    """Seconds, amounts and values, each with the second at which it arrives, in that order."""
    at, made = 1_000_000.0, []
    for _ in range(count):
        at += draw.choice([0, 0, 1, 1, 3, fastest, fastest, 40 * fastest])
        arrives = at + draw.random() * LATENESS
        made.append((arrives, at, draw.randrange(1, 9), draw.randrange(values) << 40))
    return sorted(made)


def expected(events, own, edge, over):
    """Sum, count and distinct values of a window, by looking at all events."""
    begin = -(-(edge - over) // step_of(over)) * step_of(over)
    within = [one for one in events if begin <= int(one[1]) < edge]
    values = sorted({own, *(value for _, _, _, value in within)})
    found = float(len(values))
    if len(values) > SKETCH:
        found = (SKETCH - 1) * 2.0**64 / (values[SKETCH - 1] + 1)
    return len(within), sum(amount for _, _, amount, _ in within), found


@pytest.mark.parametrize(("values", "fastest"), [(5, 7), (2000, 1), (2000, 90)])
def test_steps_and_late_events_change_no_value(values, fastest):
    draw = random.Random(values + fastest)
    spans = Spans.of(OVERS, LATENESS)
    events = some_events(draw, 2_000, values, fastest)
    one, two = History(2, 1, last=True), History(2, 1, last=True)
    for number, (_, at, amount, value) in enumerate(events):
        if number % 23 == 0:
            edge = int(at - LATENESS)
            begins = spans.begins(edge)
            wanted = [expected(events[:number], value, edge, over) for over in OVERS]
            both = zip(
                one.within(edge, begins, spans), two.within(edge, begins, spans), strict=True
            )
            totals = [list(map(sum, zip(*pair, strict=True))) for pair in both]
            distinct = distinct_values([*one.distinct, *two.distinct], value, edge, begins)
            assert [*zip(*totals, distinct, strict=True)] == wanted
            past = [int(each[1]) for each in events[:number] if int(each[1]) < edge]
            seen = [last for each in (one, two) if (last := each.before(edge)) is not None]
            assert max(seen, default=None) == max(past, default=None)
        # Some go to a second key: together they have what one key would.
        kept = two if value % 3 == 0 else one
        kept.add(int(at), (1, amount), (value,), spans)
        if number == 1_000:
            one, former = one.copy(), one
            former.add(int(at), (50, 50), (1,), spans)
    assert len(one.seconds) < 400
    assert one.size() < 3 * 400 + 3 * 2_000


def test_of_many_values_few_are_kept():
    spans, history, draw = Spans.of((86_400,), LATENESS), History(0, 1), random.Random(1)
    for number in range(20_000):
        history.add(number, (), (draw.getrandbits(64),), spans)
    assert history.size() < 3 * 4_000
    (found,) = distinct_values(history.distinct, None, 20_000, spans.begins(20_000))
    assert found == pytest.approx(20_000, rel=0.2)
    for number in range(600):
        history.add(400_000 + 60 * number, (), (number % 5,), spans)
    assert history.size() < 50, "what is over is dropped"


def test_an_event_out_of_its_time_is_not_counted_too_often():
    spans, history = Spans.of((60, 86_400), LATENESS), History(1)
    for number in range(2_000):
        history.add(60 * number, (1,), (), spans)
    edge = 7_200 + 30
    assert history.within(edge, spans.begins(edge), spans)[0][0] <= 1
