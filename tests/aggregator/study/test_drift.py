import numpy as np
import pytest

from quorum.aggregator.study.drift import ALARM, Profiles, drift
from quorum.core.errors import InputError
from quorum.core.messages import Status
from tests.aggregator.aggregator_cases import said


def profiles(a, b, *, count=3000, seed=0, version="v1", silent=0.0):
    draw = np.random.default_rng(seed)
    made = Profiles()
    for score in draw.beta(a, b, count):
        if draw.random() < silent:
            made.add([], ["spam"], at_deadline=True)
        else:
            made.add([said("spam", float(score), version=version)], [], at_deadline=False)
    return made


def test_the_same_distribution_does_not_drift():
    (found,) = drift(profiles(1, 8, seed=1), profiles(1, 8, seed=2))
    assert found.index < 0.05
    assert not found.alarm


def test_another_distribution_does():
    (found,) = drift(profiles(3, 4, seed=1), profiles(1, 8, seed=2))
    assert found.index > ALARM
    assert found.alarm


def test_growing_silence_is_an_alarm():
    (found,) = drift(profiles(1, 8, seed=1, silent=0.2), profiles(1, 8, seed=2))
    assert found.index < ALARM
    assert found.silent[0] == pytest.approx(0.2, abs=0.03)
    assert found.alarm


def test_few_scores_tell_nothing():
    (found,) = drift(profiles(3, 4, count=50), profiles(1, 8))
    assert (found.index, found.alarm) == (None, False)


def test_profiles_add_up_and_survive_their_text():
    one, two = profiles(1, 8, seed=1), profiles(1, 8, seed=2, version="v2")
    whole = Profiles()
    whole.merge(one)
    whole.merge(two)
    again = Profiles.from_json(whole.to_json())
    assert again.by_version == whole.by_version
    assert again.of("spam").scored == 6000
    (found,) = drift(again, one)
    assert found.versions == (("v1", "v2"), ("v1",))


def test_what_is_said_instead_of_a_score_is_counted():
    made = Profiles()
    abstained = said("spam", status=Status.ABSTAINED)
    made.add([abstained, said("violence")], ["copyright"], at_deadline=True)
    assert made.of("spam").abstained == 1
    assert made.of("violence").failed == 1
    assert made.of("copyright").missing == 1
    assert (made.verdicts, made.at_deadline) == (1, 1)


@pytest.mark.parametrize("text", ["x", "{}", '{"edges": [0.5], "verdicts": 1}', "[]"])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(InputError):
        Profiles.from_json(text)
