from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import delete, select, update

from quorum.apps.console.accounts import access, audit, identities, separation
from quorum.apps.console.accounts.access import Role
from quorum.apps.console.accounts.identities import Identity, account_name
from quorum.core.errors import ConfigurationError
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions as decision_table
from quorum.store.ledger.console_schema import identities as identity_table
from quorum.store.ledger.console_schema import sessions as session_table
from tests.apps.console.conftest import PASSWORD, Person
from tests.apps.identity_provider import SECRET, IdentityProvider, identity_provider


@pytest.fixture(scope="module")
def running() -> Iterator[IdentityProvider]:
    with identity_provider() as made:
        yield made


@pytest.fixture
def provider(running: IdentityProvider) -> IdentityProvider:
    running.reset()
    return running


@pytest.fixture
def staff(serve, ledger: Ledger, provider: IdentityProvider):
    """A console whose people come from the provider; each call is another browser."""

    def make(**more: Any):
        return serve(sso=provider.settings(**more), sso_secret=SECRET)

    return make


def log_in(person: Person, target: str = "/queue") -> Any:
    """Press the button, and follow the provider back."""
    begun = person.client.get("/login/sso", params={"next": target}, follow_redirects=False)
    if begun.status_code != 303:
        return begun
    back = httpx.get(begun.headers["location"]).headers["location"]
    assert back.startswith("http://localhost/login/sso/callback?")
    return person.client.get(back.removeprefix("http://localhost"))


def lines(ledger: Ledger, event: str) -> list[dict[str, Any]]:
    found = [line for line in audit.newest(ledger, limit=100) if line.event == event]
    return [
        {"actor": line.actor, "subject": line.subject, **json.loads(line.details)} for line in found
    ]


def of(ledger: Ledger, name: str) -> access.User | None:
    return ledger.transact(lambda connection: access.find_user(connection, name))


def test_a_person_logs_in_and_has_the_role_of_their_group(staff, provider, ledger: Ledger):
    people = staff()
    kim = people(None)
    assert "Log in with Staff ID" in kim.get("/login").text
    answer = log_in(kim, "/search")
    assert answer.status_code == 200
    assert answer.url.path == "/search"
    assert of(ledger, "kim") == access.User("kim", Role.REVIEWER)
    assert kim.get("/users").status_code == 403
    (told,) = lines(ledger, "login")[:1]
    assert told["actor"] == "kim"
    assert told["person"] == "sub-1"
    assert told["issuer"] == provider.issuer
    assert audit.verify(ledger).broken is None
    # No flow is left in the browser, and the password page is not theirs.
    assert {one.name for one in kim.client.cookies.jar} == {"quorum_session"}
    assert kim.get("/password").status_code == 404


def test_logging_out_ends_the_session_at_the_provider_too(staff, provider, ledger: Ledger):
    people = staff(logout=True)
    kim = people(None)
    log_in(kim)
    answer = kim.post("/logout")
    assert answer.status_code == 200
    assert kim.get("/queue").url.path == "/login"
    (found,) = re.findall(r'http-equiv="refresh" content="0;url=([^"]+)"', answer.text)
    address = html.unescape(found)
    asked = parse_qs(urlsplit(address).query)
    assert asked["theme"] == ["plain"]
    gone = httpx.get(address)
    assert (gone.status_code, gone.headers["location"]) == (302, "http://localhost/login")
    assert provider.ended == ["sub-1"]
    # Nothing of the log-in is kept, and who has a password goes nowhere.
    assert ledger.transact(lambda c: c.execute(select(session_table.c.id_token)).all()) == []
    ana = people("ana")
    assert ana.post("/logout").url.path == "/login"
    assert provider.ended == ["sub-1"]
    assert audit.verify(ledger).broken is None


def test_without_the_setting_logging_out_stays_here(staff, provider, ledger: Ledger):
    kim = staff()(None)
    log_in(kim)
    tokens = select(session_table.c.id_token).where(session_table.c.user == "kim")
    assert ledger.transact(lambda c: c.execute(tokens).scalars().all()) == [None]
    assert kim.post("/logout").url.path == "/login"
    provider.fault = "no logout"
    other = staff(logout=True)(None)
    log_in(other)
    assert other.post("/logout").url.path == "/login"
    assert provider.ended == []


def test_a_provider_that_is_away_at_the_end_is_told_and_the_session_is_over(staff, provider):
    people = staff(logout=True)
    kim = people(None)
    log_in(kim)
    kim.client.app.state.console.sign_on.provider._configuration = None
    csrf = kim.csrf()
    provider.stop()
    try:
        answer = kim.client.post("/logout", data={"csrf": csrf})
        assert answer.status_code == 503
        assert "You are logged out here. Staff ID does not answer" in answer.text
        assert kim.get("/queue").url.path == "/login"
    finally:
        provider.start_again()


def test_another_group_gives_another_role_at_the_next_log_in(staff, provider, ledger: Ledger):
    people = staff()
    kim = people(None)
    log_in(kim)
    provider.person["groups"] = ["moderators", "leads", "bowling"]
    log_in(people(None))
    assert of(ledger, "kim").role is Role.LEAD
    # The session of before has the new role, too.
    assert "lead" in kim.get("/queue").text
    assert audit.verify(ledger).broken is None


def test_who_is_in_no_group_is_refused_in_words(staff, provider, ledger: Ledger):
    people = staff()
    kim = people(None)
    log_in(kim)
    for groups in ([], ["bowling"], None, {"leads": True}, ["Leads"]):
        provider.person["groups"] = groups
        answer = log_in(people(None))
        assert answer.status_code == 403
        assert "groups" in answer.text
    # Nor do sessions of before go on.
    assert kim.get("/queue").url.path == "/login"
    assert lines(ledger, "login.failed")[0]["person"] == "sub-1"


def test_groups_are_read_at_a_path_and_from_userinfo(staff, provider, ledger: Ledger):
    del provider.person["groups"]
    provider.userinfo = {"groups": ["auditors"]}
    assert log_in(staff()(None)).status_code == 200
    assert of(ledger, "kim").role is Role.AUDITOR
    provider.person["realm_access"] = {"roles": ["leads"]}
    people = staff(groups_claim="realm_access.roles")
    assert log_in(people(None)).status_code == 200
    assert of(ledger, "kim").role is Role.LEAD
    # Somebody else's claims are not taken.
    del provider.person["realm_access"]
    provider.userinfo |= {"sub": "sub-2"}
    answer = log_in(staff()(None))
    assert answer.status_code == 401
    assert "somebody else" in answer.text


FAULTS = [
    "wrong nonce",
    "no nonce",
    "wrong audience",
    "wrong party",
    "wrong issuer",
    "expired",
    "no expiry",
    "from the future",
    "nobody",
    "alg none",
    "shared secret",
    "stranger's key",
    "tampered",
    "mixed up",
    "denied",
]


def test_what_proves_nothing_logs_nobody_in(staff, provider, ledger: Ledger):
    people = staff()
    kim = people(None)
    for fault in FAULTS:
        provider.fault = fault
        answer = log_in(kim)
        assert answer.status_code == 401, fault
        assert "Staff ID did not log you in" in answer.text
        assert kim.get("/queue").url.path == "/login"
    assert of(ledger, "kim") is None
    assert [one["subject"] for one in lines(ledger, "login.failed")] == ["-"] * len(FAULTS)
    assert audit.verify(ledger).broken is None
    provider.fault = ""
    assert log_in(kim).url.path == "/queue"


def test_a_new_key_is_found_without_a_restart(staff, provider, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("quorum.apps.oidc.provider.RENEWED_SECONDS", 0)
    people = staff()
    log_in(people(None))
    log_in(people(None))
    # The keys were kept.
    assert provider.asked.count("/keys") == 1
    provider.rotate()
    assert log_in(people(None)).url.path == "/queue"
    assert provider.asked.count("/keys") == 2


def test_a_provider_that_goes_away_costs_nothing_but_new_log_ins(staff, provider, ledger: Ledger):
    people = staff()
    kim, ana = people(None), people("ana")
    log_in(kim)
    begun = people(None)
    departure = begun.client.get("/login/sso", follow_redirects=False)
    back = httpx.get(departure.headers["location"]).headers["location"]
    provider.stop()
    try:
        # In the middle of a log-in, and before one.
        for answer in (
            begun.client.get(back.removeprefix("http://localhost")),
            log_in(staff()(None)),
        ):
            assert answer.status_code == 503
            assert "does not answer" in answer.text
            assert "Who has a password here can log in with it" in answer.text
            assert answer.headers["retry-after"] == "60"
        # Who is logged in works on, and passwords hold.
        assert kim.post("/next").status_code == 200
        assert ana.get("/queue").status_code == 200
        assert people("ben").get("/queue").status_code == 200
        assert [one["why"] for one in lines(ledger, "login.failed")] == ["unavailable"]
        assert audit.verify(ledger).broken is None
    finally:
        provider.start_again()
    assert log_in(begun).url.path == "/queue"


def test_an_answer_that_is_none_is_told(staff, provider):
    for fault in ("broken", "endless", "other issuer"):
        provider.fault = fault
        answer = log_in(staff()(None))
        assert answer.status_code == 503, fault
        assert "does not answer" in answer.text


def test_a_callback_that_this_browser_did_not_begin_is_not_taken(staff, provider, ledger: Ledger):
    people = staff()
    mine, victim = people(None), people(None)
    begun = mine.client.get("/login/sso", follow_redirects=False)
    back = httpx.get(begun.headers["location"]).headers["location"]
    address = back.removeprefix("http://localhost")
    for browser, path in (
        (victim, address),
        (mine, "/login/sso/callback?code=x"),
        (mine, "/login/sso/callback?code=x&state=y"),
    ):
        answer = browser.client.get(path)
        assert answer.status_code == 400
        assert "not begun in this browser" in answer.text
    assert mine.client.get(address).url.path == "/queue"
    # A code and its state are taken once.
    assert mine.client.get(address).status_code == 400
    assert lines(ledger, "login.failed") == []


def test_a_flow_is_no_open_redirect(staff, provider):
    people = staff()
    for target in ("https://evil.example", "//evil.example", "/\\evil.example"):
        assert log_in(people(None), target).url.path in ("/", "/queue", "/overview")


def test_the_departure_has_pkce_state_and_nonce_of_its_own(staff, provider):
    people = staff()
    seen = []
    for _ in range(2):
        url = people(None).client.get("/login/sso", follow_redirects=False).headers["location"]
        query = parse_qs(urlsplit(url).query)
        assert query["code_challenge_method"] == ["S256"]
        assert len(query["code_challenge"][0]) == 43
        seen += [query[name][0] for name in ("state", "nonce", "code_challenge")]
    assert len(set(seen)) == 6


def test_an_account_belongs_to_the_person_not_to_the_name(staff, provider, ledger: Ledger):
    people = staff()
    log_in(people(None))
    # They marry; the account stays.
    provider.person["preferred_username"] = "kim.smith"
    assert "kim" in log_in(people(None)).text
    assert of(ledger, "kim.smith") is None
    # Another Kim is hired.
    provider.person |= {"sub": "sub-2", "preferred_username": "kim"}
    log_in(people(None))
    assert of(ledger, "kim-2").role is Role.REVIEWER
    assert ledger.transact(lambda c: separation.one_person(c, "kim", "kim-2")) is None
    assert audit.verify(ledger).broken is None


def test_an_account_with_a_password_is_taken_by_an_admin_only(staff, provider, ledger: Ledger):
    people = staff()
    provider.person["preferred_username"] = "ANA"
    answer = log_in(people(None))
    assert answer.status_code == 403
    assert "quorum console link-user ana --subject sub-1" in answer.text
    assert people("ana").get("/queue").status_code == 200
    person = Identity(provider.issuer, "sub-1")
    identities.link(ledger, person, "ana", "command line")
    assert log_in(people(None)).url.path == "/queue"
    # One account has one door.
    password = people(None).client.post("/login", data={"name": "ana", "password": PASSWORD})
    assert password.status_code == 401
    with pytest.raises(ConfigurationError, match="unlink-user ana"):
        access.create_user(ledger, "ana", Role.ADMIN, PASSWORD, "root")
    with pytest.raises(ConfigurationError, match="has the account ana"):
        identities.link(ledger, person, "ben", "command line")
    assert audit.verify(ledger).broken is None
    assert identities.unlink(ledger, "ana", "command line") == 1
    access.create_user(ledger, "ana", Role.REVIEWER, PASSWORD, "command line")
    assert people("ana").get("/queue").status_code == 200
    assert audit.verify(ledger).broken is None


def test_a_disabled_person_is_refused(staff, provider, ledger: Ledger):
    people = staff()
    kim = people(None)
    log_in(kim)
    access.set_disabled(ledger, "kim", disabled=True, by="root")
    assert kim.get("/queue").url.path == "/login"
    answer = log_in(people(None))
    assert answer.status_code == 403
    assert "disabled" in answer.text


def test_passwords_can_be_switched_off(staff, provider):
    people = staff(passwords=False)
    page = people(None).get("/login").text
    assert 'type="password"' not in page
    assert "Log in with Staff ID" in page
    given = {"name": "ana", "password": PASSWORD}
    assert people(None).client.post("/login", data=given).status_code == 403
    assert people(None).client.post("/login/again", data=given).status_code == 403
    assert log_in(people(None)).url.path == "/queue"


def test_an_identity_changed_past_the_log_is_found(staff, provider, ledger: Ledger):
    log_in(staff()(None))
    table = identity_table
    ledger.transact(lambda c: c.execute(update(table).values(account="root")), writes=True)
    assert "given to another account" in audit.verify(ledger).broken
    ledger.transact(lambda c: c.execute(table.delete()), writes=True)
    assert "deleted" in audit.verify(ledger).broken


def test_failed_log_ins_of_a_network_are_slowed(staff, provider, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("quorum.apps.console.accounts.sign_on._FREE", 2)
    people = staff()
    provider.fault = "denied"
    codes = [log_in(people(None)).status_code for _ in range(4)]
    assert codes == [401, 401, 401, 429]


def test_a_browser_keeps_few_log_ins_that_were_begun(staff, provider):
    kim = staff()(None)
    for _ in range(9):
        kim.client.get("/login/sso", follow_redirects=False)
    assert len(list(kim.client.cookies.jar)) <= 5


def test_the_users_page_tells_who_comes_from_where(staff, provider):
    people = staff()
    log_in(people(None))
    page = people("root").get("/users").text
    assert "sub-1" in page
    assert "password" in page


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("kim", "kim"),
        ("Jürgen Müller", "Jurgen-Muller"),
        ("kim@example.org", "kim@example.org"),
        ("../../etc", "etc"),
        ("<script>", "script"),
        ("x" * 300, "x" * 60),
    ],
)
def test_an_account_is_named_after_what_a_person_is_called(wanted, name):
    assert account_name(wanted, Identity("https://id.example", "1")) == name


def test_a_person_without_a_name_gets_one():
    first, second = (account_name("漢字", Identity("https://id.example", n)) for n in "12")
    assert first.startswith("user-")
    assert first != second


@pytest.mark.browser
class TestInABrowser:
    @pytest.fixture
    def console_settings(self, provider: IdentityProvider) -> dict[str, Any]:
        return {"sso": provider.settings(logout=True), "sso_secret": SECRET, "dwell": timedelta(0)}

    def test_a_session_that_ends_is_renewed_in_place(self, chromium: Any, url: str, cases: Ledger):
        context = chromium.new_context(base_url=url)
        page = context.new_page()
        page.goto("/queue")
        page.click("text=Log in with Staff ID")
        page.wait_for_selector("html[data-ready] nav")
        page.keyboard.press("n")
        page.wait_for_selector("html[data-ready] #decide")
        page.fill("#note", "what I was typing")
        cases.transact(lambda c: c.execute(delete(session_table)), writes=True)
        page.click(".act.allow")
        link = page.wait_for_selector("#again[open] a[target]")
        assert not page.query_selector("#again [name=password]")
        link.click()
        # The other tab logs in and closes itself; this one goes on and sends the form.
        page.wait_for_selector("#toast")
        assert context.pages == [page]
        (made,) = cases.transact(lambda c: c.execute(select(decision_table)).all())
        assert (made.reviewer, made.action, made.note) == ("kim", "allow", "what I was typing")
        assert audit.verify(cases).broken is None
        context.close()

    def test_logging_out_goes_to_the_provider_and_back(
        self, chromium: Any, url: str, provider: IdentityProvider
    ):
        context = chromium.new_context(base_url=url)
        page = context.new_page()
        page.goto("/queue")
        page.click("text=Log in with Staff ID")
        page.wait_for_selector("html[data-ready] nav")
        page.click("form[action='/logout'] button")
        page.wait_for_selector("text=Log in with Staff ID")
        assert urlsplit(page.url).path == "/login"
        assert provider.ended == ["sub-1"]
        context.close()
