"""Predictions that came before their upload's content: they wait for it, but not for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from quorum.core.messages import Prediction

__all__ = ["Ahead"]


@dataclass(slots=True)
class Ahead:
    """Predictions of a content that did not arrive yet.

    Attributes:
        texts: Their JSON.
        until: When they become dead letters, in microseconds since 1970; None while there are none.
    """

    texts: list[str] = field(default_factory=list)
    until: int | None = None

    def add(self, text: str, until: int) -> None:
        """Keep the JSON of a prediction; the first one defines until when all are kept."""
        if text not in self.texts:
            self.texts.append(text)
        if self.until is None:
            self.until = until

    def take(self, waits: Callable[[Prediction], bool]) -> list[Prediction]:
        """Remove and return those that wait no longer."""
        kept: list[str] = []
        taken: list[Prediction] = []
        for text in self.texts:
            prediction = Prediction.model_validate_json(text)
            if waits(prediction):
                kept.append(text)
            else:
                taken.append(prediction)
        self.texts = kept
        if not kept:
            self.until = None
        return taken

    def row(self) -> tuple[Any, ...] | None:
        """The values for the snapshot of a case; None for none."""
        return (self.texts, self.until) if self.texts else None
