"""Speed of each detector, compared with its bare model, and cost of the shared features.

``python -m benchmarks.detectors --data FOLDER``, where FOLDER holds ``youtube_spam`` and ``clips``.
Prints Markdown tables. Seconds are processor time of all threads, which depends little on other
load; each figure is the best of several rounds, in which a detector and its bare model alternate.
"""

from __future__ import annotations

import argparse
import csv
import platform
import resource
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import Detector, Feature, Features
from quorum.models.features.embedding import shared_embedder
from quorum.models.features.extract import Extractor
from quorum.models.features.normalise import normalise
from quorum.models.features.ocr import shared_reader
from quorum.models.nsfw.detector import NsfwDetector
from quorum.models.runner import score_safely
from quorum.models.spam.detector import SpamDetector
from quorum.models.spam.reading import units_of
from quorum.models.violence.detector import ViolenceDetector
from quorum.models.violence.gore import shared_classifier
from quorum.models.violence.vision import describe, scenes, shared_encoder
from quorum.models.violence.words import features_of

SIZES = (1, 8, 32)


def uploads_of_texts(folder: Path, count: int) -> list[Upload]:
    """Real comments as titles."""
    texts: list[str] = []
    for path in sorted((folder / "youtube_spam").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            texts.extend(row["CONTENT"] for row in csv.DictReader(file))
    step = max(1, len(texts) // count)
    return [upload(f"t{n}", title=text) for n, text in enumerate(texts[::step][:count])]


def uploads_of_media(folder: Path, count: int) -> list[Upload]:
    """Real clips."""
    found = sorted((folder / "clips").glob("*.m*"))
    step = max(1, len(found) // count)
    return [upload(path.name, media=path.resolve().as_uri()) for path in found[::step][:count]]


def upload(name: str, **fields: str) -> Upload:
    """An upload with the given fields."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Upload.model_validate({"id": name, "uploader": "x", "published_at": at, **fields})


def in_batches(items: Sequence, size: int, act: Callable[[Sequence], object]) -> float:
    """Processor seconds to process all items in batches."""
    start = time.process_time()
    for place in range(0, len(items), size):
        act(items[place : place + size])
    return time.process_time() - start


def best(rounds: int, *timed: Callable[[], float]) -> list[float]:
    """The best time of each function over alternating rounds."""
    for one in timed:
        one()
    return [
        min(values)
        for values in zip(*[[one() for one in timed] for _ in range(rounds)], strict=True)
    ]


def text_table(texts: list[Upload], rounds: int) -> None:
    """Texts a second from upload to finding, and of the bare models on the same texts."""
    spam, violence = SpamDetector(), ViolenceDetector()
    needs = frozenset({Feature.TEXT, Feature.EMBEDDING})
    embedder = shared_embedder()

    def bare(batch: Sequence[Upload]) -> None:
        read = [normalise(one.title) for one in batch]
        vectors = embedder.embed(read)
        parts = [unit.parts[0] for text in read for unit in units_of({"title": text})]
        spam._model.heads.cheap(parts)
        spam._model.heads.means(parts, vectors)
        violence._words.network.answer(features_of(read, embedder.embed_layers(read)))

    print("| batch | both detectors, texts/s | bare models, texts/s | ratio |\n|---|---|---|---|")
    for size in SIZES:
        extractor = Extractor(needs, MediaAccess())

        def whole(batch: Sequence[Upload], extractor: Extractor = extractor) -> None:
            made = extractor.extract(batch)
            score_safely(spam, made, 60)
            score_safely(violence, made, 60)

        ours, theirs = best(
            rounds,
            lambda size=size, whole=whole: in_batches(texts, size, whole),
            lambda size=size: in_batches(texts, size, bare),
        )
        rate, raw = len(texts) / ours, len(texts) / theirs
        print(f"| {size} | {rate:.1f} | {raw:.1f} | {rate / raw:.2f} |", flush=True)


def each_table(made: list[Features], detectors: list[tuple[Detector, str]], rounds: int) -> None:
    """Uploads a second of each detector on precomputed features."""
    print("| detector | what | batch 1 | batch 8 | batch 32 |\n|---|---|---|---|---|")
    for detector, what in detectors:
        rates = []
        for size in SIZES:
            (seconds,) = best(
                rounds,
                lambda detector=detector, size=size: in_batches(
                    made, size, lambda batch: score_safely(detector, batch, 300)
                ),
            )
            rates.append(f"{len(made) / seconds:.1f}")
        print(f"| {detector.name} | {what} | {' | '.join(rates)} |")


def media_table(clips: list[Upload], folder: Path, rounds: int) -> None:
    """Seconds of video a second of each detector and of its bare network."""
    access = MediaAccess(folders=(str((folder / "clips").resolve()),))
    extractor = Extractor(frozenset({Feature.FRAMES}), access)
    start = time.process_time()
    made = [one for one in extractor.extract(clips) if one.frames is not None]
    spent = time.process_time() - start
    video = sum(one.frames.duration for one in made if one.frames is not None)
    print(
        f"\n{len(made)} clips, {video:.0f} s of video; decoded at {video / spent:.0f} s a second.\n"
    )
    nsfw, violence = NsfwDetector(), ViolenceDetector()
    encoder = shared_encoder()

    def bare_fights(batch: Sequence[Features]) -> None:
        for one in batch:
            for scene in scenes(one.frames):  # type: ignore[arg-type]
                describe(encoder.encode(one.frames.pixels[scene]))  # type: ignore[union-attr]
            shared_classifier().smoothed_odds(one.frames)  # type: ignore[arg-type]

    def bare_nsfw(batch: Sequence[Features]) -> None:
        for one in batch:
            nsfw._frames(one.frames, np.arange(len(one.frames.times))[:32])  # type: ignore

    print("| detector | batch | s of video a s | bare network | ratio |\n|---|---|---|---|---|")
    for detector, bare in ((nsfw, bare_nsfw), (violence, bare_fights)):
        for size in SIZES:
            ours, theirs = best(
                rounds,
                lambda detector=detector, size=size: in_batches(
                    made, size, lambda batch: score_safely(detector, batch, 600)
                ),
                lambda bare=bare, size=size: in_batches(made, size, bare),
            )
            print(
                f"| {detector.name} | {size} | {video / ours:.1f} | {video / theirs:.1f} "
                f"| {theirs / ours:.2f} |",
                flush=True,
            )


def reading_table(clips: list[Upload], folder: Path) -> None:
    """Cost of OCR in addition to decoding."""
    print("\n| features | s of video a s | frames read | ms a frame read |\n|---|---|---|---|")
    spent = {}
    for most in (0, MediaAccess().read_frames):
        access = MediaAccess(folders=(str((folder / "clips").resolve()),), read_frames=most)
        extractor = Extractor(frozenset({Feature.TEXT, Feature.FRAMES, Feature.OCR}), access)
        extractor.extract(clips[:1])
        before = shared_reader().frames
        start = time.process_time()
        made = extractor.extract(clips)
        spent[most] = time.process_time() - start
        video = sum(one.frames.duration for one in made if one.frames is not None)
        read = shared_reader().frames - before
        cost = f"{1000 * (spent[most] - spent[0]) / read:.0f}" if read else ""
        name = f"frames, words of at most {most}" if most else "frames"
        print(f"| {name} | {video / spent[most]:.1f} | {read} | {cost} |", flush=True)


def costs(texts: list[Upload], clips: list[Upload], folder: Path) -> None:
    """Number of decodes and embeddings per upload with one detector and with three."""
    access = MediaAccess(folders=(str((folder / "clips").resolve()),))
    both = [
        upload(one.id, title=text.title, media=str(one.media))
        for one, text in zip(clips, texts, strict=False)
    ]
    print(
        "\n| detectors | uploads | decodes | readings | embeddings | embedding batches |\n"
        "|---|---|---|---|---|---|"
    )
    for kinds in ((ViolenceDetector,), (SpamDetector, ViolenceDetector, NsfwDetector)):
        extractor = Extractor(frozenset().union(*(one.needs for one in kinds)), access)
        extractor.extract(both)
        told = extractor.costs
        print(
            f"| {len(kinds)} | {len(both)} | {told.decodes} | {told.readings} | {told.embeddings} "
            f"| {told.embedding_batches} |"
        )


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=160)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    texts = uploads_of_texts(given.data, given.texts)
    clips = uploads_of_media(given.data, given.clips)
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
        "one thread\n"
    )
    text_table(texts, given.rounds)
    print()
    extractor = Extractor(frozenset({Feature.TEXT, Feature.EMBEDDING}), MediaAccess())
    made = extractor.extract(texts)
    each_table(
        made,
        [
            (SpamDetector(), "texts/s, features made"),
            (ViolenceDetector(), "texts/s, features made"),
        ],
        given.rounds,
    )
    media_table(clips, given.data, max(1, given.rounds - 1))
    reading_table(clips, given.data)
    costs(texts, clips, given.data)
    print(f"\nPeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB.")


if __name__ == "__main__":
    main()
