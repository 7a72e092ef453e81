"""Takes the screenshots of docs/console.md from the seeded demo, in Chromium.

python docs/console_screenshots.py
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import tempfile
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from ruamel.yaml import YAML

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts.access import Role, User
from quorum.apps.console.app import create_console
from quorum.apps.console.demo.cases import DEMO_PASSWORD, demo_settings, seed
from quorum.apps.console.desk.account_orders import place
from quorum.apps.console.desk.account_outbox import publish_orders
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.desk.routing import Desk
from quorum.apps.console.settings import ConsoleSettings
from quorum.apps.http.server import Server, bind
from quorum.core.messages import Action
from quorum.store.ledger import CaseFilter, Ledger
from quorum.store.notices.intake import NoticeIntake
from quorum.store.notices.values import Kind, Person, Submission
from quorum.store.reports.intake import Intake
from quorum.store.reports.values import Notice, Reporter

DESK = """
queues:
  - {name: german, when: {territory: [DE, AT]}}
  - {name: violent, when: {category: [violence], severity: 3}, answer_within: 30 min}
  - {name: far-reaching, when: {reach: 100000}}
  - {name: reports, when: {kind: [report, notice]}}
"""
FOLDER = Path(__file__).parent / "images" / "console"


def shoot(page: Page, name: str) -> None:
    """Save a screenshot with a reduced palette."""
    page.wait_for_timeout(800)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)


def log_in(page: Page, url: str, name: str) -> None:
    """Log in as a demo user."""
    page.goto(f"{url}/login")
    page.fill("[name=name]", name)
    page.fill("[name=password]", DEMO_PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("html[data-ready] nav")


def fill(ledger: Ledger, reviewer: LedgerReviewPublisher) -> None:
    """Write what the demo has none of: decisions on accounts, legal notices, reports."""
    found = ledger.find(CaseFilter(actions=(Action.REMOVE,)), limit=3)
    ana = User("ana", Role.REVIEWER)
    for row, action in zip(found, ("warn", "suspend", "ban"), strict=True):
        reason = "Spam after a warning: the same link in five uploads."
        place(ledger, row.upload_id, ana, action, reason, timedelta(0))
    publish_orders(ledger, reviewer.publish)
    people = NoticeIntake(ledger)
    shown = ledger.find(CaseFilter(actions=(Action.ALLOW,)), limit=6)
    kinds: tuple[Kind, ...] = ("copyright", "copyright", "intimate", "intimate")
    for number, (row, kind) in enumerate(zip(shown[:4], kinds, strict=True)):
        people.take(
            Submission(
                kind,
                Reporter("notice", f"sender-{number}", "shop"),
                Person("Ada Example", "ada@example.org", signature="Ada Example"),
                upload_id=row.upload_id,
                work="The film Example (2020)" if kind == "copyright" else "",
                text="It shows all of it." if kind == "copyright" else "I did not agree to it.",
                good_faith=True,
                accurate=number != 1,
            )
        )
    for number, row in enumerate(shown):
        reporter = Reporter("trusted" if number == 0 else "user", f"user-{number}", "shop")
        Intake(ledger).take(
            Notice(reporter, row.upload_id, category="violence", text="Somebody is hit.")
        )


def take(url: str, chromium: str, more: Callable[[], None]) -> None:
    """Take all screenshots; ``more`` fills the pages that the demo leaves empty."""
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        light = browser.new_page(viewport={"width": 1280, "height": 840})
        log_in(light, url, "ana")
        shoot(light, "queue")
        # A few decisions, so that the overview is not empty.
        for key in "arxxarx":
            light.keyboard.press("n")
            light.wait_for_selector("html[data-ready] #decide")
            before = light.url
            if key in "rx":
                light.keyboard.press("1")
            light.keyboard.press(key)
            light.wait_for_url(re.compile("^(?!" + re.escape(before) + "$)"))
            light.wait_for_selector("html[data-ready] #toast")
        light.wait_for_selector("html[data-ready] #decide")
        shoot(light, "case")
        dark = browser.new_page(viewport={"width": 1280, "height": 840}, color_scheme="dark")
        log_in(dark, url, "lea")
        dark.goto(f"{url}/case?upload=example-16")
        dark.wait_for_selector("#board img", timeout=180_000)
        shoot(dark, "media-dark")
        light.wait_for_timeout(9000)
        dark.goto(f"{url}/overview")
        shoot(dark, "overview-dark")
        light.goto(f"{url}/policy")
        shoot(light, "policy")
        more()
        light.wait_for_timeout(5000)  # the console files what is new
        light.goto(f"{url}/queues")
        shoot(light, "queues")
        dark.goto(f"{url}/accounts")
        shoot(dark, "accounts-dark")
        light.goto(f"{url}/notices?kind=copyright")
        shoot(light, "notices")
        light.goto(f"{url}/reports")
        shoot(light, "reports")
        light.goto(f"{url}/appeals")
        shoot(light, "appeals")
        light.goto(f"{url}/search?text=free+win*")
        shoot(light, "search")
        dark.goto(f"{url}/quality")
        shoot(dark, "quality-dark")
        phone = browser.new_page(viewport={"width": 390, "height": 800}, device_scale_factor=1)
        log_in(phone, url, "ben")
        shoot(phone, "phone")
        browser.close()


def main() -> None:
    """Seed a ledger, serve the console and take the screenshots."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    parser.add_argument("--seeded", type=Path, help="An already seeded ledger.")
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings, examples = demo_settings()
    policy = load_policy(settings.policy)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.db"
        if given.seeded:
            shutil.copy(given.seeded, path)
        with Ledger(f"sqlite:///{path}", create=True) as ledger, bind("127.0.0.1", 0) as taken:
            if not given.seeded:
                seed(ledger, policy, settings, examples)
            chosen = ConsoleSettings(
                media=settings.media,
                works=examples / "media",
                golden_rate=0,
                double_rate=0,
                dwell=timedelta(0),
                desk=Desk.model_validate(YAML(typ="safe", pure=True).load(DESK)),
            )
            reviewer = LedgerReviewPublisher(ledger, policy)
            app = create_console(ledger, policy, reviewer, chosen)
            server = Server(app, drain=1)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
            thread.start()
            try:
                take(
                    f"http://127.0.0.1:{taken.getsockname()[1]}",
                    given.chromium,
                    lambda: fill(ledger, reviewer),
                )
            finally:
                server.should_exit = True
                thread.join()


if __name__ == "__main__":
    main()
