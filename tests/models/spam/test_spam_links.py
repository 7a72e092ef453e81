import pytest

from quorum.models.spam.links import LinkKind, contacts_of, names_of

CASES = [
    ("https://www.youtube.com/c/somebody", LinkKind.PLATFORM),
    ("https://discord.gg/abc", LinkKind.PLATFORM),
    ("https://bit.ly/3xYz", LinkKind.SHORTENER),
    ("t.me/fastmoney", LinkKind.MESSENGER),
    ("https://wa.me/15550100", LinkKind.MESSENGER),
    ("http://10.20.30.40/win", LinkKind.ODD),
    ("https://paypal-check.example.com/login", LinkKind.ODD),
    ("http://xn--pypal-4ve.example", LinkKind.ODD),
    ("http://easy-cash.example.com", LinkKind.LURE),
    ("https://oldmill.top", LinkKind.LURE),
    ("https://www.oldmill.org/plans", LinkKind.OTHER),
    ("http://b%69t.ly/3xYz", LinkKind.SHORTENER),
    ("https://www.youtube.com@oldmill.org/plans", LinkKind.OTHER),
    ("http://2130706433/win", LinkKind.ODD),
    ("http://0x7f.1/win", LinkKind.ODD),
    ("https://pajak.go.id/info", LinkKind.PLATFORM),
    ("https://www.leeds.gov.uk/tax", LinkKind.PLATFORM),
    ("https://pay-gov.net/tax", LinkKind.OTHER),
]


@pytest.mark.parametrize(("address", "kind"), CASES)
def test_a_link_is_sorted_by_what_stands_behind_it(address, kind):
    made = contacts_of(f"see {address} for more")
    assert [link.kind for link in made.links] == [kind]
    assert "see" in made.rest
    assert "more" in made.rest
    assert address not in made.rest


def test_a_site_of_the_uploaders_name_is_the_uploaders_own():
    names = names_of("Old Mill Workshop")
    (link,) = contacts_of("https://www.oldmill.org", names).links
    assert link.kind is LinkKind.OWN
    (link,) = contacts_of("https://elsewhere.org", names).links
    assert link.kind is LinkKind.OTHER


def test_contacts_are_counted_and_taken_out():
    made = contacts_of("write me@shop.example.com or @anna_fx, call +1 555 010 0100 today")
    assert (made.mails, made.handles, made.phones) == (1, 1, 1)
    assert made.rest.split() == ["write", "or", ",", "call", "today"]


def test_numbers_and_sentences_are_no_links():
    made = contacts_of("Version 3.11 is out. See you at 10.30, bring 2.5 kg of flour.")
    assert not made.links
    assert made.phones == 0


def test_a_link_does_not_run_into_text_of_another_script():
    (link,) = contacts_of("公式サイト https://example.jp。チャンネル登録").links
    assert link.host == "example.jp"
