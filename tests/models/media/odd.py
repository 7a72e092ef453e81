"""Odd but playable files that carry a picture, a film or a sound, made by hand and by the tool."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pillow_heif
from PIL import Image, ImageCms

from tests.models.media.blu_ray import lettered, write_subtitles
from tests.models.media.carriers import WORDS, X264, blank, ffmpeg, mask, subtitled

Make = Callable[[Path, Path], None]


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(path: Path, kind: bytes, data: bytes) -> None:
    """Put a chunk behind the header of a PNG file."""
    made = path.read_bytes()
    path.write_bytes(made[:33] + png_chunk(kind, data) + made[33:])


def gif(loop: int | None, *delays: int) -> Make:
    """Nothing in all pictures but the last, which has the words."""

    def make(source: Path, out: Path) -> None:
        grounds = [Image.new("RGB", (640, 360), (90, 90, 90 + n)) for n in range(len(delays) - 1)]
        options = {} if loop is None else {"loop": loop}
        grounds[0].save(
            out, save_all=True, append_images=[*grounds[1:], Image.open(source).convert("RGB")],
            duration=list(delays), **options,
        )  # fmt: skip

    return make


def xmp_turned(source: Path, out: Path) -> None:
    """An upright JPEG whose XMP, which browsers ignore, says that it is turned."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-'
        b'rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    plain = io.BytesIO()
    Image.open(source).save(plain, "JPEG", quality=95)
    data = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    segment = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
    out.write_bytes(plain.getvalue()[:2] + segment + plain.getvalue()[2:])


def other_thumbnail(source: Path, out: Path) -> None:
    """The words, with an innocent thumbnail in EXIF and a turn that is taken back."""
    small = io.BytesIO()
    Image.new("RGB", (160, 90), "gray").save(small, "JPEG")
    first = struct.pack(">HHHII", 1, 0x0112, 3, 1, 5 << 16) + words(26)
    second = struct.pack(">HHHII", 2, 0x0201, 4, 1, 56)
    second += struct.pack(">HHII", 0x0202, 4, 1, len(small.getvalue())) + words(0)
    exif = b"Exif\0\0MM\0*" + words(8) + first + second + small.getvalue()
    turned = Image.open(source).transpose(Image.Transpose.TRANSPOSE)
    turned.save(out, quality=95, exif=exif)


#: A gamma that spreads the four brightest values.
GAMMA = 150


def faint() -> Image.Image:
    """The words in the brightest values, where nobody sees them."""
    return Image.fromarray((np.asarray(mask()) // 64 + 252).astype(np.uint8)).convert("RGB")


def seen_by_gamma(_source: Path, out: Path) -> None:
    """A PNG file of the brightest values, which its gamma spreads."""
    faint().save(out)
    with_chunk(out, b"gAMA", words(round(100_000 / GAMMA)))


def profile(gamma: float) -> bytes:
    """An ICC profile of sRGB's primaries with another gamma for each channel's curve."""
    base = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", base[128:132])[0]
    curve = b"para" + bytes(4) + struct.pack(">HHi", 0, 0, round(gamma * 65536))
    for number in range(count):
        at = 132 + 12 * number
        name, _, _ = struct.unpack(">4sII", base[at : at + 12])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            base[at + 4 : at + 12] = words(len(base), len(curve))
    base += curve
    base[:4] = words(len(base))
    return bytes(base)


def seen_by_profile(**options: object) -> Make:
    """The brightest values, which the file's colour profile spreads."""
    return lambda _, out: faint().save(out, icc_profile=profile(GAMMA), **options)


def animated_behind(major: bytes) -> Make:
    """AVIF whose still picture is nothing and whose animation has the words, by a brand."""

    def make(source: Path, out: Path) -> None:
        held = out.with_suffix(".held.avif")
        picture = Image.open(source).convert("RGB")
        blank().save(held, save_all=True, append_images=[picture] * 2, duration=[100, 2500, 2500])
        data = held.read_bytes()
        out.write_bytes(data[:8] + major + data[12:])

    return make


def attachment(source: Path, out: Path) -> None:
    """The words are on a picture that is attached to a film of nothing."""
    film = ("-f", "lavfi", "-i", "color=gray:s=320x180:r=5:d=3")
    ffmpeg(
        *film, *X264, "-attach", source, "-metadata:s:t", "mimetype=image/png",
        "-metadata:s:t", "filename=page.png", out,
    )  # fmt: skip


def covers(source: Path, out: Path) -> None:
    """The words are on the second of two covers of a sound."""
    plain = out.with_suffix(".blank.png")
    blank().save(plain)
    ffmpeg(
        "-f", "lavfi", "-i", "sine=d=1", "-i", plain, "-i", source, "-map", 0, "-map", 1,
        "-map", 2, "-c:v", "png", "-disposition:v", "attached_pic", out,
    )  # fmt: skip


def film_of(source: Path, out: Path, *options: object) -> Path:
    ffmpeg(
        "-loop", 1, "-framerate", 5, "-t", 3, "-i", source, "-pix_fmt", "yuv420p", "-bf", 0,
        *options, out,
    )  # fmt: skip
    return out


def film_of_nothing(out: Path, *options: object, size: str = "640x360") -> Path:
    ffmpeg(
        "-f", "lavfi", "-i", f"color=gray:s={size}:r=5:d=2", "-pix_fmt", "yuv420p", "-bf", 0,
        *options, out,
    )  # fmt: skip
    return out


def entry(data: bytes) -> bytes:
    """The first sample description of an MP4 file."""
    at = data.index(b"stsd") + 12
    return data[at : at + int.from_bytes(data[at : at + 4], "big")]


def samples(path: Path) -> list[bytes]:
    with av.open(str(path)) as opened:
        return [bytes(one) for one in opened.demux(video=0) if one.size]


def one_track(
    out: Path, *parts: Path, edits: bytes = b"", timescale: int = 5, described: bytes = b""
) -> None:
    """An MP4 file with one track of five pictures a second, each part by its own description."""
    coded = [samples(one) for one in parts]
    count = sum(map(len, coded))
    bodies = [b"".join(one) for one in coded]
    head = box(b"ftyp", b"isom", words(0), b"isommp42")
    starts = [len(head) + 8 + sum(map(len, bodies[:n])) for n in range(len(bodies))]
    matrix = words(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    step = timescale // 5
    table = box(
        b"stbl",
        box(b"stsd", words(0, len(parts)), *(
            described or entry(one.read_bytes()) for one in parts
        )),
        box(b"stts", words(0, 1, count, step)),
        box(b"stsc", words(0, len(parts)), *(
            words(n + 1, len(one), n + 1) for n, one in enumerate(coded)
        )),
        box(b"stsz", words(0, 0, count), *(words(len(x)) for one in coded for x in one)),
        box(b"stco", words(0, len(parts), *starts)),
    )  # fmt: skip
    media = box(
        b"mdia",
        box(b"mdhd", words(0, 0, 0, timescale, count * step, 0x55C40000)),
        box(b"hdlr", words(0, 0), b"vide", bytes(13)),
        box(
            b"minf", box(b"vmhd", words(1, 0, 0)),
            box(b"dinf", box(b"dref", words(0, 1), box(b"url ", words(1)))), table,
        ),
    )  # fmt: skip
    track = box(
        b"trak",
        box(
            b"tkhd", words(7, 0, 0, 1, 0, count * step, 0, 0, 0, 0), matrix,
            words(640 << 16, 360 << 16),
        ),
        box(b"edts", edits) if edits else b"",
        media,
    )  # fmt: skip
    moov = box(
        b"moov",
        box(
            b"mvhd", words(0, 0, 0, timescale, count * step, 0x10000, 0x01000000, 0, 0), matrix,
            bytes(24), words(2),
        ),
        track,
    )  # fmt: skip
    out.write_bytes(head + box(b"mdat", *bodies) + moov)


def described_twice(first: tuple, second: tuple, size: str = "640x360") -> Make:
    """An MP4 file whose track begins with nothing and goes on by another description."""

    def make(source: Path, out: Path) -> None:
        one = film_of_nothing(out.with_suffix(".1.mp4"), *first, size=size)
        two = film_of(source, out.with_suffix(".2.mp4"), *second)
        one_track(out, one, two)

    return make


def edited(*entries: tuple[int, int]) -> Make:
    """Five pictures a second: two seconds of nothing, three of words; an edit list chooses."""

    def make(source: Path, out: Path) -> None:
        one = film_of_nothing(out.with_suffix(".1.mp4"), *X264, "-g", 1)
        two = film_of(source, out.with_suffix(".2.mp4"), *X264, "-g", 1)
        pieces = b"".join(struct.pack(">IiI", length, at, 0x10000) for length, at in entries)
        one_track(out, one, two, edits=box(b"elst", words(0, len(entries)), pieces))

    return make


def joined(suffix: str, *options: object, size: str = "320x180") -> Make:
    """A raw stream whose picture changes its size."""

    def make(source: Path, out: Path) -> None:
        one = film_of_nothing(out.with_suffix(f".1{suffix}"), *options, size=size)
        two = film_of(source, out.with_suffix(f".2{suffix}"), *options)
        out.write_bytes(one.read_bytes() + two.read_bytes())

    return make


def ordered_chapters(source: Path, out: Path) -> None:
    """Nothing at first, then the words; chapters in another order."""
    film = out.with_suffix(".1.mp4")
    edited()(source, film)
    facts = out.with_suffix(".txt")
    facts.write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=3\nEND=5\ntitle=one\n"
        "[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=2\ntitle=two\n"
    )
    ffmpeg("-i", film, "-i", facts, "-map_metadata", 1, "-c", "copy", out)


def transport(source: Path, out: Path, first: tuple, second: tuple, seconds: int = 6) -> None:
    """Transport streams one after the other: nothing, then the words on the same clock."""
    one, two = out.with_suffix(".1.ts"), out.with_suffix(".2.ts")
    ffmpeg(
        "-f", "lavfi", "-i", f"color=gray:s=640x360:r=25:d={seconds}", *first,
        "-mpegts_start_pid", "0x100", one,
    )  # fmt: skip
    film_of(source, two, *second, "-output_ts_offset", seconds)
    out.write_bytes(one.read_bytes() + two.read_bytes())


MPEG2 = ("-c:v", "mpeg2video", "-q:v", 3)
PID = "-mpegts_start_pid"


def films_behind(source: Path, out: Path) -> None:
    """A picture of nothing, a film of nothing, and a film of the words."""
    one = film_of_nothing(out.with_suffix(".1.mp4"), *X264)
    two = film_of(source, out.with_suffix(".2.mp4"), *X264)
    blank().save(out)
    out.write_bytes(out.read_bytes() + one.read_bytes() + two.read_bytes())


def at_the_end(*options: object) -> Make:
    """Three seconds of nothing; the words in the last picture, which stays on the screen."""

    def make(source: Path, out: Path) -> None:
        ffmpeg(
            "-f", "lavfi", "-i", "color=gray:s=640x360:r=25:d=3.12",
            "-loop", 1, "-framerate", 25, "-t", 0.04, "-i", source,
            "-filter_complex", "[0][1]concat,format=yuv420p", *options, out,
        )  # fmt: skip

    return make


def not_primary(source: Path, out: Path) -> None:
    """HEIC whose first picture has the words, and whose second one is shown first."""
    made = pillow_heif.HeifFile()
    for picture in (Image.open(source).convert("RGB"), blank()):
        made.add_from_pillow(picture)
    made.save(out, quality=90, primary_index=1)


def one_transparent(channels: int) -> Make:
    """A PNG of 16 bits, grey but for the words, which are nearly so, and transparent."""

    def make(_source: Path, out: Path) -> None:
        levels = np.where(np.asarray(mask()) > 127, 0x8081, 0x8080).astype(">u2")
        rows = b"".join(b"\0" + row.repeat(channels).tobytes() for row in levels)
        kind = 0 if channels == 1 else 2
        out.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 640, 360, 16, kind, 0, 0, 0))
            + png_chunk(b"tRNS", b"\x80\x81" * channels)
            + png_chunk(b"IDAT", zlib.compress(rows, 1))
            + png_chunk(b"IEND", b"")
        )

    return make


def subtitled_by(coding: bytes) -> Make:
    """The words are subtitles of MP4 in boxes of WebVTT, which FFmpeg does not write."""

    def make(source: Path, out: Path) -> None:
        subtitled("mov_text")(source, out)
        with av.open(str(out)) as opened:
            line = max((bytes(one) for one in opened.demux(subtitles=0)), key=len)
        cue = box(b"vttc", box(b"payl", line[2 : 2 + int.from_bytes(line[:2], "big")]))
        # As long as the sample that it replaces.
        made = out.read_bytes().replace(b"tx3g", coding)
        assert len(cue) <= len(line)
        out.write_bytes(made.replace(line, cue + bytes(len(line) - len(cue))))

    return make


def late_script(source: Path, out: Path) -> None:
    """FLV whose description comes with the first picture, at an hour: a script, not subtitles."""
    one = film_of(source, out.with_suffix(".1.flv"), *X264)
    out.write_bytes(one.read_bytes()[:13] + flv_tags(one, 3_600_000, script=True))


def analogue(text: str, *, roll: bool = False) -> list[bytes]:
    """A line of CEA-608 on the first channel of the first field, or rolling up on the last."""
    field = 1 if roll else 0
    begin, end = (b"\x1d\x25", b"\x1d\x2d") if roll else (b"\x14\x20", b"\x14\x2f")
    place = b"\x18\x50" if roll else b"\x10\x50"
    data = text.encode() + b"\0" * (len(text) % 2)
    pairs = [data[n : n + 2] for n in range(0, len(data), 2)]
    return [
        bytes([0xFC | field]) + one for one in (begin, begin, place, place, *pairs, end, end)
    ]  # fmt: skip


def digital(text: str) -> list[bytes]:
    """A line of CEA-708 in service 1."""
    found = []
    data = b"\x98" + bytes(6) + text.encode() + b"\x0d"
    for n in range(0, len(data), 24):
        part = data[n : n + 24]
        packet = bytes([(len(part) + 3) // 2, 1 << 5 | len(part)]) + part
        packet += b"\0" * (len(packet) % 2)
        kinds = [0xFF] + [0xFE] * (len(packet) // 2 - 1)
        found += [bytes([kind]) + packet[2 * n : 2 * n + 2] for n, kind in enumerate(kinds)]
    return found


def by_atsc(pairs: list[bytes]) -> bytes:
    """Pairs of characters, each with its kind, as ATSC A/53 has them."""
    return b"GA94\3" + bytes([0x40 | len(pairs), 0xFF]) + b"".join(pairs) + b"\xff"


def by_scte(pairs: list[bytes]) -> bytes:
    """The same by SCTE 20, for cable."""
    bits = f"{len(pairs):05b}"
    for kind, *pair in pairs:
        bits += f"00{1 + (kind & 1):02b}00000" + "".join(f"{one:08b}"[::-1] for one in pair) + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\3\x81" + bytes(int(bits[n : n + 8], 2) for n in range(0, len(bits), 8))


def on_disc(pairs: list[bytes]) -> bytes:
    """The same as a DVD has them: each pair of the first field with one of the second."""
    each = b"".join(b"\xff" + one[1:] + b"\xfe\x80\x80" for one in pairs)
    return b"CC\1\xf8" + bytes([0x80 | 2 * len(pairs)]) + each


def captioned(
    line: list[bytes],
    *options: object,
    suffix: str = ".mp4",
    form: Callable[[list[bytes]], bytes] = by_atsc,
) -> Make:
    """The words are closed captions within the pictures of a film of nothing."""

    def make(_source: Path, out: Path) -> None:
        film, made = out.with_suffix(".1" + suffix), out.with_suffix(".2" + suffix)
        ffmpeg("-f", "lavfi", "-i", "color=gray:s=64x48:r=25:d=2", *options, film)
        with av.open(str(film)) as opened, av.open(str(made), "w") as written:
            stream = written.add_stream_from_template(opened.streams[0], opaque=True)
            packets = [one for one in opened.demux(0) if one.size]
            order = sorted(packets, key=lambda one: one.pts)
            share = -(-len(line) // (len(packets) - 5))
            for one in packets:
                n = order.index(one) * share
                packet = av.Packet(in_picture(bytes(one), form(line[n : n + share]), options[1]))
                packet.pts, packet.dts, packet.time_base = one.pts, one.dts, one.time_base
                packet.is_keyframe, packet.stream = one.is_keyframe, stream
                written.mux(packet)
        ffmpeg("-i", made, "-c", "copy", out)

    return make


def in_picture(picture: bytes, data: bytes, codec: object) -> bytes:
    if codec == "mpeg2video":
        at = picture.index(b"\0\0\1\1")
        return picture[:at] + b"\0\0\1\xb2" + data + picture[at:]
    data = b"\xb5\0\x31" + data
    if codec == "libsvtav1":  # before what is drawn, and after the sequence's header
        size = 2 + picture[1] if picture[0] >> 3 & 15 == 1 else 0
        unit = b"\4" + data + b"\x80"
        return picture[:size] + bytes([0x2A, len(unit)]) + unit + picture[size:]
    head = b"\x06" if codec == "libx264" else b"\x4e\1"
    unit = head + bytes([4, len(data)]) + data.replace(b"\0\0", b"\0\0\3") + b"\x80"
    return struct.pack(">I", len(unit)) + unit + picture


def aperture(left: int, top: int, width: int, height: int) -> bytes:
    """The box of a clean aperture of 640 x 360 pixels in a picture."""
    across, down = 2 * left + 640 - width, 2 * top + 360 - height
    return box(b"clap", struct.pack(">IIIIiIiI", 640, 1, 360, 1, across, 2, down, 2))


def cropped_film(source: Path, out: Path) -> None:
    """The words are in a corner of a large picture, which is all that players show."""
    one = film_of(
        source, out.with_suffix(".1.mp4"), *X264, "-vf", "pad=2560:1440:1800:1000:gray"
    )  # fmt: skip
    old = entry(one.read_bytes())
    new = old + aperture(1800, 1000, 2560, 1440)
    new = len(new).to_bytes(4, "big") + new[4:]
    two = out.with_suffix(".2.mp4")
    one_track(two, one, described=new)
    ffmpeg("-i", two, "-c", "copy", out)


def cropped_avif(source: Path, out: Path) -> None:
    """The words are in a corner of a large picture by the clean aperture of AVIF."""
    large = Image.new("RGB", (2560, 1440), "gray")
    large.paste(Image.open(source).convert("RGB"), (1800, 1000))
    large.save(out, quality=90, speed=10)
    data = bytearray(out.read_bytes())
    made = aperture(1800, 1000, 2560, 1440)
    # The place of the picture's bytes moves on.
    place = data.index(b"mdat") + 4
    data = data.replace(place.to_bytes(4, "big"), (place + len(made)).to_bytes(4, "big"))
    for kind in (b"meta", b"iprp", b"ipco"):
        at = data.index(kind) - 4
        data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + len(made)).to_bytes(
            4, "big"
        )
    end = at + int.from_bytes(data[at : at + 4], "big") - len(made)
    out.write_bytes(data[:end] + made + data[end:])


NOTHING = ("-f", "lavfi", "-i", "color=gray:s=64x48:r=5:d=2")


def caption_track(_source: Path, out: Path) -> None:
    """The words are closed captions in a track of their own."""
    lines = out.with_suffix(".scc")
    pairs = " ".join(one[1:].hex() for one in analogue(LINE))
    lines.write_text(f"Scenarist_SCC V1.0\n\n00:00:00:10\t{pairs}\n\n00:00:01:10\t942c 942c\n")
    ffmpeg(*NOTHING, "-i", lines, "-map", 0, "-map", 1, "-c:s", "copy", out)


def drawn(*coding: object) -> Make:
    """The words are subtitles that are pictures."""

    def make(_source: Path, out: Path) -> None:
        lines = out.with_suffix(".sup")
        write_subtitles(lines, lettered(*WORDS))
        film = ("-f", "lavfi", "-i", "color=gray:s=64x48:r=25:d=2")
        ffmpeg(*film, "-i", lines, "-map", 0, "-map", 1, *coding, out)

    return make


AV1 = ("-c:v", "libsvtav1", "-preset", 12, "-svtav1-params", "lp=1")
HEVC = ("-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1")

LINE = " ".join(WORDS)


def flv_tags(path: Path, shift: int = 0, *, script: bool = False) -> bytes:
    """The tags of an FLV file, later by some milliseconds, with the script or without."""
    data, at, found = bytearray(path.read_bytes()), 13, b""
    while at < len(data):
        end = at + 15 + int.from_bytes(data[at + 1 : at + 4], "big")
        time = shift + int.from_bytes(data[at + 4 : at + 7], "big")
        data[at + 4 : at + 7] = time.to_bytes(3, "big")
        found += data[at:end] * (script or data[at] != 18)
        at = end
    return found


def flv_after(first: Callable[[Path], object]) -> Make:
    """Twelve seconds of something else, then the words, in one FLV file."""

    def make(source: Path, out: Path) -> None:
        one, two = out.with_suffix(".1.flv"), out.with_suffix(".2.flv")
        first(one)
        film_of(source, two, *X264)
        out.write_bytes(one.read_bytes()[:13] + flv_tags(one) + flv_tags(two, 12000))

    return make


def full_of_captions(out: Path, pairs: bytes) -> None:
    """A film whose track of closed captions has one sample of many pairs."""
    caption_track(out, out)
    data = bytearray(out.read_bytes())
    at = data.index(b"clcp")
    size, place = data.index(b"stsz", at) + 16, data.index(b"stco", at) + 12
    data[size : size + 4], data[place : place + 4] = words(8 + len(pairs)), words(len(data))
    out.write_bytes(data + words(8 + len(pairs)) + b"cdat" + pairs)


#: Ways in which a viewer sees the words.
PICTURES: dict[str, Make] = {
    "no-delay.gif": gif(0, 0, 0),
    "once.gif": gif(None, 100, 100),
    "once-late.gif": gif(None, 3000, 3000, 50),
    "twice.gif": gif(2, 1500, 1500, 1500, 50),
    "last.png": lambda source, out: blank().save(
        out, save_all=True, append_images=[Image.open(source)], duration=[40, 40], loop=0
    ),
    "last.webp": lambda source, out: blank().save(
        out, save_all=True, append_images=[Image.open(source)], duration=[40, 40], lossless=True
    ),
    "xmp.jpg": xmp_turned,
    "thumbnail.jpg": other_thumbnail,
    "gamma.png": seen_by_gamma,
    "profile.png": seen_by_profile(),
    "profile.jpg": seen_by_profile(quality=100, subsampling=0),
    "profile.webp": seen_by_profile(lossless=True),
    "gray16.png": lambda source, out: ffmpeg("-i", source, "-pix_fmt", "gray16be", out),
    "two-bits.png": lambda source, out: Image.open(source).quantize(4).save(out, bits=2),
    "avif.avif": animated_behind(b"avif"),
    "avis.avif": animated_behind(b"avis"),
    "attached.mkv": attachment,
    "covers.mp3": covers,
    "covers.flac": covers,
    "covers.m4a": covers,
    "same-coding.mp4": described_twice(X264, X264),
    "larger.mp4": described_twice(X264, X264, size="320x180"),
    "gap.mp4": edited((10, -1), (15, 10)),
    "backwards.mp4": edited((10, 15), (5, 0)),
    "beyond.mp4": edited((5, 0), (20, 10)),
    "larger.h264": joined(".h264", *X264),
    "larger.hevc": joined(".hevc", *HEVC[:4]),
    "larger.ts": joined(".ts", *X264),
    "larger.mpg": joined(".mpg", "-c:v", "mpeg2video", "-q:v", 3, "-r", 25),
    "chapters.mkv": ordered_chapters,
    "later.ts": lambda source, out: transport(source, out, X264, (*X264, PID, "0x300")),
    "other-coding.ts": lambda source, out: transport(source, out, MPEG2, X264),
    "other-coding-soon.ts": lambda source, out: transport(source, out, MPEG2, X264, 2),
    "films.jpg": films_behind,
    "end.mp4": at_the_end(*X264),
    "end.avi": at_the_end("-c:v", "mpeg4", "-q:v", 3),
    "not-primary.heic": not_primary,
    "script.flv": late_script,
    "other-coding.flv": flv_after(
        lambda out: ffmpeg(
            "-f", "lavfi", "-i", "color=gray:s=640x360:r=5:d=12", "-c:v", "flv", "-q:v", 3, out
        )
    ),
    "sound-first.flv": flv_after(
        lambda out: ffmpeg("-f", "lavfi", "-i", "sine=d=12", "-c:a", "mp3", "-ar", 44100, out)
    ),
    "cues.mp4": subtitled_by(b"wvtt"),
    "timed.mp4": subtitled("ttml"),
    "aperture.mp4": cropped_film,
    "aperture.mkv": cropped_film,
    "aperture.avif": cropped_avif,
    "captions.mp4": captioned(analogue(LINE), *X264, "-bf", 3),
    "captions.h264": captioned(analogue(LINE), *X264, "-bf", 3),
    "captions.mpg": captioned(analogue(LINE, roll=True), *MPEG2, "-bf", 2, suffix=".mkv"),
    "captions-disc.mpg": captioned(analogue(LINE), *MPEG2, suffix=".mkv", form=on_disc),
    "captions-cable.ts": captioned(analogue(LINE), *MPEG2, suffix=".mkv", form=by_scte),
    "captions.mov": caption_track,
    "captions.mkv": captioned(digital(LINE), *HEVC),
    "drawn.mkv": drawn("-c:s", "copy"),
    "drawn.m2ts": drawn(*MPEG2, "-c:s", "copy"),
    "disc.mkv": drawn("-c:s", "dvdsub"),
    "disc.mpg": drawn(*MPEG2, "-c:s", "dvdsub"),
    "broadcast.ts": drawn(*MPEG2, "-c:s", "dvbsub"),
    "broadcast.mkv": drawn("-c:s", "dvbsub"),
    "captions-av1.mp4": captioned(analogue(LINE), *AV1),
    "captions-av1.obu": captioned(analogue(LINE), *AV1),
    "captions.webm": captioned(digital(LINE), *AV1),
    "transparent-gray16.png": one_transparent(1),
    "transparent-rgb16.png": one_transparent(3),
}  # fmt: skip


def parts_of(source: Path, out: Path, suffix: str, first: tuple, second: tuple) -> None:
    """Two files one after the other: a tone of three seconds, then the sound."""
    one, two = out.with_suffix(f".1{suffix}"), out.with_suffix(f".2{suffix}")
    ffmpeg("-f", "lavfi", "-i", "sine=300:duration=3", *first, one)
    ffmpeg("-i", source, *second, two)
    out.write_bytes(one.read_bytes() + two.read_bytes())


def endless(source: Path, out: Path) -> None:
    """A WAV file that does not know its length, as of a recording that goes on."""
    ffmpeg("-i", source, "-c:a", "pcm_s16le", out)
    data = bytearray(out.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = b"\xff" * 4
    out.write_bytes(data)


def filtered(chain: str) -> Make:
    return lambda source, out: ffmpeg("-i", source, "-af", chain, out)


def in_noise(source: Path, out: Path) -> None:
    """Noise as loud on both sides, and the sound with opposite signs."""
    ffmpeg(
        "-i", source, "-f", "lavfi", "-i", "anoisesrc=c=pink:a=0.5:d=10", "-filter_complex",
        "[0]aformat=channel_layouts=mono[a];[1]aformat=channel_layouts=mono[b];"
        "[b][a]join=inputs=2,pan=stereo|c0=c0+c1|c1=c0-1*c1", "-t", 10, out,
    )  # fmt: skip


AAC, VORBIS = ("-c:a", "aac"), ("-c:a", "libvorbis")
#: Ways in which a listener hears the sound.
SOUNDS: dict[str, Make] = {
    "rates.aac": lambda source, out: parts_of(
        source, out, ".aac", (*AAC, "-ar", 16000), (*AAC, "-ar", 44100, "-ac", 2)
    ),
    "chained.ogg": lambda source, out: parts_of(
        source, out, ".ogg", (*VORBIS, "-ar", 22050), VORBIS
    ),
    "rates.mp3": lambda source, out: parts_of(
        source, out, ".mp3", ("-ar", 24000), ("-ar", 44100, "-id3v2_version", 3)
    ),
    "endless.wav": endless,
    "opposite.wav": filtered("pan=stereo|c0=c0|c1=-1*c0"),
    "opposite.m4a": filtered("pan=stereo|c0=c0|c1=-1*c0"),
    "opposite-of-six.wav": filtered("pan=5.1|FL=c0|FR=-1*c0"),
    "in-noise.wav": in_noise,
}


#: Files whose words no reader finds: nobody may say that all was seen.
UNSEEN: dict[str, Make] = {
    "other-coding.mp4": described_twice(("-c:v", "mpeg4", "-q:v", 2), X264),
    "jpegs-then-film.mp4": described_twice(("-c:v", "mjpeg", "-q:v", 2), X264),
    "pages.tif": lambda source, out: blank().save(
        out, save_all=True, append_images=[Image.open(source)]
    ),
}
#: What is told of them, by the end of their names.
UNSEEN_TOLD = {
    "tif": "TIFF", "mp4": "track 1 changes its coding (",
}  # fmt: skip
