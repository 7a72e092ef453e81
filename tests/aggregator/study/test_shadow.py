from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.record import PastCase
from quorum.aggregator.study.shadow import UNSETTLED, compare_shadow
from tests.aggregator.aggregator_cases import START, after, said, upload

POLICY = Policy.from_text(
    load_policy("balanced").text
    + "  - {name: trial, when: 'score(\"violence\") > 0.4', action: remove, category: violence,"
    " reason: Trial., shadow: true}\n"
)


def case(number, violence, shadow=None):
    heard = [said("spam", 0.0), said("copyright", 0.0), said("violence", violence)]
    if shadow is not None:
        heard.append(said("violence", shadow, version="v2", shadow=True))
    return PastCase.gather(upload(f"u{number}"), heard)


def test_what_watches_is_compared_with_what_acts():
    cases = [case(1, 0.1, 0.1), case(2, 0.1, 0.8), case(3, 0.8, 0.2), case(4, 0.45)]
    report = compare_shadow(POLICY, cases)
    assert report.cases == 4
    assert list(report.detectors) == [("violence", "v2")]
    detector = report.detectors["violence", "v2"]
    assert (detector.seen, detector.paired) == (3, 3)
    assert round(detector.difference, 6) == 1.3
    assert dict(detector.changes) == {
        ("allow", "allow"): 1,
        ("allow", "review"): 1,
        ("review", "allow"): 1,
    }
    assert report.rules["trial"]["allow"] == 2, "it takes what is in shadow as live"


def test_policies_in_shadow_are_read_from_the_verdicts():
    strict = load_policy("strict")
    cases = []
    for number, spam in enumerate((0.01, 0.45, 0.45, 0.99)):
        heard = [said("spam", spam), said("copyright", 0.0), said("violence", 0.0)]
        event = upload(f"u{number}")
        decided = Decider(POLICY, [strict]).first(event, heard, arrived=START, at=after(1))
        case = PastCase.gather(event, heard, [decided.verdict])
        cases.append(PastCase.from_json(case.to_json()))
        assert cases[-1].shadow_policies == case.shadow_policies
    report = compare_shadow(POLICY, cases)
    assert report.policies[strict.version] == {
        ("allow", "allow"): 1,
        ("allow", "restrict"): 2,
        ("remove", "remove"): 1,
    }


def test_a_policy_in_shadow_that_failed_or_waited_is_told_as_such():
    line = case(1, 0.1).to_json()[:-1]
    told = (
        '[{"policy_version": "a", "action": "remove", "rule": "r", "waiting_for": "spam"},'
        ' {"policy_version": "a", "error": "ValueError"}, {"action": "remove"}, 7]'
    )
    read = PastCase.from_json(f'{line}, "shadow_policies": {told}}}')
    report = compare_shadow(POLICY, [read])
    assert report.policies == {"a": {("undecided", UNSETTLED): 1, ("undecided", "an error"): 1}}
