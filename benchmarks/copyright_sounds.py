"""Recall of disguised sound: another pitch, slowed down with reverberation, under speech.

    python -m benchmarks.copyright_sounds

Each track is edited with parameters drawn from a seed, and looked up among all of them.
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


def _under_speech(source: Path, speech: Samples, target: Path, level: float) -> None:
    """A track under speech that is louder by so many decibels."""
    music = _samples(source)
    spoken = np.resize(speech, music.shape)
    loud = np.sqrt(np.mean(music**2)) / np.sqrt(np.mean(spoken**2)) * 10 ** (level / 20)
    mixed = music + loud * spoken
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


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seed", type=int, default=5)
    chosen = parser.parse_args()
    tracks = sorted(path for path in (chosen.data / "audio").iterdir() if path.suffix != ".md")
    catalogue = Catalogue()
    for track in tracks:
        work = Work(id=track.name, title=track.stem, owner="-")
        catalogue.add(work, WorkPrint.of(fingerprint(track, rate=WORK_RATE)))
    catalogue.refresh()
    speech = _samples(chosen.data / "audio" / _SPEECH)
    edits: dict[str, Callable[[Path, Path, np.random.Generator], object]] = {
        kind: lambda source, out, rng, kind=kind: edit_audio(
            source, out, _filters(kind, rng), "aac", 96_000
        )
        for kind in ("pitch, 1 to 2 %", "pitch, 2 to 4 %", "slowed to 0.82 to 0.95, reverberated")
    }
    for level in (-6.0, 0.0, 6.0):
        edits[f"under speech of {level:+g} dB"] = lambda source, out, _, level=level: _under_speech(
            source, speech, out, level
        )
    false = []
    print("| sound | uploads | recall | not found |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "edited.mp4"
        for number, (kind, make) in enumerate(edits.items()):
            spoken = kind.startswith("under")
            hits, missed = [], []
            for index, track in enumerate(tracks):
                if spoken and track.name == _SPEECH:
                    continue
                make(track, out, np.random.default_rng([chosen.seed, number, index]))
                found = {match.work.id for match in find_matches(fingerprint(out), catalogue)}
                hits.append(track.name in found)
                missed += [] if hits[-1] else [track.stem[:16]]
                allowed = {track.name, _SPEECH} if spoken else {track.name}
                false += [f"{kind}, {track.stem[:16]}: {each}" for each in found - allowed]
            print(f"| {kind} | {len(hits)} | {statistics.mean(hits):.2f} | {', '.join(missed)} |",
                  flush=True)  # fmt: skip
    print(f"\nfalse matches: {false or 'none'}")


if __name__ == "__main__":
    main()
