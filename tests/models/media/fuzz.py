"""Damage media files at random, and read them through the door.

    make fuzz [FILES=1000000] [SEED=1]

Each file is a small one of some format, damaged by what its number and the seed choose, so that a
file that was told can be made again: ``--only NUMBER --keep FOLDER``. Files are read in confined
processes with the limits of a worker. Told are processes that died. It is an error if this process
dies, if a file is over its limits, or if nothing of a file was seen and no reason is given.

The mutations are not guided by coverage: atheris sees the branches of Python alone, and the code at
stake is that of FFmpeg, libheif and Pillow, whose wheels are built without its instruments.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pillow_heif
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from quorum.core.errors import MediaRefused
from quorum.models.features.decode import Decoded
from quorum.models.features.decoders import prepare, read_media
from quorum.models.features.reading import Reading, Wanted
from quorum.models.media.apart import Bounds, apart, grow_memory
from quorum.models.media.limits import Limits
from tests.models.media.blu_ray import lettered, write_subtitles

__all__ = ["Decoded", "Reading", "Report", "corpus", "damaged", "fuzz", "os", "read_media"]

#: Processor seconds that a file may take: one pass has 8, and the seconds of a small file add
#: little; the rest is the start and the end of a decoder's own call.
CPU = 20
MEMORY = 1024 * 2**20
#: Files that one process reads.
CHUNK = 40

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=1")
TONE = ("-f", "lavfi", "-i", "sine=440:duration=1")

#: Arguments of the tool by the name of the file.
FILMS = {
    "a.mp4": ("-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p"),
    "hevc.mp4": ("-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1"),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1"),
    "fragmented.mp4": ("-movflags", "frag_keyframe+empty_moov"),
    "a.mov": ("-c:v", "prores_ks", "-c:a", "pcm_s16le"),
    "a.3gp": ("-c:v", "mpeg4", "-c:a", "aac"),
    "a.mkv": ("-c:v", "libvpx-vp9", "-c:a", "libopus"),
    "a.webm": ("-c:v", "libvpx", "-c:a", "libvorbis"),
    "a.ts": ("-c:v", "libx264", "-c:a", "aac"),
    "a.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2", "-r", "25"),
    "a.avi": ("-c:v", "mpeg4", "-c:a", "mp3"),
    "a.flv": ("-c:v", "flv1", "-c:a", "aac"),
    "a.wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    "a.ogg": ("-c:v", "libtheora", "-c:a", "libvorbis"),
    "a.h264": ("-c:v", "libx264", "-an"),
    "a.hevc": ("-c:v", "libx265", "-x265-params", "log-level=none", "-an"),
    "a.ivf": ("-c:v", "libvpx", "-an"),
    "a.obu": ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1", "-an"),
    "a.wav": ("-vn",),
    "a.mp3": ("-vn",),
    "a.flac": ("-vn",),
    "a.aac": ("-vn",),
    "a.opus": ("-vn", "-c:a", "libopus"),
}
#: The same, for files with subtitles that are pictures.
DRAWN = {
    "drawn.mkv": ("-c:v", "mpeg4", "-c:a", "mp3", "-c:s", "copy"),
    "disc.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2", "-r", "25", "-c:s", "dvdsub"),
    "broadcast.ts": ("-c:v", "mpeg2video", "-c:a", "mp2", "-r", "25", "-c:s", "dvbsub"),
}
PICTURES = {
    "a.jpg": {}, "a.png": {}, "a.bmp": {}, "a.gif": {}, "a.webp": {"lossless": True}, "a.avif": {},
    "a.heic": {}, "moving.png": {"save_all": True, "duration": 100},
    "moving.gif": {"save_all": True, "duration": 100},
    "moving.webp": {"save_all": True, "duration": 100},
    "moving.avif": {"save_all": True, "duration": 100},
}  # fmt: skip


def corpus(folder: Path) -> dict[str, bytes]:
    """Small files of all formats; those that the tool cannot make are left out."""
    made: dict[str, bytes] = {}
    lines = folder / "lines.sup"
    write_subtitles(lines, lettered("words"), lettered("more"))
    for name, options in (FILMS | DRAWN).items():
        path = folder / name
        command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-threads", "1"]
        command += [*PICTURE, *TONE]
        if name in DRAWN:
            command += ["-i", str(lines), "-map", "0", "-map", "1", "-map", "2"]
        command += ["-shortest", *options, str(path)]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            made[name] = path.read_bytes()
    pillow_heif.register_heif_opener()
    noise = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
    first, *others = map(Image.fromarray, noise)
    for name, options in PICTURES.items():
        more = {"append_images": others} if options.get("save_all") else {}
        first.save(folder / name, **options, **more)
        made[name] = (folder / name).read_bytes()
    return made


#: Values that programs fail on, as bytes, 16 and 32 bits.
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damaged(files: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """The file of a number, and the name of the one that it was made of."""
    chance = random.Random(f"{seed} {number}")
    name = chance.choice(sorted(files))
    data = bytearray(files[name])
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8, 30))):
        most = len(data) if chance.random() < 0.5 else min(len(data), 1024)
        at = chance.randrange(most) if most else 0
        match chance.randrange(10):
            case 0 | 1:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 2:
                if data:
                    data[at] ^= 1 << chance.randrange(8)
            case 3 | 4:
                width = chance.choice((1, 2, 4, 8))
                value = chance.choice(NUMBERS) & (256**width - 1)
                order = chance.choice(("big", "little"))
                data[at : at + width] = value.to_bytes(width, order)
            case 5:
                del data[at : at + chance.choice((1, 4, 100, 1000))]
            case 6:
                data[at:at] = data[at : at + chance.choice((1, 4, 100, 1000))]
            case 7:
                data[at:at] = chance.randbytes(chance.choice((1, 4, 100)))
            case 8:
                other = files[chance.choice(sorted(files))]
                begin = chance.randrange(len(other))
                data[at : at + 500] = other[begin : begin + 500]
            case 9:
                if chance.random() < 0.3:
                    del data[at:]
    return name, bytes(data)


@dataclass
class Report:
    """What came of the files.

    Attributes:
        read: How many were read in full, in part, or refused with a reason.
        died: The processes that died: the number of the file, what it was made of, why.
        faults: What must not be.
        slowest: Processor seconds of the slowest file, and its number.
        largest: Kilobytes of the largest process, and the number of its file.
    """

    read: Counter[str] = field(default_factory=Counter)
    died: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)
    largest: tuple[int, int] = (0, -1)

    def __str__(self) -> str:
        told = ", ".join(f"{count} {what}" for what, count in sorted(self.read.items()))
        return (
            f"{told}; {len(self.died)} processes died; the slowest took {self.slowest[0]:.1f} s "
            f"(file {self.slowest[1]}), the largest {self.largest[0] // 1024} MiB "
            f"(file {self.largest[1]}); {len(self.faults)} faults"
        )


WANTED = Wanted(True, True, 4, True, Limits(max_seconds=60.0, max_pixels=8_000_000), motion=True)


def outcome(made: Reading) -> str:
    """How much was read of a file; a fault begins with an exclamation mark."""
    if made.decoded is None:
        return "refused" if made.refused and made.no_fingerprint else "! no reason"
    parts = made.decoded
    nothing = parts.frames is None and parts.audio is None
    if (parts.frames is None and not parts.no_frames) or (
        parts.audio is None and not parts.no_audio
    ):
        return "! no reason"
    if made.fingerprint is None and not made.no_fingerprint:
        return "! no reason for no fingerprint"
    return "without anything" if nothing else "in part" if parts.problems else "in full"


def read_each(
    files: dict[str, bytes], seed: int, numbers: Iterable[int], folder: Path, out: BinaryIO
) -> None:
    """Read files one after the other; a line tells of each before and after."""
    grow_memory(WANTED.limits.max_seconds)
    for number in numbers:
        name, data = damaged(files, seed, number)
        path = folder / "file"
        path.write_bytes(data)
        out.write(json.dumps([number, name]).encode() + b"\n")
        out.flush()
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = used.ru_utime + used.ru_stime
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(spent) + CPU, hard))
        told = outcome(read_media(path, WANTED))
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = used.ru_utime + used.ru_stime - spent
        out.write(json.dumps([told, seconds, used.ru_maxrss]).encode() + b"\n")
        out.flush()


def fuzz(seed: int, numbers: Iterable[int], folder: Path) -> Report:
    """Read the files of some numbers."""
    prepare()
    files = corpus(folder)
    report = Report()
    left = list(numbers)
    while left:
        chunk = left[:CHUNK]
        done = list(_chunk(files, seed, chunk, folder, report))
        before, left = len(left), left[len(done) :]
        if len(left) // 1000 != before // 1000:
            print(f"{len(left)} files left; {report}", flush=True)
    return report


def _chunk(
    files: dict[str, bytes], seed: int, chunk: list[int], folder: Path, report: Report
) -> Iterator[int]:
    """The numbers that were read by one process, the last one of which may have killed it."""
    number, name = chunk[0], ""
    begun = False
    try:
        with apart(
            lambda out: read_each(files, seed, chunk, folder, out), Bounds(folder, MEMORY)
        ) as source:
            for line in source:
                if not begun:
                    number, name = json.loads(line)
                    begun = True
                    continue
                told, seconds, size = json.loads(line)
                begun = False
                report.read[told] += 1
                report.slowest = max(report.slowest, (seconds, number))
                report.largest = max(report.largest, (size, number))
                if told.startswith("!"):
                    report.faults.append(f"file {number} of {name}: {told}")
                yield number
    except MediaRefused as refused:
        what = f"file {number} of {name}: {refused}"
        report.read["that killed their process"] += 1
        report.died.append(what)
        if "processor time" in what or "did not end" in what:
            report.faults.append(what)
        yield number


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one file")
    parser.add_argument("--keep", type=Path, help="where the files of --only are written")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quorum-fuzz-") as name:
        folder = Path(name)
        if given.keep is not None and given.only is not None:
            made, data = damaged(corpus(folder), given.seed, given.only)
            (given.keep / f"{given.only}-{made}").write_bytes(data)
        numbers = range(given.files) if given.only is None else [given.only]
        report = fuzz(given.seed, numbers, folder)
    print("\n".join((*report.died, *report.faults)))
    print(f"seed {given.seed}, {time.monotonic() - began:.0f} s: {report}")
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
