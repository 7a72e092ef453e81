from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from quorum.apps.cli.audit import AuditBroken
from quorum.apps.cli.audit import app as audit_command
from quorum.apps.cli.console import app as console_command
from quorum.apps.console.accounts import access, audit, sessions
from quorum.apps.console.accounts.access import Role
from quorum.core.errors import ConfigurationError
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import known_devices, login_failures
from quorum.store.ledger.console_schema import sessions as session_table
from quorum.store.ledger.console_schema import users as user_table
from tests.apps.console.conftest import PASSWORD


def test_nobody_sees_a_page_without_logging_in(console):
    stranger = console(None)
    for url in ("/", "/queue", "/case?upload=up-1", "/users", "/audit", "/case/media?upload=up-1"):
        answer = stranger.get(url)
        assert answer.url.path == "/login"
        assert "Title" not in answer.text
    assert stranger.client.post("/decide", data={}).url.path == "/login"


def test_log_in_is_no_open_redirect(console):
    for target in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:1"):
        answer = console(None).client.post(
            "/login",
            data={"name": "ana", "password": PASSWORD, "next": target},
            follow_redirects=False,
        )
        assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("ana", ["/queue"], ["/audit", "/users"]),
        ("aud", ["/queue", "/audit"], ["/users"]),
        ("eve", ["/queue"], ["/audit", "/users"]),
        ("root", ["/queue", "/audit", "/users"], []),
    ],
)
def test_roles_see_their_pages(console, name, allowed, refused):
    person = console(name)
    assert all(person.get(url).status_code == 200 for url in allowed)
    assert all(person.get(url).status_code == 403 for url in refused)


def test_read_only_users_cannot_decide(console):
    for name in ("aud", "eve"):
        person = console(name)
        for url in ("/next", "/claim", "/decide", "/skip", "/undo"):
            assert person.post(url, task="x").status_code == 403


def test_forms_without_the_csrf_token_are_rejected(console):
    ana, ben = console("ana"), console("ben")
    for token in ("", "x", ben.csrf()):
        assert ana.client.post("/next", data={"csrf": token}).status_code == 403


def test_cross_site_forms_are_rejected(console):
    ana = console("ana")
    token = ana.csrf()
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = ana.client.post("/next", data={"csrf": token}, headers=headers)
        assert answer.status_code == 403


def test_unknown_host_names_are_rejected(console):
    assert console(None).get("/login", headers={"host": "rebound.example"}).status_code == 421


def test_security_headers_of_every_response(console):
    for url in ("/queue", "/login", "/nothing", "/static/console.css", "/audit"):
        headers = console("ana").get(url).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_the_cookie_is_hidden_from_scripts_and_not_stored(console, ledger: Ledger):
    ana = console("ana")
    cookies = list(ana.client.cookies.jar)
    assert {cookie.name for cookie in cookies} == {"quorum_session", "quorum_device"}
    assert all(cookie.has_nonstandard_attr("HttpOnly") for cookie in cookies)
    kept = [
        *ledger.transact(lambda c: c.execute(select(session_table)).all()),
        *ledger.transact(lambda c: c.execute(select(known_devices)).all()),
    ]
    assert len(kept) == 3
    assert all(cookie.value not in str(row) for row in kept for cookie in cookies)
    rows = ledger.transact(lambda c: c.execute(select(user_table)).all())
    assert all(row.password.startswith("$argon2id$") for row in rows)


def test_failed_log_ins_are_rate_limited(console, ledger: Ledger):
    stranger = console(None)
    codes = [
        stranger.client.post("/login", data={"name": "ana", "password": "wrong"}).status_code
        for _ in range(9)
    ]
    assert codes[:5] == [401] * 5
    assert codes[-1] == 429
    right = {"name": "ana", "password": PASSWORD}
    assert stranger.client.post("/login", data=right).status_code == 429
    ledger.transact(lambda c: c.execute(login_failures.delete()), writes=True)
    assert stranger.client.post("/login", data=right).status_code == 200


def test_logging_out_ends_the_session_on_the_server(console):
    ana = console("ana")
    cookies = dict(ana.client.cookies)
    ana.post("/logout")
    ana.client.cookies.update(cookies)
    assert ana.get("/queue").url.path == "/login"


def test_disabling_a_user_ends_their_session_at_once(console):
    ana, root = console("ana"), console("root")
    root.post("/users", name="ana", what="disable")
    assert ana.get("/queue").url.path == "/login"
    again = ana.client.post("/login", data={"name": "ana", "password": PASSWORD})
    assert again.status_code == 401
    assert root.post("/users", name="root", what="disable").status_code == 409


def test_an_admin_creates_a_user(console):
    root = console("root")
    assert root.post("/users", name="kim", role="lead", password="short").status_code == 422
    assert root.post("/users", name="<b>", role="lead", password=PASSWORD).status_code == 422
    assert root.post("/users", name="kim", role="lead", password=PASSWORD).status_code == 200
    assert console("kim").get("/queue").status_code == 200


def test_a_reverse_proxy_signs_in_known_users_only(serve, ledger: Ledger):
    people = serve(user_header="x-user", proxies=("testclient",))
    stranger = people(None)
    assert stranger.get("/queue", headers={"x-user": "ana"}).status_code == 200
    assert people(None).get("/queue", headers={"x-user": "nobody"}).status_code == 403
    elsewhere = serve(user_header="x-user", proxies=("10.0.0.1",))
    assert elsewhere(None).get("/queue", headers={"x-user": "ana"}).url.path == "/login"


def test_the_proxy_names_one_user_in_one_header(serve, ledger: Ledger):
    people = serve(user_header="x-user", proxies=("testclient",))
    twice = [("x-user", "eve"), ("x-user", "root")]
    assert people(None).get("/queue", headers=twice).status_code == 400
    assert people(None).get("/queue", headers={"x-user": "eve, root"}).status_code == 403
    assert "ana" in people(None).get("/queue", headers={"x-user": "ANA"}).text


def test_the_proxy_proves_itself_with_its_secret(serve, ledger: Ledger):
    people = serve(user_header="x-user", proxies=("testclient",), proxy_secret="s3cret")
    named = {"x-user": "root"}
    assert people(None).get("/queue", headers=named).url.path == "/login"
    wrong = {**named, "quorum-proxy-secret": "guess"}
    assert people(None).get("/queue", headers=wrong).url.path == "/login"
    right = {**named, "quorum-proxy-secret": "s3cret"}
    assert people(None).get("/queue", headers=right).url.path == "/queue"


def test_nobody_takes_the_address_of_the_proxy_by_a_header(serve, ledger: Ledger):
    """Uvicorn would take the address of ``X-Forwarded-For`` from whoever is on loopback."""
    import httpx

    from tests.apps.console.conftest import listening

    app = serve(user_header="x-user", proxies=("10.0.0.5",), hosts=("127.0.0.1",))(None).client.app
    with listening(app) as url:
        forged = {"x-user": "root", "x-forwarded-for": "10.0.0.5"}
        answer = httpx.get(f"{url}/users", headers=forged)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login")


def test_the_command_creates_users(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/l.db"
    with Ledger(url, create=True):
        pass

    def run(*args: str, given: str = PASSWORD):
        arguments = ["create-user", *args, "--database", url]
        return CliRunner().invoke(console_command, arguments, input=given, catch_exceptions=False)

    assert run("kim", "--role", "admin").exit_code == 0
    with pytest.raises(ConfigurationError, match="10 to"):
        run("kim", given="short")
    with pytest.raises(ConfigurationError, match="no role"):
        run("kim", "--role", "king")
    with Ledger(url) as ledger:
        assert access.authenticate(ledger, "kim", PASSWORD) is not None
        assert sessions.log_in(ledger, "kim", PASSWORD, "here")


def test_the_audit_log_records_events(console):
    ana, aud = console("ana"), console("aud")
    ana.post("/next")
    page = aud.get("/audit").text
    assert "case.claimed" in page
    assert "user.created" in page
    assert "Intact:" in aud.post("/audit/verify").text


def tampered(ledger: Ledger, path: Path, *statements: str) -> audit.AuditCheck:
    with sqlite3.connect(path) as database:
        for name in ("update", "delete"):
            database.execute(f"DROP TRIGGER IF EXISTS audit_log_no_{name}")
        for statement in statements:
            database.execute(statement)
    return audit.verify(ledger)


def test_tampering_with_the_audit_log_is_detected(ledger: Ledger, tmp_path: Path):
    path = tmp_path / "console.db"
    # Without the line that made a user, the user is found; this one makes nothing.
    ledger.transact(lambda c: audit.append(c, "ana", "login", "ana"), writes=True)
    assert audit.verify(ledger).broken is None
    head = audit.verify(ledger).head
    with sqlite3.connect(path) as database, pytest.raises(sqlite3.IntegrityError, match="grows"):
        database.execute("UPDATE audit_log SET actor = 'x'")
    with sqlite3.connect(path) as database, pytest.raises(sqlite3.IntegrityError, match="grows"):
        database.execute("DELETE FROM audit_log")
    args = ["verify", "--database", f"sqlite:///{path}"]
    done = CliRunner().invoke(audit_command, [*args, "--head", head], catch_exceptions=False)
    assert head in done.output
    cut = "DELETE FROM audit_log WHERE number = (SELECT max(number) FROM audit_log)"
    assert tampered(ledger, path, cut).broken is None
    with pytest.raises(AuditBroken, match="cut short"):
        CliRunner().invoke(audit_command, [*args, "--head", head], catch_exceptions=False)
    assert tampered(ledger, path, "UPDATE audit_log SET actor='x' WHERE number=3").lines == 2
    with pytest.raises(AuditBroken, match="line 3 was changed"):
        CliRunner().invoke(audit_command, args, catch_exceptions=False)
    found = tampered(ledger, path, "DELETE FROM audit_log WHERE number=2")
    assert found.broken == "line 2 is missing; 3 follows"


def test_passwords_are_not_logged_and_names_are_checked(ledger: Ledger):
    create = access.create_user
    create(ledger, "kim", Role.LEAD, PASSWORD, "test")
    assert PASSWORD not in str(audit.newest(ledger))
    for name in ("", "a b", "é", "x" * 65, "<script>"):
        with pytest.raises(ConfigurationError, match="name"):
            create(ledger, name, Role.LEAD, PASSWORD, "test")
