import textwrap

import pytest

from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.study.check import check_policy, turning_points


def problems(rules, head=""):
    body = textwrap.indent(textwrap.dedent(rules), "  ")
    detectors = "  spam: {}\n  violence: {}\n"
    policy = Policy.from_text(
        f"name: test\n{head}caps: {{total: {{removals: 1, per: 1}}}}\n"
        f"detectors:\n{detectors}rules:\n{body}"
    )
    return [(one.severity, one.rule, one.message) for one in check_policy(policy)]


@pytest.mark.parametrize("name", shipped_policies())
def test_the_shipped_policies_have_no_errors(name):
    assert [p for p in check_policy(load_policy(name)) if p.severity == "error"] == []


@pytest.mark.parametrize(
    "when",
    [
        'score("spam") > 0.9 && score("spam") < 0.5',
        'score("spam") > 1.0',
        'status("spam") == "lost"',
        'status("spam") == "failed" && score("spam") > 0.1',
        "false",
    ],
)
def test_a_rule_that_can_never_apply(when):
    found = problems(f"""
        - {{name: r, when: '{when}', action: review, reason: R.}}
        - {{name: v, when: 'score("violence") > 0.5', action: review, reason: R.}}
    """)
    assert [(severity, rule) for severity, rule, _ in found if severity == "error"] == [
        ("error", "r")
    ]
    assert "never apply" in found[0][2]


def test_a_rule_that_can_apply_in_a_narrow_place():
    found = problems("""
        - name: narrow
          when: score("spam") > 0.5 && score("spam") < 0.5001 && score("violence") == 0.3
          action: review
          reason: R.
    """)
    assert [one for one in found if one[0] == "error"] == []


def test_a_rule_that_is_always_shadowed():
    found = problems("""
        - {name: low, when: 'score("spam") > 0.5', action: remove, category: spam, reason: R.}
        - {name: high, when: 'score("spam") > 0.9', action: review, reason: R.}
        - {name: same, when: 'score("spam") > 0.7', action: remove, category: spam, reason: R.}
        - {name: other, when: 'score("violence") > 0.9', action: review, reason: R.}
    """)
    errors = {rule: message for severity, rule, message in found if severity == "error"}
    assert set(errors) == {"high", "same"}
    assert "`low`" in errors["high"]


def test_two_rules_may_shadow_a_third_together():
    found = problems("""
        - {name: a, when: 'score("spam") >= 0.5', action: remove, category: spam, reason: R.}
        - {name: b, when: 'score("spam") < 0.5', action: remove, category: spam, reason: R.}
        - {name: c, when: 'score("spam") > 0.2', action: review, reason: R.}
    """)
    assert [rule for severity, rule, _ in found if severity == "error"] == ["c"]


def test_notes():
    head = "quorum: 0\nlists: {trusted: []}\ncombiners: {risk: {bias: 0, weights: {spam: 1}}}\n"
    found = problems(
        """
        - {name: soft, when: 'score("spam") < 0.1', action: allow, reason: R.}
        - {name: bare, when: 'score("spam") > 0.9', action: restrict, reason: R.}
    """,
        head,
    )
    told = " ".join(message for _, _, message in found)
    for part in ("changes nothing", "without a category", "`violence`", "`trusted`", "`risk`"):
        assert part in told
    assert "quorum of 0" in told


def test_a_removal_without_a_cap_is_noted():
    policy = Policy.from_text(
        "name: x\ndetectors: {spam: {}}\nrules: [{name: r, when: 'score(\"spam\") > 0.9',"
        " action: remove, category: spam, reason: R.}]"
    )
    assert "without a cap" in check_policy(policy)[0].message


def test_turning_points_are_both_sides_of_each_number():
    points = turning_points(load_policy("balanced"))["spam"]
    assert {0.0, 0.5, 0.85, 0.98, 1.0} <= set(points)
    assert any(0.85 < point < 0.8501 for point in points)


OWN = (
    "fields: {views: number, verified: bool, channel: text, topics: list, origin: map, "
    "since: time}\n"
)


@pytest.mark.parametrize(
    ("when", "severity", "told"),
    [
        ("upload.tags > 3", "error", "for every upload"),
        ("upload.tags == 3", "error", "never equal"),
        ('"x" != upload.duration', "error", "`upload.duration` (number) with a text"),
        ('upload.since == "2026-01-01T00:00:00Z"', "error", "(time) with a text"),
        ('upload.title == "x" && upload.duration == 60 && upload.verified == true', None, ""),
        ('upload.tags == ["x"] || "x".size() == upload.duration', None, ""),
        ("predictions.lab.score > 0.5", "note", "ask has(predictions.lab) first"),
        ('has(predictions.spam) && predictions["spam"].score > 0.5', "note", "predictions.spam.sc"),
        ('"spam" in predictions && predictions.spam.status == "scored"', None, ""),
        ('missing.spam == "late"', "note", "ask has(missing.spam) first"),
        ('score("spam") > 0.6 && upload.title > 3', "error", "for every upload"),
        ("upload.published_at > 5", "error", "for every upload"),
        ('upload.published_at.getDayOfWeek("Europe/Berlin") == 0', None, ""),
        ('upload.channel.contains("x") || upload.verified > 1', "error", "for every upload"),
        ("size(upload.channel) > 3", "note", "without `upload.channel`"),
        ("has(upload.channel) && int(upload.channel) > 3", None, ""),
        ('has(upload.since) && upload.since < timestamp("2026-01-01T00:00:00Z")', None, ""),
        ('upload.published_at - upload.since < duration("72h")', "note", "has(upload.since)"),
        ("upload.duration > 60.0", "note", "ask has(upload.duration) first"),
        ("has(upload.duration) && upload.duration > 60.0", None, ""),
        ("upload.duration != null && upload.duration > 60.0", None, ""),
        ("upload.views > 1000", "note", "ask has(upload.views) first"),
        ("has(upload.views) && upload.views + 1 > 1000", "note", "with a broken number"),
        ("has(upload.views) && upload.views + 1.0 > 1000.0", "note", "with a whole number"),
        ("has(upload.views) && double(upload.views) + 1.0 > 1000.0", None, ""),
        ('upload.tags[0] == "x"', "note", "with an empty `upload.tags`"),
        ('has(upload.topics) && upload.topics.exists(t, t == "x")', None, ""),
        ('has(upload.origin.country) && upload.origin.country == "de"', None, ""),
        ('predictions.exists(d, d.startsWith("lab-") && predictions[d].score > 0.9)', None, ""),
        ('uploader.strikes > "many"', "error", "for every upload"),
        ("uploader.verdicts < 10 && uploader.removals > 1", None, ""),
        ('size(missing) > 0 && missing.exists(d, d == "spam")', None, ""),
    ],
)
def test_a_condition_that_sends_uploads_to_review_is_found(when, severity, told):
    rule = f"- {{name: r, when: '{when}', action: review, reason: R.}}"
    found = [one for one in problems(rule, OWN) if one[1] == "r"]
    assert [one[0] for one in found] == ([] if severity is None else [severity])
    assert all(told in one[2] for one in found)


def test_an_exemption_that_exempts_nobody_is_found():
    rule = """
        - name: r
          when: score("spam") > 0.5
          unless: upload.tags > 1
          action: review
          reason: R.
    """
    (found,) = [one for one in problems(rule) if one[1] == "r"]
    assert found[0] == "error"
    assert "exempts no upload" in found[2]
