"""What a reviewer finds in media without watching all of it: scenes, and words with their seconds.

The media is read once for a case that somebody looks at, as detectors read it: fetched from allowed
places only, and decoded in a confined process. One thread does so, the newest case first; what it
found is kept for the cases that were looked at last.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Feature, Features, Frames
from quorum.models.features.decoders import decode_apart
from quorum.models.features.extract import Extractor
from quorum.models.features.speech.listener import speech_is_on
from quorum.models.media.jpeg import jpeg

__all__ = ["MOST_SCENES", "Line", "Scene", "Viewing", "Viewings", "scenes_of"]

_log = logging.getLogger(__name__)

MOST_SCENES: Final = 24
#: Pictures of a storyboard that are shown even if nothing changes.
_FEWEST: Final = 8
#: Mean change of colour from one kept frame to the next, of 255, that begins a scene.
_CUT: Final = 16.0
#: Seconds from one scene to the next.
_APART: Final = 1.0
#: Every so many pixels are compared.
_STRIDE: Final = 8
#: Width and height within which a scene's picture lies.
_PICTURE: Final = (320, 180)
_MOST_LINES: Final = 2000
#: Cases whose media was read that are kept, and that may wait to be read.
_KEPT: Final = 32
_WAITING: Final = 16
#: Bounds of the process that decodes, as for other pictures that people look at.
_MEMORY: Final = 2 * 1024**3
_SECONDS: Final = 60
_CLOSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture of the storyboard: the second at which it begins, and its JPEG."""

    at: float
    picture: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """Words in media.

    Attributes:
        kind: ``said`` by somebody; ``seen`` in the frames, subtitles or chapters; ``evidence`` of
            a detector.
        text: The words.
        start: The second at which they begin.
        end: The second at which they end.
        language: ISO 639-1 code of their language, where it is known.
    """

    kind: Literal["said", "seen", "evidence"]
    text: str
    start: float
    end: float
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Viewing:
    """What was found in the media of an upload.

    Attributes:
        scenes: Pictures in order of time; at most 24.
        lines: Words in order of time; at most 2,000.
        notes: What could not be read, and why.
    """

    scenes: tuple[Scene, ...] = ()
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()


class Viewings:
    """Reads media for the pages that ask for it.

    Args:
        access: Where media may be fetched from, and how much of it.
    """

    def __init__(self, access: MediaAccess) -> None:
        self._access = access
        self._lock = threading.Condition()
        self._known: OrderedDict[str, Viewing] = OrderedDict()
        self._waiting: OrderedDict[str, Upload] = OrderedDict()
        self._reading = ""
        self._thread: threading.Thread | None = None
        self._stopping = False

    def of(self, upload: Upload) -> Viewing | None:
        """What was found in an upload's media; None while it is being read.

        Args:
            upload: An upload with media.
        """
        key = _key(upload)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            if key != self._reading:
                # Who opens a case now looks at it now; others ask again if they still wait.
                self._waiting[key] = upload
                self._waiting.move_to_end(key)
                while len(self._waiting) > _WAITING:
                    self._waiting.popitem(last=False)
                self._start()
                self._lock.notify()
        return None

    def has(self, upload: Upload) -> bool:
        """Whether an upload's media was read, so that ``of`` answers at once."""
        with self._lock:
            return _key(upload) in self._known

    def scene(self, upload: Upload, number: int) -> bytes | None:
        """The JPEG of one scene; None if it is not kept (any more)."""
        with self._lock:
            found = self._known.get(_key(upload))
        known = found is not None and 0 <= number < len(found.scenes)
        return found.scenes[number].picture if found is not None and known else None

    def close(self) -> None:
        """Stop after the file that is being read."""
        with self._lock:
            self._stopping = True
            self._waiting.clear()
            self._lock.notify()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _start(self) -> None:
        if self._thread is None and not self._stopping:
            self._thread = threading.Thread(target=self._run, name="console-media", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        extractor = Extractor(_needs(), self._access, embeds_speech=False)
        with tempfile.TemporaryDirectory(prefix="quorum-viewing-") as folder:
            decode_apart(Path(folder), _MEMORY, _SECONDS)
            while True:
                with self._lock:
                    while not self._waiting and not self._stopping:
                        self._lock.wait()
                    if self._stopping:
                        return
                    key, upload = self._waiting.popitem()
                    self._reading = key
                made = self._read(extractor, upload)
                with self._lock:
                    self._reading = ""
                    self._known[key] = made
                    while len(self._known) > _KEPT:
                        self._known.popitem(last=False)

    def _read(self, extractor: Extractor, upload: Upload) -> Viewing:
        try:
            # The upload's own words are on the page already.
            bare = {"title": "", "description": "", "tags": (), "comments": (), "language": None}
            (found,) = extractor.extract([upload.model_copy(update=bare)])
            hears = speech_is_on(self._access.speech)
            return _viewing(found, hears=hears, reads=self._access.read_frames > 0)
        except Exception as error:  # one file must not end the thread that reads the others
            _log.exception("the media of %s could not be read for the console", upload.id)
            return Viewing(notes=(f"The media could not be read: {type(error).__name__}.",))


def _key(upload: Upload) -> str:
    return f"{upload.id}\0{upload.digest}"


def _needs() -> frozenset[Feature]:
    return frozenset({Feature.FRAMES, Feature.TEXT, Feature.OCR, Feature.SPEECH})


def _viewing(found: Features, *, hears: bool, reads: bool) -> Viewing:
    lines: list[Line] = []
    if found.speech is not None:
        said = found.speech.text
        lines += _lines("said", said.fields, said.heard, said.language)
    if found.text is not None:
        lines += _lines("seen", found.text.fields, found.text.seen, found.text.language)
    lines.sort(key=lambda one: (one.start, one.end))
    notes = [f"{why[:1].upper()}{why[1:]}." for why in _whys(found)]
    if not hears:
        notes.append("Speech is not recognised here (media.speech of the settings).")
    if not reads:
        notes.append("Words in frames are not read here (media.read_frames of the settings).")
    if len(lines) > _MOST_LINES:
        notes.append(f"Only the first {_MOST_LINES:,} of {len(lines):,} lines are shown.")
    scenes = () if found.frames is None else _scenes(found.frames)
    return Viewing(scenes, tuple(lines[:_MOST_LINES]), tuple(notes))


def _whys(found: Features) -> list[str]:
    """What is not there, and what is there in part, each once."""
    told = (Feature.FRAMES, Feature.OCR, Feature.SPEECH)
    whys = [found.absent[one] for one in told if one in found.absent]
    return list(
        dict.fromkeys([*whys, *(found.partial[one] for one in told if one in found.partial)])
    )


def _lines(
    kind: Literal["said", "seen"],
    fields: Mapping[str, str],
    times: Mapping[str, tuple[float, float]],
    language: str | None,
) -> list[Line]:
    return [Line(kind, fields[name], *span, language) for name, span in times.items()]


def _scenes(frames: Frames) -> tuple[Scene, ...]:
    """The storyboard of what a player shows: the first of the tracks."""
    return tuple(
        Scene(float(frames.times[index]), jpeg(frames.pixels[index], *_PICTURE))
        for index in scenes_of(frames.pixels, frames.times)
    )


def scenes_of(pixels: NDArray[np.uint8], times: Sequence[float] | NDArray[np.float64]) -> list[int]:
    """The frames that begin a scene, or, where little changes, frames about equally far apart.

    Args:
        pixels: RGB, shape (n, height, width, 3).
        times: Seconds, shape (n,), increasing.

    Returns:
        Indices of frames in order, the first among them: at most 24, a second apart where they
        begin a scene, and at least 8 if there are so many.
    """
    count = len(times)
    if count == 0:
        return []
    looks = pixels[:, ::_STRIDE, ::_STRIDE].astype(np.float32)
    change = np.zeros(count)
    change[1:] = np.abs(np.diff(looks, axis=0)).mean(axis=(1, 2, 3))
    at = np.asarray(times, dtype=np.float64)
    chosen = {0}
    for index in np.argsort(-change, kind="stable"):
        if change[index] <= _CUT or len(chosen) == MOST_SCENES:
            break
        if np.abs(at[sorted(chosen)] - at[index]).min() >= _APART:
            chosen.add(int(index))
    while len(chosen) < min(_FEWEST, count):
        # The frame that is farthest from all chosen ones.
        away = np.abs(at[:, None] - at[sorted(chosen)][None, :]).min(axis=1)
        away[sorted(chosen)] = -1.0
        chosen.add(int(away.argmax()))
    return sorted(chosen)
