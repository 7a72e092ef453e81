"""Messages that a case keeps until their upload, or the verdict that they name, is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from quorum.core.messages import Prediction, Review

__all__ = ["MAX_ORPHANS", "MAX_ORPHAN_BYTES", "Orphans"]

#: Messages that wait for one unknown upload; more end as dead letters at once: the stream is open
#: to all, and a flood must not fill the state.
MAX_ORPHANS: Final = 200

#: The same in characters of JSON: an engine writes the state anew for each message.
MAX_ORPHAN_BYTES: Final = 1024 * 1024


@dataclass(slots=True)
class Orphans:
    """Messages whose upload is unknown, and reviews that wait for the first verdict.

    Attributes:
        held: Kind and JSON of each, in the order in which they came.
    """

    held: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.held)

    def add(self, message: Prediction | Review) -> bool:
        """Keep a message, once; False if there is no room for it."""
        held = (message.kind, message.model_dump_json())
        if held in self.held:
            return True
        if len(self.held) >= MAX_ORPHANS:
            return False
        if sum(len(text) for _, text in self.held) + len(held[1]) > MAX_ORPHAN_BYTES:
            return False
        self.held.append(held)
        return True

    def remove(self, message: Prediction | Review) -> bool:
        """Remove a message; False if it is not kept."""
        held = (message.kind, message.model_dump_json())
        if held not in self.held:
            return False
        self.held.remove(held)
        return True

    def take(self) -> list[Prediction | Review]:
        """Remove and return all."""
        held, self.held = self.held, []
        return [
            (Prediction if kind == Prediction.kind else Review).model_validate_json(text)
            for kind, text in held
        ]

    def take_predictions(self) -> list[str]:
        """Remove all predictions and return their JSON."""
        taken = [text for kind, text in self.held if kind == Prediction.kind]
        self.held = [(kind, text) for kind, text in self.held if kind != Prediction.kind]
        return taken
