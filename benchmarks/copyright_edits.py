"""Edits that hide a work: the positives of the copyright benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["AUDIO_EDITS", "VIDEO_EDITS", "Edit", "edit_audio", "edit_video", "embed"]

Pixels = NDArray[np.uint8]

#: Maximum height of uploads, as sent by phones; bounds the time of the benchmark.
_HEIGHT = 480


@dataclass(frozen=True)
class Edit:
    """An edit of a clip.

    Attributes:
        name: Name in the table.
        filters: FFmpeg video filters, applied after limiting the size.
        paint: Modifies the pixels of a frame (height, width, 3) in place.
        speed: Speed of the upload relative to the work.
        crf: Constant rate factor of the encoding; higher is worse.
        seconds: Start and end of the part of the work.
    """

    name: str
    filters: str = ""
    paint: Callable[[Pixels], None] | None = None
    speed: float = 1.0
    crf: int = 26
    seconds: tuple[float, float] | None = None


def _logo(share: float) -> Callable[[Pixels], None]:
    def paint(pixels: Pixels) -> None:
        height, width = pixels.shape[:2]
        side = int(width * share)
        mark = Image.new("RGB", (side, side), (200, 20, 40))
        draw = ImageDraw.Draw(mark)
        draw.ellipse((side * 0.1, side * 0.1, side * 0.9, side * 0.9), fill=(250, 250, 250))
        draw.polygon(
            [(side * 0.4, side * 0.25), (side * 0.4, side * 0.75), (side * 0.8, side * 0.5)],
            fill=(20, 20, 120),
        )
        gap = width // 40
        pixels[gap : gap + side, width - side - gap : width - gap] = np.array(mark)[: height - gap]

    return paint


def _caption(pixels: Pixels) -> None:
    height, width = pixels.shape[:2]
    band = Image.new("RGB", (width, int(height * 0.15)), (0, 0, 0))
    font = ImageFont.load_default(size=max(8, int(height * 0.08)))
    ImageDraw.Draw(band).text(
        (width * 0.05, height * 0.02), "wait for the ending  LIKE & SHARE", (255, 255, 255), font
    )
    pixels[height - band.height :] = np.array(band)


_SEPIA = "colorchannelmixer=.393:.769:.189:0:.349:.686:.168:0:.272:.534:.131"

VIDEO_EDITS = (
    Edit("same file, CRF 23", crf=23),
    Edit("CRF 35", crf=35),
    Edit("rescale to half", "scale=trunc(iw/4)*2:trunc(ih/4)*2"),
    Edit("15 frames/s", "fps=15"),
    Edit("mirror", "hflip"),
    Edit("letterbox", "pad=iw:trunc(ih*1.33/2)*2:0:(oh-ih)/2:black"),
    Edit("crop 10 %", "crop=trunc(iw*.9/2)*2:trunc(ih*.9/2)*2"),
    Edit("crop 20 %", "crop=trunc(iw*.8/2)*2:trunc(ih*.8/2)*2"),
    Edit("small logo", paint=_logo(0.09)),
    Edit("large logo", paint=_logo(0.25)),
    Edit("caption band", paint=_caption),
    Edit("rotate 3 degrees", "rotate=3*PI/180:fillcolor=black"),
    Edit("speed 0.9", speed=0.9),
    Edit("speed 1.25", speed=1.25),
    Edit("grey", "hue=s=0"),
    Edit("sepia", f"format=rgb24,{_SEPIA},format=yuv420p"),
    Edit("brightness", "lutyuv=y=val*0.9+45"),
    Edit("blur", "gblur=sigma=3"),
)

#: Name, FFmpeg filters, codec and bit rate.
AUDIO_EDITS = (
    ("MP3 64 kbit/s", "", "libmp3lame", 64_000),
    ("AAC 48 kbit/s", "", "aac", 48_000),
    ("Opus 24 kbit/s", "", "libopus", 24_000),
    ("noise, 15 dB under", "noise", "aac", 96_000),
    ("echo", "aecho=0.8:0.6:120:0.4", "aac", 96_000),
    ("tempo 1.05", "atempo=1.05", "aac", 96_000),
    ("pitch 2 %", "asetrate=44982,aresample=44100,atempo=0.98039", "aac", 96_000),
    ("10 s out of it", "atrim=8:18,asetpts=PTS-STARTPTS", "aac", 96_000),
)


def _frames(
    source: Path, filters: str, seconds: tuple[float, float] | None, speed: float
) -> Iterator[av.VideoFrame]:
    """Decoded and filtered frames with their times in milliseconds from 0."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        # With threads, FFmpeg now and then waits for ever for one of them when it is closed early.
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        height = min(_HEIGHT, stream.codec_context.height // 2 * 2)
        bound = f"scale=-2:{height},setsar=1,format=yuv420p"
        graph = Graph()
        chain = [graph.add_buffer(template=stream)]
        for each in f"{bound},{filters}".rstrip(",").split(","):
            name, _, arguments = each.partition("=")
            chain.append(graph.add(name, arguments or None))
        chain.append(graph.add("buffersink"))
        graph.link_nodes(*chain).configure()
        start: float | None = None

        def drain() -> Iterator[av.VideoFrame]:
            nonlocal start
            while True:
                try:
                    frame = graph.pull()
                except (av.error.BlockingIOError, av.error.EOFError):
                    return
                at = frame.time
                start = at if start is None else start
                frame.pts = round((at - start) / speed * 1000)
                frame.time_base = Fraction(1, 1000)
                yield frame

        for frame in container.decode(stream):
            if frame.time is None:
                continue
            if seconds and frame.time < seconds[0]:
                continue
            if seconds and frame.time >= seconds[1]:
                break
            graph.push(frame)
            yield from drain()
        graph.push(None)
        yield from drain()


def _encode(frames: Iterator[av.VideoFrame], target: Path, crf: int) -> Path:
    last = -1
    with av.open(str(target), "w") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=30)
                stream.width, stream.height = frame.width // 2 * 2, frame.height // 2 * 2
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = Fraction(1, 1000)
                stream.options = {"crf": str(crf), "preset": "veryfast"}
            if frame.pts <= last:
                continue
            last = frame.pts
            container.mux(stream.encode(frame))
        if stream is None:
            msg = "nothing was left to encode"
            raise ValueError(msg)
        container.mux(stream.encode())
    return target


def _painted(
    frames: Iterator[av.VideoFrame], paint: Callable[[Pixels], None]
) -> Iterator[av.VideoFrame]:
    for frame in frames:
        pixels = frame.to_ndarray(format="rgb24")
        paint(pixels)
        made = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        made.pts, made.time_base = frame.pts, frame.time_base
        yield made


def edit_video(source: Path, target: Path, edit: Edit) -> Path:
    """Write the edited clip."""
    frames = _frames(source, edit.filters, edit.seconds, edit.speed)
    if edit.paint:
        frames = _painted(frames, edit.paint)
    return _encode(frames, target, edit.crf)


_SCREEN = (
    "scale=640:360:force_original_aspect_ratio=decrease,pad=640:360:(ow-iw)/2:(oh-ih)/2,setsar=1"
)


def embed(work: Path, around: Path, target: Path, seconds: float, at: float) -> Path:
    """Insert a part of a work between two parts of another video.

    Args:
        work: The work.
        around: The other video; its first six seconds come before and after.
        target: Output file.
        seconds: Length of the part.
        at: Start of the part in the work.
    """

    def frames() -> Iterator[av.VideoFrame]:
        begin = 0
        for source, part in (
            (around, (0.0, 6.0)),
            (work, (at, at + seconds)),
            (around, (0.0, 6.0)),
        ):
            last = 0
            for frame in _frames(source, _SCREEN, part, 1.0):
                last = frame.pts
                frame.pts += begin
                yield frame
            begin += last + 40

    return _encode(frames(), target, 26)


def picture_in_picture(work: Path, around: Path, target: Path) -> Path:
    """Show a work in the corner of another video, at 45 % of its sides."""

    def frames() -> Iterator[av.VideoFrame]:
        below = _frames(around, "scale=640:360,setsar=1", None, 1.0)
        back = next(below)
        for frame in _frames(work, "scale=288:162,setsar=1", None, 1.0):
            while back.pts < frame.pts and (following := next(below, None)):
                back = following
            pixels = back.to_ndarray(format="rgb24")
            pixels[180:342, 336:624] = frame.to_ndarray(format="rgb24")
            made = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            made.pts, made.time_base = frame.pts, frame.time_base
            yield made

    return _encode(frames(), target, 26)


def edit_audio(source: Path, target: Path, filters: str, codec: str, bit_rate: int) -> Path:
    """Write the edited sound."""
    rate = 48_000 if codec == "libopus" else 44_100
    noise = np.random.default_rng(7)
    graph = Graph()
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream(codec, rate=rate)
        stream.layout = "mono"
        stream.bit_rate = bit_rate
        chain = [
            graph.add_abuffer(
                sample_rate=44_100, format="fltp", layout="mono", time_base=Fraction(1, 44_100)
            )
        ]
        for each in filters.replace("noise", "anull").split(",") if filters else ["anull"]:
            name, _, arguments = each.partition("=")
            chain.append(graph.add(name, arguments or None))
        chain += [
            graph.add("aformat", f"sample_fmts=fltp:sample_rates={rate}:channel_layouts=mono"),
            graph.add("abuffersink"),
        ]
        graph.link_nodes(*chain).configure()
        to_mono = av.AudioResampler(format="fltp", layout="mono", rate=44_100)
        fifo = av.AudioFifo()
        position = 0

        def drain() -> None:
            while True:
                try:
                    frame = graph.pull()
                except (av.error.BlockingIOError, av.error.EOFError):
                    return
                frame.pts = None
                fifo.write(frame)

        for frame in old.decode(audio=0):
            frame.pts = None
            for part in to_mono.resample(frame):
                if filters == "noise":
                    samples = part.to_ndarray()
                    level = np.sqrt(np.mean(samples**2)) * 10 ** (-15 / 20)
                    samples = samples + noise.normal(0, level, samples.shape).astype(np.float32)
                    made = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                    made.sample_rate = 44_100
                    part = made
                part.pts, part.time_base = position, Fraction(1, 44_100)
                position += part.samples
                try:
                    graph.push(part)
                except av.error.EOFError:  # the filters want no more
                    break
                drain()
        with suppress(av.error.EOFError):
            graph.push(None)
        drain()
        size = stream.codec_context.frame_size or 1024
        while chunk := fifo.read(size):
            new.mux(stream.encode(chunk))
        if rest := fifo.read(0, partial=True):
            new.mux(stream.encode(rest))
        new.mux(stream.encode())
    return target
