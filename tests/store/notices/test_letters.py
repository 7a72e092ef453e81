"""Letters of notices in a team's words: chosen, filled in, refused with their line, kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from quorum.core.errors import ConfigurationError, InputError
from quorum.core.messages import Upload
from quorum.store.ledger import Ledger
from quorum.store.notices import changing
from quorum.store.notices.letter_templates import (
    ELEMENT_NAMES,
    EVENTS,
    Letters,
    load_letters,
    shipped_file,
)
from quorum.store.notices.letters import Letter, examples, keep_letters, letters
from quorum.store.notices.reading import events_of
from quorum.store.notices.validity import ELEMENTS
from quorum.store.notices.values import KINDS, NoticeRules, moved
from tests.store.ledger.messages_for_ledger import at, upload, verdict
from tests.store.notices.test_notices import change, clock, row_of, send, take_down

__all__ = ["clock"]

FILE = """\
letters:
  - to: uploader
    kind: copyright
    event: removed
    text: We took {content} down on {date}. {counter_asks}
  - to: uploader
    event: removed
    language: de
    text: |
      Guten Tag, {content} wurde entfernt.
      Gegendarstellung: {counter_asks}.
  - to: complainant
    event: received
    language: de
    text: Ihre {what} zu {content} ({notice}) ist da; Antwort bis {due}.
words:
  - language: de
    what: {copyright: Urheberrechtsbeschwerde}
    asks:
      counter: {signature: unterschreiben}
"""


@pytest.fixture
def own(tmp_path: Path) -> NoticeRules:
    (tmp_path / "letters.yaml").write_text(FILE)
    return replace(NoticeRules(), letters=load_letters(tmp_path / "letters.yaml"))


def told(ledger: Ledger, notice_id: str, rules: NoticeRules) -> list[Letter]:
    row = row_of(ledger, notice_id)
    return ledger.transact(lambda c: letters(c, row, events_of(c, row.id), rules))


def test_a_letter_goes_out_in_the_teams_words_and_the_language_of_who_is_told(
    ledger: Ledger, clock: list[datetime], own: NoticeRules
) -> None:
    spoken = Upload(**{**upload(2).model_dump(), "language": "de-AT"})
    ledger.record([upload(1), verdict(1), spoken, verdict(2)])
    first, second = send(ledger, 1), send(ledger, 2, language="de-CH")
    for one in (first, second):
        take_down(ledger, one.id, clock[0])
    english = {(one.to, one.event): one.text for one in told(ledger, first.id, own)}
    assert english["complainant", "received"].startswith("We have your copyright notice on up-1.")
    assert english["uploader", "removed"].startswith("We took up-1 down on ")
    assert "give your `name`, `address` and `phone`" in english["uploader", "removed"]
    german = {(one.to, one.event): one.text for one in told(ledger, second.id, own)}
    due = (clock[0] + (NoticeRules().clock("copyright", clock[0]).due - clock[0])).astimezone(
        own.days.zone
    )
    assert german["complainant", "received"] == (
        f"Ihre Urheberrechtsbeschwerde zu up-2 ({second.id[:12]}) ist da; Antwort bis "
        f"{due:%Y-%m-%d %H:%M %Z}."
    )
    assert german["uploader", "removed"].startswith(
        "Guten Tag, up-2 wurde entfernt.\nGegendarstellung: unterschreiben; name the material"
    )
    # What ships stands where the team wrote nothing.
    assert german["complainant", "removed"].startswith("What you named, up-2, was removed.")


def test_what_was_said_stays_as_it_was_said(
    ledger: Ledger, clock: list[datetime], own: NoticeRules
) -> None:
    ledger.record([upload(1), verdict(1)])
    made = send(ledger)
    take_down(ledger, made.id, clock[0])
    row = row_of(ledger, made.id)

    def keep(connection: object) -> None:
        for one in events_of(connection, row.id):
            keep_letters(connection, row, one, own)

    ledger.transact(keep, writes=True)
    said = told(ledger, made.id, own)
    assert said == told(ledger, made.id, NoticeRules())
    assert any("We took up-1 down" in one.text for one in said)
    change(ledger, changing.forget_person, made.id, by="lea", at=at(20_000))
    assert told(ledger, made.id, NoticeRules())[: len(said)] == said


def test_what_is_put_into_a_field_is_no_field(
    ledger: Ledger, clock: list[datetime], own: NoticeRules
) -> None:
    made = send(ledger, upload_id=None, location="https://x.example/{due}{{7*7}}{what}")
    (letter,) = told(ledger, made.id, own)
    assert "https://x.example/{due}{{7*7}}{what}" in letter.text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("wurde entfernt", "{{ 7*7 }}", r"letters.yaml:10: .*`\{\{ 7\*7 \}\}` is no field: a let"),
        ("Gegend", "{content.__class__} Gegend", r"letters.yaml:11: .*\{content.__class__\}` is"),
        ("Gegend", "<script>x</script>", r"letters.yaml:11: .*`<script>` is no field"),
        ("Gegend", "{% for x in y %}", r"letters.yaml:11: .*is no field"),
        ("Gegend", "${content}", r"letters.yaml:11: .*is no field"),
        ("Gegend", "<%= x %>", r"letters.yaml:11: .*is no field"),
        ("{date}", "{dato}", r"letters.yaml:5: .*there is no field \{dato\}; there are \{what\}"),
        ("{date}", "{due}", r"letters.yaml:5: .*\{due\} is empty after removed: it is for rec"),
        ("event: received", "event: invalid", r"\{due\} is empty after invalid"),
        ("{due}.", "{date}.", None),
        ("kind: copyright", "kind: counter", r"letters.yaml:2: .*counter has no removed"),
        ("to: complainant", "to: everybody", r"letters.yaml:12: "),
        ("language: de\n    text: |", "langauge: de\n    text: |", r"letters.yaml:8: .*[Ee]xtra"),
        ("    kind: copyright\n", "    language: de\n", r"letters.yaml:6: two letters are for up"),
        ("signature:", "signatur:", r"letters.yaml:20: "),
        ("letters:", "letters: [", r"letters.yaml:\d+: not valid YAML"),
    ],
    ids=[
        *("expression", "attribute", "tag", "statement", "shell", "server", "field", "empty"),
        *("event", "fine", "kind", "side", "key", "twice", "element", "yaml"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, message: str | None
) -> None:
    assert old in FILE
    (tmp_path / "letters.yaml").write_text(FILE.replace(old, new, 1))
    if message is None:
        assert load_letters(tmp_path / "letters.yaml").languages == ("de",)
        return
    with pytest.raises(ConfigurationError, match=message):
        load_letters(tmp_path / "letters.yaml")


def test_a_letter_says_what_the_law_has_it_say(tmp_path: Path) -> None:
    file = tmp_path / "letters.yaml"
    for event, missing in (("countered", "earliest"), ("invalid", "asks")):
        file.write_text(f"letters:\n- {{to: complainant, event: {event}, text: Soon.}}\n")
        with pytest.raises(ConfigurationError, match=rf"yaml:2: .*must have \{{{missing}\}}"):
            load_letters(file)
    file.write_text("letters:\n- {to: complainant, kind: counter, event: rejected, text: No.}\n")
    with pytest.raises(ConfigurationError, match="has no complainant"):
        load_letters(file)


def test_the_names_of_events_and_elements_are_those_of_notices() -> None:
    assert set(EVENTS) == set(KINDS)
    for kind, events in EVENTS.items():
        for event in set(events) - {"received", "invalid"}:
            before = ("received", "invalid", "removed", "countered", "waiting")
            assert any(_moves(kind, state, event) for state in before), (kind, event)
    assert set(ELEMENT_NAMES) == {one.name for every in ELEMENTS.values() for one in every}


def _moves(kind: str, state: str, event: str) -> bool:
    try:
        return bool(moved(kind, state, event))  # type: ignore[arg-type]
    except InputError:
        return False


def test_each_letter_is_shown_about_an_example(own: NoticeRules) -> None:
    shipped = list(examples(NoticeRules(), at(0)))
    assert {(one.kind, one.letter.event) for one in shipped} == {
        (kind, event) for kind, events in EVENTS.items() for event in events
    } - {("counter", "admitted")}
    assert not any("{" in one.letter.text or one.own for one in shipped)
    mine = [one for one in examples(own, at(0)) if one.own]
    assert {one.language for one in mine} == {None, "de"}
    assert Letters().languages == ()
    assert load_letters(shipped_file()).own
