"""The demo's second act: a wave is found, contained and decided once, and it fits the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.apps.demo import embedded
from quorum.apps.demo.board import Board
from quorum.apps.demo.embedded import in_process
from quorum.apps.demo.show import Screen
from quorum.apps.demo.wave import Stage, has_waves, play_wave, policy_with_waves
from quorum.core.errors import QuorumError
from quorum.core.messages import Action, Review
from quorum.models.ensemble import Ensemble
from quorum.pipeline.moderator import Moderator
from tests.pipeline.doubles import Scripted


def played(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str, width: int) -> tuple:
    """The board and what was printed, with detectors that find nothing."""
    (folder / "settings.yaml").write_text("policy: balanced\n")
    names = ("spam", "violence", "copyright", "nsfw")
    ensemble = Ensemble.of(tuple(Scripted(name) for name in names))
    policy = Policy.from_text(text)
    monkeypatch.setattr(embedded, "Moderator", lambda *_: Moderator(None, policy, ensemble))
    out = io.StringIO()
    console = Console(file=out, width=width)
    boards: list[Board] = []

    def then(stage: Stage) -> None:
        boards.append(play_wave(stage, console, lambda one: Screen(one, console).show))

    in_process([], Board({}, 0), folder / "settings.yaml", None, lambda: None, then)
    return boards[0], out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_found_contained_and_decided_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int
) -> None:
    board, told = played(monkeypatch, tmp_path, policy_with_waves(), width)
    lines = [line.rstrip() for line in told.splitlines()]
    actions = [line.split()[0] for line in lines if line.startswith(("allow", "review"))]
    assert actions == ["allow"] * 3 + ["review"] * 5
    assert "Found:     a campaign (wave/text), 8 uploads by 8 accounts" in lines
    assert "Contained: 5 wait for a human; 3 came before it was known" in lines
    assert "Decided:   once by a reviewer, for all of them: 8 removed (quorum console)" in lines
    assert all(cell_len(line) <= width for line in lines)
    verdicts = board.verdicts.values()
    assert {one.action for one in verdicts} == {Action.REMOVE}
    assert {(one.decided_by, one.revision) for one in verdicts} == {("reviewer", 2)}


def test_a_policy_that_finds_none_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    few = policy_with_waves().replace("uploaders: 3", "uploaders: 9")
    board, told = played(monkeypatch, tmp_path, few, 80)
    assert "The policy found no campaign in them." in told
    assert {one.action for one in board.verdicts.values()} == {Action.ALLOW}


def test_an_upload_without_an_end_fails() -> None:
    class Silent:
        def play(
            self, messages: Sequence[bytes], board: Board, show: Callable[[], None], at_once: int
        ) -> None:
            assert len(messages) == board.expected and at_once == 1

        def decide(self, reviews: Sequence[Review], board: Board) -> None:
            raise AssertionError

    console = Console(file=io.StringIO())
    with pytest.raises(QuorumError, match="not every upload of the wave"):
        play_wave(Silent(), console, lambda one: Screen(one, console).show)


def test_only_a_policy_that_looks_for_waves_has_the_act() -> None:
    assert has_waves(Policy.from_text(policy_with_waves()))
    assert not has_waves(load_policy("balanced"))
    wave = Policy.from_text(policy_with_waves())
    balanced = load_policy("balanced")
    assert wave.rules[:-1] == balanced.rules
    assert wave.detectors == balanced.detectors
