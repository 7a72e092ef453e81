"""Whatever the order, the duplicates, the losses and the times: the case keeps its promises."""

from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.case.case import Case, Discard, Emit, Forget
from quorum.aggregator.decision.evaluate import decide
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.messages import Action, Status
from tests.aggregator.aggregator_cases import START, after, reviewed, said, upload

POLICIES = [
    load_policy("balanced"),
    Policy.from_text(
        load_policy("balanced")
        .text.replace(
            "  copyright:\n    required: true\n    missing: review",
            "  copyright:\n    deadline: 5\n    missing: 0.7",
        )
        .replace("quorum: 1", "quorum: 2")
        .replace(
            'score("spam") >= 0.98',
            'score("spam") >= 0.98 || score("violence") + score("spam") > 1.7',
        )
        .replace(
            'score("violence") >= 0.5', 'score("violence") >= 0.5 && status("spam") != "failed"'
        )
    ),
    Policy.from_text(
        load_policy("balanced").text.replace(
            'score("violence") >= 0.75', 'predictions.spam.score > 0.9 || "spam" in missing'
        )
    ),
    Policy.from_text(
        load_policy("balanced").text
        + """\
  - name: local
    when: score("violence") >= 0.3 && combined("risk") > 0.4
    unless: score("copyright") > 0.9
    action: remove
    territories: [DE]
    reason: Forbidden there.
  - name: local-too
    when: score("spam") >= 0.7
    action: remove
    territories: [FR]
    reason: Forbidden there.
combiners:
  risk: {bias: 0, weights: {spam: 1, violence: 1}, absent: {spam: 0.3}}
"""
    ),
]
DETECTORS = ("spam", "violence", "copyright", "other")


@st.composite
def spoken(draw):
    detector = draw(st.sampled_from(DETECTORS))
    status = draw(st.sampled_from([Status.SCORED, Status.SCORED, Status.FAILED, Status.ABSTAINED]))
    scored = status is Status.SCORED
    return said(
        detector,
        draw(st.sampled_from([0.0, 0.3, 0.55, 0.7, 0.8, 0.9, 0.96, 1.0])) if scored else None,
        status=status,
        version=draw(st.sampled_from(["v1", "v2"])),
        at=draw(st.integers(0, 3)),
        shadow=draw(st.sampled_from([False, False, False, True])),
    )


#: Of the verdict that holds, or of one that there is not.
reviews = st.builds(
    reviewed,
    st.sampled_from(list(Action)),
    of=st.sampled_from(["holds", "holds", "nonsense"]),
    at=st.integers(0, 50).map(float),
)
events = st.lists(
    st.tuples(
        st.one_of(spoken(), spoken(), spoken(), st.just("upload"), st.just("timer"), reviews),
        st.floats(0, 25),
    ),
    max_size=14,
)


def drive(policy, stream, *, restart, counted=None):
    """Play a stream as an engine does, with timers that fire at or after their time.

    Args:
        policy: Decides.
        stream: Messages, each with the pause before it.
        restart: Whether the case is restored from its snapshot after each event.
        counted: Takes the reviews that name the verdict that holds.

    Returns:
        The effects with their times, when the upload came, and the case.
    """
    case, now, out, opened, holds = Case(policy), 0.0, [], None, "nothing holds"

    def take(effects, at):
        nonlocal holds
        out.extend((effect, at) for effect in effects)
        holds = next((e.verdict.id for e in effects[::-1] if isinstance(e, Emit)), holds)

    def due(until):
        nonlocal case
        for _ in range(50):
            wake = case.notify_at()
            if wake is None or (wake - START).total_seconds() > until:
                return
            take(case.on_deadline(wake), (wake - START).total_seconds())
            if restart:
                case = Case.restore(policy, case.snapshot())
        raise AssertionError("the timer never comes to rest")

    for what, pause in stream:
        now += pause
        due(now)
        if what == "upload":
            opened = now if opened is None else opened
            take(case.on_upload(upload(), after(now)), now)
        elif what == "timer":
            take(case.on_deadline(after(now)), now)
        elif hasattr(what, "reviewer"):
            if what.verdict_id == "holds":
                what = what.model_copy(update={"verdict_id": holds})
                if counted is not None and holds != "nothing holds":
                    counted.append(what)
            take(case.on_review(what, after(now)), now)
        else:
            take(case.on_prediction(what, after(now)), now)
        if restart:
            case = Case.restore(policy, case.snapshot())
    due(now + 100_000)
    return out, opened, case


def best(predictions):
    """Which prediction of each detector counts, told another way than the case does."""
    kept = {}
    order = [Status.FAILED, Status.ABSTAINED, Status.SCORED]
    for p in sorted(
        predictions, key=lambda p: (order.index(p.status), p.at, p.version, p.id, p.score or 0)
    ):
        kept[p.detector, p.shadow] = p
    return {str(key): p for key, p in kept.items()}


def facts_of(message):
    """A message without the verdict that it names, which ``drive`` sets."""
    if hasattr(message, "reviewer"):
        return "review", message.action, message.at
    return message.event_id(), message.at, message.score


def territories(verdict):
    return (verdict.model_extra or {}).get("territories", {})


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(POLICIES), events)
def test_the_life_of_a_case(policy, stream):
    judged = []
    out, opened, case = drive(policy, stream, restart=False, counted=judged)
    again, _, _ = drive(policy, stream, restart=True)
    assert [effect for effect, _ in again] == [effect for effect, _ in out]

    emitted = [(effect.verdict, at) for effect, at in out if isinstance(effect, Emit)]
    assert case.notify_at() is None
    if all(what == "timer" for what, _ in stream):
        assert out == []
    else:
        assert isinstance(out[-1][0], Forget)
    if opened is None:
        assert not emitted
        messages = [what for what, _ in stream if not isinstance(what, str)]
        discarded = [e.message for e, _ in out if isinstance(e, Discard)]
        assert {facts_of(one) for one in discarded} == {facts_of(one) for one in messages}
        return
    discarded = [effect.message for effect, _ in out if isinstance(effect, Discard)]
    assert {one.verdict_id for one in discarded} <= {"nonsense", "nothing holds"}
    refused = {facts_of(w) for w, _ in stream if hasattr(w, "reviewer")} - set(
        map(facts_of, judged)
    )
    assert refused <= {facts_of(one) for one in discarded}

    assert emitted[0][1] <= opened + policy.deadline + 1e-6
    previous = None
    for number, (verdict, _) in enumerate(emitted, start=1):
        assert verdict.revision == number
        assert verdict.supersedes == (previous.id if previous else None)
        upheld = verdict.decided_by == "reviewer" and verdict.action is Action.REMOVE
        moved = previous is None or territories(verdict) != territories(previous)
        assert moved or verdict.action is not previous.action or upheld
        previous = verdict

    heard = [what for what, _ in stream if hasattr(what, "detector")]
    if judged:
        last = max(judged, key=lambda one: (one.at, one.event_id()))
        assert previous.action is last.action
    else:
        at_the_end = decide(policy, upload(), best(heard), {})
        assert previous.action is at_the_end.action
        assert territories(previous) == dict(at_the_end.territories)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(POLICIES), st.lists(spoken(), max_size=7), st.randoms())
def test_order_and_duplicates_change_no_final_action(policy, predictions, random):
    def final(sequence):
        out, _, _ = drive(policy, [("upload", 0.0), *((p, 0.1) for p in sequence)], restart=False)
        return [effect.verdict for effect, _ in out if isinstance(effect, Emit)][-1].action

    shuffled = [*predictions, *predictions[:3]]
    random.shuffle(shuffled)
    assert final(shuffled) is final(predictions)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([*POLICIES[:2], POLICIES[3]]),
    st.fixed_dictionaries(
        {},
        optional={
            name: st.sampled_from([None, 0.0, 0.55, 0.8, 0.96, 1.0]) for name in DETECTORS[:3]
        },
    ),
    st.permutations(DETECTORS[:3]),
)
def test_an_early_verdict_is_the_verdict_of_the_deadline(policy, scores, order):
    """Also its rule: so the same upload gets the same verdict whatever the order of arrival."""
    predictions = [said(name, scores[name]) for name in order if name in scores]
    out, _, _ = drive(policy, [("upload", 0.0), *((p, 0.1) for p in predictions)], restart=False)
    emitted = [effect.verdict for effect, _ in out if isinstance(effect, Emit)]
    at_the_end = decide(policy, upload(), {p.detector: p for p in predictions}, {})
    assert len(emitted) == 1
    assert (emitted[0].action, emitted[0].rule) == (at_the_end.action, at_the_end.rule)
    assert territories(emitted[0]) == dict(at_the_end.territories)
