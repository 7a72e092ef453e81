"""Time zones in conditions."""

from datetime import UTC, datetime, timedelta

import pytest

from quorum.aggregator.decision.evaluate import decide
from quorum.aggregator.policy.expression import ExpressionError, parse
from quorum.aggregator.policy.program import Context, Program, evaluate
from quorum.aggregator.policy.zones import PARTS
from tests.aggregator.aggregator_cases import said, three_detectors, upload

SUNDAY = datetime(2026, 1, 4, 23, 30, 5, 123000, tzinfo=UTC)
SUMMER = datetime(2026, 7, 4, 22, 30, tzinfo=UTC)


def value(source, at):
    program = Program(parse(source).compiled)
    return program.flat.execute(Context({"upload": {"published_at": at}}).zoned)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("at", [SUNDAY, SUMMER, datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)])
def test_in_utc_a_zone_changes_nothing(part, at):
    """CEL's own function is the judge of ours."""
    plain = value(f"upload.published_at.{part}()", at)
    for zone in ("UTC", "+00:00", "Africa/Abidjan"):
        assert value(f'upload.published_at.{part}("{zone}")', at) == plain


@pytest.mark.parametrize(
    ("part", "zone", "at", "expected"),
    [
        ("getDayOfWeek", "Europe/Berlin", SUNDAY, 1),
        ("getDayOfWeek", "America/New_York", SUNDAY, 0),
        ("getHours", "Europe/Berlin", SUNDAY, 0),
        ("getHours", "Europe/Berlin", SUMMER, 0),
        ("getDate", "Europe/Berlin", SUMMER, 5),
        ("getHours", "Asia/Kolkata", SUNDAY, 5),
        ("getMinutes", "Asia/Kolkata", SUNDAY, 0),
        ("getHours", "+02:30", SUNDAY, 2),
        ("getHours", "-08:00", SUNDAY, 15),
        ("getHours", "08:00", SUNDAY, 7),
    ],
)
def test_the_parts_of_a_time_in_a_zone(part, zone, at, expected):
    assert value(f"upload.published_at.{part}('{zone}')", at) == expected


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ('"Europe/Berlni"', "did you mean `Europe/Berlin`"),
        ('"+2"', "Europe/Berlin, or as"),
        ('"../etc/passwd"', "no time zone"),
        ("upload.language", "a time zone in quotes"),
        ('"Europe/" + "Berlin"', "a time zone in quotes"),
        ("1", "a time zone in quotes"),
    ],
)
def test_what_is_no_zone_is_refused_with_its_place(argument, told):
    with pytest.raises(ExpressionError) as caught:
        parse(f"upload.published_at.getHours({argument}) > 3")
    assert told in caught.value.message
    assert caught.value.line == 1
    assert caught.value.column in (21, 30)


def test_a_zone_with_an_absent_score_is_unknown_and_a_wrong_type_an_error():
    source = 'score("a") > 0.5 && upload.published_at.getHours("Europe/Berlin") == 0'
    program = Program(parse(source).compiled)
    facts = {"upload": {"published_at": SUNDAY}}
    assert evaluate(program, Context(facts)) == ("unknown", "")
    assert evaluate(program, Context({"upload": {"published_at": "now"}}))[0] == "error"
    duration = {"upload": {"published_at": timedelta(1)}}
    plain = Program(parse('upload.published_at.getHours("UTC") == 0').compiled)
    assert evaluate(plain, Context(duration))[0] == "error"


def test_a_rule_for_the_weekend_of_a_city():
    balanced = three_detectors("balanced")
    policy = type(balanced).from_text(
        balanced.text + '  - {name: night, when: \'score("spam") > 0.2 && '
        'upload.published_at.getDayOfWeek("Europe/Berlin") == 1\', action: review, reason: Late.}\n'
    )
    said_of_it = (said("spam", 0.3), said("violence", 0.0), said("copyright", 0.0))
    heard = {one.detector: one for one in said_of_it}
    assert decide(policy, upload(published_at=SUNDAY), heard, {}).rule == "night"
    earlier = upload(published_at=SUNDAY - timedelta(hours=1))
    assert decide(policy, earlier, heard, {}).rule == "default"
