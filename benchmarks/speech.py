"""Word errors and cost of the recognition of speech, and what is heard where nobody speaks.

``python -m benchmarks.speech --data FOLDER``, where FOLDER holds ``audio``: three readings of
LibriSpeech, and music and nature. Two more readings come with the package of the recogniser. The
texts that are read are in the public domain. Prints Markdown tables; seconds are processor time.
``--hard`` adds the same readings in noise, in music, at another speed and at another pitch, and
sound without speech at other levels and of a generator.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.detectors import Audio
from quorum.models.features.decode import decode
from quorum.models.features.speech.listener import AUTO, shared_listener
from quorum.models.features.speech.recogniser import package_folder

#: What is read in each recording, by a part of its file name.
READ = {
    "198-209-0000": (
        "mrs allen said catherine the next morning will there be any harm in my calling on miss "
        "tilney today i shall not be easy till i have explained everything go by all means my dear "
        "only put on a white gown miss tilney always wears white"
    ),
    "3436-172162-0000": (
        "the adventure of the cart it befell in the month of may queen guenever called to her "
        "knights of the table round and gave them warning that early upon the morrow she would "
        "ride a maying into the woods and fields beside westminster"
    ),
    "5703-47212-0000": (
        "with her white paint and her scarlet smoke stack the inverashiel one of the two small "
        "steamers that during the summer months plied up and down the loch and incidentally "
        "carried on communication between inverashiel and crianan"
    ),
    "two_cities": (
        "it was the best of times it was the worst of times it was the age of wisdom it was the "
        "age of foolishness it was the epoch of belief it was the epoch of incredulity it was the "
        "season of light it was the season of darkness it was the spring of hope it was the "
        "winter of despair we had everything before us we had nothing before us we were all going "
        "direct to heaven we were all going direct the other way in short the period was so far "
        "like the present period that some of its noisiest authorities insisted on its being "
        "received for good or for evil in the superlative degree of comparison only"
    ),
    "beckett": "ever tried ever failed no matter try again fail again fail better",
}


def words_of(text: str) -> list[str]:
    """Words without case, punctuation and hyphens."""
    return re.sub(r"[^a-z ]", "", text.lower().replace("-", "")).split()


def errors(read: list[str], heard: list[str]) -> int:
    """The least insertions, deletions and replacements of words (Levenshtein 1966)."""
    row = np.arange(len(heard) + 1)
    for index, word in enumerate(read, 1):
        last, row = row, np.full(len(heard) + 1, index)
        for place, other in enumerate(heard, 1):
            row[place] = min(last[place] + 1, row[place - 1] + 1, last[place - 1] + (word != other))
    return int(row[-1])


def sound_of(path: Path) -> Audio:
    """The sound of a file."""
    made = decode(path, frames=False, audio=True, max_seconds=600, max_pixels=1)
    assert made.audio is not None
    return made.audio


#: Signal-to-noise ratios in decibels: mean power of the reading by that of what is mixed in.
RATIOS = (20, 10, 5, 0)
#: Filters of FFmpeg that change the speed, the pitch, or both as a turntable does.
FILTERS = {
    "speed 0.8": "atempo=0.8",
    "speed 1.25": "atempo=1.25",
    "speed 1.5": "atempo=1.5",
    "pitch 0.85": "asetrate=13600,aresample=16000,atempo=1.17647",
    "pitch 1.2": "asetrate=19200,aresample=16000,atempo=0.83333",
    "turntable 0.9": "asetrate=14400,aresample=16000",
    "turntable 1.1": "asetrate=17600,aresample=16000",
}
#: Recordings of ``audio`` in which no music is played.
NATURE = ("humpback",)

_Samples = NDArray[np.float32]


def mixed(reading: _Samples, noise: _Samples, decibels: float) -> _Samples:
    """A reading with noise, repeated to its length, at a signal-to-noise ratio."""
    noise = np.resize(noise, len(reading))
    power = float(np.mean(noise.astype(np.float64) ** 2))
    wanted = float(np.mean(reading.astype(np.float64) ** 2)) / 10 ** (decibels / 10)
    made = reading + noise * np.float32(np.sqrt(wanted / max(power, 1e-12)))
    return np.asarray(made / max(1.0, float(np.abs(made).max())), np.float32)


def pink(seconds: float, rate: int) -> _Samples:
    """Noise with equal power in each octave, from a fixed seed."""
    count = int(seconds * rate)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(count))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    made = np.fft.irfft(spectrum, count)
    return (0.1 * made / np.sqrt(np.mean(made**2))).astype(np.float32)


def filtered(samples: _Samples, rate: int, filters: str) -> _Samples:
    """Sound through FFmpeg's filters."""
    import av
    import av.filter

    graph: Any = av.filter.Graph()
    first = graph.add_abuffer(
        format="flt", sample_rate=rate, layout="mono", time_base=Fraction(1, rate)
    )
    parts = [graph.add(*one.split("=")) for one in filters.split(",")]
    last = graph.add("abuffersink")
    for one, other in zip([first, *parts], [*parts, last], strict=True):
        one.link_to(other)
    graph.configure()
    made: list[Any] = []
    for begin in [*range(0, len(samples), rate), None]:
        frame: Any = None
        if begin is not None:
            frame = av.AudioFrame.from_ndarray(samples[None, begin : begin + rate], "flt", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        first.push(frame)
        while True:
            try:
                made.append(last.pull().to_ndarray().reshape(-1))
            except (av.error.BlockingIOError, av.error.EOFError):
                break
    return np.asarray(np.concatenate(made), np.float32)


def hard(readings: dict[str, Audio], quiet: dict[str, Audio]) -> Iterator[tuple[str, str, Audio]]:
    """Each reading made harder: how, its name, its sound."""
    rate = next(iter(readings.values())).rate
    music = {name: one.samples for name, one in quiet.items() if not any(n in name for n in NATURE)}
    for name, reading in readings.items():
        for ratio in RATIOS:
            yield (
                f"pink noise, {ratio} dB",
                name,
                Audio(mixed(reading.samples, pink(60, rate), ratio), rate),
            )
        for ratio in RATIOS:
            for other in music.values():
                yield f"music, {ratio} dB", name, Audio(mixed(reading.samples, other, ratio), rate)
        for how, filters in FILTERS.items():
            yield how, name, Audio(filtered(reading.samples, rate, filters), rate)


def silent(quiet: dict[str, Audio]) -> Iterator[tuple[str, Audio]]:
    """Sound in which nobody speaks: what it is, and its samples."""
    rate = next(iter(quiet.values())).rate
    for name, one in quiet.items():
        kind = "nature" if any(part in name for part in NATURE) else "music"
        for level in (1.0, 0.25):
            yield kind, Audio(one.samples * np.float32(level), rate)
        yield f"{kind} in pink noise, 5 dB", Audio(mixed(one.samples, pink(60, rate), 5), rate)
    chance = np.random.default_rng(1)
    clock = np.arange(30 * rate) / rate
    for generated in (
        pink(30, rate),
        0.1 * chance.standard_normal(30 * rate),
        0.2 * np.sin(2 * np.pi * 440 * clock),
        0.2 * np.sin(2 * np.pi * (150 + 100 * np.sin(2 * np.pi * 3 * clock)) * clock),
        np.repeat(0.3 * chance.standard_normal(150), rate // 5) * np.sin(2 * np.pi * 180 * clock),
        np.where(chance.random(30 * rate) < 0.001, 0.8, 0.0),
        np.zeros(30 * rate),
    ):
        yield "generated noise, tones, clicks, silence", Audio(generated.astype(np.float32), rate)


def tell_hard(readings: dict[str, Audio], quiet: dict[str, Audio]) -> None:
    """Print the tables of what is hard."""
    listener = shared_listener(AUTO)
    found: dict[str, list[int]] = {}
    for how, name, sound in hard(readings, quiet):
        read = words_of(next(text for part, text in READ.items() if part in name))
        heard = words_of(" ".join(line.text for line in listener.listen(sound, 600).lines))
        row = found.setdefault(how, [0, 0, 0, 0])
        row[0] += 1
        row[1] += len(read)
        row[2] += errors(read, heard)
        row[3] += 0 if heard else len(read)
    print(
        "\n| change | sounds | words | word error rate | of it where nothing was told |"
        "\n|---|---|---|---|---|"
    )
    for how, (sounds, words, wrong, untold) in found.items():
        print(f"| {how} | {sounds} | {words:,} | {wrong / words:.1%} | {untold / words:.1%} |")
    false: dict[str, list[int]] = {}
    for kind, sound in silent(quiet):
        heard = words_of(" ".join(line.text for line in listener.listen(sound, 600).lines))
        row = false.setdefault(kind, [0, 0, 0, 0])
        row[0] += 1
        row[1] += len(sound.samples) // sound.rate
        row[2] += len(heard)
        row[3] += bool(heard)
    print(
        "\n| nobody speaks | sounds | s | words heard | sounds with words |\n|---|---|---|---|---|"
    )
    for kind, (sounds, seconds, words, some) in false.items():
        print(f"| {kind} | {sounds} | {seconds} | {words} | {some} |")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hard", action="store_true", help="noise, music, speed, pitch")
    given = parser.parse_args()
    files = sorted((given.data / "audio").iterdir())
    assets = package_folder("moonshine_voice", "assets")
    files += sorted(assets.glob("*.wav")) if assets is not None else []
    listener = shared_listener(AUTO)
    listener.listen(sound_of(files[0]), 60)
    print(
        "| recording | s | words | errors | processor s a second of sound |\n|---|---|---|---|---|"
    )
    count = wrong = quiet = false = 0
    readings: dict[str, Audio] = {}
    silence: dict[str, Audio] = {}
    for path in files:
        sound = sound_of(path)
        seconds = len(sound.samples) / sound.rate
        begun = time.process_time()
        heard = listener.listen(sound, 600)
        cost = (time.process_time() - begun) / seconds
        found = words_of(" ".join(line.text for line in heard.lines))
        read = next((text for part, text in READ.items() if part in path.name), "")
        (readings if read else silence)[path.name] = sound
        if not read:
            quiet, false = quiet + 1, false + len(found)
            continue
        mistakes = errors(words_of(read), found)
        count, wrong = count + len(words_of(read)), wrong + mistakes
        print(f"| {path.stem} | {seconds:.0f} | {len(words_of(read))} | {mistakes} | {cost:.3f} |")
    print(f"\nWord error rate: {wrong} of {count} words ({wrong / count:.1%}).")
    print(f"Words heard in {quiet} recordings in which nobody speaks: {false}.")
    if given.hard:
        tell_hard(readings, silence)


if __name__ == "__main__":
    main()
