"""Features over time: the same values in any order, point in time, in bounded memory."""

import re
import threading
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.settling import settled
from quorum.aggregator.features.keys import keys_of
from quorum.aggregator.features.table import FeatureTable
from quorum.aggregator.features.windows import step_of
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.features import with_features
from quorum.aggregator.study.golden import read_golden, run_golden
from quorum.aggregator.study.record import PastCase
from quorum.core import metrics
from quorum.core.errors import PolicyError
from quorum.core.messages import Action, Upload
from tests.aggregator.aggregator_cases import START, after, backtest, said

LATENESS = 3

POLICY = Policy.from_text(
    f"""\
name: counting
fields: {{views: number, ip: text}}
detectors:
  spam: {{required: false}}
features:
  uploads_1m: {{kind: count, by: uploader, over: 1 min, lateness: {LATENESS} s}}
  uploads_1h: {{kind: count, by: uploader, over: 1 h, lateness: {LATENESS} s}}
  uploads_1d: {{kind: count, by: ip, over: 1 d, lateness: {LATENESS} s}}
  rate_10m: {{kind: rate, by: uploader, over: 10 min, lateness: {LATENESS} s}}
  views_30d: {{kind: sum, of: views, by: uploader, over: 30 d, lateness: {LATENESS} s}}
  accounts_of_ip: {{kind: distinct, of: uploader, by: ip, over: 1 h, lateness: {LATENESS} s}}
  accounts_of_text: {{kind: distinct, of: uploader, by: text, over: 10 min, lateness: {LATENESS} s}}
  last: {{kind: last_seen, by: uploader, over: 1 d, lateness: {LATENESS} s}}
rules:
  - name: wave
    when: feature("accounts_of_text") >= 3.0
    action: review
    category: spam
    reason: Many accounts send this text.
  - name: busy
    when: feature("uploads_1h", 0) > 5.0 && score("spam") >= 0.5
    action: restrict
    category: spam
    reason: Many uploads, and likely spam ({{spam}}).
"""
)
KEY = {name: one.key for name, one in POLICY.features.items()}


def an_upload(number, at, uploader="ann", **fields):
    moment = START + timedelta(seconds=at)
    return Upload(id=f"u{number}", uploader=uploader, published_at=moment, **fields)


def expected(upload, others):
    """What a value should be, told by looking at all uploads: exact but for the far end."""
    at = upload.published_at.timestamp()
    found = {}
    for one in POLICY.features.values():
        edge = int(at - one.lateness)
        keys = set(keys_of(upload, one.by))
        if not keys:
            continue
        level = step_of(one.over)
        if one.kind == "last_seen":
            past = [
                int(other.published_at.timestamp())
                for other in others
                if keys & {*keys_of(other, one.by)} and other.published_at.timestamp() < edge
            ]
            if past and at - max(past) <= one.over:
                found[one.key] = float(int(at) - max(past))
            continue
        values, accounts = [], {upload.uploader}
        for key in keys:
            begin = -(-(edge - int(one.over)) // level) * level
            within = [
                other
                for other in others
                if key in keys_of(other, one.by)
                and begin <= int(other.published_at.timestamp()) < edge
            ]
            if one.kind == "distinct":
                accounts |= {other.uploader for other in within}
                values.append(float(len(accounts)))
            elif one.kind == "sum":
                each = [(other.model_extra or {}).get("views") or 0 for other in [*within, upload]]
                values.append(float(sum(each)))
            else:
                total = len(within) + 1.0
                values.append(total * 60 / one.over if one.kind == "rate" else total)
        found[one.key] = max(values)
    return found


TEXTS = ["", "buy cheap pills now at our great shop", "a quiet walk along the river", "hello"]
streams = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.25, 1.0, 2.0, 7.0, 61.0, 700.0, 4000.0, 90_000.0]),
        st.sampled_from(["ann", "bob", "cy"]),
        st.sampled_from(TEXTS),
        st.sampled_from([None, 1, 2.5, 7]),
        st.sampled_from([None, "10.0.0.1", "10.0.0.2"]),
        st.floats(0, LATENESS, exclude_max=True),
    ),
    max_size=30,
)


def made(stream):
    """Uploads in the order of their times, and the delay of each."""
    at, uploads, delays = 0.0, [], []
    for number, (pause, who, text, views, address, delay) in enumerate(stream):
        at += pause
        extra = {"views": views, "ip": address}
        extra = {name: one for name, one in extra.items() if one is not None}
        uploads.append(an_upload(number, at, who, title=text, **extra))
        delays.append(delay)
    return uploads, delays


@settings(max_examples=60, deadline=None)
@given(streams, st.randoms())
def test_any_order_and_any_duplicates_give_the_same_values(stream, random):
    uploads, delays = made(stream)
    wanted = {one.id: expected(one, [o for o in uploads if o.id != one.id]) for one in uploads}
    arrived = sorted(
        range(len(uploads)), key=lambda n: uploads[n].published_at.timestamp() + delays[n]
    )
    table = FeatureTable([POLICY])
    for place, number in enumerate(arrived):
        assert table.take(uploads[number]) == wanted[uploads[number].id]
        if place and random.random() < 0.3:
            again = uploads[arrived[random.randrange(max(0, place - 2), place)]]
            table.take(again)
    in_order = FeatureTable([POLICY])
    assert {one.id: in_order.take(one) for one in uploads} == wanted


@settings(max_examples=25, deadline=None)
@given(streams)
def test_stream_and_backtest_have_the_same_values(stream):
    """Point in time: a backtest does not look ahead, in whatever order it reads the cases."""
    uploads, delays = made(stream)
    decider = Decider(POLICY)
    cases = []
    arrived = sorted(
        range(len(uploads)), key=lambda n: uploads[n].published_at.timestamp() + delays[n]
    )
    for number in arrived:
        upload = uploads[number]
        said_of = [said("spam", 0.6, upload_id=upload.id)]
        moment = upload.published_at
        decided = decider.first(upload, said_of, arrived=moment, at=moment)
        cases.append(PastCase.gather(upload, said_of, [decided.verdict]))
    bare = [PastCase.from_json(case.to_json()) for case in cases]
    recorded = [case.features for case in bare]
    assert backtest(bare, POLICY).changed == 0, "a verdict lists what it was decided with"
    for case in bare:
        object.__setattr__(case, "features", {})
    counted = with_features(reversed(bare), [POLICY])
    assert [case.features for case in reversed(counted)] == recorded
    assert backtest(counted, POLICY).changed == 0


def test_a_wave_is_seen_and_a_verdict_can_be_replayed():
    decider = Decider(POLICY)
    verdicts = []
    body = "Buy cheap pills now at our great shop, today only, and get the second pack for free!"
    for number in range(4):
        upload = an_upload(number, 10 * number, f"bot{number}", title=f"{body} {number}")
        moment = upload.published_at
        spoken = [said("spam", 0.1, upload_id=upload.id)]
        verdicts.append((upload, spoken, decider.first(upload, spoken, arrived=moment, at=moment)))
    assert [one.verdict.action for _, _, one in verdicts] == [
        Action.ALLOW,
        Action.ALLOW,
        Action.REVIEW,
        Action.REVIEW,
    ]
    upload, spoken, last = verdicts[-1]
    assert last.verdict.features[KEY["accounts_of_text"]] == 4.0
    fresh = Decider(POLICY)
    assert fresh.again(upload, spoken, (), last.verdict, at=after(99)) is None
    restored = fresh.restore(last.case.snapshot())
    late = restored.on_prediction(said("spam", 0.2, upload_id=upload.id, at=9), after(99))
    assert list(late) == []


def test_near_texts_share_a_key_and_others_do_not():
    one = keys_of(an_upload(1, 0, title=" ".join(f"word{n}" for n in range(40))), "text")
    words = [f"word{n}" for n in range(40)]
    words[7] = "changed"
    assert set(one) & set(keys_of(an_upload(2, 0, title=" ".join(words)), "text"))
    other = keys_of(an_upload(3, 0, title=" ".join(f"else{n}" for n in range(40))), "text")
    assert not set(one) & set(other)
    assert keys_of(an_upload(4, 0, title=" ... "), "text") == ()
    linked = an_upload(5, 0, description="see https://www.Example.com/a and http://b.example/x?y")
    assert len(keys_of(linked, "domain")) == 2
    assert (
        keys_of(linked, "domain")[0]
        == keys_of(an_upload(6, 0, title="https://example.com:8080/"), "domain")[0]
    )


def test_memory_is_bounded_and_shown_however_many_come():
    gone = metrics.FEATURE_KEYS_GIVEN_UP.labels("uploader")._value.get()
    table = FeatureTable(
        [Policy.from_text(POLICY.text.replace("by: uploader", "by: uploader, keys: 50"))]
    )
    for number in range(4000):
        table.take(an_upload(number, 37.0 * number, f"c{number % 90}", ip="10.0.0.1"))
    sizes = {by: (keys, numbers) for by, keys, numbers in table.sizes()}
    assert sizes["uploader"][0] == 50
    keys, numbers = sizes["ip"]
    assert keys == 1
    assert 100 < numbers < 1000, "2 numbers a step, 3 a distinct account"
    shown = metrics.page("stream", {})[0].decode()
    assert 'quorum_feature_keys{by="ip"}' in shown
    assert f'quorum_feature_keys_given_up_total{{by="uploader"}} {4000 - 50 + gone:.1f}' in shown
    everything = sum(int(n) for n in re.findall(r"quorum_feature_numbers{by=.ip.} (\d+)", shown))
    assert everything >= numbers


def test_keys_that_had_the_same_events_share_what_is_kept():
    table = FeatureTable([POLICY])
    text = "buy cheap pills now at our great shop today"
    for number in range(9):
        table.take(an_upload(number, 10 * number, f"bot{number}", title=text))
    (numbers,) = [numbers for by, _, numbers in table.sizes() if by == "text"]
    assert numbers == pytest.approx(9 + 2 * 3, abs=20), "six bands, and what one of them has"
    first = table.take(an_upload(10, 100, "bot10", title=text.replace("great shop", "big store")))
    assert first[KEY["accounts_of_text"]] == 10.0
    assert table.take(an_upload(11, 120, "bot11", title=text))[KEY["accounts_of_text"]] == 11.0


def test_many_distinct_values_are_estimated():
    table = FeatureTable([POLICY])
    for number in range(3000):
        table.take(an_upload(number, number * 0.5, f"account{number}", ip="10.0.0.1"))
    last = table.take(an_upload(9999, 1600, "account9999", ip="10.0.0.1"))
    assert last[KEY["accounts_of_ip"]] == pytest.approx(3001, rel=0.2)


def test_threads_share_a_table():
    table = FeatureTable([POLICY])

    def send(thread):
        for number in range(200):
            table.take(an_upload(f"{thread}-{number}", number % 20))

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert table.take(an_upload("last", 50))[KEY["uploads_1h"]] == 801


def test_a_restart_counts_the_recorded_uploads_once():
    table = FeatureTable([POLICY])
    past = [an_upload(number, number) for number in range(10)]
    assert table.warm(lambda: past) == 10
    assert table.warm(lambda: past) == 0
    assert table.take(past[9])[KEY["uploads_1h"]] == 7, "it is delivered again: 6 older, and itself"
    assert table.take(an_upload(99, 60))[KEY["uploads_1h"]] == 11


def test_a_cascade_skips_nothing_that_a_feature_may_need():
    sure = POLICY.text.replace("action: restrict", "action: remove")
    policy = Policy.from_text(
        sure.replace("  spam: {required: false}", "  spam: {}\n  violence: {}")
    )
    upload = an_upload(1, 0)
    assert settled([policy], upload, [said("spam", 0.9)]) is None


def test_golden_cases_give_values():
    cases = read_golden(
        POLICY,
        """
- {name: Few, scores: {spam: 0.6}, features: {uploads_1h: 5}, expect: allow}
- {name: Many, scores: {spam: 0.6}, features: {uploads_1h: 6}, expect: restrict}
- {name: Unknown, scores: {spam: 0.6}, expect: allow}
- {name: Wave, scores: {spam: 0}, features: {accounts_of_text: 3}, expect: review}
""",
    )
    assert [one.wrong for one in run_golden(POLICY, cases)] == [()] * 4
    with pytest.raises(PolicyError, match="did you mean `uploads_1h`"):
        read_golden(POLICY, "- {name: x, features: {upload_1h: 5}, expect: allow}")


def test_checks():
    errors = [one for one in check_policy(POLICY) if one.severity == "error"]
    assert errors == []
    notes = [one.message for one in check_policy(POLICY)]
    assert "no rule reads the feature `rate_10m`" in notes


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('feature("uploads_1h", 0)', 'feature("upload_1h", 0)', "did you mean `uploads_1h`"),
        ("kind: count, by: ip", "kind: count, by: ipp", "did you mean `ip`"),
        ("over: 30 d", "over: 31 d", "views_30d"),
        ("lateness: 3 s}\n  rate", "lateness: 2 min}\n  rate", "lateness"),
        ("kind: sum, of: views", "kind: sum, of: ip", "no field with a number"),
        ("kind: sum, of: views", "kind: sum", "needs `of`"),
        ("kind: distinct, of: uploader, by: ip", "kind: distinct, by: ip", "needs `of`"),
        ("kind: count, by: ip", "kind: count, of: views, by: ip", "`of` is for"),
    ],
)
def test_mistakes_are_told_with_their_line(old, new, told):
    text = POLICY.text.replace(old, new, 1)
    assert text != POLICY.text
    with pytest.raises(PolicyError) as refused:
        Policy.from_text(text, "mine.yaml")
    assert told in str(refused.value)
    assert "mine.yaml:" in str(refused.value)


def test_definitions_are_versioned():
    other = Policy.from_text(POLICY.text.replace("over: 1 h", "over: 2 h", 1))
    assert other.version != POLICY.version
    assert other.features["uploads_1h"].key != KEY["uploads_1h"]
    assert other.features["uploads_1d"].key == KEY["uploads_1d"]


def test_another_policy_counts_on_with_what_is_defined_alike():
    decider = Decider(POLICY)
    other = Policy.from_text(POLICY.text.replace("over: 1 h", "over: 2 h", 1))

    def value(by, number, policy):
        one = an_upload(number, 10 * number)
        moment = one.published_at
        spoken = [said("spam", 0.1, upload_id=one.id)]
        made = by.first(one, spoken, arrived=moment, at=moment).verdict
        keys = [policy.features[name].key for name in ("uploads_1h", "last")]
        return [made.features.get(key) for key in keys]

    assert value(decider, 1, POLICY) == [1.0, None]
    after_change = decider.under(other)
    assert value(after_change, 2, other) == [2.0, 10.0], "a new window sees what others have kept"
    assert value(after_change, 3, other) == [3.0, 10.0]
    back = after_change.under(POLICY)
    assert value(back, 4, POLICY) == [4.0, 10.0], "a return finds all that was counted"
