"""Word errors and cost of the recognition of speech, and what is heard where nobody speaks.

``python -m benchmarks.speech --data FOLDER``, where FOLDER holds ``audio``: three readings of
LibriSpeech, and music and nature. Two more readings come with the package of the recogniser. The
texts that are read are in the public domain. Prints a Markdown table; seconds are processor time.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import numpy as np

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


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    files = sorted((parser.parse_args().data / "audio").iterdir())
    assets = package_folder("moonshine_voice", "assets")
    files += sorted(assets.glob("*.wav")) if assets is not None else []
    listener = shared_listener(AUTO)
    listener.listen(sound_of(files[0]), 60)
    print(
        "| recording | s | words | errors | processor s a second of sound |\n|---|---|---|---|---|"
    )
    count = wrong = quiet = false = 0
    for path in files:
        sound = sound_of(path)
        seconds = len(sound.samples) / sound.rate
        begun = time.process_time()
        heard = listener.listen(sound, 600)
        cost = (time.process_time() - begun) / seconds
        found = words_of(" ".join(line.text for line in heard.lines))
        read = next((text for part, text in READ.items() if part in path.name), "")
        if not read:
            quiet, false = quiet + 1, false + len(found)
            continue
        mistakes = errors(words_of(read), found)
        count, wrong = count + len(words_of(read)), wrong + mistakes
        print(f"| {path.stem} | {seconds:.0f} | {len(words_of(read))} | {mistakes} | {cost:.3f} |")
    print(f"\nWord error rate: {wrong} of {count} words ({wrong / count:.1%}).")
    print(f"Words heard in {quiet} recordings in which nobody speaks: {false}.")


if __name__ == "__main__":
    main()
