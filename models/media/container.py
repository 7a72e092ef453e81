"""Films and sound in containers, by FFmpeg: every track on the clock of a viewer."""

from __future__ import annotations

import gc
import re
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, Final

from quorum.core.errors import MediaRefused
from quorum.models.media.ahead import Ahead
from quorum.models.media.aperture import Aperture, Part
from quorum.models.media.appended import Tail
from quorum.models.media.between import Looks
from quorum.models.media.boxes import check_tables
from quorum.models.media.captions import Captions, caption_data
from quorum.models.media.clock import TrackClock
from quorum.models.media.drawn import DRAWN_CODECS, DrawnSubtitles
from quorum.models.media.flv import FLASH, later_tags
from quorum.models.media.limits import CONTAINER_OPTIONS, Limits, Work
from quorum.models.media.lines import MediaLine, lines_of
from quorum.models.media.orientation import UPRIGHT, Orientation
from quorum.models.media.picture import Picture, Renderer
from quorum.models.media.sound import Gathered
from quorum.models.media.subtitles import TEXT_BOXES, draws, subtitle_text
from quorum.models.media.tracks import Heard, Shown, Track, TrackKind

__all__ = ["ContainerReader", "PacketListener"]

#: Consecutive broken packets after which a track is given up.
_MAX_BROKEN: Final = 200
#: The clock of these containers may jump (AVFMT_TS_DISCONT).
_RESETS: Final = 0x0200
#: These containers have no times (AVFMT_NOTIMESTAMPS): each frame must be decoded to be counted.
_TIMELESS: Final = 0x0080
#: These containers say of each frame when it is shown, not when it is decoded.
_TIMES_SHOWN: Final = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts"})
#: In these all packets of sound are timed as if they were as long as the first.
_ONE_PACE: Final = frozenset({"aac"})
#: Above this many times the sampling rate, a draft leaves out frames that no other one needs.
_SKIP_ABOVE: Final = 3.5
#: Pixels of frames that wait for the collector: eight frames of 4K.
_MAX_UNCOLLECTED: Final = 64_000_000
#: Shares of the allowance from which on frames are left out that cost much.
_HURRY, _HASTE = 0.5, 0.75
#: FFmpeg's own decoders of VP8 and VP9 do not decode their alpha.
_WITH_ALPHA: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


#: In these tracks may begin anywhere.
_GROWING: Final = frozenset({"mpegts", "mpeg", FLASH})
#: Bytes or seconds after which it is looked whether there are more tracks.
_LOOK_BYTES: Final = 1_000_000
_LOOK_SECONDS: Final = 1.0
#: A track in FFmpeg's description of a file.
_STREAM: Final = re.compile(r"Stream #0:(\d+)[^:]*: (?:Video|Audio|Subtitle): (\w+)")

#: In these a track may tell players to show a part of its pictures, as FFmpeg describes it.
_CROPPING: Final = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
_CROPPED: Final = re.compile(
    r"^  Stream #0:(\d+)(?:(?!\n  Stream).)*?\n      Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)$",
    re.MULTILINE | re.DOTALL,
)

#: FFmpeg's name of CEA-608 as a track of its own.
_CLOSED: Final = "cc_dec"
#: Bytes of it after which the work is checked: a packet has any number of pairs.
_CLOSED_BYTES: Final = 3_000
_SKIPPING: Final = "too slow to decode: only key frames"


class PacketListener:
    """Receives each coded packet of a track, before it is decoded."""

    def packet(self, track: Track, packet: Any) -> None:
        """One packet, in the order of the file."""


class _AnonymousFile:
    """An open file without a name, so that FFmpeg cannot use the name to find other files."""

    def __init__(self, file: BinaryIO | Tail) -> None:
        self._seek = file.seek
        self.read = file.read
        self.tell = file.tell

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place; -1 if a damaged file asks for one that cannot be."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


class _Playing:
    """A track that is being decoded."""

    def __init__(self, track: Track, stream: Any, clock: TrackClock) -> None:
        self.track = track
        self.stream = stream
        self.clock = clock
        self.ahead = Ahead(clock, None)
        self.skip = self.least = "DEFAULT"
        self.decoder: Any = None
        self.orientation = UPRIGHT
        self.waiting: Shown | None = None
        self.sound = Gathered()
        self.broken = 0
        self.begun = False
        self.rotation = 0
        self.skips = False
        self.base = 0.0  # seconds of a tick
        self.counted = False
        self.captions = Captions()
        self.captioned = False
        self.drawn: DrawnSubtitles | None = None


class ContainerReader:
    """Reads the tracks of one file.

    Args:
        file: The file.
        size: Its length in bytes.
        limits: How much of it is decoded.
        form: FFmpeg's name of its format; by default found out.
        first: The number of its first track.
        begin: The second at which it begins to be shown.
        known: Tracks that are left to another reader, by their numbers in the file and codings.

    Attributes:
        tracks: Its tracks of pictures, sound and text.
        parts: The parts of the pictures of tracks that players show alone.
        length: Seconds that it says to have; 0 if it does not say.
        left_out: Tracks that cannot be judged, with why.
        problems: What could not be decoded.
        complete: Whether every packet was read.
        known: Its tracks and those that are left to another reader.
        form: FFmpeg's name of its format.
        later: Bytes from which to look for tracks that it does not know, and the second; None if
            there are none, or it has not come to them.

    Raises:
        MediaRefused: If its format is unknown, or it is damaged at its start.
    """

    def __init__(
        self,
        file: BinaryIO | Tail,
        size: int,
        limits: Limits,
        form: str | None = None,
        *,
        first: int = 0,
        begin: float = 0.0,
        known: frozenset[tuple[int, str]] = frozenset(),
    ) -> None:
        import av

        av.logging.set_level(av.logging.PANIC)
        self._codings = check_tables(file, size)
        self._errors = (av.error.FFmpegError, ValueError, OSError, IndexError)
        try:
            opened: Any = av.open(
                _AnonymousFile(file),
                format=form,
                options=dict(CONTAINER_OPTIONS),
                metadata_errors="replace",
            )
        except self._errors as error:
            raise self._unreadable(error) from error
        self._container = opened
        self._limits = limits
        self._first = first
        self._begin_at = begin
        self._start = file.start if isinstance(file, Tail) else 0
        self._looked = (0, begin)
        self._file = file
        self.later: tuple[tuple[int, ...], float] | None = None
        self.known = known
        self._streams: dict[int, Any] = {first + one.index: one for one in opened.streams}
        if not self._streams:
            msg = "media cannot be read: it holds no streams"
            raise MediaRefused(msg)
        self.problems: list[str] = []
        # Numbers below zero are not those of tracks: FFmpeg decodes the first coding of a track.
        self.left_out: dict[int, str] = {
            -number: f"track {number} changes its coding ({', '.join(each)}): only the first was "
            "decoded"
            for number, each in enumerate(self._codings, 1)
            if len(each) > 1
        }
        self._refused: dict[int, str] = {}
        self.form = opened.format.name
        self._sights_and_sounds = sum(one.type in ("video", "audio") for one in opened.streams)
        self._before = self._described() if self.form in _GROWING else {}
        self.tracks = self._tracks()
        self.parts = self._parts() if self.form in _CROPPING else {}
        self.known |= {_named(stream) for stream in opened.streams}
        self.length = max(0.0, (self._container.duration or 0) / 1_000_000)
        self._flags = int(opened.format.flags)
        self._uncollected = 0
        self.reached = begin
        self.complete = False

    @staticmethod
    def _unreadable(error: BaseException) -> MediaRefused:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return MediaRefused(f"media cannot be read: {reason}")

    def _tracks(self) -> tuple[Track, ...]:
        best = {self._container.streams.best(kind) for kind in ("video", "audio", "subtitle")}
        chosen = {stream.index for stream in best if stream is not None}
        made = []
        for index, stream in self._streams.items():
            text = self._text_coding(stream)
            if _named(stream) in self.known or not (
                text or stream.type in ("video", "audio", "subtitle")
            ):
                continue
            if "dependent" in str(stream.disposition):  # a tile of a picture
                continue
            context = stream.codec_context
            kind = TrackKind.SUBTITLE if text else TrackKind(stream.type)
            size = (0, 0)
            if kind is TrackKind.VIDEO:
                size = (context.width, context.height) if context is not None else size
                if "attached_pic" in str(stream.disposition):
                    kind = TrackKind.ATTACHED
            track = Track(
                index,
                kind,
                text or (context.name if context is not None else "unknown coding"),
                stream.index in chosen,
                size,
                str(stream.metadata.get("language", ""))[:20].replace("und", ""),
                str(stream.metadata.get("title", ""))[:100],
                kind is TrackKind.ATTACHED,
            )
            made.append(track)
            if context is None and not text:
                self._refused[track.index] = f"the coding of {track} is unknown"
            elif size[0] * size[1] > self._limits.max_pixels:
                self._refused[track.index] = self._limits.too_large(*size)
        return tuple(sorted(made, key=lambda one: (not one.chosen, one.still, one.index)))

    def _text_coding(self, stream: Any) -> str | None:
        """The coding of a track of text that FFmpeg does not decode."""
        if stream.codec_context is None and stream.index < len(self._codings):
            return TEXT_BOXES.get(next(iter(self._codings[stream.index]), ""))
        return None

    @property
    def chapters(self) -> list[MediaLine]:
        """The titles of its chapters."""
        found: list[MediaLine] = []
        try:
            for one in self._container.chapters():
                base = float(one["time_base"] or 0)
                text = str(one["metadata"].get("title", "")).strip()
                found += lines_of(text, one["start"] * base, one["end"] * base)
        except self._errors:
            return found
        return found

    def why_not(self, track: Track) -> str | None:
        """Why a track cannot be decoded; None if it may be tried."""
        return self._refused.get(track.index)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def read(
        self,
        tracks: Collection[Track],
        work: Work,
        *,
        draft: float | None = None,
        looks: Looks | None = None,
        listener: PacketListener | None = None,
        start: float = 0.0,
        captions: bool = False,
    ) -> Iterator[Shown | Heard | MediaLine]:
        """Decode tracks in the order of the file.

        Args:
            tracks: The tracks to decode; others are demuxed only for a listener.
            work: Counts what it costs.
            draft: Pictures a second that are looked at, where the picture need not be exact: it
                is not deblocked, and frames that no other needs are left out.
            looks: When the pictures are looked at: others are decoded only if these need them.
            listener: Receives the coded packets of all video and audio tracks.
            start: Second to which it seeks first.
            captions: Whether closed captions within the pictures of these tracks are read.
        """
        begun = (
            (track.index, self._begin(track, draft, looks, sought=start > 0)) for track in tracks
        )
        playing = {index: one for index, one in begun if one is not None}
        heard = {t.index: t for t in self.tracks if listener and t.kind != TrackKind.SUBTITLE}
        if not playing and not heard and self.form not in _GROWING:
            return
        if start:
            self._seek(start)
        alive = set(playing)
        holes = _Holes(self.form)
        packets = self._container.demux()
        try:
            while alive or not playing:
                try:
                    packet = next(packets)
                except StopIteration:
                    self.complete = True
                    self._look_for_tracks(None)
                    break
                except self._errors as error:
                    self._look_for_tracks(None)
                    # PyAV fails at the end if there are more tracks than at the beginning.
                    if self.later is None or not isinstance(error, IndexError):
                        self._tell(f"damaged after {self.reached:.1f} s")
                    break
                index = self._first + packet.stream.index
                if not playing and packet.dts is not None:
                    self.reached = max(self.reached, self._start_of(packet, packet.dts))
                self._look_for_tracks(packet.pos)
                if holes.passes(packet):
                    self._tell(f"damaged at {self.reached:.1f} s")
                if listener is not None and packet.size and index in heard:
                    listener.packet(heard[index], packet)
                if index not in alive:
                    work.check()
                    continue
                one = playing[index]
                if captions and one.track.kind is TrackKind.VIDEO:
                    yield from self._captions(one, packet)
                for each, looked_at in one.ahead.through(packet):
                    yield from self._step(one, each, alive, work, looked_at=looked_at)
            for one in playing.values():
                for each, looked_at in one.ahead.rest():
                    yield from self._step(one, each, alive, work, looked_at=looked_at)
        except MediaRefused as refused:
            self._tell(str(refused))
        for one in playing.values():
            end = min(one.clock.end, self._limits.max_seconds)
            yield from one.captions.rest()
            if one.drawn is not None and one.drawn.lost:
                self.left_out[one.track.index] = f"no picture of {one.track} could be read"
            for piece, begin in one.sound.rest():
                yield Heard(one.track, piece, begin, end)
            if one.waiting is not None:
                yield self._until(one, one.waiting, end)
                one.waiting = None

    def _step(
        self, one: _Playing, packet: Any, alive: set[int], work: Work, *, looked_at: bool
    ) -> Iterator[Shown | Heard | MediaLine]:
        """Decode a packet of a track that is alive; it may die of it.

        Raises:
            MediaRefused: If the work is out of proportion.
        """
        index = one.track.index
        if index not in alive:
            return
        work.check()
        if one.track.kind is TrackKind.VIDEO and not self._flags & _TIMELESS:
            self._skip(one, work.share, looked_at=looked_at)
        try:
            yield from self._decode(one, packet, work)
        except MediaRefused:
            raise
        except self._errors:
            if one.broken == 0:
                self._tell(f"damaged at {self.reached:.1f} s")
            one.broken += 1
            if one.broken >= _MAX_BROKEN:
                alive.discard(index)
        except _Enough:
            alive.discard(index)
            if not alive:
                self._tell(f"only the first {self._limits.max_seconds:g} s were read")

    def _look_for_tracks(self, at: int | None) -> None:
        """Look whether tracks have begun, or changed their coding, since the file was opened.

        PyAV gives no packets of the first, and decodes the second as before.

        Args:
            at: The byte that is read; None at the end.
        """
        if self.later is not None or self.form not in _GROWING:
            return
        byte, second = self._looked
        if at is not None and at < byte + _LOOK_BYTES and self.reached < second + _LOOK_SECONDS:
            return
        if self._described() != self._before:
            places: tuple[int, ...] = (byte, at or byte, self._file.tell())
            if self.form == FLASH:
                places = later_tags(self._file, self._sights_and_sounds)
            self.later = tuple(dict.fromkeys(self._start + one for one in places)), self.reached
        self._looked = (at or 0, self.reached)

    def _described(self) -> dict[str, str]:
        """The coding of each track by its number, as FFmpeg knows it now."""
        return dict(_STREAM.findall(self._description()))

    def _description(self) -> str:
        import av

        av.logging.set_level(av.logging.INFO)  # what it describes is a message
        try:
            return str(self._container.dumps_format())
        finally:
            av.logging.set_level(av.logging.PANIC)

    def _parts(self) -> dict[Track, list[Part]]:
        pictures = {one.index: one for one in self.tracks if one.size[0]}
        found: dict[Track, list[Part]] = {}
        for number, *sides in _CROPPED.findall(self._description()):
            track = pictures.get(self._first + int(number))
            left, right, top, bottom = map(int, sides)
            if track is not None:
                width, height = track.size
                part = Aperture(left, top, width - left - right, height - top - bottom)
                found[track] = [Part(track, part)]
        return found

    def _tell_once_skipping(self) -> None:
        if not any(problem.startswith(_SKIPPING) for problem in self.problems):
            self._tell(f"{_SKIPPING} after {self.reached:.1f} s")

    def _tell(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _seek(self, start: float) -> None:
        begin = (self._container.start_time or 0) / 1_000_000
        try:
            self._container.seek(int((begin + start) * 1_000_000))
        except self._errors:
            return

    def _begin(
        self, track: Track, draft: float | None, looks: Looks | None, *, sought: bool
    ) -> _Playing | None:
        if track.index in self._refused:
            self.left_out[track.index] = self._refused[track.index]
            return None
        stream = self._streams[track.index]
        context = stream.codec_context
        rate = 25.0
        one = _Playing(track, stream, TrackClock(0.0, 0.0, resets=False))
        if track.codec in DRAWN_CODECS:
            context.options = {"max_pixels": str(self._limits.max_pixels)}
            one.drawn = DrawnSubtitles(track.codec, bytes(context.extradata or b""))
        if track.kind in (TrackKind.VIDEO, TrackKind.ATTACHED):
            options = {"max_pixels": str(self._limits.max_pixels)}
            stream.thread_type = "NONE"
            context.thread_count = 1
            average = float(stream.average_rate or stream.guessed_rate or 0)
            rate = float(stream.guessed_rate or average or rate)
            if draft is not None:
                # Deblocking makes no difference after the reduction to a raster.
                options["skip_loop_filter"] = "all"
                if average >= _SKIP_ABOVE * draft and not self._flags & _TIMELESS:
                    one.least = "NONREF"
            context.options = options
            name = _WITH_ALPHA.get(context.name)
            if name and stream.metadata.get("alpha_mode") == "1":
                one.decoder = self._alpha_decoder(name)
        began = self._container.start_time
        resets = bool(self._flags & _RESETS) and not sought
        one.counted = self.form in _ONE_PACE and not sought
        one.clock = TrackClock(
            (began or 0) / 1_000_000, 1 / max(rate, 0.01), resets=resets, begin=self._begin_at
        )
        if track.kind is TrackKind.VIDEO and self.form in _TIMES_SHOWN:
            one.ahead = Ahead(one.clock, looks, resets=resets, pixels=track.size[0] * track.size[1])
        return one

    def _alpha_decoder(self, name: str) -> Any:
        import av

        try:
            made: Any = av.CodecContext.create(name, "r")
        except self._errors:
            return None
        made.thread_count = 1
        return made

    def _skip(self, one: _Playing, share: float, *, looked_at: bool) -> None:
        """Leave out frames that are not looked at, or so that a costly film is seen to its end."""
        level = one.least if looked_at else "NONREF"
        if one.captioned:
            level = "DEFAULT"
        if share > _HURRY:
            level = "NONKEY" if share > _HASTE else "NONREF"
        if share > _HASTE and not one.skips:
            one.skips = True
            self._tell_once_skipping()
        if level != one.skip:
            one.stream.codec_context.skip_frame = one.skip = level

    def _decode(
        self, one: _Playing, packet: Any, work: Work
    ) -> Iterator[Shown | Heard | MediaLine]:
        if one.track.kind is TrackKind.SUBTITLE:
            if one.drawn is None:
                yield from self._line(one, packet, work)
            else:
                yield from self._drawing(one, one.drawn, packet, work)
            return
        frames = one.decoder.decode(packet) if one.decoder is not None else packet.decode()
        for frame in frames:
            one.broken = 0
            at = self._seconds(one, frame)
            if at > self._limits.max_seconds:
                if one.waiting is not None:
                    yield self._until(one, one.waiting, self._limits.max_seconds)
                    one.waiting = None
                raise _Enough
            self.reached = max(self.reached, at)
            if one.track.kind is TrackKind.AUDIO:
                work.hear(at)
                for piece, start in one.sound.add(frame, at):
                    yield Heard(one.track, piece, start, one.clock.end)
                continue
            work.spend(frame.width * frame.height, at)
            self._limits.check_size(frame.width, frame.height)
            self._turn(one, frame)
            if one.captioned:
                self._uncollected += frame.width * frame.height
                one.captions.add(bytes(frame.side_data.get("A53_CC") or b""), at)
                yield from one.captions.through(at)
            aspect = float(one.stream.sample_aspect_ratio or 1) or 1.0
            picture = Picture(frame, self._renderer(one), one.orientation, aspect)
            if one.waiting is not None:
                yield self._until(one, one.waiting, at)
            one.waiting = Shown(one.track, picture, at, at)

    def _turn(self, one: _Playing, frame: Any) -> None:
        """Take over how a frame is turned.

        PyAV's frames and their side data refer to each other, so that the collector alone frees
        them. Only those are asked that may turn the picture, and the collector runs in time.
        """
        if one.begun and not frame.key_frame and frame.rotation == one.rotation:
            return
        one.begun, one.rotation = True, frame.rotation
        self._uncollected += frame.width * frame.height
        if self._uncollected > _MAX_UNCOLLECTED:
            gc.collect()
            self._uncollected = 0
        one.orientation = Orientation.of_frame(frame) or one.orientation

    @staticmethod
    def _renderer(one: _Playing) -> Renderer:
        return one.waiting.picture.renderer if one.waiting is not None else Renderer()

    @staticmethod
    def _until(one: _Playing, shown: Shown, end: float) -> Shown:
        """The picture, held until it is replaced; where frames are left out, that is not known."""
        if one.track.still:
            end = shown.start
        elif one.skips:
            end = min(end, shown.start + 1.0)
        return Shown(shown.track, shown.picture, shown.start, max(shown.start, end))

    @staticmethod
    def _seconds(one: _Playing, frame: Any) -> float:
        if one.track.kind is TrackKind.AUDIO:
            duration = frame.samples / frame.sample_rate if frame.sample_rate else 0.0
        else:
            one.base = one.base or float(frame.time_base or 0)
            duration = (frame.duration or 0) * one.base
        return one.clock.seconds(None if one.counted else frame.time, duration)

    def _captions(self, one: _Playing, packet: Any) -> Iterator[MediaLine]:
        """The closed captions of pictures that no packet to come is shown before.

        Pictures without times are put in order by the decoder, which then leaves none out.
        """
        data = b""
        if packet.size and not one.captioned:
            data = caption_data(bytes(packet), one.track.codec)
        if data and packet.pts is None:
            one.captioned = True
        elif data:
            one.captions.add(data, self._start_of(packet, packet.pts))
        if one.captions.waits and packet.dts is not None and not one.captioned:
            yield from one.captions.through(self._start_of(packet, packet.dts))

    def _start_of(self, packet: Any, time: int) -> float:
        began = (self._container.start_time or 0) / 1_000_000
        return max(0.0, time * float(packet.time_base or 0) - began)

    def _drawing(
        self, one: _Playing, drawn: DrawnSubtitles, packet: Any, work: Work
    ) -> Iterator[Shown]:
        """The picture of a subtitle, at the second at which it appears.

        Raises:
            MediaRefused: If the work is out of proportion.
        """
        if not packet.size or packet.pts is None:
            return
        at = self._start_of(packet, packet.pts)
        drawn.tell(bytes(packet))
        parts = one.stream.codec_context.decode2(packet)
        if not parts:
            return
        at += parts.start_display_time / 1000
        rects = [rect for rect in parts if rect.width and rect.height and len(rect)]
        work.spend(sum(rect.width * rect.height for rect in rects), min(at, self.reached))
        if not rects:
            return
        left, top, right, bottom = drawn.box(rects)
        width, height = right - left, bottom - top
        if width * height > self._limits.max_pixels:
            self._tell(f"subtitles: {self._limits.too_large(width, height)}")
            return
        pixels = drawn.draw(rects)
        if pixels is not None:
            yield Shown(one.track, Picture.of_pixels(pixels, Renderer()), at, at)

    def _line(self, one: _Playing, packet: Any, work: Work) -> Iterator[MediaLine]:
        """The words of a packet.

        Raises:
            MediaRefused: If the work is out of proportion.
        """
        if not packet.size or packet.pts is None:
            return
        start, data = self._start_of(packet, packet.pts), bytes(packet)
        if one.track.codec == _CLOSED:
            for at in range(0, len(data), _CLOSED_BYTES):
                work.check()
                one.captions.add(data[at : at + _CLOSED_BYTES], start)
                yield from one.captions.through(start)
            return
        if draws(one.track.codec, data):
            self.left_out[one.track.index] = f"the drawings of {one.track} were not seen"
        duration = float(packet.duration or 0) * float(packet.time_base or 0)
        yield from lines_of(subtitle_text(one.track.codec, data), start, start + duration)


def _named(stream: Any) -> tuple[int, str]:
    """A track by its number in the file, and its coding."""
    context = stream.codec_context
    return int(stream.id), context.name if context is not None else ""


class _Holes:
    """Finds bytes of a damaged file over which its demuxer went silently.

    Args:
        name: The container's format.
    """

    #: Bytes between two packets that belong to none; those of headers are fewer.
    MOST = 1500

    def __init__(self, name: str) -> None:
        self._known = name in ("matroska,webm", "avi")
        self._end: int | None = None
        self._times: dict[int, tuple[int, int]] = {}

    def passes(self, packet: Any) -> bool:
        """Whether there is a hole before a packet: in the bytes, and in the times of its track."""
        if not self._known or packet.pos is None or packet.dts is None:
            return False
        index = packet.stream.index
        before, self._end = self._end, packet.pos + packet.size
        last = self._times.get(index)
        self._times[index] = (packet.dts, packet.duration or 0)
        if before is None or last is None or packet.pos - before <= self.MOST:
            return False
        return bool(last[1] and packet.dts - last[0] > 1.5 * last[1])


class _Enough(Exception):
    """A track has been read as far as the settings allow."""
