"""What a law asks of a notice: each missing element is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.store.notices.letters import asks
from quorum.store.notices.validity import ELEMENTS, missing, signs
from quorum.store.notices.values import KINDS, Kind, Person, Submission
from quorum.store.reports.values import Reporter

WHOLE = Submission(
    kind="copyright",
    reporter=Reporter("notice", "u-1", "shop"),
    person=Person(
        name="Ada Lovelace",
        email="ada@example.org",
        phone="+1 202 555 0100",
        address="1 Main St, Springfield",
        signature="/s/ Ada Lovelace",
    ),
    upload_id="up-1",
    work="The film Example (2020)",
    text="It shows all of it.",
    good_faith=True,
    accurate=True,
    jurisdiction=True,
)


def lacks(one: Submission) -> list[str]:
    return [element.name for element in missing(one)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_notice_lacks_nothing(kind: Kind) -> None:
    assert lacks(replace(WHOLE, kind=kind)) == []


@pytest.mark.parametrize(
    ("kind", "without", "lacking"),
    [
        ("copyright", {"work": " "}, ["work"]),
        ("copyright", {"upload_id": None}, ["material"]),
        ("copyright", {"good_faith": False}, ["good_faith"]),
        ("copyright", {"accurate": False}, ["accurate"]),
        ("copyright", {"jurisdiction": False}, []),
        ("counter", {"good_faith": False}, ["good_faith"]),
        ("counter", {"jurisdiction": False}, ["jurisdiction"]),
        ("counter", {"work": "", "accurate": False}, []),
        ("intimate", {"text": ""}, ["good_faith"]),
        ("intimate", {"good_faith": False}, ["good_faith"]),
        ("intimate", {"work": "", "accurate": False, "jurisdiction": False}, []),
    ],
)
def test_what_is_missing_is_named(kind: Kind, without: dict[str, object], lacking: list) -> None:
    assert lacks(replace(WHOLE, kind=kind, **without)) == lacking


@pytest.mark.parametrize(
    ("kind", "without", "lacking"),
    [
        ("copyright", ("email", "phone"), []),
        ("copyright", ("email", "phone", "address"), ["contact"]),
        ("intimate", ("email", "phone", "address"), ["contact"]),
        # A counter-notice has name, address and telephone number.
        ("counter", ("phone",), ["contact"]),
        ("counter", ("email",), []),
        ("copyright", ("signature",), ["signature"]),
        ("intimate", ("name",), ["signature"]),
    ],
)
def test_what_is_missing_of_the_sender_is_named(
    kind: Kind, without: tuple[str, ...], lacking: list[str]
) -> None:
    person = replace(WHOLE.person, **dict.fromkeys(without, ""))
    assert lacks(replace(WHOLE, kind=kind, person=person)) == lacking


def test_a_signature_is_that_of_the_name() -> None:
    for signature in ("ada lovelace", "Lovelace, Ada", "/s/Ada  Lovelace", "ADA LOVELACE."):
        assert signs(signature, "Ada Lovelace"), signature
    assert signs("Jose Muñoz", "José Munoz")
    for signature in ("", "/s/", "x", "Ada", "Charles Babbage", "Ada Lovelace Byron"):
        assert not signs(signature, "Ada Lovelace"), signature
    assert not signs("", "")


@given(name=st.text(max_size=30), other=st.text(max_size=30))
def test_only_a_name_with_letters_can_sign(name: str, other: str) -> None:
    assert signs(name, name) == any(
        c.isalnum() for c in __import__("unicodedata").normalize("NFKD", name)
    )
    assert signs(name, other) == signs(other, name)


@pytest.mark.parametrize("kind", KINDS)
def test_each_missing_element_is_told_in_words(kind: Kind) -> None:
    empty = Submission(kind=kind, reporter=WHOLE.reporter)
    names = tuple(lacks(empty))
    assert names == tuple(one.name for one in ELEMENTS[kind])
    assert asks(kind, names).count(";") == len(names) - 1
    assert all(("512" in one.law) == (kind != "intimate") for one in ELEMENTS[kind])
