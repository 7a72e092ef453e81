from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from quorum.core.messages import Action, Upload
from quorum.models.copyright.catalogue.works import OwnerRule, Work
from quorum.models.copyright.matching.matching import CopyMatch
from quorum.models.copyright.rules import rulings

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def match(work, doubted):
    return CopyMatch(work, 0, 8, 0, 8, 1.0, False, "video", 1, 1, 0.99, doubted=doubted)


@pytest.mark.parametrize("embargo", [None, NOW + timedelta(days=9)])
@pytest.mark.parametrize(
    ("doubted", "action"),
    [
        ([True], Action.REVIEW),
        ([True, True], Action.REVIEW),
        ([True, False], Action.REMOVE),
        ([False], Action.REMOVE),
    ],
)
def test_what_a_part_of_the_picture_contradicts_is_not_removed_unseen(embargo, doubted, action):
    rule = OwnerRule(action=Action.REMOVE)
    work = Work(id="w", title="w", owner="o", rule=rule, embargo_until=embargo)
    upload = Upload(id="u", uploader="someone", published_at=NOW)
    (ruling,) = rulings([match(work, each) for each in doubted], upload, NOW)
    assert ruling.action is action
    assert ("not the work's for a while" in ruling.why) == (action is Action.REVIEW)
