"""The door: everything that looks at media opens it here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from quorum.core.errors import InputError, MediaRefused
from quorum.models.media.appended import Tail, behind
from quorum.models.media.between import Between, Looks
from quorum.models.media.container import ContainerReader, PacketListener
from quorum.models.media.drawn import DRAWN_CODECS
from quorum.models.media.flv import FLASH, LaterFlash
from quorum.models.media.limits import MAX_TRACKS, Limits, Work
from quorum.models.media.lines import MediaLine
from quorum.models.media.opposite import Opposite
from quorum.models.media.picture import Picture
from quorum.models.media.picture_formats import is_jpeg_xl, picture_format
from quorum.models.media.stills import StillReader
from quorum.models.media.subtitles import TEXT_CODECS
from quorum.models.media.tracks import Heard, Shown, Track, TrackKind

__all__ = ["Media", "open_media", "picture_at", "pictures_at"]

_HEAD = 512
#: The most parts of a file that are read.
_MOST_READERS = 6
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Browsers do not show it either; a file may have a picture on each of many pages.
_NO_TIFF = "media refused: TIFF cannot be read; give it to Quorum as JPEG, PNG, WebP or AVIF"
#: No package decodes its animations, and of none is the size checked before it is decoded.
_JPEG_XL = (
    "media refused: JPEG XL cannot be read; give it to Quorum as JPEG, PNG, WebP or AVIF, as "
    "browsers without JPEG XL get it"
)


class Media:
    """An open media file.

    Args:
        path: The file.
        limits: How much of it is decoded.
        held: Closes what is opened of it.

    Attributes:
        tracks: Its tracks; the ones that a player would choose first.
        unknown: That there are others of which nothing is known; empty if not.
    """

    def __init__(self, path: Path, limits: Limits, held: ExitStack) -> None:
        self._path = path
        self._readers: list[StillReader | ContainerReader] = []
        self._limits = limits
        self._held = held
        self._ignored: list[str] = []
        self._work = Work(limits.bounded)
        self.unknown = ""
        self.tracks: tuple[Track, ...] = ()

    def add(self, reader: StillReader | ContainerReader) -> None:
        """Have one more part: a HEIF file may hold pictures and a film."""
        self._held.callback(reader.close)
        self._readers.append(reader)
        self.tracks += reader.tracks

    def add_film(
        self,
        start: int,
        form: str | None = None,
        begin: float = 0.0,
        known: frozenset[tuple[int, str]] = frozenset(),
    ) -> ContainerReader:
        """Have the film that begins at a byte of the file.

        Args:
            start: The byte.
            form: FFmpeg's name of its format; by default found out.
            begin: The second at which it begins to be shown.
            known: Tracks that another part has, by their numbers in the file and their codings.

        Raises:
            MediaRefused: If it cannot be read.
        """
        file = self._held.enter_context(self._path.open("rb"))
        size = file.seek(0, 2) - start
        file.seek(0)
        part: BinaryIO | Tail = file
        if start:
            part = LaterFlash(file, start) if form == FLASH else Tail(file, start)
        first = 1 + max((track.index for track in self.tracks), default=-1)
        made = ContainerReader(
            part, size, self._limits, form, first=first, begin=begin, known=known
        )
        self.add(made)
        return made

    @cached_property
    def seed(self) -> bytes:
        """The SHA-256 of the file, which chooses when it is looked at."""
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    @property
    def length(self) -> float:
        """Seconds of the whole file, as far as it is known; 0 for a still picture."""
        return max(one.length for one in self._readers)

    @property
    def problems(self) -> list[str]:
        """What could not be decoded, such as "damaged after 3.2 s"."""
        return list(dict.fromkeys(chain(*(one.problems for one in self._readers))))

    @property
    def spent(self) -> bool:
        """Whether the work is done that the file allows; what is made of it counts, too."""
        return self._work.share >= 1.0

    @property
    def complete(self) -> bool:
        """Whether every packet of a container was read."""
        return all(isinstance(one, ContainerReader) and one.complete for one in self._readers)

    @property
    def left_out(self) -> list[str]:
        """The tracks that were not judged, with why."""
        found = list(self._ignored)
        for reader in self._readers:
            if isinstance(reader, ContainerReader):
                found += reader.left_out.values()
        return found

    @property
    def chapters(self) -> list[MediaLine]:
        """The titles of the chapters."""
        return list(
            chain(*(one.chapters for one in self._readers if isinstance(one, ContainerReader)))
        )

    def of(self, *kinds: TrackKind) -> list[Track]:
        """The tracks of some kinds, those first that a player would choose."""
        return [track for track in self.tracks if track.kind in kinds]

    def read(
        self,
        kinds: Collection[TrackKind],
        *,
        draft: float | None = None,
        moments: float | None = None,
        finer: Callable[[float, float], bool] | None = None,
        listener: PacketListener | None = None,
        start: float = 0.0,
        only: Track | None = None,
    ) -> Iterator[Shown | Heard | MediaLine]:
        """Decode the tracks of some kinds, in the order of the file. Never raises.

        What was not decoded is in ``problems`` and ``left_out``.

        Args:
            kinds: These kinds; at most eight tracks of each.
            draft: Pictures a second that are looked at, where they need not be exact.
            moments: Seconds of whose multiples the pictures are looked at; None for always. What
                is shown between them is a track of its own, if it is something else.
            finer: Whether somebody looks between two seconds, both included, beside the moments.
            listener: Receives the coded packets of all tracks of pictures and sound.
            start: Second to which a film seeks first.
            only: The one track to decode, rather than all of the kinds.
        """
        chosen = [only] if only is not None else self._judged(kinds)
        work = self._work = Work(self._limits.bounded)
        looks = None if moments is None else Looks(moments, self.seed, finer)
        between: dict[Track, Between] = {}
        opposite: dict[Track, Opposite] = {}
        more = frozenset() if only is not None or start else frozenset(kinds)
        for one in self._decoded(chosen, work, draft, looks, listener, start, more):
            yield one
            if isinstance(one, Heard):
                if one.track not in opposite:
                    opposite[one.track] = Opposite(one.track)
                for heard in opposite[one.track].take(one):
                    self._also(heard.track)
                    yield heard
            if not isinstance(one, Shown):
                continue
            seen = [one, *(self._parts_of(one) if more else ())]
            yield from seen[1:]
            if looks is None or one.track.kind is not TrackKind.VIDEO:
                continue
            for each in seen:
                if each.track not in between:
                    between[each.track] = Between(each.track, looks)
                for shown in between[each.track].take(each):
                    self._also(shown.track)
                    yield shown
        for last in between.values():
            for shown in last.rest():
                self._also(shown.track)
                yield shown

    def _parts_of(self, one: Shown) -> Iterator[Shown]:
        """The parts of a picture that players show alone, each a track of its own."""
        for reader in self._readers:
            for part in reader.parts.get(one.track, ()):
                try:
                    for shown in part.of(one):
                        self._also(shown.track)
                        yield shown
                except MediaRefused as refused:
                    if str(refused) not in self._ignored:
                        self._ignored.append(str(refused))

    def _also(self, track: Track) -> None:
        """Have a track that was found while the file was read."""
        if track not in self.tracks:
            self.tracks += (track,)

    def _decoded(
        self,
        chosen: list[Track],
        work: Work,
        draft: float | None,
        looks: Looks | None,
        listener: PacketListener | None,
        start: float,
        more: frozenset[TrackKind],
    ) -> Iterator[Shown | Heard | MediaLine]:
        for reader in self._readers:  # more may come
            if isinstance(reader, ContainerReader):
                mine = [track for track in chosen if track in reader.tracks]
                yield from reader.read(
                    mine, work, draft=draft, looks=looks, listener=listener, start=start,
                    captions=TrackKind.SUBTITLE in more,
                )  # fmt: skip
                if reader.later is not None and more:
                    chosen += self._later(reader, more)
            else:
                try:
                    for shown in reader.read(work, looks):
                        if shown.track in chosen:
                            yield shown
                except MediaRefused as refused:
                    reader.problems.append(str(refused))

    def _later(self, reader: ContainerReader, kinds: Collection[TrackKind]) -> list[Track]:
        """The tracks of some kinds that begin within a film, of which its reader gives nothing."""
        starts, second = reader.later or ((), 0.0)
        for start in starts:
            if len(self._readers) >= _MOST_READERS:
                break
            with suppress(MediaRefused):
                form = FLASH if reader.form == FLASH else None
                made = self.add_film(start, form, begin=second, known=reader.known)
                found = [one for one in made.tracks if one.kind in kinds and _is_read(one)]
                if found:
                    return found[:MAX_TRACKS]
        self.unknown = f"tracks that begin after {second:.0f} s were not judged"
        self._ignored.append(self.unknown)
        return []

    def why_not(self, track: Track) -> str | None:
        """Why a track cannot be decoded; None if it may be tried."""
        for reader in self._readers:
            if isinstance(reader, ContainerReader) and track in reader.tracks:
                return reader.why_not(track)
        return None

    def _judged(self, kinds: Collection[TrackKind]) -> list[Track]:
        judged: list[Track] = []
        self._ignored = []
        for kind in TrackKind:
            if kind not in kinds:
                continue
            found = self.of(kind)
            if kind is TrackKind.SUBTITLE:
                unread = [track for track in found if not _is_read(track)]
                self._ignored += [f"the words of {track} cannot be read" for track in unread]
                found = [track for track in found if _is_read(track)]
            judged += found[:MAX_TRACKS]
            if len(found) > MAX_TRACKS:
                self._ignored.append(f"{len(found)} {kind} tracks; {MAX_TRACKS} were judged")
        return judged


def _is_read(track: Track) -> bool:
    return track.kind is not TrackKind.SUBTITLE or track.codec in TEXT_CODECS | DRAWN_CODECS


@contextmanager
def open_media(path: Path, limits: Limits | None = None) -> Iterator[Media]:
    """Open a media file.

    Args:
        path: The file; its name tells nothing about its format.
        limits: How much of it is decoded.

    Raises:
        MediaRefused: If it is no media, of a format that is not read, damaged at its start, or
            too large.
        InputError: If the file cannot be read or is empty.
    """
    limits = limits or Limits()
    with ExitStack() as held:
        try:
            file = held.enter_context(path.open("rb"))
        except OSError as error:
            msg = f"cannot read {path.name}: {error.strerror or error}"
            raise InputError(msg) from None
        media = Media(path, limits, held)
        head = file.read(_HEAD)
        size = file.seek(0, 2)
        file.seek(0)
        if is_jpeg_xl(head):
            raise MediaRefused(_JPEG_XL)
        if head.startswith(_TIFF):
            raise MediaRefused(_NO_TIFF)
        form = picture_format(head)
        if form is not None:
            for still in _stills(file, size, form, limits):
                media.add(still)
        if form is None or (form == "HEIF" and b"moov" in _top_boxes(file, size)[0]):
            media.add_film(0)
        else:
            for start, kind in behind(file, form):
                media.add_film(start, kind)
        yield media


def _stills(
    file: BinaryIO, size: int, form: str, limits: Limits
) -> list[StillReader | ContainerReader]:
    """The readers of the pictures in a file of pictures.

    An AVIF file may hold a picture and an animation. Its first brand says which of them is shown by
    programs that can show both; the others show the picture.
    """
    boxes, whole = _top_boxes(file, size) if form in ("AVIF", "HEIF") else (set(), True)
    readers: list[StillReader | ContainerReader] = []
    if form != "AVIF" or b"moov" not in boxes:
        readers.append(StillReader(file, form, limits))
    else:
        data = file.read()
        moves = data[8:12] == b"avis"
        unread = False
        for brand in (b"avis", b"avif") if moves else (b"avif", b"avis"):
            part = BytesIO(data[:8] + brand + data[12:])
            first = 2 * len(readers)
            try:
                readers.append(StillReader(part, form, limits, first=first, chosen=not readers))
            except MediaRefused as refused:
                problem = refused
                unread |= brand == b"avis"
        if not readers:
            raise problem
        if unread:
            readers[0].problems.append("damaged: its animation cannot be read")
    if not whole:
        readers[0].problems.append("damaged: the file is cut off")
    return readers


def _top_boxes(file: BinaryIO, size: int) -> tuple[set[bytes], bool]:
    """The boxes of a file of ISO media, and whether the last one ends within it."""
    found: set[bytes] = set()
    at = 0
    while at + 8 <= size and len(found) < 64:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        found.add(head[4:8])
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - at
        if length < 8:
            break
        at += length
    file.seek(0)
    return found, at <= size


def pictures_at(
    path: Path, times: Sequence[float], limits: Limits | None = None
) -> Iterator[tuple[Picture, float]]:
    """The pictures that a player shows at some seconds, with the seconds.

    Args:
        path: The file.
        times: The seconds, increasing; beyond the end the last picture is given.
        limits: How much of the file is decoded.

    Raises:
        InputError: If the file cannot be read.
        MediaRefused: If it holds no picture that can be read.
    """
    with open_media(path, limits) as media:
        tracks = media.of(TrackKind.VIDEO, TrackKind.ATTACHED)
        last: Shown | None = None
        done = 0
        for shown in media.read((), only=tracks[0]) if tracks else ():
            if not isinstance(shown, Shown):
                continue
            last = shown
            while done < len(times) and (times[done] < shown.end or shown.track.still):
                yield shown.picture, max(shown.start, times[done])
                done += 1
            if done == len(times):
                return
        if last is None:
            msg = f"{path.name}: {'; '.join(media.problems) or 'no picture could be read'}"
            raise MediaRefused(msg)
        for _ in times[done:]:
            yield last.picture, last.start


def picture_at(path: Path, second: float, limits: Limits | None = None) -> Picture:
    """The picture that a player shows at a second; of a long film it seeks.

    Raises:
        InputError: If the file cannot be read.
        MediaRefused: If it holds no picture that can be read.
    """
    problems: list[str] = []
    # Some containers seek to a place from which nothing can be decoded: then from the beginning.
    for start in dict.fromkeys((second, 0.0)):
        with open_media(path, limits) as media:
            shown = _picture_from(media, start, second)
            problems = media.problems
        if shown is not None and (not start or shown.start <= second):
            return shown.picture
    msg = f"{path.name}: {'; '.join(problems) or 'no picture could be read'}"
    raise MediaRefused(msg)


def _picture_from(media: Media, start: float, second: float) -> Shown | None:
    tracks = media.of(TrackKind.VIDEO, TrackKind.ATTACHED)
    shown: Shown | None = None
    for one in media.read((), only=tracks[0], start=start) if tracks else ():
        if isinstance(one, Shown):
            shown = one
            if one.end > second or one.track.still:
                break
    return shown
