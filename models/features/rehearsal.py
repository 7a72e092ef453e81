"""Load what reads media, and read a small film with it, before the first file comes."""

from __future__ import annotations

import logging
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from quorum.models.features.reading import Wanted, read_here
from quorum.models.media.sandbox import protection
from quorum.models.media.small_film import small_film

__all__ = ["prepare"]

_log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def prepare() -> None:
    """Load what reads media, so that processes that are forked from this one have it."""
    import av
    import PIL.Image
    import PIL.ImageCms

    from quorum.models.fingerprint.audio import AudioHasher
    from quorum.models.fingerprint.local import load_opencv
    from quorum.models.media.stills import load_formats

    av.logging.set_level(av.logging.PANIC)
    PIL.Image.init()
    load_formats()
    AudioHasher.available()
    load_opencv()
    protection()
    _rehearse()


def _rehearse() -> None:
    """Read a small film: tables of codecs, scalers and maps of hashes are made at the first one."""
    with tempfile.TemporaryDirectory(prefix="quorum-rehearsal-") as folder:
        path = Path(folder) / "film.mp4"
        with suppress(Exception):  # an FFmpeg without these encoders
            small_film(path)
        if path.is_file():
            made = read_here(path, Wanted(True, True, 1, True, motion=True))
            _log.debug("read a small film: %s", made.refused or "ok")
