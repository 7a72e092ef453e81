"""Channels of real uploads, and which of them are never trained on, so that models are tested."""

from __future__ import annotations

from hashlib import sha256

__all__ = ["channels_of", "held_out"]

_ONE_IN = 4


def held_out(group: str) -> bool:
    """Whether a channel is kept for tests: a quarter of them, by the digest of its name."""
    return sha256(group.encode()).digest()[0] % _ONE_IN == 0


def channels_of(rows: list[dict[str, str]]) -> list[int]:
    """The channel of each upload: uploads that share a link that is not everybody's are of one.

    A link that stands in the texts of more than one upload is followed; so are its neighbours.
    """
    links = [
        {text.rstrip("/.") for text in row["description"].split() if "://" in text} for row in rows
    ]
    parent = list(range(len(rows)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[str, int] = {}
    for index, of_row in enumerate(links):
        for link in sorted(of_row):
            if link in first:
                parent[root(index)] = root(first[link])
            else:
                first[link] = index
    return [root(index) for index in range(len(rows))]
