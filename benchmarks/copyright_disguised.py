"""Recall of disguised copies, and false matches, on clips that were held out from development.

    python -m benchmarks.copyright_disguised --cache disguised

Each film is disguised once in each way, with parameters drawn from a seed. ``--split development``
takes the films, draws and look-alikes on which the matcher was developed.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import pickle
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.copyright import EDITED, clips_of, family, printed, registered_of, work_print
from benchmarks.copyright_disguises import DISGUISES, frames_of, write_frames
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import Work, WorkPrint
from quorum.models.copyright.matching.matching import find_matches
from quorum.models.fingerprint.fingerprint import Fingerprint

#: Films and surrounding videos of the development, its seed, and which half of the plain clips.
_DEVELOPED = (
    "clips/mdn_crystal.mp4", "clips/mdn_frog.mp4", "clips/sam2_01_dog.mp4",
    "clips/sam2_04_coffee.mp4", "clips/intel_bottle-detection.mp4", "clips/bikes.mp4",
    "copydetect/chair-orig-22-sd-bar.mp4", "clips/fl_bee.mp4",
    "clips/bigbuckbunny.mp4", "clips/intel_car-detection.mp4", "clips/mdn_elf.mp4",
    "clips/mdn_rabbit.mp4", "clips/sam2_03_blocks.mp4", "clips/sam2_sam2_720px_dark.mp4",
    "copydetect/doorknob-hd-no-bar.mp4", "clips/fl_butterfly.mp4",
)  # fmt: skip
_AROUND = {
    "development": ("clips/asl_book.mkv", "clips/mdn_pig.mp4", "clips/sam2_bedroom.mp4"),
    "held-out": ("clips/asl_sister.mkv", "clips/mdn_crystal.mp4", "clips/sam2_01_dog.mp4"),
}
_SEEDS = {"development": 1, "held-out": 2026}
_HALVES = {"development": 0, "held-out": 1}

#: Seconds of each film that are disguised.
_SECONDS = {"development": 10.0, "held-out": 8.0}


def films_of(split: str) -> list[str]:
    """The films of a part: those of the other, and its surrounding videos, are left out."""
    if split == "development":
        return list(_DEVELOPED)
    return [name for name in EDITED if name not in {*_DEVELOPED, *_AROUND["development"]}]


def make(data: Path, cache: Path, split: str, draws: int) -> list[tuple[Path, str, set[str]]]:
    """Write the disguised clips, or take them from the cache: file, disguise, scenes in it."""
    cache.mkdir(parents=True, exist_ok=True)
    around = [frames_of(data / name, 0.0, 6.0) for name in _AROUND[split]]
    made = []
    for index, name in enumerate(films_of(split)):
        frames = None
        for draw in range(draws):
            for number, kind in enumerate(DISGUISES):
                rng = np.random.default_rng([_SEEDS[split] + 1000 * draw, index, number])
                chosen = int(rng.integers(len(around)))
                label = kind.replace(" ", "_").replace(":", "x").replace(",", "")
                path = cache / f"{Path(name).stem}__{label}__{draw}.mp4"
                if not path.exists():
                    if frames is None:
                        start = 5.0 if "intel" in name else 0.0
                        frames = frames_of(data / name, start, _SECONDS[split])
                    part = path.with_suffix(".part.mp4")
                    write_frames(part, DISGUISES[kind](frames, around[chosen], rng))
                    part.replace(path)
                made.append((path, kind, {family(name), family(_AROUND[split][chosen])}))
    return made


def prints_of(paths: list[Path], store: Path, *, works: bool = False) -> list[Fingerprint | None]:
    """Fingerprints, from a file that this very command wrote where it has them."""
    known = pickle.loads(store.read_bytes()) if store.exists() else {}
    for path in paths:
        if path not in known:
            known[path] = work_print(path) if works else printed(path)
    store.write_bytes(pickle.dumps(known))
    return [known[path] for path in paths]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "disguised")
    parser.add_argument("--split", choices=list(_SEEDS), default="held-out")
    parser.add_argument("--draws", type=int, default=1, help="draws of each disguise and film")
    parser.add_argument("--only", choices=["clips"], help="make the clips and stop")
    chosen = parser.parse_args()
    cache = chosen.cache / chosen.split
    uploads = make(chosen.data, cache, chosen.split, chosen.draws)
    if chosen.only:
        return
    catalogue = Catalogue()
    registered = registered_of(chosen.data)
    for path, found in zip(
        registered, prints_of(registered, chosen.cache / "works.pickle", works=True), strict=True
    ):
        if found is not None:
            catalogue.add(Work(id=path.name, title=path.stem, owner="-"), WorkPrint.of(found))
    catalogue.refresh()
    plain = clips_of(chosen.data) + sorted((chosen.data / "fights").glob("*/*.mp4"))
    plain = plain[_HALVES[chosen.split] :: 2]
    every = [*uploads, *((path, "", {family(path.name)}) for path in plain)]
    begun = time.process_time()
    prints = prints_of([path for path, _, _ in every], cache / "fingerprints.pickle")
    spent = time.process_time() - begun
    ours: dict[str, list[bool]] = collections.defaultdict(list)
    views: dict[str, list[bool]] = collections.defaultdict(list)
    missed: dict[str, list[str]] = collections.defaultdict(list)
    false: list[str] = []
    elapsed = []
    for (path, kind, holds), found in zip(every, prints, strict=True):
        if found is None:
            continue
        begun = time.process_time()
        matches = find_matches(found, catalogue)
        elapsed.append((time.process_time() - begun) / max(found.duration, 1.0))
        false += [
            f"{path.name}: {match.work.id} {match.start:.1f}-{match.end:.1f} s {match.score:.2f}"
            for match in matches
            if family(match.work.id) not in holds
        ]
        if kind:
            own = family(path.name.split("__")[0])
            ours[kind].append(own in {family(match.work.id) for match in matches})
            before = find_matches(dataclasses.replace(found, local=None), catalogue)
            views[kind].append(own in {family(match.work.id) for match in before})
            if not ours[kind][-1]:
                missed[kind].append(own)
    works = len(catalogue.works())
    print(f"{works} works, {len(every)} uploads; {spent:.0f} s to fingerprint those not known\n")
    print("| disguise | uploads | recall | by views alone | not found |\n|---|---|---|---|---|")
    for kind, hits in ours.items():
        print(f"| {kind} | {len(hits)} | {statistics.mean(hits):.2f} |"
              f" {statistics.mean(views[kind]):.2f} | {', '.join(missed[kind])} |")  # fmt: skip
    print(f"\nfalse matches: {len(false)}")
    print("".join(f"  {line}\n" for line in false), end="")
    print(f"look up and match: median {1000 * statistics.median(elapsed):.1f} ms a second of"
          f" media, largest {1000 * max(elapsed):.0f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
