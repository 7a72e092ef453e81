"""Ways of carrying one picture, one film and one sound, made with the ffmpeg tool and Pillow."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pillow_heif
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image, ImageDraw, ImageFont

from tests.models.copyright.clips import picture_frames, write_sound, write_video

Make = Callable[[Path, Path], None]

WORDS = ("SUBSCRIBE to my channel", "for free gift cards")


def ffmpeg(*arguments) -> None:
    """Run the tool; its message is the error's."""
    command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-threads", "1"]
    made = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def lettering(size=(640, 360), ground=(90, 120, 90)) -> Image.Image:
    """A picture with words that are spam."""
    noise = np.random.default_rng(0).integers(-20, 20, (size[1] // 24, size[0] // 24, 1))
    base = np.clip(np.array(ground) + noise, 0, 255).astype(np.uint8)
    picture = Image.fromarray(base).resize(size)
    for row, words in enumerate(WORDS):
        ImageDraw.Draw(picture).text(
            (40, 120 + 60 * row), words, font=ImageFont.load_default(40), fill="white",
            stroke_width=3, stroke_fill="black",
        )  # fmt: skip
    return picture


def mask() -> Image.Image:
    """The words alone: white where they are."""
    made = Image.new("L", (640, 360), 0)
    for row, words in enumerate(WORDS):
        ImageDraw.Draw(made).text(
            (40, 120 + 60 * row), words, font=ImageFont.load_default(40), fill=255
        )
    return made


def blank() -> Image.Image:
    return Image.new("RGB", (640, 360), "gray")


def saved(**options) -> Make:
    return lambda source, out: Image.open(source).save(out, **options)


def with_exif(number: int) -> Make:
    """Turned as the EXIF number says to turn it back."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip

    def make(source: Path, out: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = number
        Image.open(source).transpose(back[number]).save(out, exif=exif.tobytes(), quality=95)

    return make


def alpha(colour: str) -> Make:
    """One colour, in which the words are in the alpha channel alone."""

    def make(source: Path, out: Path) -> None:
        made = Image.new("RGBA", (640, 360), colour)
        made.putalpha(mask())
        made.save(out)

    return make


def held(**options) -> Make:
    """A blank picture for a tenth of a second, then the words for five seconds."""

    def make(source: Path, out: Path) -> None:
        blank().save(
            out, save_all=True, append_images=[Image.open(source)], duration=[100, 5000], **options
        )

    return make


def heif() -> Make:
    def make(source: Path, out: Path) -> None:
        picture = Image.open(source).convert("RGB")
        made = pillow_heif.from_pillow(picture)
        made.save(out, quality=90)

    return make


#: Nothing is shown at each moment of the grid of looks, and all between them.
LYING = (
    "-vf", "fps=40,drawbox=t=fill:c=gray:enable='not(mod(n,10))'", "-c:v", "libx264", "-crf", 18
)  # fmt: skip


def still(*options) -> Make:
    """A film of the picture."""
    return lambda source, out: ffmpeg(
        "-loop", 1, "-framerate", 5, "-t", 2, "-i", source, "-pix_fmt", "yuv420p", *options, out
    )


def turned(filters: str, *display: object) -> Make:
    """A film that is stored otherwise than it is shown, with a matrix that turns it back."""

    def make(source: Path, out: Path) -> None:
        stored = out.with_suffix(".stored.mp4")
        still("-vf", filters, "-c:v", "libx264", "-crf", 15)(source, stored)
        ffmpeg(*display, "-i", stored, "-c", "copy", out)

    return make


def behind(source: Path, out: Path) -> None:
    """The words are in one JPEG on a second track, behind five seconds of nothing."""
    ffmpeg(
        "-f", "lavfi", "-i", "color=gray:s=640x360:r=5:d=5", "-i", source,
        "-map", 0, "-map", 1, "-c:v:0", "mpeg4", "-c:v:1", "mjpeg", "-q:v", 2, out,
    )  # fmt: skip


def cover(source: Path, out: Path) -> None:
    """The words are on the cover of a sound."""
    tone = ("-f", "lavfi", "-i", "sine=d=1")
    ffmpeg(*tone, "-i", source, "-map", 0, "-map", 1, "-disposition:v", "attached_pic", out)


def subtitled(coding: str) -> Make:
    """The words are subtitles of a film of nothing."""

    def make(source: Path, out: Path) -> None:
        lines = out.with_suffix(".srt")
        lines.write_text(f"1\n00:00:01,000 --> 00:00:02,000\n<i>{' '.join(WORDS)}</i>\n")
        film = ("-f", "lavfi", "-i", "color=gray:s=64x48:r=5:d=3")
        ffmpeg(*film, "-i", lines, "-map", 0, "-map", 1, "-c:s", coding, out)

    return make


def chaptered(source: Path, out: Path) -> None:
    """The words are the title of a chapter."""
    facts = out.with_suffix(".txt")
    facts.write_text(
        f";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=2\ntitle={' '.join(WORDS)}\n"
    )
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=64x48:r=5:d=3", "-i", facts, "-map_metadata", 1, out)


def film_alpha(coding: str, form: str) -> Make:
    """A black film in which the words are in the alpha channel alone."""

    def make(source: Path, out: Path) -> None:
        shape = out.with_suffix(".png")
        alpha("black")(source, shape)
        ffmpeg(
            "-loop", 1, "-framerate", 5, "-t", 1, "-i", shape,
            "-c:v", coding, "-pix_fmt", form, out,
        )  # fmt: skip

    return make


#: Ways of carrying the picture: the file's name, and what makes it from a PNG.
PICTURES: dict[str, Make] = {
    "a.png": saved(),
    "a.bmp": saved(),
    "a.gif": saved(),
    "lossy.webp": saved(quality=90),
    "lossless.webp": saved(lossless=True),
    "a.avif": saved(quality=90),
    "a.heic": heif(),
    "progressive.jpg": saved(quality=90, progressive=True),
    "cmyk.jpg": lambda source, out: Image.open(source).convert("CMYK").save(out, quality=95),
    "sixteen.png": lambda source, out: ffmpeg("-i", source, "-pix_fmt", "rgb48be", out),
    **{f"exif{number}.jpg": with_exif(number) for number in range(2, 9)},
    "exif6.webp": with_exif(6),
    "exif8.png": lambda source, out: with_exif(8)(source, out),
    "exif6.avif": with_exif(6),
    "alpha-black.png": alpha("black"),
    "alpha-white.png": alpha("white"),
    "alpha-black.webp": alpha("black"),
    "alpha-white.avif": alpha("white"),
    "held.gif": held(),
    "held.webp": held(lossless=True),
    "held.png": held(default_image=False),
    "held.avif": held(quality=90),
    "still.mp4": still("-c:v", "libx264", "-crf", 18),
    "still.mkv": still("-c:v", "mjpeg", "-q:v", 2, "-strict", "unofficial"),
    "turned90.mp4": turned("transpose=clock", "-display_rotation:v:0", 90),
    "turned180.mp4": turned("hflip,vflip", "-display_rotation:v:0", 180),
    "turned270.mp4": turned("transpose=cclock", "-display_rotation:v:0", 270),
    "mirrored.mp4": turned("hflip", "-display_hflip:v:0"),
    "lying.mp4": still(*LYING),
    "wide-pixels.mp4": still("-vf", "scale=320:360,setsar=2", "-c:v", "libx264", "-crf", 12),
    "behind.mkv": behind,
    "cover.mp3": cover,
    "subtitles.mkv": subtitled("subrip"),
    "styled.mkv": subtitled("ass"),
    "subtitles.mp4": subtitled("mov_text"),
    "subtitles.webm": subtitled("webvtt"),
    "chapter.mkv": chaptered,
    "alpha.mov": film_alpha("qtrle", "argb"),
    "alpha-prores.mov": film_alpha("prores_ks", "yuva444p10le"),
    "alpha.webm": film_alpha("libvpx-vp9", "yuva420p"),
}


def converted(*options) -> Make:
    return lambda source, out: ffmpeg("-i", source, *options, out)


def restarted(source: Path, out: Path) -> None:
    """A transport stream whose clock begins anew in the middle."""
    parts = []
    for number, cut in enumerate((("-t", 4), ("-ss", 4))):
        part = out.with_name(f"part{number}.ts")
        ffmpeg("-i", source, *cut, "-c:v", "libx264", "-crf", 18, "-bf", 0, part)
        parts.append(part.read_bytes())
    out.write_bytes(b"".join(parts))


def second(*options) -> Make:
    """The film is the second track, after an innocent one of the same length."""
    return lambda source, out: ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=320x240:r=10:d=8", "-i", source, "-map", "0:v",
        "-map", "1:v", "-c:v:0", "libx264", "-c:v:1", "copy", *options, out,
    )  # fmt: skip


def motion_photo(source: Path, out: Path) -> None:
    """The film lies behind an innocent picture, as phones keep it."""
    still = out.with_suffix(".still.jpg")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x240", "-frames:v", 1, still)
    out.write_bytes(still.read_bytes() + source.read_bytes())


X264 = ("-c:v", "libx264", "-crf", 20)
#: Ways of carrying the film.
FILMS: dict[str, Make] = {
    "a.mkv": converted("-c", "copy"),
    "a.mov": converted("-c", "copy"),
    "a.flv": converted("-c", "copy"),
    "fragmented.mp4": converted("-c", "copy", "-movflags", "frag_keyframe+empty_moov"),
    "a.ts": converted("-c", "copy"),
    "hour.ts": converted("-c", "copy", "-output_ts_offset", 3600),
    "wrapping.ts": converted("-c", "copy", "-output_ts_offset", 95440),
    "restarted.ts": restarted,
    "a.h264": converted("-c:v", "copy"),
    "a.hevc": converted("-c:v", "libx265", "-x265-params", "log-level=none"),
    "hevc.mp4": converted("-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1"),
    "av1.mp4": converted("-c:v", "libsvtav1", "-preset", 12, "-svtav1-params", "lp=1"),
    "vp9.webm": converted("-c:v", "libvpx-vp9", "-deadline", "realtime", "-b:v", "500k"),
    "vp8.webm": converted("-c:v", "libvpx", "-deadline", "realtime", "-b:v", "500k"),
    "mpeg4.avi": converted("-c:v", "mpeg4", "-q:v", 3),
    "mjpeg.avi": converted("-c:v", "mjpeg", "-q:v", 3),
    "mpeg2.mpg": converted("-c:v", "mpeg2video", "-q:v", 3, "-r", 25),
    "theora.ogv": converted("-c:v", "libtheora", "-q:v", 8),
    "wmv.asf": converted("-c:v", "wmv2", "-q:v", 3),
    "prores.mov": converted("-c:v", "prores_ks"),
    "ten-bits.mkv": converted("-c:v", "ffv1", "-pix_fmt", "yuv420p10le"),
    "interlaced.mp4": converted(
        "-vf", "fps=20,interlace", "-flags", "+ilme+ildct", "-x264opts", "tff=1", *X264
    ),
    "film.gif": converted("-vf", "split[a][b];[a]palettegen[p];[b][p]paletteuse"),
    "film.webp": converted("-c:v", "libwebp_anim", "-q:v", 80, "-loop", 0),
    "film.avif": converted("-c:v", "libsvtav1", "-preset", 12, "-svtav1-params", "lp=1"),
    "film.apng": converted("-f", "apng"),
    "second.mp4": second(),
    "second.mkv": second("-disposition:v:0", 0, "-disposition:v:1", "default"),
    "turned.mp4": lambda source, out: turned_film(source, out),
    # The packets of the first second stay in the file, and an edit list leaves them out.
    "edited.mp4": lambda source, out: ffmpeg("-ss", 1, "-i", source, "-c", "copy", out),
    "a.mjpeg": converted("-c:v", "mjpeg", "-q:v", 3, "-r", 25),
    "motion.jpg": motion_photo,
    "slow-start.mkv": converted("-c", "copy", "-output_ts_offset", 5),
}


def turned_film(source: Path, out: Path) -> None:
    stored = out.with_suffix(".stored.mp4")
    ffmpeg("-i", source, "-vf", "transpose=clock", *X264, stored)
    ffmpeg("-display_rotation:v:0", 90, "-i", stored, "-c", "copy", out)


#: Ways of carrying the sound.
SOUNDS: dict[str, Make] = {
    "a.wav": converted(),
    "a.mp3": converted("-b:a", "128k"),
    "a.flac": converted(),
    "a.ogg": converted("-c:a", "libvorbis"),
    "a.opus": converted("-c:a", "libopus"),
    "hour.ts": converted("-c:a", "aac", "-output_ts_offset", 3600),
    "ac3.mkv": converted("-c:a", "ac3"),
    "second.mkv": lambda source, out: ffmpeg(
        "-f", "lavfi", "-i", "sine=d=10", "-i", source, "-map", 0, "-map", 1, out
    ),
    "under-a-film.mp4": lambda source, out: ffmpeg(
        "-f", "lavfi", "-i", "color=gray:s=64x48:r=5:d=10", "-i", source, out
    ),
}


def plain_picture(folder: Path) -> Path:
    path = folder / "plain.png"
    lettering().save(path)
    return path


def plain_film(folder: Path) -> Path:
    frames = picture_frames(1, size=(144, 192), seconds=8)
    return write_video(folder / "plain.mp4", frames, crf=18)


def plain_sound(folder: Path) -> Path:
    return write_sound(folder / "plain.m4a", 3)


def skipped_8k(path: Path, frames: int = 2000) -> None:
    """A small file of frames of 8K that all repeat the first."""
    ffmpeg(
        "-f", "lavfi", "-i", "color=gray:s=7680x4320:r=1000", "-frames:v", frames // 50,
        "-c:v", "libx264", "-preset", "ultrafast", "-g", 9999, path,
    )  # fmt: skip
    with av.open(str(path)) as old:
        packets = [packet for packet in old.demux(video=0) if packet.size]
        with av.open(str(path.with_suffix(".mkv")), "w") as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for number in range(frames):
                packet = packets[0] if number == 0 else av.Packet(bytes(packets[1]))
                packet.pts = packet.dts = number
                packet.time_base = packets[1].time_base
                packet.stream = stream
                new.mux(packet)
