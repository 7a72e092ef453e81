"""A ledger with cases, and a console on it, with and without a browser."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("argon2", reason="needs quorum-moderation[console]")

from fastapi.testclient import TestClient

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts.access import Role, create_user
from quorum.apps.console.app import create_console
from quorum.apps.console.desk import tasks
from quorum.apps.console.desk.publishing import LedgerReviewPublisher, ReviewPublisher
from quorum.apps.console.settings import ConsoleSettings
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import record_case

PASSWORD = "a long password"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with users, created once: hashing passwords is slow on purpose."""
    path = tmp_path_factory.mktemp("console") / "template.db"
    with Ledger(f"sqlite:///{path}", create=True) as made:
        for name, role in {
            "ana": Role.REVIEWER,
            "ben": Role.REVIEWER,
            "lea": Role.LEAD,
            "max": Role.LEAD,
            "root": Role.ADMIN,
            "aud": Role.AUDITOR,
            "eve": Role.READ_ONLY,
        }.items():
            create_user(made, name, role, PASSWORD, "test")
    return path


@pytest.fixture
def ledger(tmp_path: Path, template: Path) -> Iterator[Ledger]:
    shutil.copy(template, tmp_path / "console.db")
    with Ledger(f"sqlite:///{tmp_path}/console.db") as made:
        yield made


@pytest.fixture
def cases(ledger: Ledger) -> Ledger:
    """Ten cases that wait for a reviewer."""
    for number in range(10):
        record_case(ledger, number)
    tasks.sync(ledger)
    return ledger


class Person:
    """A user with a browser that runs no scripts."""

    def __init__(self, app: Any, name: str | None) -> None:
        self.client = TestClient(app, base_url="http://localhost", follow_redirects=True)
        self.name = name
        if name is not None:
            answer = self.client.post("/login", data={"name": name, "password": PASSWORD})
            assert answer.status_code == 200, answer.text

    def get(self, url: str, **more: Any) -> Any:
        return self.client.get(url, **more)

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("/queue").text)
        assert found is not None
        return found[1]

    def post(self, url: str, **fields: str) -> Any:
        return self.client.post(url, data={"csrf": self.csrf(), **fields})


@pytest.fixture
def serve(ledger: Ledger) -> Iterator[Callable[..., Callable[[str | None], Person]]]:
    """Creates consoles; each returns users who are logged in."""
    held: list[TestClient] = []

    def make(
        reviews: ReviewPublisher | None = None, **settings: Any
    ) -> Callable[[str | None], Person]:
        policy = load_policy("balanced")
        given = {
            "undo": timedelta(seconds=0),
            "double_rate": 0.0,
            "golden_rate": 0.0,
            "hosts": ("localhost",),
        }
        app = create_console(
            ledger,
            policy,
            reviews or LedgerReviewPublisher(ledger, policy),
            ConsoleSettings(**{**given, **settings}),
        )
        running = TestClient(app)
        running.__enter__()
        held.append(running)
        return lambda name: Person(app, name)

    yield make
    for client in held:
        client.__exit__(None, None, None)


@pytest.fixture
def console(
    cases: Ledger, serve: Callable[..., Callable[[str | None], Person]]
) -> Callable[[str | None], Person]:
    return serve()


def soon(true: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The app on a real port of loopback, for a browser."""
    from quorum.apps.http.server import Server

    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    server = Server(app, drain=1)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    try:
        soon(lambda: server.started)
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        taken.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A real browser; its event loop runs in this thread, so no longer than for one module."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def console_settings() -> dict[str, Any]:
    """What a test wants else of the console that its browser opens."""
    return {}


@pytest.fixture
def url(chromium: Any, cases: Ledger, console_settings: dict[str, Any]) -> Iterator[str]:
    policy = load_policy("balanced")
    given = {"undo": timedelta(seconds=5), "golden_rate": 0, "double_rate": 0, **console_settings}
    app = create_console(
        cases, policy, LedgerReviewPublisher(cases, policy), ConsoleSettings(**given)
    )
    with listening(app) as found:
        yield found


@pytest.fixture
def browse(chromium: Any, url: str) -> Iterator[Callable[..., Any]]:
    contexts = []

    def make(name: str, **options: Any) -> Any:
        context = chromium.new_context(base_url=url, **options)
        contexts.append(context)
        page = context.new_page()
        page.troubles = []
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("dialog", lambda dialog: page.troubles.append(dialog.message))
        page.on(
            "console",
            lambda message: page.troubles.append(message.text) if message.type == "error" else None,
        )
        page.goto("/login")
        page.fill("[name=name]", name)
        page.fill("[name=password]", PASSWORD)
        page.click("button.primary")
        page.wait_for_selector("html[data-ready] nav")
        return page

    yield make
    for context in contexts:
        context.close()
