"""Speed of the media path, beside a bare decoder, the ffmpeg tool, and another state of Quorum.

    python -m benchmarks.media [--clip FILM] [--before CHECKOUT] [--findings]

Each film is made by the ffmpeg tool, from a real one if ``--clip`` names it, else from a test
picture with grain. Printed are seconds of video for each second of processor time, with one
thread: the best of several rounds, in which all alternate.

- Quorum: from the file to frames, sound, pages for OCR and fingerprint, in a process apart, as in
  a worker. ``--findings`` adds the reading of words and the shipped detectors of pictures, and a
  table of what each of them costs.
- door: the part of it that PyAV does, too: the door decodes, frames and sound are kept.
- PyAV: decodes all frames, scales four a second to 256 pixels, resamples the sound.
- ffmpeg: the tool does the same.
- before: Quorum's path in another checkout, such as ``git worktree add ../before COMMIT``.
"""

from __future__ import annotations

import argparse
import atexit
import inspect
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

CODECS = {
    "h264": ("libx264", "-crf", "23", "-preset", "medium"),
    "hevc": ("libx265", "-crf", "26", "-preset", "fast", "-x265-params", "log-level=error"),
    "vp9": ("libvpx-vp9", "-crf", "33", "-b:v", "0", "-cpu-used", "6", "-row-mt", "0"),
    "av1": ("libsvtav1", "-crf", "36", "-preset", "10"),
}
SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
#: Frames a second and their shorter side, as Quorum's features have them.
RATE, SHORT = 4, 256
#: Bytes of the shipped models in a worker.
MODELS = 700 * 2**20


def tool() -> str:
    """The ffmpeg tool: the system's, or that of the package ``imageio-ffmpeg``."""
    found = shutil.which("ffmpeg")
    if found is None:
        from imageio_ffmpeg import get_ffmpeg_exe

        found = str(get_ffmpeg_exe())
    return found


def make(folder: Path, codec: str, size: str, seconds: float, clip: Path | None) -> Path:
    """A film in Matroska or MP4, with sound."""
    width, height = SIZES[size]
    out = folder / f"{codec}-{size}.{'mkv' if codec == 'vp9' else 'mp4'}"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30"]
    if clip is not None:
        picture = ["-stream_loop", "-1", "-i", str(clip)]
    shape = f"scale={width}:{height},fps=30,format=yuv420p"
    if clip is None:
        shape = f"scale={width}:{height},noise=alls=5:allf=t,format=yuv420p"
    run(
        *picture, "-f", "lavfi", "-i", "anoisesrc=amplitude=0.1", "-map", "0:v", "-map", "1:a",
        "-t", str(seconds), "-vf", shape, "-c:v", *CODECS[codec], "-g", "120",
        "-c:a", "libopus" if codec == "vp9" else "aac", str(out),
    )  # fmt: skip
    return out


def run(*arguments: str) -> None:
    """Run the tool with one thread."""
    subprocess.run(
        [tool(), "-v", "error", "-nostdin", "-y", "-threads", "1", *arguments], check=True
    )


def quorum(path: Path) -> None:
    """Quorum's path, of this state or of one before files were read once."""
    try:
        from quorum.models.features import decoders, reading
    except ImportError:
        one_process(path)
        return
    decoders.decode_apart(path.parent, 2 * 1024**3)
    made = decoders.read_media(path, _all(reading))
    assert made.decoded is not None, made.refused
    assert made.fingerprint is not None, made.no_fingerprint


def _all(reading: Any) -> Any:
    """All that the shipped detectors want of a file, as far as a state has it."""
    known = "motion" in inspect.signature(reading.Wanted).parameters
    more: dict[str, Any] = {"motion": True} if known else {}
    return reading.Wanted(True, True, 6, True, **more)


def one_process(path: Path) -> None:
    """Quorum's path in earlier states."""
    try:
        from quorum.models.features import reading

        former: Any = reading
    except ImportError:
        from quorum.models.features.decode import decode
        from quorum.models.fingerprint.fingerprint import fingerprint

        # Before there was one door, nothing was said of how much may go unseen.
        known = "max_unseen" in inspect.signature(decode).parameters
        more: dict[str, Any] = {"max_unseen": 20.0} if known else {}
        decode(
            path, frames=True, audio=True, max_seconds=600, max_pixels=40_000_000, max_pages=6,
            **more,
        )  # fmt: skip
        fingerprint(path, max_seconds=600.0)
        return
    former.prepare()
    former.decode_apart(path.parent, 2 * 1024**3)
    made = former.read_media(path, _all(former))
    assert made.decoded is not None, made.refused
    assert made.fingerprint is not None, made.no_fingerprint


def door(path: Path) -> None:
    """Frames and sound through Quorum's door, in this process, without pages and fingerprint."""
    from quorum.models.features.decode import decode

    decode(path, frames=True, audio=True, max_seconds=600, max_pixels=40_000_000)


#: Processor seconds of each part of the findings, for each file; the best of the rounds.
parts: dict[str, dict[str, float]] = {}


def findings() -> Callable[[Path], None]:
    """Quorum's path, the reading of words, and the detectors that look at pictures."""
    from datetime import UTC, datetime

    from quorum.core.messages import Upload
    from quorum.core.settings import MediaAccess
    from quorum.models.detectors import Detector, Feature
    from quorum.models.features import decoders
    from quorum.models.features.extract import Extractor
    from quorum.models.features.ocr import shared_reader
    from quorum.models.nsfw.detector import NsfwDetector
    from quorum.models.runner import score_safely
    from quorum.models.spam.detector import SpamDetector
    from quorum.models.violence.detector import ViolenceDetector

    detectors: list[Detector] = [SpamDetector(), ViolenceDetector(), NsfwDetector()]
    needs = frozenset({Feature.FINGERPRINT, *(n for one in detectors for n in one.needs)})

    folder = Path(tempfile.mkdtemp(prefix="quorum-media-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    reader: Any = shared_reader()
    read, words = reader.read, 0.0

    def timed(pages: Any) -> Any:
        nonlocal words
        begun = used()
        try:
            return read(pages)
        finally:
            words = used() - begun

    reader.read = timed

    def judge(path: Path) -> None:
        mine = parts.setdefault(path.stem, {})

        def note(name: str, spent: float) -> None:
            mine[name] = min(mine.get(name, spent), spent)

        begun = used()
        decoders.decode_apart(folder, 2 * 1024**3)
        access = MediaAccess(folders=(str(path.parent),))
        upload = Upload(
            id="u", uploader="u", media=path.as_uri(), published_at=datetime(2026, 1, 1, tzinfo=UTC)
        )
        features = Extractor(needs, access).extract([upload])
        note("media path", used() - begun - words)
        note("words in frames", words)
        for one in detectors:
            begun = used()
            score_safely(one, features, 600.0)
            note(one.name, used() - begun)

    return judge


def bare(path: Path) -> None:
    """PyAV, at the same sampling."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
    with av.open(str(path)) as opened:
        video = opened.streams.video[0]
        video.thread_type = "NONE"
        video.codec_context.thread_count = 1
        width = round(video.width * SHORT / video.height / 2) * 2
        due = 0.0
        scaler: Any = None
        frame: Any
        for frame in opened.decode(video, opened.streams.audio[0]):
            if isinstance(frame, av.AudioFrame):
                for part in resampler.resample(frame):
                    part.to_ndarray()
            elif frame.time is not None and frame.time >= due - 1e-3:
                scaler = scaler or av.video.reformatter.VideoReformatter()
                scaler.reformat(frame, width, SHORT, "rgb24").to_ndarray()
                due += 1 / RATE


def ffmpeg(path: Path) -> None:
    """The tool, at the same sampling."""
    run(
        "-filter_threads", "1", "-i", str(path),
        "-map", "0:v", "-vf", f"fps={RATE},scale=-2:{SHORT}", "-pix_fmt", "rgb24",
        "-f", "rawvideo", os.devnull,
        "-map", "0:a", "-ac", "1", "-ar", "16000", "-f", "f32le", os.devnull,
    )  # fmt: skip


def used() -> float:
    """Processor seconds so far of this process and of those that it started."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    own = sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)
    decoders = sys.modules.get("quorum.models.features.decoders")
    return own + (decoders.template.spent if decoders is not None else 0.0)


def cost(work: Callable[[Path], None], path: Path) -> float:
    """Processor seconds of this process and of those that it started."""
    start = used()
    work(path)
    return used() - start


class Served:
    """This script in a process of its own, with the code of a checkout; it measures when asked.

    A worker has decoded nothing itself when it forks a process that does: nor has this one. It
    holds as much memory as a worker with its models.
    """

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--serve"],
            cwd=checkout,  # where what it starts finds its modules first
            env={**os.environ, "PYTHONPATH": str(checkout.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def cost(self, path: Path) -> float:
        """Processor seconds of its path."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        return float(json.loads(process.stdout.readline()))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve() -> None:
    """Measure each path of the standard input."""
    models = bytearray(MODELS)
    models[::4096] = b"m" * len(models[::4096])
    for line in sys.stdin:
        print(json.dumps(cost(quorum, Path(line.strip()))), flush=True)


def table(given: argparse.Namespace, folder: Path) -> None:
    """Measure, and print a line for each film."""
    now = Served(Path(__file__).parents[1])
    before = Served(given.before) if given.before else None
    ways: dict[str, Callable[[Path], float]] = {
        "Quorum": now.cost,
        "door": lambda path: cost(door, path),
        "PyAV": lambda path: cost(bare, path),
        "ffmpeg": lambda path: cost(ffmpeg, path),
    }
    if before is not None:
        ways["before"] = before.cost
    if given.findings:
        judge = findings()
        ways["findings"] = lambda path: cost(judge, path)
    ratios = ["of PyAV", "door of PyAV", *(["of before"] if before else [])]
    print(f"| film | {' | '.join([*ways, *ratios])} |\n|---{'|---' * (len(ways) + len(ratios))}|")
    for codec in given.codecs:
        for size in given.sizes:
            path = make(folder, codec, size, given.seconds, given.clip)
            best = dict.fromkeys(ways, float("inf"))
            for turn in range(given.rounds + 1):
                for name, way in ways.items():
                    spent = way(path)
                    if turn:  # the first one warms up
                        best[name] = min(best[name], spent)
            cells = [f"{given.seconds / spent:.1f}" for spent in best.values()]
            cells += [f"{best['PyAV'] / best[name]:.2f}" for name in ("Quorum", "door")]
            if before is not None:
                cells.append(f"{best['before'] / best['Quorum']:.2f}")
            print(f"| {codec} {size} | {' | '.join(cells)} |", flush=True)
            path.unlink()
    for served in filter(None, (now, before)):
        served.close()
    if parts:
        shares(given.seconds)


def shares(seconds: float) -> None:
    """Print what each part of the findings costs, and its share."""
    names = list(next(iter(parts.values())))
    print("\nProcessor milliseconds for a second of video, and the share of all findings:\n")
    print(f"| film | {' | '.join(names)} |\n|---{'|---' * len(names)}|")
    for film, mine in parts.items():
        whole = sum(mine.values())
        cells = (f"{1000 * mine[n] / seconds:.0f} ({mine[n] / whole:.0%})" for n in names)
        print(f"| {film.replace('-', ' ')} | {' | '.join(cells)} |")


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", type=Path, help="a film to make the films of")
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--findings", action="store_true")
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=list(CODECS))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory(prefix="quorum-media-") as folder:
        table(given, Path(folder))


if __name__ == "__main__":
    main()
