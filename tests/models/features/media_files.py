"""Media files that tests make with PyAV, so that none need be shipped."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont


def video(
    path: Path,
    seconds: float = 2.0,
    rate: int = 10,
    size: tuple[int, int] = (64, 48),
    times: list[float] | None = None,
    sound: bool = False,
    codec: str = "mpeg4",
) -> Path:
    """A clip whose brightness rises with time."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        tone = out.add_stream("aac", rate=16_000) if sound else None
        if tone is not None:
            tone.layout = "mono"
        moments = times if times is not None else [n / rate for n in range(round(seconds * rate))]
        for index, moment in enumerate(moments):
            level = 255 * index // max(1, len(moments))
            image = np.full((size[1], size[0], 3), level, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = round(moment * 1000)
            frame.time_base = Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if tone is not None:
            out.mux(tone.encode(wave(seconds)))
            out.mux(tone.encode(None))
    return path


def captions(
    path: Path,
    lines: list[tuple[float, str]],
    seconds: float,
    rate: int = 5,
    size: tuple[int, int] = (640, 360),
) -> Path:
    """A clip that shows each line from its second to the next one's, on a still picture."""
    noise = np.random.default_rng(0).integers(60, 140, (size[1] // 24, size[0] // 24, 3))
    ground = Image.fromarray(noise.astype(np.uint8)).resize(size)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        for index in range(round(seconds * rate)):
            picture = ground.copy()
            told = [text for second, text in lines if second <= index / rate]
            ImageDraw.Draw(picture).text(
                (30, size[1] * 2 // 3),
                told[-1] if told else "",
                font=ImageFont.load_default(24),
                fill="white",
                stroke_width=2,
                stroke_fill="black",
            )
            out.mux(stream.encode(av.VideoFrame.from_image(picture)))
        out.mux(stream.encode(None))
    return path


def wave(seconds: float, rate: int = 16_000) -> av.AudioFrame:
    """A tone of 440 Hz."""
    moments = np.arange(round(seconds * rate)) / rate
    samples = (0.5 * np.sin(2 * np.pi * 440 * moments)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
    frame.rate = rate
    frame.pts = 0
    return frame


def audio(path: Path, seconds: float = 2.0, rate: int = 44_100) -> Path:
    """A sound file without video."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate)
        stream.layout = "stereo"
        moments = np.arange(round(seconds * rate)) / rate
        tone = (12_000 * np.sin(2 * np.pi * 440 * moments)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(
            np.repeat(tone, 2)[None, :].copy(), format="s16", layout="stereo"
        )
        frame.rate = rate
        frame.pts = 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def png_bomb(path, side):
    """A valid PNG of one colour: a few kilobytes that would be gigabytes of pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compressobj(9)
    line = b"\x00" * (1 + side // 8)
    packed = b"".join(rows.compress(line * 100) for _ in range(side // 100)) + rows.flush()
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )
    return path
