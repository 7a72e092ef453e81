from aggregator_cases import said, upload

from aggregator.policy import Policy, load_policy
from aggregator.record import PastCase
from aggregator.shadow import compare_shadow

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
