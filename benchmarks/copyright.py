"""Recall, false matches and cost of the copyright matcher.

    python -m benchmarks.copyright --data ../shared/data --cache /tmp/quorum-edits

Prints the tables of docs/copyright.md. ``--cache`` keeps the edited clips, which take most of the
time. The baseline is the rule of the vPDQ tool (ThreatExchange): a share of the frames with quality
50 or more is within 31 bits of some frame of the work.
"""

from __future__ import annotations

import argparse
import collections
import pickle
import platform
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.copyright_edits import (
    AUDIO_EDITS,
    VIDEO_EDITS,
    Edit,
    edit_audio,
    edit_video,
    embed,
    picture_in_picture,
)
from quorum.core.errors import InputError
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import Work, WorkPrint
from quorum.models.copyright.index.segments import Entries, Segment, search
from quorum.models.copyright.matching.matching import find_matches
from quorum.models.fingerprint import pdq
from quorum.models.fingerprint.fingerprint import WORK_RATE, Fingerprint, fingerprint

#: Works to edit: films of four seconds or longer.
EDITED = (
    "clips/bigbuckbunny.mp4", "clips/bikes.mp4", "clips/carphone_pristine.mp4",
    "clips/intel_bottle-detection.mp4", "clips/intel_car-detection.mp4",
    "clips/intel_one-by-one-person-detection.mp4", "clips/mdn_crystal.mp4",
    "clips/mdn_elf.mp4", "clips/mdn_frog.mp4", "clips/mdn_monster.mp4", "clips/mdn_pig.mp4",
    "clips/mdn_rabbit.mp4", "clips/sam2_01_dog.mp4", "clips/sam2_02_cups.mp4",
    "clips/sam2_03_blocks.mp4", "clips/sam2_04_coffee.mp4",
    "clips/sam2_05_default_juggle.mp4", "clips/sam2_bedroom.mp4",
    "clips/sam2_sam2_720px_dark.mp4", "copydetect/chair-orig-22-sd-bar.mp4",
    "copydetect/pattern-hd-no-bar.mp4", "copydetect/doorknob-hd-no-bar.mp4",
    "copydetect/test-padded-dimensions.mp4", "clips/fl_bee.mp4", "clips/fl_butterfly.mp4",
)  # fmt: skip

#: Prefixes of files that show the same scene; all other files are unrelated.
_FAMILIES = ("chair", "pattern", "carphone", "mdn_rabbit")

#: Defaults of vPDQ.
_VPDQ_QUALITY, _VPDQ_BITS, _VPDQ_PERCENT = 50, 31, 80.0

#: Number of queries whose true neighbours are computed by a linear scan.
_LOOKED = 100

#: Limit of faiss's multi-hash, which keeps a map per table.
_MOST_MULTI_HASH = 2_000_000

#: Of longer works only twenty seconds are edited, to bound the time.
_LONG = 25.0


def family(name: str) -> str:
    """The scene that a file shows."""
    stem = Path(name).stem
    return next((each for each in _FAMILIES if stem.startswith(each)), stem)


@dataclass(frozen=True)
class Upload:
    """An upload of the benchmark.

    Attributes:
        path: The file.
        edit: The edit; empty for an unedited file.
        own: The edited scene.
        holds: The scenes in the file.
    """

    path: Path
    edit: str
    own: str
    holds: frozenset[str]


def make_uploads(data: Path, cache: Path, works: int, edits: int) -> list[Upload]:
    """Create the edited clips of so many works, or take them from the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    made: list[Upload] = []

    def add(name: str, edit: str, holds: set[str], make) -> None:
        path = cache / f"{Path(name).stem}__{edit.replace(' ', '_').replace('/', 'p')}.mp4"
        if not path.exists():
            part = path.with_suffix(".part.mp4")
            make(part)
            part.replace(path)
        made.append(Upload(path, edit, family(name), frozenset(holds)))

    edited = EDITED[:works]
    for index, name in enumerate(edited):
        source, own = data / name, family(name)
        length = fingerprint(source).duration
        other = edited[(index + 7) % len(edited)]
        part = (5.0, 25.0) if "intel" in name and length > _LONG else None
        for edit in VIDEO_EDITS[:edits]:
            chosen = Edit(edit.name, edit.filters, edit.paint, edit.speed, edit.crf, part)
            add(name, edit.name, {own}, lambda out, e=chosen, s=source: edit_video(s, out, e))
        both = {own, family(other)}
        for seconds in (3, 6, 10):
            if length >= seconds:
                at = min(1.0, (length - seconds) / 2)
                add(
                    name, f"embed {seconds}", both,
                    lambda out, s=source, o=data / other, n=seconds, a=at: embed(s, o, out, n, a),
                )  # fmt: skip
        add(
            name, "pip", both,
            lambda out, s=source, o=data / other: picture_in_picture(s, o, out),
        )  # fmt: skip
        if length >= 30:
            middle = Edit("", seconds=(length / 2 - 10, length / 2 + 10))
            add(name, "cut20", {own}, lambda out, s=source, e=middle: edit_video(s, out, e))
    for source in sorted((data / "audio").iterdir()):
        length = fingerprint(source).duration
        for label, filters, codec, rate in AUDIO_EDITS:
            if "10 s" in label and length < 20:
                continue
            add(
                source.name, f"sound: {label}", {family(source.name)},
                lambda out, s=source, f=filters, c=codec, r=rate: edit_audio(s, out, f, c, r),
            )  # fmt: skip
    return made


def printed(path: Path, rate: float = 4.0) -> Fingerprint | None:
    """The fingerprint, or None if the file cannot be read."""
    try:
        return fingerprint(path, rate=rate)
    except InputError:
        return None


def work_print(path: Path) -> Fingerprint | None:
    """A work's fingerprint."""
    return printed(path, WORK_RATE)


def vpdq_finds(found: Fingerprint, works: dict[str, WorkPrint]) -> set[str]:
    """The works that the vPDQ rule matches."""
    if found.video is None:
        return set()
    ours = found.video.published[found.video.quality >= _VPDQ_QUALITY]
    if not len(ours):
        return set()
    matched = set()
    for name, work in works.items():
        theirs = work.published[work.quality >= _VPDQ_QUALITY]
        if len(theirs):
            near = pdq.distances(ours[:, None], theirs[None]).min(axis=1) <= _VPDQ_BITS
            if 100 * near.mean() >= _VPDQ_PERCENT:
                matched.add(family(name))
    return matched


def clips_of(data: Path) -> list[Path]:
    """The files that are looked up unedited."""
    return sorted(
        path for folder in ("clips", "copydetect", "audio")
        for path in (data / folder).iterdir() if path.suffix in {".mp4", ".mkv", ".ogg", ".mp3"}
    )  # fmt: skip


def registered_of(data: Path) -> list[Path]:
    """The works: one file per scene."""
    return [
        path for path in clips_of(data)
        if family(path.name) == path.stem or f"{path.parent.name}/{path.name}" in EDITED
    ]  # fmt: skip


def recall(data: Path, cache: Path, jobs: int, works: int, edits: int) -> None:
    """Measure recall on edited works, and false matches."""
    started = time.time()
    uploads = make_uploads(data, cache, works, edits)
    print(f"{len(uploads)} edited uploads after {time.time() - started:.0f} s\n")
    clips = clips_of(data)
    registered = registered_of(data)
    plain = [Upload(path, "", family(path.name), frozenset({family(path.name)})) for path in clips]
    plain += [
        Upload(path, "", "", frozenset()) for path in sorted((data / "fights").glob("*/*.mp4"))
    ]
    every = uploads + plain
    store = cache / "fingerprints.pickle"
    if store.exists():  # written by this very command
        work_prints, prints = pickle.loads(store.read_bytes())
    else:
        with ProcessPoolExecutor(jobs) as pool:
            work_prints = list(pool.map(work_print, registered, chunksize=4))
            prints = list(pool.map(printed, [each.path for each in every], chunksize=4))
        store.write_bytes(pickle.dumps((work_prints, prints)))
    catalogue = Catalogue()
    kept: dict[str, WorkPrint] = {}
    for path, found in zip(registered, work_prints, strict=True):
        if found is not None:
            kept[path.name] = WorkPrint.of(found)
            catalogue.add(Work(id=path.name, title=path.stem, owner="-"), kept[path.name])
    catalogue.refresh()
    ours: dict[str, list[bool]] = collections.defaultdict(list)
    theirs: dict[str, list[bool]] = collections.defaultdict(list)
    missed: dict[str, list[str]] = collections.defaultdict(list)
    false: list[str] = []
    false_vpdq: set[tuple[str, str]] = set()
    elapsed = []
    for upload, found in zip(every, prints, strict=True):
        if found is None:
            continue
        begun = time.process_time()
        matches = find_matches(found, catalogue)
        elapsed.append(time.process_time() - begun)
        families = {family(match.work.id) for match in matches}
        for match in matches:
            if family(match.work.id) not in upload.holds:
                false.append(
                    f"{upload.path.name}: {match.work.id} {match.start:.1f}-{match.end:.1f} s,"
                    f" {match.medium} {match.score:.2f}"
                )
        near = vpdq_finds(found, kept)
        false_vpdq |= {(upload.path.name, each) for each in near - upload.holds}
        if upload.edit:
            own = upload.own
            ours[upload.edit].append(own in families)
            theirs[upload.edit].append(own in near)
            if own not in families:
                missed[upload.edit].append(own)
    pairs = sum(len(kept) - 1 for found in prints if found)
    print(f"{len(kept)} works, {sum(p is not None for p in prints)} uploads, {pairs:,} pairs\n")
    print("| edit | uploads | recall | vPDQ rule | not found |\n|---|---|---|---|---|")
    for edit, hits in ours.items():
        rule = "-" if edit.startswith("sound") else f"{statistics.mean(theirs[edit]):.2f}"
        lost = ", ".join(missed[edit][:6]) + (" ..." if len(missed[edit]) > 6 else "")
        print(f"| {edit} | {len(hits)} | {statistics.mean(hits):.2f} | {rule} | {lost} |")
    print(f"\nfalse matches: {len(false)}; of the vPDQ rule: {len(false_vpdq)} pairs")
    for line in false:
        print("  ", line)
    print(f"matching: median {1000 * statistics.median(elapsed):.0f} ms an upload, "
          f"largest {1000 * max(elapsed):.0f} ms")  # fmt: skip


def decode_cost(data: Path) -> None:
    """Seconds of 720p video fingerprinted per second of one core."""
    print("\n| clip | size | seconds | times real time |\n|---|---|---|---|")
    for name in ("sam2_01_dog", "sam2_03_blocks", "bigbuckbunny", "mdn_frog"):
        path = data / "clips" / f"{name}.mp4"
        fingerprint(path)
        best = 0.0
        for _ in range(3):
            begun = time.process_time()
            found = fingerprint(path)
            best = max(best, found.duration / (time.process_time() - begun))
        print(f"| {name} | {_size(path)} | {found.duration:.1f} | {best:.0f} |")


def _size(path: Path) -> str:
    import av

    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return f"{context.width} x {context.height}"


def index_cost(count: int) -> None:
    """Queries a second among many hashes, compared with faiss."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (count, 32), np.uint8)
    queries = hashes[rng.integers(0, count, 1000)].copy()
    bits = np.unpackbits(queries, axis=1)
    for row in bits:
        row[rng.choice(256, rng.integers(0, 32), replace=False)] ^= 1
    queries = np.packbits(bits, axis=1)
    entries = Entries(
        hashes, (np.arange(count) // 1000).astype(np.uint32), np.zeros(count, np.float32),
        np.zeros(count, np.uint8),
    )  # fmt: skip
    truth = _pairs_by_looking(hashes, queries[:_LOOKED])
    print(f"\n{count:,} hashes, 1,000 queries, radius 31, one thread, processor time\n")
    print("| index | a query | queries/s | recall | build | memory |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        Segment.build(entries).save(Path(folder) / "index")
        built = time.process_time() - begun
        size = (Path(folder) / "index").stat().st_size
        begun = time.perf_counter()
        opened = Segment.open(Path(folder) / "index")
        opening = time.perf_counter() - begun
        search([opened], queries[:50], 31)
        begun = time.process_time()
        hits = search([opened], queries, 31)
        spent = time.process_time() - begun
        single = []
        for row in range(200):
            one = time.process_time()
            search([opened], queries[row : row + 1], 31)
            single.append(time.process_time() - one)
        found = int((hits.queries < _LOOKED).sum())
        _row("ours", spent, found / len(truth), built, size)
    print(f"\nopening {1000 * opening:.1f} ms; one query alone: median "
          f"{1000 * statistics.median(single):.2f} ms, 99th "
          f"{1000 * sorted(single)[197]:.2f} ms\n")  # fmt: skip
    try:
        import faiss
    except ImportError:
        print("faiss is not installed: pip install 'quorum-moderation[bench]'")
        return
    faiss.omp_set_num_threads(1)
    for label, made in (
        ("faiss flat", faiss.IndexBinaryFlat(256)),
        ("faiss hash, 16 bits, 1 flip", faiss.IndexBinaryHash(256, 16)),
        ("faiss multi-hash, 16 x 16 bits, 1 flip", faiss.IndexBinaryMultiHash(256, 16, 16)),
    ):
        if "multi" in label and count > _MOST_MULTI_HASH:
            print(f"| {label} | not run over {_MOST_MULTI_HASH:,}: its tables take gigabytes |")
            continue
        few = queries[:_LOOKED]
        if hasattr(made, "nflip"):
            made.nflip = 1
        begun = time.process_time()
        made.add(hashes)
        built = time.process_time() - begun
        begun = time.process_time()
        limits, _, _ = made.range_search(few, 32)
        spent = (time.process_time() - begun) * len(queries) / len(few)
        _row(label, spent, int(limits[-1]) / len(truth), built, 0)
        del made
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of this process {peak:,.0f} MB")


def _pairs_by_looking(hashes: np.ndarray, queries: np.ndarray) -> set[tuple[int, int]]:
    from quorum.models.copyright.index.kernels import scan

    which, rows, _ = scan(hashes.view(np.uint64), queries.view(np.uint64), 31)
    return set(zip(which.tolist(), rows.tolist(), strict=True))


def _row(label: str, spent: float, found: float, built: float, size: int) -> None:
    memory = f"{size / 2**20:,.0f} MB on disk, mapped" if size else ""
    print(f"| {label} | {spent:.3f} ms | {1000 / spent:,.0f} | {found:.3f} | {built:.1f} s"
          f" | {memory} |", flush=True)  # fmt: skip


def main() -> None:
    """Command-line entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "quorum-edits")
    parser.add_argument("--hashes", type=int, default=10_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--works", type=int, default=len(EDITED), help="how many are edited")
    parser.add_argument("--edits", type=int, default=len(VIDEO_EDITS), help="of each film")
    parser.add_argument("--only", choices=("recall", "decode", "index"))
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {platform.python_version()}, numpy {np.__version__}\n")
    if chosen.only in (None, "recall"):
        recall(chosen.data, chosen.cache, chosen.jobs, chosen.works, chosen.edits)
    if chosen.only in (None, "decode"):
        decode_cost(chosen.data)
    if chosen.only in (None, "index"):
        index_cost(chosen.hashes)


if __name__ == "__main__":
    main()
