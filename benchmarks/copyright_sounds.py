"""Recall of disguised sound: another pitch, slowed down with reverberation, under speech.

    python -m benchmarks.copyright_sounds [--speech FILE] [--also FILE] [--only speech]

Each track is edited with parameters drawn from a seed, and looked up among all of them.
``--speech`` takes another speech to lay over the tracks, ``--also`` registers and edits more files.
False matches are looked for in all of that, and in the tracks played backwards and at pitches that
nobody looks for, alone and under speech.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.copyright_edits import edit_audio
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import Work, WorkPrint
from quorum.models.copyright.matching.matching import find_matches
from quorum.models.fingerprint.fingerprint import WORK_RATE, fingerprint

_RATE = 44_100
#: A speech of the data, which is spoken over the other tracks.
_SPEECH = "lr_198-209-0000.hq.ogg"

Samples = NDArray[np.float32]
#: Writes an edited track: source, target, chance.
Edit = Callable[[Path, Path, np.random.Generator], None]


def _pitched(share: float) -> str:
    return f"asetrate={round(_RATE * share)},aresample={_RATE},atempo={1 / share:.5f}"


def _slowed(share: float) -> str:
    room = "aecho=0.8:0.75:60|110|170:0.45|0.3|0.2"
    return f"asetrate={round(_RATE * share)},aresample={_RATE},{room}"


def _filters(kind: str, rng: np.random.Generator) -> str:
    if kind.startswith("pitch"):
        most = 0.02 if "2" in kind else 0.04
        return _pitched(1 + rng.choice([-1, 1]) * rng.uniform(most / 2, most))
    return _slowed(rng.uniform(0.82, 0.95))


def _samples(path: Path) -> Samples:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE)
    parts = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray().ravel() for part in resampler.resample(frame)]
    return np.concatenate(parts)


def _under(music: Samples, speech: Samples, level: float) -> Samples:
    """Music under speech that is louder by so many decibels."""
    spoken = np.resize(speech, music.shape)
    loud = float(np.sqrt(np.mean(music**2) / np.mean(spoken**2))) * 10 ** (level / 20)
    mixed: Samples = music + np.float32(loud) * spoken
    return mixed


def _strange(music: Samples) -> dict[str, Samples]:
    """A track made into sound that is no copy: backwards, and at other pitches."""
    made = {"backwards": music[::-1]}
    for share in (0.71, 1.37):
        at = np.arange(int(len(music) / share)) * share
        made[f"at {share} of its pitch"] = np.interp(at, np.arange(len(music)), music).astype("f4")
    return made


def _write(mixed: Samples, target: Path) -> None:
    """Encode samples as AAC of 96 kbit/s."""
    mixed = (mixed / max(1.0, float(np.abs(mixed).max()))).astype(np.float32)
    with av.open(str(target), "w") as container:
        stream = container.add_stream("aac", rate=_RATE)
        stream.layout, stream.bit_rate = "mono", 96_000
        for start in range(0, len(mixed), 1024):
            frame = av.AudioFrame.from_ndarray(
                mixed[None, start : start + 1024], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = _RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _filtered(kind: str) -> Edit:
    """An edit by filters of FFmpeg."""

    def made(source: Path, out: Path, rng: np.random.Generator) -> None:
        edit_audio(source, out, _filters(kind, rng), "aac", 96_000)

    return made


def _spoken(speech: Samples, level: float) -> Edit:
    """Speech of a level over a track."""

    def made(source: Path, out: Path, _: np.random.Generator) -> None:
        _write(_under(_samples(source), speech, level), out)

    return made


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--speech", type=Path, help="laid over the tracks; one of the data's")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="more works")
    parser.add_argument("--only", choices=["speech"], help="leave out other pitches")
    chosen = parser.parse_args()
    tracks = sorted(path for path in (chosen.data / "audio").iterdir() if path.suffix != ".md")
    tracks += chosen.also
    catalogue = Catalogue()
    for track in tracks:
        work = Work(id=track.name, title=track.stem, owner="-")
        catalogue.add(work, WorkPrint.of(fingerprint(track, rate=WORK_RATE)))
    catalogue.refresh()
    spoken = chosen.speech or chosen.data / "audio" / _SPEECH
    speech = _samples(spoken)
    edits = {
        kind: _filtered(kind)
        for kind in ("pitch, 1 to 2 %", "pitch, 2 to 4 %", "slowed to 0.82 to 0.95, reverberated")
        if not chosen.only
    }
    for level in (-6.0, 0.0, 6.0, 12.0):
        edits[f"under speech of {level:+g} dB"] = _spoken(speech, level)
    false: list[str] = []
    itself: list[str] = []
    looked = 0
    print("| sound | uploads | recall | not found |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "edited.mp4"

        def found() -> set[str]:
            return {match.work.id for match in find_matches(fingerprint(out), catalogue)}

        for number, (kind, make) in enumerate(edits.items()):
            hits, missed = [], []
            for index, track in enumerate(tracks):
                if kind.startswith("under") and track.name == spoken.name:
                    continue
                make(track, out, np.random.default_rng([chosen.seed, number, index]))
                works = found()
                hits.append(track.name in works)
                missed += [] if hits[-1] else [track.stem[:16]]
                allowed = {track.name, spoken.name} if kind.startswith("under") else {track.name}
                false += [f"{kind}, {track.stem[:16]}: {each}" for each in works - allowed]
            looked += len(hits)
            print(f"| {kind} | {len(hits)} | {statistics.mean(hits):.2f} | {', '.join(missed)} |",
                  flush=True)  # fmt: skip
        for track in tracks:
            for kind, samples in _strange(_samples(track)).items():
                for told, mixed in (
                    (kind, samples), (f"{kind} under speech", _under(samples, speech, 0.0))
                ):  # fmt: skip
                    _write(mixed, out)
                    works = found()
                    looked += 1
                    itself += [f"{told}, {track.stem[:16]}"] if track.name in works else []
                    allowed = {track.name, spoken.name}
                    false += [f"{told}, {track.stem[:16]}: {each}" for each in works - allowed]
    print(f"\nfalse matches in {looked} uploads: {false or 'none'}")
    print(f"found although backwards or at another pitch: {itself or 'none'}")


if __name__ == "__main__":
    main()
