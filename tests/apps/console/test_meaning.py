"""Search by meaning: what is near is found, what is erased is not."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import func, select

from quorum.apps.console.desk import meaning
from quorum.apps.console.desk.meaning import Meanings, packed, words_of_upload
from quorum.core.messages import Action, now
from quorum.models.features.embedding import DIMENSIONS
from quorum.store.ledger import Ledger
from quorum.store.ledger.vectors_schema import case_vectors
from tests.apps.console.cases_for_console import XSS, record_case
from tests.apps.console.conftest import soon


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """A stand-in for the model: texts with common words are near."""
    made = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            made[row, int(hashlib.sha256(word.encode()).hexdigest(), 16) % DIMENSIONS] += 1
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def filled(ledger: Ledger, most: int = 100) -> Meanings:
    made = Meanings(ledger, most, embed)
    while made.step():
        pass
    return made


def ids(made: Meanings, wanted: Any, most: int = 50) -> list[str]:
    return [one.upload_id for one in made.alike(wanted, most)]


def rows(ledger: Ledger) -> int:
    query = select(func.count()).select_from(case_vectors)
    return int(ledger.transact(lambda c: c.execute(query).scalar_one()))


def test_the_nearest_come_first_and_exactly(ledger: Ledger):
    chance = np.random.default_rng(2)
    words = [f"w{n}" for n in range(40)]
    texts = [" ".join(chance.choice(words, 6)) for _ in range(60)]
    for number, text in enumerate(texts):
        record_case(ledger, number, title=text)
    made = filled(ledger)
    assert made.size == 60
    exact = embed(texts) @ embed(["w1 w2 w3 w4"])[0]
    found = made.alike("w1 w2 w3 w4", 10)
    assert len(found) == 10
    for one in found:
        assert one.similarity == pytest.approx(exact[int(one.upload_id[3:])], abs=0.01)
    assert min(one.similarity for one in found) >= np.sort(exact)[-10] - 0.01
    upload = ledger.get_case("up-7").upload
    assert "up-7" not in ids(made, upload)
    # A byte for each number is near enough to what it was.
    vector = embed([texts[0]])[0]
    back = np.frombuffer(packed(vector), np.int8).astype(np.float32)
    assert float(back @ vector / np.linalg.norm(back)) > 0.999
    assert made.alike("  ") == []


def test_what_is_edited_or_erased_is_not_found_any_more(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    for number in range(6):
        record_case(ledger, number, title=f"pills offer {number}")
    record_case(ledger, 8, title="")
    made = filled(ledger)
    assert rows(ledger) == 7
    assert len(ids(made, "pills offer")) == 6
    later = now() + timedelta(seconds=30)
    record_case(ledger, 2, title="a walk by the sea", published_at=later)
    monkeypatch.setattr(made, "_again", 0.0)
    while made.step():
        pass
    assert "up-2" not in ids(made, "pills offer")
    assert ids(made, "walk by the sea")[0] == "up-2"
    assert rows(ledger) == 7
    # Erased rows go from the ledger with the case, and from memory with the next search.
    ledger.forget("by-1", dry_run=False)
    assert set(ids(made, "pills offer")) == {"up-0", "up-3", "up-5"}
    assert rows(ledger) == 5
    assert made.size == 4
    # What an older console wrote is read by a new one, and nothing is embedded twice.
    calls: list[int] = []

    def counting(texts: Sequence[str]) -> NDArray[np.float32]:
        calls.append(len(texts))
        return embed(texts)

    again = Meanings(ledger, 100, counting)
    while again.step():
        pass
    upload = ledger.get_case("up-0").upload
    assert set(ids(again, upload)) == {"up-3", "up-5"}
    assert calls == []
    ids(again, upload.model_copy(update={"published_at": later}))  # an edit that is not embedded
    assert calls == [1]
    assert set(ids(again, "pills offer")) == {"up-0", "up-3", "up-5"}


def test_only_the_newest_are_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    for number in range(80):
        record_case(ledger, number, title=f"text {number}")
    made = filled(ledger, 40)
    assert rows(ledger) == 40
    assert {int(one[3:]) for one in ids(made, "text", 80)} == set(range(40, 80))
    for number in range(80, 90):
        record_case(ledger, number, title=f"text {number}")
    monkeypatch.setattr(made, "_again", 0.0)
    while made.step():
        pass
    monkeypatch.setattr(made, "_again", 0.0)
    while made.step():
        pass
    assert rows(ledger) == 40
    assert {int(one[3:]) for one in ids(made, "text", 80)} == set(range(50, 90))
    assert Meanings(ledger, 10**9).most == meaning.MOST


def test_searches_while_rows_come_and_go(ledger: Ledger):
    for number in range(200):
        record_case(ledger, number, title=f"one text {number % 7}")
    made = Meanings(ledger, 1000, embed)
    faults: list[BaseException] = []

    def search() -> None:
        try:
            for _ in range(30):
                made.alike("one text 3", 20)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    while made.step():
        pass
    ledger.forget("by-2", dry_run=False)
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(ids(made, "one text 3", 200)) == rows(ledger)


def test_the_page_finds_other_words_of_one_meaning(serve: Any, ledger: Ledger):
    texts = {
        1: "Cheap pills without a prescription, delivered tonight",
        2: "Günstige Tabletten ohne Rezept, noch heute geliefert",
        3: "Learn to play the guitar: three easy chords",
        4: XSS[0],
    }
    for number, text in texts.items():
        record_case(
            ledger, number, title=text, action=Action.REMOVE if number == 2 else Action.REVIEW
        )
    off = serve()("eve")
    assert "keeps no embeddings" in off.get("/like?text=pills").text
    person = serve(meanings=1000)
    eve = person("eve")
    made = eve.client.app.state.meanings
    soon(lambda: made.size == 4, 100)
    page = eve.get("/like?upload=up-1").text
    assert page.index("Günstige Tabletten") < page.index("guitar")
    assert page.count("Cheap pills") == 1
    assert "<script>alert" not in page
    page = eve.get("/like", params={"text": "medicine sold illegally", "action": "remove"}).text
    assert "Günstige Tabletten" in page
    assert "guitar" not in page
    assert eve.get("/like?upload=nothing").status_code == 404
    assert "/like?upload=up-1" in eve.get("/case?upload=up-1").text
    assert person(None).get("/like?text=pills").url.path == "/login"


def test_the_text_is_that_which_detectors_embed(ledger: Ledger):
    record_case(ledger, 1, title="Ｆｒｅｅ", description="win", comments=("now",))
    upload = ledger.get_case("up-1").upload
    assert words_of_upload(upload).split() == ["free", "win", "now"]
