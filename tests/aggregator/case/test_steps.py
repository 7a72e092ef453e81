"""Actions that time changes: ``then`` of a rule, whatever comes before, between and after."""

from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quorum.aggregator.case.case import Case, Emit
from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.evaluate import decide
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import PolicyError
from quorum.core.messages import Action
from tests.aggregator.aggregator_cases import START, after, reviewed, said, upload

HOUR = 3600.0

POLICY = Policy.from_text(
    """\
name: timed
deadline: 30 s
retention: 24 h
detectors:
  spam: {required: false}
  violence: {required: false}
  nsfw: {required: false}
rules:
  - name: limited
    when: score("spam") >= 0.5
    action: restrict
    category: spam
    reason: Likely spam ({spam}).
    then: {after: 24 h, action: allow}
  - name: held
    when: score("violence") >= 0.5
    action: review
    category: violence
    reason: Likely violent ({violence}).
    then: {after: 2 h, action: remove, reason: "Likely violent ({violence}), and nobody looked."}
  - name: suspect
    when: score("nsfw") >= 0.5
    action: restrict
    category: sexual-content
    reason: Perhaps explicit.
    then: {after: 3 h, action: review}
  - name: certain
    when: score("spam") >= 0.9
    action: remove
    category: spam
    reason: Spam.
  - name: always
    when: score("violence") >= 0.2
    action: restrict
    category: violence
    reason: Perhaps violent.
"""
)
FOR = {one.name: one.then for one in POLICY.rules if one.then is not None}


class Played:
    """A case under a clock that is moved, with timers that fire on time or only when asked."""

    def __init__(self, *, punctual=True, restart=False, policy=POLICY):
        self.case, self.policy = Case(policy), policy
        self.now, self.punctual, self.restart = 0.0, punctual, restart
        self.verdicts = []
        self.content = upload()

    def _take(self, effects):
        self.verdicts += [one.verdict for one in effects if isinstance(one, Emit)]
        if self.restart:
            self.case = Case.restore(self.policy, self.case.snapshot())

    def run(self, until, *, always=False):
        """Move the clock; timers that are due fire on the way, each at its time."""
        while self.punctual or always:
            wake = self.case.notify_at()
            if wake is None or (wake - START).total_seconds() > until:
                break
            self._take(self.case.on_deadline(wake))
        self.now = max(self.now, until)

    def play(self, what):
        self.now += 0.001  # no two messages at one time
        at = after(self.now)
        if what == "timer":
            self._take(self.case.on_deadline(at))
        elif what == "upload":
            self._take(self.case.on_upload(self.content, at))
        elif what == "edit":
            self.content = upload(title=f"after {self.now}", published_at=at)
            self._take(self.case.on_upload(self.content, at))
        elif isinstance(what, Action):
            review = reviewed(what, of=self.verdicts[-1], at=self.now)
            self._take(self.case.on_review(review, at))
        else:
            detector, score = what
            prediction = said(detector, score, at=self.now, digest=self.content.digest)
            self._take(self.case.on_prediction(prediction, at))
            return prediction
        return None

    @property
    def action(self):
        return self.verdicts[-1].action


def begun(*predictions, **how):
    played = Played(**how)
    played.play("upload")
    for one in predictions:
        played.play(one)
    played.run(60.0)
    return played


def test_a_restriction_ends_after_its_time():
    played = begun(("spam", 0.6))
    (first,) = played.verdicts
    assert first.action is Action.RESTRICT
    assert first.plan.action is Action.ALLOW
    assert first.plan.at == first.at + timedelta(hours=24)
    assert first.plan.rule == "limited"
    assert first.since == {"limited": first.at}
    assert "it ends on 2026-03-02" in first.statement
    played.run(30 * HOUR)
    _, second = played.verdicts
    assert (second.action, second.rule, second.revision) == (Action.ALLOW, "limited", 2)
    assert second.supersedes == first.id
    assert second.at == first.plan.at
    assert second.reasons == ("The limits of the rule limited ended after 1 d.",)
    assert second.plan is None
    assert second.statement is None


def test_what_nobody_reviews_is_removed():
    played = begun(("violence", 0.6))
    played.run(10 * HOUR)
    first, second = played.verdicts
    assert (first.action, first.plan.action) == (Action.REVIEW, Action.REMOVE)
    assert second.action is Action.REMOVE
    assert second.reasons == ("Likely violent (0.60), and nobody looked.",)
    assert (second.decided_by, second.category) == ("deadline", "violence")
    assert second.id != first.id


@pytest.mark.parametrize("action", list(Action))
def test_a_timer_after_a_review_changes_nothing(action):
    played = begun(("violence", 0.6), ("spam", 0.6))
    played.run(HOUR)
    played.play(action)
    assert played.action is action
    count = len(played.verdicts)
    assert played.verdicts[-1].plan is None
    assert played.verdicts[-1].since is None
    for hour in (1.5, 2, 3, 24, 25):
        played.now = max(played.now, hour * HOUR)
        played.play("timer")
    played.run(100 * HOUR)
    assert len(played.verdicts) == count


def test_a_later_verdict_undoes_the_plan():
    played = begun(("violence", 0.6))
    played.run(HOUR)
    played.play(("violence", 0.1))
    assert (played.action, played.verdicts[-1].plan) == (Action.ALLOW, None)
    played.run(20 * HOUR)
    assert len(played.verdicts) == 2


def test_a_plan_that_vanishes_is_told_although_the_action_stays():
    """The restriction is by another rule now, which does not end."""
    played = begun(("spam", 0.6), ("violence", 0.3))
    assert played.verdicts[0].plan is None, "another rule restricts it for ever"
    ends = begun(("spam", 0.6))
    ends.play(("violence", 0.3))
    assert [one.action for one in ends.verdicts] == [Action.RESTRICT] * 2
    assert [one.plan is None for one in ends.verdicts] == [False, True]
    ends.run(50 * HOUR)
    assert len(ends.verdicts) == 2


def test_a_removal_by_time_is_under_the_cap():
    capped = Policy.from_text(POLICY.text + "caps: {total: {removals: 0, per: 1 h}}\n")
    played = begun(("violence", 0.6), policy=capped)
    played.run(3 * HOUR)
    bounded = Decider(capped).bounded(played.verdicts[-1]).verdict
    assert (bounded.action, bounded.decided_by) == (Action.REVIEW, "cap")
    named = POLICY.text + "caps: {rules: {held: {removals: 1, per: 1 h}}}\n"
    assert "held" in Policy.from_text(named).caps.rules


def test_a_recorded_case_takes_its_steps_as_the_stream_does():
    """Where no stream has the case: the same revision with the same id, once."""
    played = begun(("violence", 0.6), ("spam", 0.6))
    first = played.verdicts[0]
    predictions = [said("violence", 0.6), said("spam", 0.6)]
    decider = Decider(POLICY)

    def again(last, hours, earlier=()):
        at = after(hours * HOUR)
        return decider.again(upload(), predictions, (), last, at=at, earlier=earlier)

    assert again(first, 1.0) is None
    second = again(first, 2.5)
    assert (second.action, second.revision) == (Action.REMOVE, 2)
    played.run(2.5 * HOUR)
    assert played.verdicts[-1].id == second.id
    assert again(second, 3.0, (first,)) is None
    assert again(second, 40.0, (first,)) is None
    limited = begun(("spam", 0.6)).verdicts[0]
    ended = decider.again(upload(), predictions[1:], (), limited, at=after(25 * HOUR))
    assert ended.action is Action.ALLOW
    later = decider.again(
        upload(), predictions[1:], (), ended, at=after(90 * HOUR), earlier=(limited,)
    )
    assert later is None, "the restriction does not begin anew"


events = st.lists(
    st.tuples(
        st.one_of(
            st.tuples(
                st.sampled_from(["spam", "violence", "nsfw"]),
                st.sampled_from([0.0, 0.3, 0.6, 0.95]),
            ),
            st.sampled_from(["timer", "upload", "edit", *Action]),
        ),
        st.sampled_from([0.0, 1.0, 50.0, 1800.0, HOUR, 2 * HOUR, 2.5 * HOUR]),
    ),
    max_size=9,
)


def play(stream, **how):
    """Play a stream; what the policy's author expects of it, told another way than by a case.

    Returns:
        The played case at its end, and for each moment of the stream what should hold.
    """
    played = Played(**how)
    played.play("upload")
    known, begin, review, overruled = {}, {}, None, None
    expected = []
    first = None

    def applying():
        found = decide(POLICY, played.content, known)
        return {*found.matched} & FOR.keys(), found

    def should(at):
        if review is not None:
            return review
        _, found = applying()
        severe = [Action.ALLOW]
        for rule in POLICY.rules:
            if rule.name not in found.matched:
                continue
            step = FOR.get(rule.name)
            past = step is not None and at - begin.get(rule.name, at) >= step.after
            severe.append(step.action if past else rule.action)
        if all(one is None for one in known.values()):
            severe.append(Action.REVIEW)  # by the quorum
        most = max(severe, key=lambda one: one.severity)
        mild = overruled is not None and most.severity < overruled.severity
        return Action.REVIEW if mild else most

    def note(at_least):
        """Since when each rule applies: from the first verdict, or what came after it."""
        nonlocal first, begin
        if first is None and played.case.decided:
            first = next(
                (one.at - START).total_seconds()
                for one in played.verdicts
                if one.digest == played.content.digest
            )
        if first is not None:
            names, _ = applying()
            begin = {name: begin.get(name, max(first, at_least)) for name in names}

    for what, pause in [*stream, ("timer", 60.0)]:
        played.run(played.now + pause)
        note(0.0)
        if isinstance(what, Action) and not played.case.decided:
            continue
        before = len(played.verdicts)
        made = played.play(what)
        if what == "edit":
            overruled = review if review is not None else overruled
            known, begin, review, first = {}, {}, None, None
        if made is not None:
            known[made.detector] = made
        if isinstance(what, Action):
            review = what
        note(played.now if made is not None else 0.0)
        if first is not None:
            expected.append((should(played.now), played.action, len(played.verdicts) - before))
    return played, expected, should


@settings(max_examples=150, deadline=None)
@example([(("nsfw", 0.6), 0.0), (("spam", 0.0), HOUR), ("upload", 2 * HOUR)], False)
@given(events, st.booleans())
def test_at_any_time_what_the_rules_say_holds(stream, restart):
    played, expected, should = play(stream, restart=restart)
    for wanted, found, _ in expected:
        assert found is wanted
    played.run(400 * HOUR)
    assert played.case.notify_at() is None, "a case ends"
    revisions = [one.revision for one in played.verdicts]
    assert revisions == list(range(1, len(revisions) + 1))
    for one in played.verdicts:
        assert one.plan is None or one.plan.at > one.at
    assert should(400 * HOUR) is played.action


@settings(max_examples=150, deadline=None)
@given(events)
def test_timers_that_fire_late_or_not_at_all_change_no_outcome(stream):
    """Whatever the order of a timer and what came while it was due."""
    played, _, should = play(stream, punctual=False)
    played.run(played.now, always=True)
    assert should(played.now) is played.action
    played.run(400 * HOUR, always=True)
    assert should(400 * HOUR) is played.action


def wrong(then, action="review"):
    text = POLICY.text.replace("action: review\n    category: violence", f"action: {action}", 1)
    return text.replace(
        'then: {after: 2 h, action: remove, reason: "Likely violent ({violence}), and nobody '
        'looked."}',
        f"then: {then}",
        1,
    )


@pytest.mark.parametrize(
    ("then", "action", "column", "told"),
    [
        ("{after: 3 d, action: remove}", "review", "19:12", "let it be 3 d or more, or `after` le"),
        ("{after: 5 s, action: remove}", "review", "19:12", "less than the policy's `deadline`"),
        ("{after: 2 h, action: allow}", "review", "19:24", "a hold stays until a human decides"),
        ("{after: 2 h, action: restrict}", "remove", "19:24", "let the rule `restrict` instead"),
        ("{after: 2 h, action: restrict}", "restrict", "19:24", "come `allow`, `review` and"),
        ("{action: remove}", "review", None, "after"),
        ("{after: 2 h, action: remove, reason: '{spma}'}", "review", None, "did you mean `spam`"),
    ],
)
def test_mistakes_are_told_with_their_place(then, action, column, told):
    with pytest.raises(PolicyError) as refused:
        Policy.from_text(wrong(then, action), "mine.yaml")
    assert told in str(refused.value)
    if column is not None:
        assert f"mine.yaml:{column}: " in str(refused.value)


@pytest.mark.parametrize("more", ["territories: [DE]", "account: warn"])
def test_some_rules_have_no_then(more):
    text = POLICY.text.replace(
        "    reason: Likely spam ({spam}).", f"    reason: Spam.\n    {more}"
    )
    with pytest.raises(PolicyError, match="has no `then`"):
        Policy.from_text(text)


def test_other_policies_keep_their_version():
    plain = POLICY.text.replace("    then: {after: 24 h, action: allow}\n", "")
    assert Policy.from_text(plain).version != POLICY.version
    assert Policy.from_text(plain.replace("retention: 24 h", "retention: 86400 s")).version == (
        Policy.from_text(plain).version
    )
