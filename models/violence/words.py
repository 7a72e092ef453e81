"""What the words of an upload say: violence, its kind, or a report of violence."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quorum.models.scoring.calibration import Platt
from quorum.models.scoring.segments import windows
from quorum.models.violence.network import KINDS, Network
from quorum.models.violence.roles import roles_of

__all__ = ["NEWS", "READ", "Words", "features_of", "parts_of"]

#: The label of reports: context, not harm. It takes no part in the score.
NEWS = "violence/news"
#: Characters of a text whose roles are read: about what the embedding reads.
READ = 1_000
#: Log-odds penalty of a maximum over sixteen or more parts, which is high by chance.
_HANDICAP = 1.0
_SENTENCE = re.compile(r"[^.!?\n。！？]+[.!?。！？]*")
#: A sentence of fewer characters is read with the next; one of more words is cut into windows, and
#: is no part itself if it is longer still.
_SHORT, _LONG, _LONGEST = 12, 24, 40
#: Words of a window: a short threat on a line with its neighbours fills one.
_WINDOW = 12
#: Most parts: each is embedded on its own.
_MOST = 16


def features_of(texts: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of normalised texts, shape (n, d).

    Args:
        texts: The texts.
        vectors: Their embeddings after several layers: who acts on whom is clearer in the middle
            of the encoder than at its end.
    """
    return np.hstack([vectors, roles_of([text[:READ] for text in texts])])


def parts_of(text: str) -> list[str]:
    """The parts of a normalised text that are judged beside the whole: its distinct sentences.

    A long sentence is cut into windows that overlap; where there are too many parts, into ones that
    do not; and where even those are too many, neighbours are joined, so that nothing is left out.
    """
    parts: list[str] = []
    for stride in (_WINDOW // 2, _WINDOW):
        parts = _parts(text, stride)
        if len(parts) <= _MOST:
            return parts if parts != [text] else []
    starts = [len(parts) * index // _MOST for index in range(_MOST + 1)]
    return [" ".join(parts[start:end]) for start, end in pairwise(starts)]


def _parts(text: str, stride: int) -> list[str]:
    found: dict[str, None] = {}
    short = ""
    for match in _SENTENCE.finditer(text):
        sentence = f"{short} {match.group().strip()}".strip()
        short = sentence if len(sentence) < _SHORT else ""
        if short:
            continue
        words = len(sentence.split())
        if words <= _LONGEST:
            found[sentence] = None
        if words > _LONG:
            found.update(dict.fromkeys(windows(sentence, _WINDOW, stride, len(text))))
    if any(map(str.isalpha, short)):
        found[short] = None
    return list(found)


@dataclass(frozen=True, eq=False, slots=True)
class Words:
    """The network with its calibrations.

    Attributes:
        network: Gives the log-odds of violence.
        context: Gives the kinds and reports; another one where a user's data trained the former,
            which tells violence from the rest only.
        harm: Calibration of violence.
        report: Calibration of reports.
    """

    network: Network
    context: Network
    harm: Platt
    report: Platt

    @classmethod
    def restore(
        cls,
        network: dict[str, NDArray[Any]],
        context: dict[str, NDArray[Any]],
        calibration: dict[str, Any],
    ) -> Self:
        """Make it again of what an artifact keeps."""
        return cls(
            Network.restore(network),
            Network.restore(context),
            Platt.from_document(calibration["text"]),
            Platt.from_document(calibration["news"]),
        )

    def scores(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability of violence of each normalised text, shape (n,)."""
        return self.harm.apply(self.network.answer(features_of(texts, vectors)).odds)

    def labels(
        self, texts: Sequence[str], vectors: NDArray[np.float32], free: int, parts: int
    ) -> tuple[float, dict[str, float]]:
        """Judge one upload by its most violent part.

        Args:
            texts: The parts, normalised; the first ``free`` count in full, the others less, the
                more there are.
            vectors: Their embeddings after several layers, shape (n, 1152).
            parts: Of how many parts ``texts`` holds the suspect ones.
            free: Parts without the penalty: the whole text, and text in frames.

        Returns:
            The probability of violence, and labels: the kinds share that probability by how
            likely each is; ``violence/news`` is the probability of a report.
        """
        features = features_of(texts, vectors)
        odds = self.network.answer(features).odds
        odds[free:] -= _HANDICAP * min(1.0, math.log2(max(1, parts)) / 4)
        worst = int(np.argmax(odds))
        told = self.context.answer(features)
        score = float(self.harm.apply(odds[worst]))
        labels = {
            f"violence/{kind}": score * float(share)
            for kind, share in zip(KINDS, told.kinds[worst], strict=True)
        }
        labels[NEWS] = float(self.report.apply(told.reports[worst]))
        return score, labels
