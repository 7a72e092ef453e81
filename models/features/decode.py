"""What classifiers and OCR look at: bursts of frames of every track, and sound as mono PCM."""

from __future__ import annotations

import contextlib
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import InputError, MediaRefused
from quorum.models.detectors import Audio, Frames, Motion
from quorum.models.features.grid import BURST, GRID, MAX_BURSTS, Bursts, Changes, Pages
from quorum.models.features.motion import LINES, LONG_SIDE, Windows
from quorum.models.media.between import Looks, drawn_by
from quorum.models.media.door import Media, open_media
from quorum.models.media.limits import MAX_SUBTITLES, Limits
from quorum.models.media.lines import MediaLine
from quorum.models.media.picture import GROUNDS, fitted
from quorum.models.media.sound import MonoSound
from quorum.models.media.tracks import Heard, Shown, Track, TrackKind

__all__ = ["AUDIO_RATE", "BURST", "GRID", "MAX_BURSTS", "Decoded", "Decoding", "decode"]

#: Length of the shorter side of decoded frames, in pixels; detectors use 224 to 260.
_SHORT_SIDE: Final = 256
#: The same for frames used for OCR, which needs more detail.
_PAGE_SHORT_SIDE: Final = 480
_LONG_SIDE: Final = 1024
AUDIO_RATE: Final = 16_000
#: The most ways of seeing one file that are judged: tracks, each on the grounds that show through.
_MAX_SIGHTS: Final = 6
#: The most subtitles that are pictures whose words are read, each on two grounds, and their pixels.
_MAX_DRAWN: Final = 48
_DRAWN_PIXELS: Final = 300_000
#: The shorter side of one that is more than lines, in pixels and by that of the film.
_LARGE: Final = 96
_LARGE_SHARE: Final = 0.25
_TOO_MANY: Final = f"only the first {MAX_SUBTITLES:,} lines of subtitles were read"
_TOO_SLOW: Final = "too slow to decode"
_NO_VIDEO: Final = "no video in the media"

_Pixels = NDArray[np.uint8]
_Kept = TypeVar("_Kept", Frames, Motion, Audio)


@dataclass(slots=True)
class Decoded:
    """The decoded parts of a file.

    Attributes:
        frames: Frames for classifiers, if requested and available; those of further tracks are in
            its ``others``.
        pages: Frames for OCR, larger and further apart, if requested and available.
        audio: The sound, if requested and available; further tracks are in its ``others``.
        lines: Subtitles and titles of chapters, if pages were requested.
        no_frames: Why ``frames`` is None.
        no_audio: Why ``audio`` is None.
        problems: What could not be decoded: "damaged after 3.2 s".
        motion: How the pictures move, if requested and if they do; that of further tracks is in
            its ``others``.
        no_motion: Why ``motion`` is None.
    """

    frames: Frames | None = None
    pages: Frames | None = None
    audio: Audio | None = None
    lines: list[MediaLine] = field(default_factory=list)
    no_frames: str = _NO_VIDEO
    no_audio: str = "no sound in the media"
    problems: list[str] = field(default_factory=list)
    motion: Motion | None = None
    no_motion: str = _NO_VIDEO


class _Sight:
    """What is seen of one track on one ground."""

    def __init__(
        self,
        track: Track,
        ground: str,
        limits: Limits,
        max_pages: int,
        looks: Looks,
        *,
        motion: bool,
    ) -> None:
        self.track = track
        self.ground = ground
        #: Each picture is one to look at, rather than a part of what is sampled.
        self.chosen = track.between or track.kind is TrackKind.SUBTITLE
        self.grid: Bursts[_Pixels] = Bursts(limits.max_unseen, looked=self.chosen)
        self.changes = Changes()
        self.windows = Windows(limits.max_unseen) if motion and not self.chosen else None
        self.pages = Pages(max_pages, limits.max_unseen, None if self.chosen else looks)
        self.end = 0.0
        self.transparent = False
        self._last: Shown | None = None
        self._sizes: dict[tuple[int, int], tuple[int, int]] = {}

    def show(self, shown: Shown, *, frames: bool) -> None:
        """Look at a picture for as long as it is shown."""
        made: dict[int, _Pixels] = {}

        def reduced(short_side: int) -> _Pixels:
            if short_side not in made:
                made[short_side] = self._reduced(shown, short_side)
            return made[short_side]

        start, end = shown.start, shown.end
        self.end = max(self.end, end)
        self._last = shown
        if frames:
            self.grid.show(start, end, lambda: reduced(_SHORT_SIDE))
            if not self.chosen:
                self.changes.show(
                    start,
                    end,
                    lambda: shown.picture.look(self.ground),
                    lambda: reduced(_SHORT_SIDE),
                )
        if self.windows is not None:
            size = self._size(shown, LINES, LONG_SIDE)
            self.windows.show(start, end, lambda: shown.picture.gray(*size, self.ground))
        if self.pages.most:
            self.pages.show(start, end, lambda: reduced(_PAGE_SHORT_SIDE))

    def finish(self) -> None:
        """Look at the last picture, which stays on the screen when a film has ended."""
        last, self._last = self._last, None
        if last is None or last.track.still or self.chosen:
            return
        self.changes.end(
            last.start,
            lambda: last.picture.look(self.ground),
            lambda: self._reduced(last, _SHORT_SIDE),
        )
        self.pages.finish()
        self.pages.end(last.start, lambda: self._reduced(last, _PAGE_SHORT_SIDE))

    def _reduced(self, shown: Shown, short_side: int) -> _Pixels:
        return shown.picture.rgb(*self._size(shown, short_side, _LONG_SIDE), self.ground)

    def _size(self, shown: Shown, short_side: int, long_side: int) -> tuple[int, int]:
        """The size of the first frame, scaled, even if the stream changes its size later."""
        key = (short_side, long_side)
        if key not in self._sizes:
            self._sizes[key] = fitted(shown.picture.size, short_side, long_side)
        return self._sizes[key]

    @property
    def name(self) -> str:
        """The track, and the ground where it shows through."""
        return str(self.track) + (f" on {self.ground}" if self.transparent else "")

    def kept(self, kept: Bursts[_Pixels] | Pages, length: float, reach: float) -> Frames | None:
        """The frames that were kept; None without any."""
        if not kept.pixels:
            return None
        times, pixels = kept.times, kept.pixels
        if isinstance(kept, Bursts):
            times, pixels = self.changes.merged(times, pixels)
        return Frames(
            np.stack(pixels),
            np.asarray(times, dtype=np.float64),
            self.end,
            name=self.name,
            length=max(length, self.end),
            # What was chosen is no sample of the film: what it misses, the film's track has.
            reach=max(reach, length, self.end) if self.chosen else reach,
        )


class _Sound:
    """The sound of one track as mono PCM."""

    def __init__(self, track: Track, max_seconds: float) -> None:
        import av

        self.track = track
        self._left = int(max_seconds * AUDIO_RATE)
        self._parts: list[NDArray[np.float32]] = []
        self._mono = MonoSound("flt", AUDIO_RATE)
        self._errors = (av.error.FFmpegError, ValueError)

    def add(self, frame: Any) -> None:
        """Add a piece; None flushes the rest."""
        with contextlib.suppress(*self._errors):
            for part in self._mono.samples(frame):
                samples = part[: max(0, self._left)]
                self._left -= len(samples)
                if len(samples):
                    self._parts.append(samples)

    def finish(self) -> Audio | None:
        """The whole; None if nothing was heard."""
        self.add(None)
        if not self._parts:
            return None
        samples = np.clip(np.nan_to_num(np.concatenate(self._parts)), -1.0, 1.0)
        return Audio(samples.astype(np.float32), AUDIO_RATE, name=str(self.track))


class _Drawn:
    """Pages of subtitles that are pictures: which ones, if they are many, the file's bytes choose.

    Args:
        seed: The SHA-256 of the file.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0
        self._kept: list[tuple[bytes, int, Frames]] = []

    def take(self, shown: Shown) -> None:
        """Keep a picture, if it is one of the chosen."""
        self._count += 1
        place = drawn_by(self._seed, b"drawn", self._count)
        full = len(self._kept) == _MAX_DRAWN
        if full and place > self._kept[-1][0]:
            return
        insort(self._kept, (place, self._count, self._page(shown)))
        del self._kept[_MAX_DRAWN:]

    @staticmethod
    def _page(shown: Shown) -> Frames:
        width, height = shown.picture.size
        scale = min(1.0, _LONG_SIDE / max(width, height), (_DRAWN_PIXELS / width / height) ** 0.5)
        size = (max(2, round(width * scale)), max(2, round(height * scale)))
        pixels = np.stack([shown.picture.rgb(*size, ground) for ground in GROUNDS])
        return Frames(pixels, np.full(len(pixels), shown.start), shown.end, name=str(shown.track))

    def pages(self) -> list[Frames]:
        """What was kept, in order of time."""
        return [one for _, _, one in sorted(self._kept, key=lambda each: each[1])]

    @property
    def unread(self) -> str:
        """What was not kept; empty if nothing."""
        if self._count <= _MAX_DRAWN:
            return ""
        return f"only {_MAX_DRAWN} of {self._count:,} pictures of subtitles were read"


class Decoding:
    """Makes frames, pages, sound and lines of what is read of an open file.

    Args:
        media: The file.
        limits: How much of it is decoded.
        frames: Whether to make frames.
        audio: Whether to keep sound.
        max_pages: Number of frames for OCR of media that is not long; 0 for none.
        motion: Whether to tell how pictures move.
    """

    #: All moments at which it looks at pictures are multiples of so many seconds, beside ``finer``.
    MOMENTS = GRID

    def __init__(
        self,
        media: Media,
        limits: Limits,
        *,
        frames: bool,
        audio: bool,
        max_pages: int,
        motion: bool,
    ) -> None:
        self._media = media
        self._limits = limits
        self._frames = frames
        self._audio = audio
        self._max_pages = max_pages
        self._motion = motion
        self._looks = Looks(GRID, media.seed)
        self._unseen: list[str] = []
        self._lines: list[MediaLine] = []
        self._sounds: dict[Track, _Sound] = {}
        self._sights: dict[Track, list[_Sight]] = {}
        self._drawn = _Drawn(media.seed)

    @property
    def kinds(self) -> frozenset[TrackKind]:
        """The kinds of tracks that it needs."""
        kinds = set()
        if self._frames or self._motion or self._max_pages:
            kinds |= {TrackKind.VIDEO, TrackKind.ATTACHED}
        if self._audio:
            kinds.add(TrackKind.AUDIO)
        if self._max_pages:
            kinds.add(TrackKind.SUBTITLE)
        return frozenset(kinds)

    def finer(self, start: float, end: float) -> bool:
        """Whether it looks at pictures between two seconds, both included, off the grid."""
        if not self._motion:
            return False
        return not self._sights or any(
            one.windows is not None and one.windows.wants(start, end)
            for sights in self._sights.values()
            for one in sights
        )

    def take(self, one: Shown | Heard | MediaLine) -> None:
        """Look at, hear or read one thing, of the kinds that it needs."""
        if isinstance(one, Shown) and one.track.kind is TrackKind.SUBTITLE:
            self._drawn.take(one)
            if self._frames and self._is_large(one):
                for sight in self._sights_of(one, self._sights):
                    sight.show(one, frames=True)
        elif isinstance(one, Shown):
            for sight in self._sights_of(one, self._sights):
                sight.show(one, frames=self._frames)
        elif isinstance(one, Heard):
            if one.track not in self._sounds:
                self._sounds[one.track] = _Sound(one.track, self._limits.max_seconds)
            self._sounds[one.track].add(one.frame)
        elif len(self._lines) < MAX_SUBTITLES:
            self._lines.append(one)
        elif _TOO_MANY not in self._unseen:
            self._unseen.append(_TOO_MANY)

    def finish(self) -> Decoded:
        """All that was made, once the file has been read."""
        result = Decoded()
        if self._max_pages:
            titles = self._media.chapters
            if len(titles) > MAX_SUBTITLES:
                self._unseen.append(
                    f"only the first {MAX_SUBTITLES:,} titles of chapters were read"
                )
            result.lines = [*titles[:MAX_SUBTITLES], *self._lines]
        self._finish(result, self._sights, frames=self._frames)
        order = [track for track in self._media.tracks if track in self._sounds]
        result.audio = together(self._sounds[track].finish() for track in order)
        if result.audio is None and self._audio:
            result.no_audio = self._why_none(TrackKind.AUDIO) or result.no_audio
        return result

    def _sights_of(self, shown: Shown, sights: dict[Track, list[_Sight]]) -> list[_Sight]:
        if shown.track not in sights:
            if sum(map(len, sights.values())) >= _MAX_SIGHTS:
                told = f"{shown.track} was not judged: more than {_MAX_SIGHTS} ways of seeing it"
                if told not in self._unseen:
                    self._unseen.append(told)
                return []
            first = self._sight(shown.track, GROUNDS[0])
            sights[shown.track] = [first]
        mine = sights[shown.track]
        if len(mine) == 1 and shown.picture.transparent:
            # Up to now all was opaque, and looks the same on any ground.
            mine[0].transparent = True
            mine.append(self._sight(shown.track, GROUNDS[1]))
            mine[1].transparent = True
        return mine

    def _is_large(self, drawn: Shown) -> bool:
        """Whether a subtitle shows more than lines."""
        films = [min(track.size) for track in self._media.of(TrackKind.VIDEO)]
        return min(drawn.picture.size) >= max([_LARGE, *(_LARGE_SHARE * side for side in films)])

    def _sight(self, track: Track, ground: str) -> _Sight:
        pages = 0 if track.kind is TrackKind.SUBTITLE else self._max_pages
        return _Sight(track, ground, self._limits, pages, self._looks, motion=self._motion)

    def _finish(self, result: Decoded, sights: dict[Track, list[_Sight]], *, frames: bool) -> None:
        media, reach = self._media, self._limits.max_unseen
        order = [one for track in media.tracks for one in sights.get(track, ())]
        for one in order:
            one.finish()
        if frames:
            result.frames = together(one.kept(one.grid, media.length, reach) for one in order)
        windows = [(one, one.windows) for one in order if one.windows is not None]
        result.motion = together(
            each.motion(one.name, lambda: media.spent) for one, each in windows
        )
        pages = [one.kept(one.pages, media.length, reach) for one in order]
        result.pages = together([*pages, *self._drawn.pages()])
        slow = [
            f"{_TOO_SLOW}: the movement of {one.name} was measured only to {each.ended:.0f} s"
            for one, each in windows
            if each.ended is not None
        ]
        result.problems = media.problems + slow
        unread = list(filter(None, [*self._unseen, self._drawn.unread, *media.left_out]))
        for track in media.of(TrackKind.VIDEO):
            if track not in sights and media.why_not(track) is None:
                unread.append(f"no frame of {track} could be read")
        if result.frames is not None:
            result.frames = replace(result.frames, unread=tuple(unread))
        if order:
            result.no_motion = next(iter(slow), "nothing moves in the media")
            result.problems = [*result.problems, *unread]
            return
        why = self._why_none(TrackKind.VIDEO, TrackKind.ATTACHED)
        if why is not None:
            result.no_frames = result.no_motion = why

    def _why_none(self, *kinds: TrackKind) -> str | None:
        """Why nothing of some kinds could be decoded; None if the file holds none."""
        tracks = self._media.of(*kinds)
        if not tracks:
            return self._media.unknown or None
        refused = self._media.why_not(tracks[0])
        if refused is not None:
            return refused
        cause = next(iter(self._media.problems), "damaged")
        what = "sound" if kinds == (TrackKind.AUDIO,) else "frame"
        return f"no {what} could be read: {cause}"


def together(found: Iterable[_Kept | None]) -> _Kept | None:
    """The first, with the others beside it; None without any."""
    kept = [one for one in found if one is not None]
    return replace(kept[0], others=tuple(kept[1:])) if kept else None


def decode(
    path: Path,
    *,
    frames: bool,
    audio: bool,
    max_seconds: float,
    max_pixels: int,
    max_pages: int = 0,
    max_unseen: float = 20.0,
    motion: bool = False,
) -> Decoded:
    """Decode a media file in one pass.

    Args:
        path: The file.
        frames: Decode frames.
        audio: Decode sound.
        max_seconds: Decode at most this much.
        max_pixels: Reject larger frames before decoding.
        max_pages: Number of frames for OCR of media that is not long; 0 for none.
        max_unseen: Seconds of which at least one frame is kept.
        motion: Tell how the pictures move.

    Raises:
        MediaRefused: If the format is unknown or the file is damaged at its start.
    """
    limits = Limits(max_seconds, max_pixels, max_unseen)
    try:
        with open_media(path, limits) as media:
            decoding = Decoding(
                media, limits, frames=frames, audio=audio, max_pages=max_pages, motion=motion
            )
            for one in media.read(decoding.kinds, moments=Decoding.MOMENTS, finer=decoding.finer):
                decoding.take(one)
            return decoding.finish()
    except MediaRefused:
        raise
    except InputError as error:
        raise MediaRefused(str(error)) from error
