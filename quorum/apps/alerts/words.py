"""What an alert says: a title, a few sentences, and the page of the console that explains it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from quorum.store.alerts.episodes import Event
from quorum.store.alerts.values import Alert, Judgement, Signal, State

__all__ = ["Words", "link_of", "words_of"]

_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Words:
    """An alert in words.

    Attributes:
        title: One line.
        text: What was found, and what it is compared with.
        link: The page of the console that explains it; None if its address is unknown.
    """

    title: str
    text: str
    link: str | None


def words_of(alert: Alert, event: Event, console: str | None) -> Words:
    """Put an alert in words.

    Args:
        alert: The alert.
        event: Whether it began or ended.
        console: The address of the console, if it is known.
    """
    what = _what(alert.signal)
    found = alert.opened if event == "opened" else (alert.last or alert.opened)
    if event == "resolved":
        if found.state is State.UNKNOWN:
            title = f"Over: too little is counted to say more of {what}"
        else:
            title = f"As usual again: {what}"
    elif alert.signal.kind == "drift":
        title = f"{what} are spread otherwise than in the weeks before"
    else:
        title = f"{'More' if found.more else 'Less'} than usual: {what}"
    return Words(title, _text(alert, found, event), link_of(alert.signal, console))


def _what(signal: Signal) -> str:
    name = " ".join(signal.name.split())
    name = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    return {
        "rule": f"verdicts by the rule {name}",
        "removals": "removals",
        "overturned": "stopped uploads that reviewers allow",
        "failures": f"failed predictions of {name}",
        "drift": f"scores of {name}",
    }[signal.kind]


def _text(alert: Alert, found: Judgement, event: Event) -> str:
    began = f"Noticed at {alert.opened_at}."
    ended = f" Over at {alert.resolved_at}." if event == "resolved" else ""
    if found.state is State.UNKNOWN:
        return began + ended
    weeks = f"the same hours of the last {found.weeks} weeks"
    if alert.signal.kind == "drift":
        told = (
            f"Population stability index {found.now:.2f} against the nearest of {weeks} (a change "
            f"is above 0.25), of {found.total:,} scores."
        )
    else:
        told = (
            f"{_percent(found.now)} now ({found.hits:,} of {found.total:,}; 95 % interval "
            f"{_percent(found.low)} to {_percent(found.high)}), {_percent(found.usual)} in {weeks}."
        )
    return f"{told} {began}{ended}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def link_of(signal: Signal, console: str | None) -> str | None:
    """The page of the console that explains a signal; None without an address of the console."""
    if console is None:
        return None
    pages = {
        "rule": f"/search?rule={quote(signal.name, safe='')}",
        "removals": "/overview?window=24h",
        "overturned": "/overview",
        "failures": "/overview",
        "drift": "/overview",
    }
    return console.rstrip("/") + pages[signal.kind]
