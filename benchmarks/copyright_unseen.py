"""Evaluate the copyright matcher on a film that was not used to develop it.

    python -m benchmarks.copyright --only recall        # creates the cache
    python -m benchmarks.copyright_unseen FILM --cache /tmp/quorum-edits

Two parts of twelve seconds are looked up under each edit among all works; prints whether the film
is found with the correct seconds, and other matches.
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
from pathlib import Path

from benchmarks.copyright import EDITED, printed, registered_of, work_print
from benchmarks.copyright_edits import VIDEO_EDITS, Edit, edit_video, embed
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import Work, WorkPrint
from quorum.models.copyright.matching.matching import find_matches

#: Length of a part in seconds, and the starts of the parts.
_SECONDS = 12.0
_STARTS = (0.2, 0.6)

#: Tolerance of a correct match, in seconds.
_RIGHT = 1.0


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "quorum-edits")
    parser.add_argument("--edits", type=int, default=len(VIDEO_EDITS))
    chosen = parser.parse_args()
    catalogue = Catalogue()
    works, _ = pickle.loads((chosen.cache / "fingerprints.pickle").read_bytes())
    for path, found in zip(registered_of(chosen.data), works, strict=True):
        if found is not None:
            work = Work(id=path.name, title=path.stem, owner="-")
            catalogue.add(work, WorkPrint.of(found))
    own = work_print(chosen.film)
    catalogue.add(Work(id="unseen", title=chosen.film.stem, owner="-"), WorkPrint.of(own))
    catalogue.refresh()
    around = chosen.data / EDITED[0]
    print(f"{own.duration:.0f} s among {len(catalogue.works())} works\n")
    right = total = 0
    others: list[str] = []
    print("| edit | found |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "edited.mp4"
        for name, make, first in _edits(chosen.film, around, own.duration, chosen.edits):
            hits = []
            for start in first:
                make(out, start)
                matches = find_matches(printed(out), catalogue)
                held = {"unseen", around.name} if name.startswith("embed") else {"unseen"}
                others += [f"{name}: {m.work.id}" for m in matches if m.work.id not in held]
                hits.append(
                    any(
                        match.work.id == "unseen"
                        and match.work_start > start - _RIGHT
                        and match.work_end < start + _SECONDS + _RIGHT
                        for match in matches
                    )
                )
            right, total = right + sum(hits), total + len(hits)
            print(f"| {name} | {sum(hits)} of {len(hits)} |", flush=True)
    print(f"\n{right} of {total} with correct seconds; other works: {others or 'none'}")


def _edits(film: Path, around: Path, length: float, count: int):
    """Yield name, factory of the clip from a second on, and the seconds."""
    starts = [part * length for part in _STARTS]
    for edit in VIDEO_EDITS[:count]:

        def cut(out: Path, start: float, edit: Edit = edit) -> None:
            part = (start, start + _SECONDS)
            edit_video(film, out, Edit("", edit.filters, edit.paint, edit.speed, edit.crf, part))

        yield edit.name, cut, starts
    for seconds in (3, 6, 10):

        def put(out: Path, start: float, seconds: float = seconds) -> None:
            embed(film, around, out, seconds, start)

        yield f"embed {seconds}", put, starts


if __name__ == "__main__":
    main()
