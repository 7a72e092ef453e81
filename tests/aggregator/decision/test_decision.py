import random
import textwrap

import pytest

from quorum.aggregator.decision.evaluate import decide, evaluate
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Action, Status
from tests.aggregator.aggregator_cases import said, three_detectors, upload

BALANCED = three_detectors("balanced")


def by_detector(*predictions):
    return {one.detector: one for one in predictions}


def policy(rules, detectors="  spam: {}\n  violence: {}\n", head=""):
    body = textwrap.indent(textwrap.dedent(rules), "  ")
    return Policy.from_text(f"name: test\n{head}detectors:\n{detectors}rules:\n{body}")


CLEAN = by_detector(said("spam", 0.01), said("violence", 0.01), said("copyright", 0.0))


def test_nothing_found_is_allowed():
    decision = decide(BALANCED, upload(), CLEAN, {})
    assert (decision.action, decision.rule) == (Action.ALLOW, "default")
    assert len(decision.inputs) == 3


def test_the_most_severe_match_wins_wherever_it_stands():
    decision = decide(
        BALANCED, upload(), CLEAN | by_detector(said("spam", 0.99), said("violence", 0.8)), {}
    )
    assert (decision.action, decision.rule, decision.category) == (
        Action.REMOVE,
        "spam-certain",
        "spam",
    )
    assert "0.99" in decision.reasons[0]
    assert decision.matched[0] == "spam-certain"
    assert "violence-likely" in decision.matched


@pytest.mark.parametrize("why", ["missing", "failed"])
def test_silence_is_not_innocence(why):
    heard = dict(CLEAN)
    if why == "missing":
        del heard["violence"]
    else:
        heard["violence"] = said("violence")
    decision = decide(BALANCED, upload(), heard, {"violence": "crashed"})
    assert (decision.action, decision.rule) == (Action.REVIEW, f"{why}:violence")
    told = "missing:violence" if why == "missing" else f"{heard['violence'].id}:failed"
    assert decision.inputs == (told,)


def test_an_abstention_may_be_ignored_but_not_by_all():
    abstained = {
        name: said(name, status=Status.ABSTAINED) for name in ("spam", "violence", "copyright")
    }
    heard = CLEAN | {"copyright": abstained["copyright"]}
    assert decide(BALANCED, upload(), heard, {}).action is Action.ALLOW
    decision = decide(BALANCED, upload(), abstained, {})
    assert (decision.action, decision.rule) == (Action.REVIEW, "quorum")


def test_nothing_heard_is_reviewed():
    decision = decide(BALANCED, upload(), {}, {})
    assert decision.action is Action.REVIEW
    assert {name for name, _ in decision.missing} == set(BALANCED.detectors)


def test_a_fallback_score_stands_in():
    rules = """
        - {name: a, when: 'score("spam") >= 0.5', action: restrict, reason: Spam.}
    """
    made = policy(rules, "  spam: {missing: 0.6, failed: 0.1}\n  violence: {}\n")
    violence = said("violence", 0.0)
    assert decide(made, upload(), by_detector(violence), {}).rule == "a"
    heard = by_detector(violence, said("spam"))
    assert decide(made, upload(), heard, {}).action is Action.ALLOW


def test_a_rule_that_fails_is_reviewed_and_says_so():
    rules = """
        - {name: long, when: 'upload.duration > 60.0', action: restrict, reason: Long.}
    """
    heard = by_detector(said("spam", 0.0), said("violence", 0.0))
    decision = decide(policy(rules), upload(), heard, {})
    assert (decision.action, decision.rule) == (Action.REVIEW, "error:long")
    assert decide(policy(rules), upload(duration=9.0), heard, {}).action is Action.ALLOW
    assert decide(policy(rules), upload(duration=90.0), heard, {}).action is Action.RESTRICT


def test_a_fact_that_rules_cannot_hold_is_reviewed():
    rules = """
        - {name: odd, when: 'upload.extra.deep == "x"', action: restrict, reason: Odd.}
    """
    heard = by_detector(said("spam", 0.0), said("violence", 0.0))
    odd = upload(extra={"deep": object()})
    declared = policy(rules, head="fields: {extra: map}\n")
    assert decide(declared, odd, heard, {}).action is Action.REVIEW


SINCE = 'has(upload.since) && upload.published_at - upload.since < duration("72h")'
OWN = (
    "fields: {views: number, verified: bool, channel: text, topics: list, origin: map, "
    "since: time}\n"
)


@pytest.mark.parametrize(
    ("when", "fields", "rule"),
    [
        ("upload.views != null && upload.views > 1000", {}, "default"),
        ("upload.views != null && upload.views > 1000", {"views": 5000}, "own"),
        ("upload.views != null && upload.views > 1000", {"views": 5000.5}, "own"),
        ("upload.views != null && upload.views > 1000", {"views": "5000"}, "error:own"),
        ("upload.views != null && upload.views > 1000", {"views": True}, "error:own"),
        ("upload.views > 1000", {}, "error:own"),
        ("has(upload.views) && upload.views > 1000", {}, "default"),
        ("has(upload.views) && upload.views > 1000", {"views": None}, "default"),
        ("has(upload.views) && upload.views > 1000", {"views": 5000}, "own"),
        ("has(upload.duration) && upload.duration > 60.0", {}, "default"),
        ("has(upload.duration) && upload.duration > 60.0", {"duration": 61}, "own"),
        ('upload["channel"] == "x"', {"channel": "x"}, "own"),
        ('upload["channel"] == "x"', {}, "default"),
        ('upload.channel == "5"', {"channel": 5}, "error:own"),
        (SINCE, {"since": "2026-02-27T00:00:00Z"}, "own"),
        (SINCE, {"since": "2026-02-27T02:00:00+02:00"}, "own"),
        (SINCE, {"since": "2020-01-01T00:00:00Z"}, "default"),
        (SINCE, {}, "default"),
        (SINCE, {"since": "long ago"}, "error:own"),
        (SINCE, {"since": "2026-02-27T00:00:00"}, "error:own"),
        (SINCE, {"since": 1767052800}, "error:own"),
        ("upload.verified == true", {"verified": True}, "own"),
        ("upload.verified == true", {"verified": "true"}, "error:own"),
        ('has(upload.topics) && upload.topics.exists(t, t == "x")', {"topics": ["x"]}, "own"),
        ('has(upload.topics) && upload.topics.exists(t, t == "x")', {}, "default"),
        ('has(upload.origin.country) && upload.origin.country == "de"', {}, "default"),
        ('has(upload.origin.country) && upload.origin.country == "de"', {"origin": {}}, "default"),
        (
            'has(upload.origin.country) && upload.origin.country == "de"',
            {"origin": {"country": "de"}},
            "own",
        ),
    ],
)
def test_the_producers_own_fields(when, fields, rule):
    made = policy(
        f"- {{name: own, when: '{when}', action: restrict, reason: Own.}}\n"
        "- {name: far, when: 'score(\"spam\") > 0.9', action: remove, reason: Spam.}\n",
        head=OWN,
    )
    heard = by_detector(said("spam", 0.0), said("violence", 0.0))
    decision = decide(made, upload(**fields), heard, {})
    assert decision.rule == rule
    if rule == "error:own" and fields:
        (name,) = fields
        assert f"the upload's field {name} is no" in decision.reasons[0]
    certain = by_detector(said("spam", 0.95), said("violence", 0.0))
    assert decide(made, upload(**fields), certain, {}).action is Action.REMOVE


def test_rules_read_the_upload_predictions_labels_and_what_is_missing():
    rules = """
        - name: undeclared
          when: predictions.exists(d, d == "nsfw" && predictions[d].score > 0.9)
          action: review
          reason: A detector that the policy does not know is sure.
        - name: label
          when: label("violence/fight") > 0.8 && "boxing" in upload.tags
          action: restrict
          reason: A fight ({violence/fight}).
        - name: status
          when: status("spam") == "missing" && "spam" in missing
          action: review
          reason: No word on spam.
    """
    made = policy(rules, "  spam: {required: false}\n  violence: {}\n")
    fight = said("violence", 0.9, labels={"violence/fight/ring": 0.85})
    decision = decide(made, upload(tags=("boxing",)), by_detector(said("spam", 0.0), fight), {})
    assert (decision.rule, decision.reasons) == ("label", ("A fight (0.85).",))
    assert decide(made, upload(), by_detector(fight), {}).rule == "status"
    heard = by_detector(said("spam", 0.0), fight, said("nsfw", 0.95))
    assert decide(made, upload(), heard, {}).rule == "undeclared"


def test_shadow_predictions_and_rules_are_told_and_never_decide():
    rules = """
        - {name: trial, when: 'score("spam") > 0.1', action: remove, reason: Trial., shadow: true}
    """
    shadow = said("violence", 1.0, shadow=True, version="v2")
    heard = {**by_detector(said("spam", 0.5), said("violence", 0.0)), "other": shadow}
    decision = decide(policy(rules), upload(), heard, {})
    assert decision.action is Action.ALLOW
    assert decision.shadow_matched == ("trial",)
    assert decision.used[-1] is shadow


def test_order_changes_nothing():
    heard = [*CLEAN.values(), said("violence", 0.99, shadow=True), said("nsfw", 0.9)]
    expected = decide(BALANCED, upload(), {str(i): p for i, p in enumerate(heard)}, {})
    for seed in range(20):
        random.Random(seed).shuffle(heard)
        assert decide(BALANCED, upload(), {str(i): p for i, p in enumerate(heard)}, {}) == expected


def weighed(made, predictions, *outstanding):
    return evaluate(made, upload, predictions, {}, frozenset(outstanding))


def test_a_removal_need_not_wait_for_what_cannot_change_it():
    copyright_match = said("copyright", 0.99)
    now = weighed(BALANCED, [copyright_match], "spam", "violence")
    assert now.settled
    assert now.decision.rule == "copyright-match"
    assert now.decision.inputs == (f"{copyright_match.id}:scored",)


def test_a_removal_waits_for_a_rule_before_it_that_would_name_another_harm():
    now = weighed(BALANCED, [said("spam", 0.99)], "violence", "copyright")
    assert now.decision.action is Action.REMOVE
    assert not now.settled


def test_an_allowance_waits_for_all_that_count():
    assert not weighed(BALANCED, [said("spam", 0.0), said("copyright", 0.0)], "violence").settled
    assert weighed(BALANCED, list(CLEAN.values())).settled


def test_a_detector_without_rules_or_meaning_is_not_waited_for():
    rules = """
        - {name: a, when: 'score("spam") >= 0.5', action: restrict, reason: Spam.}
    """
    made = policy(rules, "  spam: {}\n  nsfw: {required: false}\n")
    assert weighed(made, [said("spam", 0.1)], "nsfw").settled


def test_many_rules_compile():
    rules = "\n".join(
        f"- {{name: r{i}, when: 'score(\"spam\") > 0.{i:03}1', action: restrict, reason: R.}}"
        for i in range(300)
    )
    heard = by_detector(said("spam", 0.0), said("violence", 0.0))
    assert decide(policy(rules), upload(), heard, {}).action is Action.ALLOW


def test_an_exception_holds_only_where_it_is_certain():
    rules = """
        - name: fight
          when: score("violence") >= 0.9
          unless: upload.uploader in lists.trusted || score("sports") > 0.9
          action: remove
          reason: A fight.
    """
    made = policy(
        rules,
        "  violence: {}\n  sports: {required: false}\n",
        head="lists:\n  trusted: [reuters, afp]\n",
    )
    fight = by_detector(said("violence", 0.95))
    assert decide(made, upload(uploader="reuters"), fight, {}).action is Action.ALLOW
    assert decide(made, upload(), fight, {}).action is Action.REMOVE
    ring = fight | by_detector(said("sports", 0.95))
    assert decide(made, upload(), ring, {}).action is Action.ALLOW


def test_a_combiner_weighs_scores_together():
    rules = """
        - {name: risk, when: 'combined("risk") >= 0.5', action: review, reason: 'Risk {risk}.'}
    """
    weights = "weights: {spam: 1, violence/fight: 1}, absent: {spam: 0.1}"
    head = f"combiners:\n  risk: {{bias: 0, {weights}}}\n"
    made = policy(rules, head=head)
    labelled = {"labels": {"violence/fight": 0.7}}
    both = by_detector(said("spam", 0.6), said("violence", 0.7, **labelled))
    decision = decide(made, upload(), both, {})
    assert (decision.rule, decision.reasons) == ("risk", ("Risk 0.78.",))
    assert len(decision.inputs) == 2
    one = by_detector(said("spam", status=Status.ABSTAINED), said("violence", 0.7, **labelled))
    assert decide(made, upload(), one, {}).action is Action.ALLOW
    assert not weighed(made, [both["violence"]], "spam").settled


def test_territorial_rules_restrict_where_they_do_not_cover_all():
    rules = """
        - name: local
          when: score("violence") > 0.3
          action: remove
          territories: [DE, AT]
          reason: Forbidden there.
    """
    made = policy(rules)
    heard = by_detector(said("spam", 0.0), said("violence", 0.5))
    decision = decide(made, upload(territories=("DE", "FR")), heard, {})
    assert decision.action is Action.RESTRICT
    assert decision.territories == (("AT", Action.REMOVE), ("DE", Action.REMOVE))
    everywhere = decide(made, upload(territories=("AT",)), heard, {})
    assert (everywhere.action, everywhere.territories) == (Action.REMOVE, ())


def test_an_upload_with_too_many_items_is_reviewed():
    rules = """
        - {name: tags, when: 'upload.tags.exists(t, t.contains("x"))', action: restrict, reason: R.}
    """
    heard = by_detector(said("spam", 0.0), said("violence", 0.0))
    decision = decide(policy(rules), upload(tags=("y",) * 20_000), heard, {})
    assert (decision.action, decision.rule) == (Action.REVIEW, "error:tags")
    assert decide(policy(rules), upload(tags=("y",) * 100), heard, {}).action is Action.ALLOW


OPTIONAL = "  spam: {required: false}\n  violence: {required: false}\n"
LIKELY = "- {name: likely, when: 'score(\"spam\") > 0.5', action: review, reason: Likely.}\n"


def test_a_rule_over_all_predictions_waits_for_all():
    rules = "- {name: two, when: size(predictions) >= 2, action: review, reason: Two.}"
    made = policy(rules, OPTIONAL)
    assert not weighed(made, [said("spam", 0.1)], "violence").settled
    assert weighed(made, [said("spam", 0.1)]).settled


def test_a_rule_for_some_territories_is_waited_for_under_a_review():
    """It would not change the action, but what happens there."""
    rules = LIKELY + (
        "- {name: there, when: 'score(\"violence\") > 0.5', action: remove, territories: [DE],"
        " reason: There.}\n"
    )
    made = policy(rules, OPTIONAL)
    now = weighed(made, [said("spam", 0.9)], "violence")
    assert (now.decision.rule, now.settled) == ("likely", False)
    assert weighed(made, [said("spam", 0.9), said("violence", 0.9)]).decision.territories


def test_a_rule_that_may_fail_is_waited_for():
    """Were it to fail, a human would be asked."""
    rules = (
        "- {name: hint, when: 'score(\"spam\") > 0.5', action: restrict, reason: Hint.}\n"
        "- {name: long, when: 'score(\"violence\") > 0.5 && upload.duration > 60.0',"
        " action: restrict, reason: Long.}\n"
    )
    made = policy(rules, OPTIONAL)
    assert not weighed(made, [said("spam", 0.9)], "violence").settled
    late = weighed(made, [said("spam", 0.9), said("violence", 0.9)])
    assert (late.decision.action, late.decision.rule) == (Action.REVIEW, "error:long")


@pytest.mark.parametrize(
    ("shown", "action", "local"),
    [
        ((), "restrict", 27),
        (("DE",), "remove", 0),
        (("DE", "GB"), "restrict", 27),
        (("GB", "US"), "allow", 0),
    ],
)
def test_a_rule_for_the_union_holds_in_its_countries(shown, action, local):
    made = policy(
        "- {name: eu, when: 'score(\"spam\") > 0.9', action: remove, territories: [EU], reason: S.}"
    )
    heard = by_detector(said("spam", 0.95), said("violence", 0.0))
    decision = decide(made, upload(territories=shown), heard, {})
    assert (decision.action, len(decision.territories)) == (action, local)
