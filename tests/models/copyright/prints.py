"""Synthetic fingerprints without media."""

from __future__ import annotations

import hashlib

import numpy as np

from quorum.models.copyright.catalogue.works import WORK_VIEWS, Work, WorkPrint


def made_up(name: str, frames: int = 40) -> tuple[Work, WorkPrint]:
    """A work whose hashes are derived from its name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    rng = np.random.default_rng(seed)
    views = rng.integers(0, 256, (frames, len(WORK_VIEWS), 32), np.uint8)
    views[:, len(WORK_VIEWS) // 2 :] = views[:, : len(WORK_VIEWS) // 2]
    found = WorkPrint(
        (hashlib.sha256(name.encode()).hexdigest(),),
        frames / 8,
        (np.arange(frames) / 8).astype(np.float32),
        np.full(frames, 100, np.uint8),
        views[:, 0],
        views,
        np.zeros(0, np.uint32),
    )
    return Work(id=name, title=f"Title of {name}", owner="Studio"), found
