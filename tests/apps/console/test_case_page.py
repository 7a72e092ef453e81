from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from quorum.apps.console.desk import queues, tasks
from quorum.apps.console.desk.queues import Queue
from quorum.core.messages import Evidence, Missing, UsedPrediction, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import tasks as task_table
from tests.apps.console.cases_for_console import XSS, gone, record_case, take
from tests.apps.console.conftest import soon
from tests.apps.web.test_bad_pictures import SVGS


def test_an_unknown_upload(console):
    answer = console("ana").get("/case?upload=<script>nothing")
    assert answer.status_code == 404
    assert "has no upload with this id" in answer.text
    assert console("ana").get("/case").status_code == 422


def test_a_verdict_whose_upload_was_never_recorded(console, cases: Ledger):
    made = record_case(cases, 1).model_copy(update={"id": "v-lost", "upload_id": "lost"})
    cases.record([made])
    tasks.sync(cases)
    answer = console("ana").get("/case?upload=lost")
    assert answer.status_code == 200
    assert "was not recorded" in answer.text


@pytest.mark.parametrize("text", XSS)
def test_uploaders_text_never_becomes_html(console, ledger: Ledger, text: str):
    ana = console("ana")
    clean = text.replace("\x00", "").replace("\u202e", "")
    record_case(
        ledger,
        1,
        title=text,
        description=text,
        tags=(text,),
        comments=(text,),
        language=text[:30],
        uploader=clean or "x",
        media=text,
        category=text[:200],
        rule=text,
        missing=(Missing(detector=clean or "x", why=text),),
        evidence=(
            Evidence(kind="text", what=text, field="title", start=1, end=9),
            Evidence(kind="text", what=text, field="title", start=5, end=1e300),
            Evidence(kind="match", what=text, start=0, end=4, work=text),
        ),
    )
    tasks.sync(ledger)
    take(ledger, 1, "ana")
    for url in ("/queue", "/queue/rows", "/case?upload=up-1", "/case/status?upload=up-1"):
        answer = ana.get(url)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        assert "<svg/onload" not in answer.text
        assert 'href="javascript:' not in answer.text
    if "7*7" in text:
        assert "{{ 7*7 }}" in ana.get("/case?upload=up-1").text
    page = ana.get("/queue", params={"territory": text, "category": text, "hours": text})
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    answer = ana.post("/decide", task=text, upload=text, action=text, note=text, category=text)
    assert "<script>alert" not in answer.text
    task_id = queues.queue_page(ledger, Queue(), "ana")[0].id
    given = {"upload": "up-1", "action": "remove", "note": text}
    # The verdict's category is none of the policy: a person must choose one.
    answer = ana.post("/decide", task=task_id, **given)
    assert "Choose a category" in answer.text
    assert "<script>alert" not in answer.text
    ana.post("/decide", task=task_id, category="spam", **given)
    soon(lambda: gone(ledger))
    assert "<script>alert" not in ana.get("/case?upload=up-1").text


def test_the_deciding_rule_is_shown_as_written(console, ledger: Ledger):
    record_case(ledger, 1, rule="violence-likely")
    page = console("ana").get("/case?upload=up-1").text
    assert "score(&#34;violence&#34;) &gt;= 0.75" in page
    assert "Expression(" not in page + console("ana").get("/policy").text


def test_evidence_is_highlighted_in_the_text(console, ledger: Ledger):
    record_case(
        ledger,
        1,
        title="buy cheap pills now",
        evidence=(Evidence(kind="text", what="offer", field="title", start=4, end=15),),
    )
    page = console("ana").get("/case?upload=up-1").text
    assert re.search(r"<mark[^>]*>cheap pills<span", page)


def test_media_is_served_from_allowed_folders_only(serve, ledger: Ledger, tmp_path: Path):
    from quorum.core.settings import MediaAccess

    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.mp4").write_bytes(b"0123456789")
        (folder / "a.html").write_bytes(b"<script>")
    (inside / "link.mp4").symlink_to(outside / "a.mp4")
    names = [inside / "a.mp4", outside / "a.mp4", inside / "a.html", inside / "link.mp4"]
    names += [inside / ".." / "out" / "a.mp4", inside / "gone.mp4"]
    for number, path in enumerate(names):
        record_case(ledger, number, media=f"file://{path}")
    ana = serve(media=MediaAccess(folders=(str(inside),)))("ana")
    codes = [ana.get(f"/case/media?upload=up-{n}").status_code for n in range(len(names))]
    assert codes == [200, 404, 404, 404, 404, 404]
    part = ana.get("/case/media?upload=up-0", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert "no longer exists" in ana.get("/case?upload=up-5").text
    assert ana.get("/case/frame?upload=up-0&at=1").status_code == 404


def test_a_picture_that_cannot_be_read_is_no_frame(serve, ledger: Ledger, tmp_path: Path):
    from quorum.core.settings import MediaAccess

    for number, (name, data) in enumerate(
        [(name, data) for name in ("a.svg", "b.mp4", "c.webm") for data in SVGS.values()]
    ):
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(data)
        record_case(ledger, number, media=path.as_uri())
    ana = serve(media=MediaAccess(folders=(str(tmp_path),)))("ana")
    for number in range(3 * len(SVGS)):
        upload = f"up-{number}"
        assert ana.get(f"/case/frame?upload={upload}&at=1").status_code == 404
        assert ana.get(f"/case?upload={upload}").status_code == 200
        played = ana.get(f"/case/media?upload={upload}")
        # What is called a film is served as one, so that no browser takes it for a page.
        assert played.status_code == (404 if number < len(SVGS) else 200)
        assert "svg" not in played.headers["content-type"]
        assert played.headers["x-content-type-options"] == "nosniff"


def test_an_edit_is_shown_with_its_own_verdict_and_predictions(console, ledger: Ledger):
    ana = console("ana")
    first = record_case(ledger, 1, title="Before the edit", score=0.61)
    case = ledger.get_case("up-1")
    assert case is not None and case.upload is not None
    before = case.upload
    old = [one.of_content(before.digest) for one in case.predictions]
    later = before.published_at + timedelta(minutes=1)
    edit = before.model_copy(update={"title": "After the edit", "published_at": later})
    score = old[0].model_copy(update={"score": 0.73, "at": now()}).of_content(edit.digest)
    named = first.model_copy(
        update={"id": "v-first", "digest": before.digest, "published_at": before.published_at,
                "revision": 3, "at": now()}
    )  # fmt: skip
    current = first.model_copy(
        update={"id": "v-edit", "digest": edit.digest, "published_at": later, "revision": 1,
                "predictions": (UsedPrediction.model_validate(
                    {"id": score.id, "detector": score.detector, "version": score.version,
                     "status": score.status, "score": score.score}),)}
    )  # fmt: skip
    ledger.record([edit, *old, score, current, named])
    tasks.sync(ledger)
    page = ana.get("/case?upload=up-1").text
    assert "After the edit" in page and "Before the edit" not in page
    assert "0.73" in page and "0.61" not in page
    t = task_table.c
    open_tasks = select(t.verdict_id).where(t.upload_id == "up-1", t.state == "open")
    assert ledger.transact(lambda c: c.execute(open_tasks).scalars().all()) == ["v-edit"]
