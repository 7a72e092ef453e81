"""The keys of the player, the storyboard, and lines that jump, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quorum.apps.console.desk import tasks
from quorum.core.messages import Evidence
from quorum.core.settings import MediaAccess
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.films import FPS, film
from tests.apps.console.test_accessible import Checked

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

FRAME = 1 / FPS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("films")
    film(made / "film.mp4")
    return made


@pytest.fixture
def console_settings(folder: Path) -> dict[str, Any]:
    return {"media": MediaAccess(folders=(str(folder),), read_frames=12, speech="off")}


@pytest.fixture
def case(cases: Ledger, folder: Path) -> Ledger:
    record_case(
        cases,
        70,
        media=f"file://{folder}/film.mp4",
        evidence=(
            Evidence(kind="video", what="a fight", start=5, end=6, weight=0.8),
            Evidence(kind="video", what="another fight", start=9, end=10),
        ),
    )
    tasks.sync(cases)
    return cases


def opened(page: Any) -> Any:
    page.goto("/case?upload=up-70")
    # The first film waits for the model that reads words.
    page.wait_for_selector("html[data-ready] #board img", timeout=180_000)
    page.wait_for_function("() => document.querySelector('#video').readyState >= 2", timeout=60_000)
    return page


def at(page: Any) -> float:
    page.wait_for_function("() => !document.querySelector('#video').seeking", timeout=60_000)
    return float(page.evaluate("document.querySelector('#video').currentTime"))


def press(page: Any, key: str, wanted: float) -> None:
    page.keyboard.press(key)
    page.wait_for_function(
        "wanted => Math.abs(document.querySelector('#video').currentTime - wanted) < 0.01",
        arg=wanted,
        timeout=60_000,
    )


def frame(page: Any) -> int:
    """The number of the frame that is painted, read from the bar in it."""
    return int(
        page.evaluate(
            """() => {
              const video = document.querySelector("#video");
              const canvas = document.createElement("canvas");
              [canvas.width, canvas.height] = [480, 270];
              const pen = canvas.getContext("2d");
              pen.drawImage(video, 0, 0);
              const row = pen.getImageData(0, 264, 480, 1).data;
              const bright = [];
              for (let x = 0; x < 480; x += 1) {
                if (row[4 * x] + row[4 * x + 1] + row[4 * x + 2] > 600) bright.push(x);
              }
              return Math.round(bright.reduce((a, b) => a + b, 0) / bright.length - 2.5);
            }"""
        )
    )


def is_frame(page: Any, wanted: int) -> None:
    for _ in range(600):
        if frame(page) == wanted:
            return
        page.wait_for_timeout(100)
    assert frame(page) == wanted


def test_keys_of_the_player(browse: Any, case: Ledger):
    page = opened(browse("ana"))
    press(page, "ArrowRight", 5.0)
    press(page, "ArrowRight", 10.0)
    press(page, "ArrowRight", 12.0)
    press(page, "ArrowLeft", 7.0)
    # Evidence, first to last and around.
    press(page, "e", 9.0)
    press(page, "e", 5.0)
    assert page.inner_text("#told") == "evidence 1 of 2, 0:05"
    press(page, "E", 9.0)
    press(page, "E", 5.0)
    # One frame at a time, though nobody told how long one is shown.
    is_frame(page, 5 * FPS)
    for wanted in (126, 127, 128):
        page.keyboard.press(".")
        is_frame(page, wanted)
    for wanted in (127, 126, 125, 124):
        page.keyboard.press(",")
        is_frame(page, wanted)
    assert page.evaluate("document.querySelector('#video').paused")
    # Speed.
    page.keyboard.press(">")
    page.keyboard.press(">")
    assert page.evaluate("document.querySelector('#video').playbackRate") == 1.5
    for _ in range(9):
        page.keyboard.press("<")
    assert page.evaluate("document.querySelector('#video').playbackRate") == 0.25
    assert "0.25×" in page.inner_text("#moment")
    # Sound only of what was revealed.
    page.keyboard.press("v")
    assert "Reveal the media first" in page.inner_text("#told")
    assert page.evaluate("document.querySelector('#video').muted")
    page.keyboard.press("b")
    page.keyboard.press("-")
    page.keyboard.press("-")
    state = "(({ muted, volume }) => [muted, volume])(document.querySelector('#video'))"
    assert page.evaluate(state) == [False, 0.8]
    page.keyboard.press("+")
    assert page.evaluate(state) == [False, 0.9]
    page.keyboard.press("b")
    assert page.evaluate(state) == [True, 0.9]
    # Play and pause.
    before = at(page)
    page.keyboard.press("Space")
    page.wait_for_function(
        "before => document.querySelector('#video').currentTime > before",
        arg=before,
        timeout=60_000,
    )
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('#video').paused")
    assert page.troubles == []


def test_keys_decide_nothing_and_stay_where_they_are_typed(browse: Any, case: Ledger):
    page = opened(browse("ana"))
    page.keyboard.press("n")
    page.wait_for_selector("html[data-ready] #decide")
    page = opened(page)
    here = page.url
    for key in ("ArrowRight", ".", ",", ">", "<", "e", "E", "-", "+", "v", "Space", "Space", "f"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.id") == "find"
    # Within a field they are letters, and on a category they choose among categories.
    page.keyboard.type("f .e,v")
    assert page.input_value("#find") == "f .e,v"
    page.keyboard.press("Escape")
    moment = at(page)
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.name") == "category"
    assert at(page) == moment
    assert page.url == here
    assert len(case.get_case("up-70").verdicts) == 1
    page.keyboard.press("?")
    page.wait_for_selector("#help[open] >> text=One frame back, on")
    assert page.troubles == []


@pytest.mark.parametrize("width", [1280, 390])
def test_scenes_and_lines_jump(browse: Any, case: Ledger, width: int):
    page = opened(browse("eve", viewport={"width": width, "height": 800}))
    lines = page.locator("#viewing .lines li:visible")
    texts = [" ".join(one.split()) for one in lines.all_inner_texts()]
    assert sorted(one.split()[3] for one in texts) == ["evidence", "evidence", "seen", "seen"]
    assert "violence: a fight" in texts[1]
    page.keyboard.press("f")
    page.keyboard.type("this NUMBER")
    assert lines.count() == 1
    assert page.inner_text("#lines-found") == "1 of 4 lines"
    page.keyboard.press("Enter")
    assert 8.0 <= at(page) < 10.0
    page.fill("#find", "pills")
    page.keyboard.press("Enter")
    assert at(page) == 0.0
    page.fill("#find", "fight")
    for second in (5.0, 9.0, 5.0):
        page.keyboard.press("Enter")
        assert at(page) == second
    page.wait_for_selector("#viewing li.now >> text=a fight")
    page.fill("#find", "")
    assert lines.count() == 4
    scenes = page.locator("#board [data-seek]")
    assert page.locator("#board .hit").count() >= 2
    page.locator('#board [data-seek="4.0"]').click()
    assert at(page) == 4.0
    page.wait_for_selector('#board [data-seek="4.0"].now')
    assert scenes.count() >= 8
    page.wait_for_function(
        "() => [...document.querySelectorAll('#board img')]"
        ".every((one, n) => n > 1 || one.naturalWidth > 0)",
        timeout=60_000,
    )
    # Pictures are blurred with the film, and revealed with it.
    assert page.locator("#board img.veiled").count() == scenes.count()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("b")
    assert page.locator("#board img.veiled").count() == 0
    Checked()(page)
    assert page.troubles == []
