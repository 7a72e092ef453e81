"""Hostile files end with a reason, within limits of time and memory, and leave others alone."""

from __future__ import annotations

import io
import resource
import struct
import subprocess
import sys
import time
import zlib
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from quorum.core.errors import QuorumError
from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Feature
from quorum.models.features import decoders
from quorum.models.features.decode import decode
from quorum.models.features.extract import Extractor
from quorum.models.fingerprint.fingerprint import fingerprint
from quorum.models.media import limits
from quorum.models.media.boxes import check_tables
from quorum.models.media.door import open_media
from tests.models.features.media_files import png_bomb, video

carriers = pytest.importorskip("tests.models.media.carriers", reason="no ffmpeg tool")


def box(kind, *content):
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def numbers(*values):
    return struct.pack(f">{len(values)}I", *values)


def mov(samples=1, edits=1, fragments=0, kind=b"vide", pad=0):
    """A MOV file whose tables announce samples that it has not."""
    table = box(
        b"stbl",
        box(b"stsd", numbers(0, 0)),
        box(b"stts", numbers(0, 1, samples, 1)),
        box(b"stsz", numbers(0, 100, samples)),
        box(b"stsc", numbers(0, 1, 1, samples, 1)),
        box(b"stco", numbers(0, 1, 0)),
    )
    media = box(
        b"mdia",
        box(b"mdhd", numbers(0, 0, 0, 1000, samples, 0)),
        box(b"hdlr", numbers(0, 0), kind, numbers(0, 0, 0)),
        box(b"minf", table),
    )
    edit = box(b"edts", box(b"elst", numbers(0, edits), numbers(1000, 0, 0x10000) * edits))
    made = box(b"ftyp", b"qt  ", numbers(0), b"qt  ")
    made += box(b"moov", box(b"trak", edit, media))
    made += box(b"moof", box(b"traf", *(box(b"trun", numbers(0, 2**31)),) * fragments))
    return made + box(b"free", bytes(pad))


def webp_canvas(side):
    """A WebP file of a few bytes that announces a canvas of a side."""
    head = b"\x02\0\0\0" + (side - 1).to_bytes(3, "little") * 2
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + head
    body += b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif_of(side):
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b"," + bytes(9) + b"\x02;"


def png_of_many_frames():
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    side = 4000
    pixels = zlib.compress(bytes((side // 8 + 1) * side), 9)
    made = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)),
    ]
    made.append(chunk(b"acTL", struct.pack(">II", 5000, 0)))
    for number in range(5000):
        facts = struct.pack(">IIIIIHHBB", 2 * number, side, side, 0, 0, 1, 1000, 0, 0)
        made.append(chunk(b"fcTL", facts))
        if number == 0:
            made.append(chunk(b"IDAT", pixels))
        else:
            made.append(chunk(b"fdAT", struct.pack(">I", 2 * number + 1) + pixels[:4000]))
    return b"".join([*made, chunk(b"IEND", b"")])


def jpeg_of_many_scans():
    """A progressive picture whose last scan, which changes nothing, is repeated."""
    whole = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(whole, "JPEG", progressive=True)
    data = whole.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * 1000 + data[-2:]


HOSTILE = {
    "empty.mp4": b"",
    "zeros.mp4": bytes(4096),
    "noise.mp4": bytes((7 * n * n + n) % 251 for n in range(5000)),
    "list.m3u8": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    "list.mp4": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    "list.ts": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1/a.ts\n",
    "concat.mp4": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
    "dash.mpd": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "session.sdp": b"v=0\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
    "a.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>',
    "a.ps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "words.srt": b"1\n00:00:00,000 --> 00:00:02,000\nHello\n",
    "meta.txt": b";FFMETADATA1\ntitle=x\n",
    "samples.mov": mov(samples=2**31),
    "edits.mov": mov(samples=10**6, edits=10**5),
    "sound.mov": mov(samples=2**31, kind=b"soun"),
    "fragments.mov": mov(fragments=3),
    "edits-padded.mov": mov(samples=10**5, edits=10**4, pad=10**6),
    "endless-box.mov": box(b"ftyp", b"qt  ") + struct.pack(">I4sQ", 1, b"moov", 2**63),
    "boxes.mov": box(b"ftyp", b"qt  ") + box(b"moov") * 300_000,
    "nested.mov": b"".join(struct.pack(">I4s", 2**20 - 8 * n, b"moov") for n in range(1, 5000)),
    "canvas.webp": webp_canvas(16_000),
    "canvas.gif": gif_of(65_000),
    "cut.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "cut.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "cut.webp": b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    "cut.avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
    "cut.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "riff.avi": b"RIFF\xff\xff\xff\xffAVI LIST",
    "ebml.mkv": b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff",
    "ogg.ogg": b"OggS" * 100,
    "flv.flv": b"FLV\x01\x05\0\0\0\x09" + b"\xff" * 500,
    "frames.png": png_of_many_frames,
    "scans.jpg": jpeg_of_many_scans,
    "compressed.mov": box(b"ftyp", b"qt  ")
    + box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", numbers(2**30), bytes(9)))),
    "plain.jxl": b"\xff\x0a" + bytes(200),
    "boxed.jxl": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(200),
}


SLOW = {"frames.png"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=pytest.mark.slow if one in SLOW else ()) for one in HOSTILE],
)
def test_a_hostile_file_ends_with_a_reason_soon(name, tmp_path):
    content = HOSTILE[name]
    path = tmp_path / name
    path.write_bytes(content() if callable(content) else content)
    begun, before = time.thread_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = []
    try:
        made = decode(path, frames=True, audio=True, max_seconds=600, max_pixels=40_000_000)
        told += [*made.problems, made.no_frames if made.frames is None else ""]
    except QuorumError as error:
        told.append(str(error))
    try:
        told += fingerprint(path, max_seconds=600.0).notices
    except QuorumError as error:
        told.append(str(error))
    assert any(told)
    assert time.thread_time() - begun < 40
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700_000  # kilobytes
    assert len(decode(video(tmp_path / "good.mp4"), frames=True, audio=False, max_seconds=60,
                      max_pixels=10**7).frames.times) == 8  # fmt: skip


def test_jpeg_xl_is_refused_with_the_mend(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(HOSTILE["plain.jxl"])
    with pytest.raises(QuorumError, match="give it to Quorum as JPEG, PNG, WebP or AVIF"):
        decode(path, frames=True, audio=False, max_seconds=60, max_pixels=10**7)


@pytest.mark.slow
def test_ten_innocents_among_hostile_files_lose_nothing(tmp_path):
    """In one batch, as a worker reads it: each hostile file has its reason, the others all."""
    token = decoders._apart.set(decoders._Apart(tmp_path, 1024 * 2**20, 0))
    names = []
    hostile = sorted(set(HOSTILE) - SLOW)
    for number, name in enumerate(hostile):
        content = HOSTILE[name]
        (tmp_path / name).write_bytes(content() if callable(content) else content)
        if number % 4 == 0:
            names.append(f"good{number}.mp4")
            video(tmp_path / names[-1], seconds=1.0 + number / 20, sound=True)
        names.append(name)
    names.append("good.mkv")
    video(tmp_path / "good.mkv", sound=True)
    needs = frozenset({Feature.FRAMES, Feature.AUDIO, Feature.FINGERPRINT})
    extractor = Extractor(needs, MediaAccess(folders=(str(tmp_path),)))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    uploads = {
        name: Upload(id=name, uploader="u", media=(tmp_path / name).as_uri(), published_at=at)
        for name in names
    }
    begun = decoders.template.spent
    found = dict(zip(names, extractor.extract(list(uploads.values())), strict=True))
    decoders._apart.reset(token)
    assert 0 < decoders.template.spent - begun < 60
    good = [name for name in names if name.startswith("good")]
    assert len(good) == 10
    for name in good:
        together, (alone,) = found[name], extractor.extract([uploads[name]])
        assert not together.absent
        assert not together.partial
        np.testing.assert_array_equal(together.frames.pixels, alone.frames.pixels)
        np.testing.assert_array_equal(together.audio.samples, alone.audio.samples)
        assert together.fingerprint.to_bytes() == alone.fingerprint.to_bytes()
    for name in hostile:
        made = found[name]
        told = {**made.absent, **made.partial}
        assert told.get(Feature.FRAMES), name
        assert made.audio is None or told.get(Feature.AUDIO), name


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    with pytest.raises(QuorumError, match="the limit is"):
        decode(png_bomb(tmp_path / "a.png", 30_000), frames=True, audio=False, max_seconds=1,
               max_pixels=10**6)  # fmt: skip


def test_honest_tables_pass(tmp_path):
    for name in ("a.mp4", "a.mov"):
        path = video(tmp_path / name, seconds=4.0, sound=True)
        with path.open("rb") as file:
            check_tables(file, path.stat().st_size)
            assert file.tell() == 0


@pytest.mark.slow
def test_skipped_frames_of_8k_do_not_take_minutes(tmp_path):
    carriers.skipped_8k(tmp_path / "a.mp4")
    path = tmp_path / "a.mkv"
    assert path.stat().st_size < 3_000_000
    begun = time.thread_time()
    made = decode(path, frames=True, audio=False, max_seconds=600, max_pixels=40_000_000)
    assert time.thread_time() - begun < 15
    assert any("too slow to decode" in problem for problem in made.problems)
    begun = time.thread_time()
    assert any("too slow" in told for told in fingerprint(path, max_seconds=600.0).notices)
    assert time.thread_time() - begun < 15


def test_the_allowance_grows_with_the_seconds_that_were_reached(monkeypatch):
    monkeypatch.setattr(limits.time, "thread_time", lambda: 0.0)
    monkeypatch.setattr(limits.time, "monotonic", lambda: 0.0)
    frame = 3840 * 2160
    honest = limits.Work()
    for number in range(60 * 120):
        honest.spend(frame, number / 60)
    dishonest = limits.Work()
    with pytest.raises(QuorumError, match="too slow to decode"):
        for number in range(60 * 120):
            dishonest.spend(frame, number / 6000)


def test_few_pictures_far_apart_and_sound_earn_little(monkeypatch):
    monkeypatch.setattr(limits.time, "thread_time", lambda: 0.0)
    monkeypatch.setattr(limits.time, "monotonic", lambda: 0.0)
    frame = 7680 * 4320
    sparse, heard = limits.Work(), limits.Work()
    with pytest.raises(QuorumError, match="too slow to decode"):
        for number in range(100):
            sparse.spend(30 * frame, 60.0 * number)
    heard.hear(600.0)
    with pytest.raises(QuorumError, match="too slow to decode"):
        for number in range(100):
            heard.spend(frame, number / 1000)


def test_a_long_film_may_take_the_time_that_a_short_one_may_not(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(limits.time, "thread_time", lambda: clock[0])
    monkeypatch.setattr(limits.time, "monotonic", lambda: clock[0])
    for length, seconds, read in ((600, 100.0, True), (10, 100.0, False), (10, 8.0, True)):
        clock[0] = 0.0
        work = limits.Work()
        told = []
        for number in range(length * 10):
            clock[0] += seconds / (length * 10)
            try:
                work.spend(640 * 360, number / 10)
            except QuorumError as error:
                told.append(str(error))
                break
        assert not told if read else told, (length, seconds)


def test_a_name_reads_no_other_file(tmp_path):
    """A file whose name is a pattern, and whose content names others, opens itself only."""
    for name in ("%03d.jpg", "concat:a|b.mp4", "a.m3u8"):
        path = tmp_path / name
        video(tmp_path / "good.mp4")
        path.write_bytes((tmp_path / "good.mp4").read_bytes())
        with open_media(path) as media:
            assert media.tracks


def test_only_the_door_opens_media(tmp_path):
    """The lint rule finds each way of opening media around the door."""
    offence = tmp_path / "models" / "elsewhere.py"
    offence.parent.mkdir()
    offence.write_text(
        '"""X."""\n\nimport av\nfrom PIL import Image\n\n'
        'av.open("x")\nImage.open("x")\n\n\ndef late():\n    """X."""\n    import av as other\n\n'
        '    other.open("x")\n'
    )
    config = str(__import__("pathlib").Path(__file__).parents[3] / "pyproject.toml")
    told = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", config, "--output-format", "concise",
         str(offence)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.stdout.count("TID251") == 3, told.stdout + told.stderr
