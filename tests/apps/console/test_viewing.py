"""Scenes and words of media, read once for the page of a case."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quorum.apps.console.desk import viewing
from quorum.apps.console.desk.viewing import MOST_SCENES, Line, Viewing, Viewings, scenes_of
from quorum.core.messages import Evidence, Upload, now
from quorum.core.settings import MediaAccess
from quorum.models.features import extract
from quorum.models.features.speech.listener import Transcript
from quorum.models.media.lines import MediaLine
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import XSS, record_case
from tests.apps.console.conftest import soon
from tests.apps.console.films import film

LIGHTS = Path(__file__).parents[3] / "examples" / "media" / "lights.mp4"


def upload(path: Path, **more: Any) -> Upload:
    given = {"id": "u", "uploader": "by", "media": f"file://{path}", "published_at": now(), **more}
    return Upload(**given)


def read(found: Viewings, one: Upload) -> Viewing:
    try:
        # The first film waits for the model that reads words.
        made: Viewing = soon(lambda: found.of(one), 100)
    finally:
        found.close()
    return made


def test_scenes_and_words_have_their_seconds(tmp_path: Path):
    path = film(tmp_path / "film.mp4")
    access = MediaAccess(folders=(str(tmp_path),), read_frames=12, speech="off")
    found = read(Viewings(access), upload(path, title="words of its own"))
    begins = [one.at for one in found.scenes]
    assert begins[0] == 0.0
    assert {4.0, 8.0} <= set(begins)
    pictures = [Image.open(BytesIO(one.picture)) for one in found.scenes]
    assert {one.format for one in pictures} == {"JPEG"}
    middle = pictures[begins.index(4.0)].getpixel((160, 20))
    assert middle[0] > 120 > middle[2]
    words = {"".join(one.text.split()): one for one in found.lines}
    assert set(words) == {"CHEAPPILLSHERE", "CALLTHISNUMBER"}
    assert words["CHEAPPILLSHERE"].start == 0.0
    assert 8 <= words["CALLTHISNUMBER"].start < 10
    assert {one.kind for one in found.lines} == {"seen"}
    assert any("Speech is not recognised here" in note for note in found.notes)


def test_a_transcript_has_its_seconds(monkeypatch: pytest.MonkeyPatch):
    class Heard:
        def listen(self, audio: Any, most: float) -> Transcript:
            return Transcript((MediaLine("we will meet at the harbour", 1.5, 3.0),), "en")

    monkeypatch.setattr(extract, "shared_listener", lambda _: Heard())
    for module in (extract, viewing):
        monkeypatch.setattr(module, "speech_is_on", lambda _: True)
    access = MediaAccess(folders=(str(LIGHTS.parent),), read_frames=0)
    found = read(Viewings(access), upload(LIGHTS))
    assert found.lines == (Line("said", "we will meet at the harbour", 1.5, 3.0, "en"),)
    assert any("read_frames" in note for note in found.notes)


def test_damaged_and_foreign_media_say_why(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"no film at all")
    found = read(Viewings(MediaAccess(folders=(str(tmp_path),))), upload(tmp_path / "a.mp4"))
    assert found.scenes == found.lines == ()
    assert found.notes
    found = read(Viewings(MediaAccess()), upload(LIGHTS))
    assert any("media refused" in note.lower() for note in found.notes)


def test_a_fault_in_one_file_does_not_stop_the_next(monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []

    class Faulty(extract.Extractor):
        def extract(self, uploads: Any, unreadable: Any = ()) -> Any:
            calls.append(uploads[0].id)
            if len(calls) == 1:
                raise RuntimeError
            return super().extract(uploads)

    monkeypatch.setattr(viewing, "Extractor", Faulty)
    access = MediaAccess(folders=(str(LIGHTS.parent),), read_frames=0, speech="off")
    held = Viewings(access)
    first = soon(lambda: held.of(upload(LIGHTS, id="first")))
    assert first.notes == ("The media could not be read: RuntimeError.",)
    assert read(held, upload(LIGHTS, id="second")).scenes


def test_scenes_are_those_of_the_greatest_changes():
    rest = np.zeros((40, 18, 32, 3), np.uint8)
    times = np.arange(40) * 1.0
    spread = scenes_of(rest, times)
    assert len(spread) == 8
    assert spread[0] == 0
    assert max(np.diff([*spread, 40])) <= 10
    flicker = rest.copy()
    flicker[1::2] = 200
    flicker[21:23] = 255
    found = scenes_of(flicker, times)
    assert len(found) == MOST_SCENES
    assert {0, 21} <= set(found)
    close = scenes_of(flicker, times / 10)
    assert np.diff(times[close] / 10).min() >= 0.4
    assert len(close) == 8
    assert found == sorted(found)
    assert scenes_of(rest[:0], times[:0]) == []
    assert scenes_of(rest[:3], times[:3]) == [0, 1, 2]


def test_the_page_shows_lines_of_media_and_of_evidence(serve: Any, ledger: Ledger, tmp_path: Path):
    path = film(tmp_path / "film.mp4")
    spans = (
        Evidence(kind="video", what=XSS[0], start=4.5, end=5),
        Evidence(kind="text", what="words", field="title", start=0, end=2),
    )
    record_case(ledger, 1, media=f"file://{path}", evidence=spans)
    record_case(ledger, 2, media="https://elsewhere.example/a.mp4", evidence=spans)
    access = MediaAccess(folders=(str(tmp_path),), speech="off")
    ana = serve(media=access)("ana")
    assert ana.get("/case/scene?upload=up-1&number=0").status_code == 404
    page = ana.get("/case/viewing?upload=up-1").text
    assert "is being read" in page
    # What detectors found is there at once.
    assert "violence: &lt;script&gt;" in page
    assert "words" not in page.split("violence:")[1].split("</li>")[0]
    page = soon(
        lambda: "is being read" not in (text := ana.get("/case/viewing?upload=up-1").text) and text
    )
    assert 'data-seek="4.0" class="hit" aria-label="Scene at 0:04, evidence of violence"' in page
    assert ana.get("/case/scene?upload=up-1&number=0").content[:2] == b"\xff\xd8"
    assert ana.get("/case/scene?upload=up-1&number=99").status_code == 404
    # Media that may not be shown is not read either.
    page = ana.get("/case/viewing?upload=up-2").text
    assert "is being read" not in page
    assert "violence: &lt;script&gt;" in page
    assert ana.get("/case/viewing?upload=nothing").status_code == 404
    assert serve(media=access)(None).get("/case/scene?upload=up-1&number=0").url.path == "/login"


def test_reading_can_be_switched_off(serve: Any, ledger: Ledger):
    record_case(ledger, 1, media=f"file://{LIGHTS}")
    access = MediaAccess(folders=(str(LIGHTS.parent),))
    ana = serve(media=access, read_media=False)("ana")
    assert "is being read" not in ana.get("/case/viewing?upload=up-1").text
