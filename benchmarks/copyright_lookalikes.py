"""False matches among films that look alike by their kind, drawn anew from a seed.

    python -m benchmarks.copyright_lookalikes --seed 7

Draws sets of films that share a layout and differ in what happens: recordings of one interface
with other content, and with another behaviour at some moments; lectures on one template of slides;
broadcasts with one frame; games with one head-up display; takes in one room. Each film is looked up
among all of them as it is, recorded at other moments and in perspective, and must match itself
alone.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.copyright import printed, work_print
from benchmarks.copyright_disguises import RATE, keystone, write_frames
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import Work, WorkPrint
from quorum.models.copyright.matching.matching import find_matches

__all__ = ["KINDS", "films"]

Pixels = NDArray[np.uint8]
Film = list[Pixels]
_Random = np.random.Generator

_HEIGHT, _WIDTH = 360, 640
_COUNT = 8 * RATE
#: Reach and pace of somebody's head and hands.
_LIMBS = ((0.5, 0.6), (2.0, 1.5), (2.0, 1.5))
_WORDS = (
    "model", "stream", "matrix", "orbit", "carbon", "letter", "signal", "forest", "market",
    "engine", "theory", "colour", "river", "sample", "border", "window", "metal", "garden",
    "harbour", "winter", "planet", "copper", "bridge", "lesson", "number", "valley",
)  # fmt: skip


def _colour(rng: _Random, low: int = 0, high: int = 256) -> tuple[int, ...]:
    return tuple(int(each) for each in rng.integers(low, high, 3))


def _text(pixels: Pixels, at: tuple[int, int], text: str, size: float, colour=(20, 20, 20)) -> None:
    cv2.putText(pixels, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 2, cv2.LINE_AA)


def _line(rng: _Random, words: int) -> str:
    return " ".join(rng.choice(_WORDS, words))


def _texture(rng: _Random, height: int, width: int) -> Pixels:
    rough = sum(
        cv2.resize(rng.normal(0, 1, (side, side)), (width, height), interpolation=cv2.INTER_CUBIC)
        for side in (3, 6, 12, 24)
    )
    return np.clip(128 + 32 * rough[..., None] + rng.uniform(-40, 40, 3), 0, 255).astype(np.uint8)


def _path(rng: _Random, count: int, reach: float, pace: float = 0.6) -> NDArray[np.float64]:
    """Positions that wander smoothly around 0, shape (count, 2)."""
    at = np.arange(count)[:, None] / RATE
    made = np.zeros((count, 2))
    for _ in range(4):
        made += np.sin(at * rng.uniform(0.3, 2.0, 2) * pace * 6 + rng.uniform(0, 6.3, 2))
    return reach * made / 4


def _gesture(rng: _Random, reach: float) -> NDArray[np.float64]:
    """How far a page is scrolled in each frame: flings, rests, and back to the top."""
    stops = np.concatenate([[0, 0], rng.uniform(0.2, 1.0, 4) * reach, [0, 0]])
    when = np.cumsum(np.concatenate([[0], rng.uniform(0.5, 1.5, 7)]))
    share = np.linspace(0, when[-1], _COUNT)
    eased = [
        (3 - 2 * part) * part**2
        for each in share
        for step in [min(int(np.searchsorted(when, each, "right")) - 1, 6)]
        for part in [(each - when[step]) / (when[step + 1] - when[step])]
    ]
    step = np.minimum(np.searchsorted(when, share, "right") - 1, 6)
    return stops[step] + np.array(eased) * (stops[step + 1] - stops[step])


def _page(layout: int, rng: _Random) -> Pixels:
    """A long page of cards: the layout is of one generator, what is on them of the other."""
    shape = np.random.default_rng(layout)
    page = np.full((1600, _WIDTH, 3), 248, np.uint8)
    top, tall = 90, int(shape.integers(70, 150))
    tints = [_colour(shape, 200, 250) for _ in range(2)]
    number = 0
    while top + tall < len(page):
        page[top : top + tall] = tints[number % 2]
        side = tall - 20
        page[top + 10 : top + 10 + side, 15 : 15 + side] = _texture(rng, side, side)
        _text(page, (tall + 15, top + tall // 3), _line(rng, 2), 0.8)
        _text(page, (tall + 15, top + 2 * tall // 3), _line(rng, 3), 0.6, (110, 110, 110))
        top, number = top + tall + 6, number + 1
    return page


def _screen(page: Pixels, scrolled: NDArray[np.float64], bar: NDArray[np.float64], tint) -> Film:
    made = []
    for at, high in zip(scrolled, bar, strict=True):
        pixels = page[int(at) : int(at) + _HEIGHT].copy()
        if (tall := int(high)) > 0:
            pixels[:tall] = tint
            _text(pixels, (60, tall - 20), "Library", 0.9, (250, 250, 250))
        made.append(pixels)
    return made


def screens(layout: int, rng: _Random) -> Film:
    """One interface scrolled by one gesture, with other content."""
    shape = np.random.default_rng(layout)
    scrolled = _gesture(shape, 1100)
    return _screen(_page(layout, rng), scrolled, np.full(_COUNT, 60.0), _colour(shape, 60, 160))


def behaviours(layout: int, rng: _Random) -> Film:
    """One interface with one content and gesture; a bar or a sheet comes at other moments."""
    shape = np.random.default_rng(layout)
    page, scrolled = _page(layout, shape), _gesture(shape, 1100)
    tint, tall, bar = _colour(shape, 60, 160), float(shape.integers(90, 170)), np.zeros(_COUNT)
    first = int(rng.uniform(0.15, 0.7) * _COUNT)
    last = first + int(rng.uniform(1.2, 3.0) * RATE)
    bar[first:last] = tall
    return _screen(page, scrolled, np.convolve(bar, np.ones(4) / 4, "same"), tint)


def _figure(pixels: Pixels, rng_tints, at, arms, size: float) -> None:
    """Somebody to the waist: a head, a body and two arms."""
    skin, cloth = rng_tints
    x, y = int(at[0]), int(at[1])
    s = size
    cv2.ellipse(pixels, (x, int(y + 1.9 * s)), (int(1.1 * s), int(1.5 * s)), 0, 0, 360, cloth, -1)
    for side, (dx, dy) in zip((-1, 1), arms, strict=True):
        shoulder = (int(x + side * 0.9 * s), int(y + 1.1 * s))
        hand = (int(x + side * (1.6 * s) + dx), int(y + 1.4 * s + dy))
        cv2.line(pixels, shoulder, hand, cloth, max(3, int(0.35 * s)))
        cv2.circle(pixels, hand, max(3, int(0.28 * s)), skin, -1)
    cv2.circle(pixels, (x, y), int(0.7 * s), skin, -1)
    cv2.ellipse(pixels, (x, int(y - 0.3 * s)), (int(0.72 * s), int(0.5 * s)), 0, 180, 360, 0, -1)


def _person(shape: _Random, rng: _Random, where: tuple[float, float], size: float):
    """One person of a set, who moves otherwise in each film."""
    tints = (_colour(shape, 140, 230), _colour(shape, 20, 200))
    sway, left, right = (_path(rng, _COUNT, reach * size, pace) for reach, pace in _LIMBS)
    return [
        lambda pixels, i=i: _figure(
            pixels, tints, np.array(where) + sway[i], (left[i], right[i]), size
        )
        for i in range(_COUNT)
    ]


def lectures(layout: int, rng: _Random) -> Film:
    """One template of slides and one lecturer in the corner, with other slides."""
    shape = np.random.default_rng(layout)
    slide = np.full((_HEIGHT, _WIDTH, 3), 252, np.uint8)
    slide[:56], slide[-26:] = _colour(shape, 20, 140), _colour(shape, 20, 140)
    slide[70:130, -90:-20] = _texture(shape, 60, 70)
    _text(slide, (20, _HEIGHT - 8), _line(shape, 5), 0.5, (240, 240, 240))
    person = _person(shape, rng, (_WIDTH - 90, _HEIGHT - 150), 30)
    changes = np.sort(rng.uniform(0, _COUNT, 5)).astype(int)
    made, shown = [], slide.copy()
    for i in range(_COUNT):
        for number in np.flatnonzero(changes == i):
            if number % 3 == 0:
                shown = slide.copy()
                _text(shown, (24, 38), _line(rng, 2).title(), 0.9, (250, 250, 250))
            _text(shown, (40, 110 + 50 * int(number % 5)), "- " + _line(rng, 3), 0.7)
        pixels = shown.copy()
        person[i](pixels)
        made.append(pixels)
    return made


def broadcasts(layout: int, rng: _Random) -> Film:
    """One studio, frame and presenter, with other words that run below at one pace."""
    shape = np.random.default_rng(layout)
    studio = _texture(shape, _HEIGHT, _WIDTH)
    person = _person(shape, rng, (220, 130), 55)
    tint, band = _colour(shape, 20, 150), _colour(shape, 120, 220)
    strip = np.full((36, 6000, 3), 245, np.uint8)
    for at in range(0, 5600, 400):
        _text(strip, (at, 26), _line(rng, 3), 0.7)
    shots = [_texture(rng, 150, 220) for _ in range(3)]
    title, pace = _line(rng, 3).title(), int(shape.integers(4, 9))
    made = []
    for i in range(_COUNT):
        pixels = studio.copy()
        person[i](pixels)
        pixels[40:190, 390:610] = shots[i * 3 // _COUNT]
        pixels[-86:-36], pixels[16:46, 20:130] = tint, band
        _text(pixels, (30, _HEIGHT - 52), title, 0.9, (250, 250, 250))
        _text(pixels, (30, 38), "NEWS 6", 0.7)
        pixels[-36:] = strip[:, i * pace : i * pace + _WIDTH]
        made.append(pixels)
    return made


def games(layout: int, rng: _Random) -> Film:
    """One arena and head-up display, played otherwise."""
    shape = np.random.default_rng(layout)
    arena = np.kron(
        shape.integers(40, 120, (_HEIGHT // 40, _WIDTH // 40, 3)), np.ones((40, 40, 1))
    ).astype(np.uint8)
    tints = [_colour(shape, 120, 256) for _ in range(6)]
    paths = [_path(rng, _COUNT, 260, 1.2) * (1, 0.5) + (_WIDTH / 2, _HEIGHT / 2) for _ in range(6)]
    score, health = np.cumsum(rng.integers(0, 60, _COUNT)), 100.0
    made = []
    for i in range(_COUNT):
        pixels = arena.copy()
        for tint, path in zip(tints, paths, strict=True):
            x, y = (int(each) for each in path[i])
            cv2.circle(pixels, (x, y), 16, tint, -1)
            cv2.rectangle(pixels, (x - 6, y - 6), (x + 6, y + 6), (10, 10, 10), -1)
        health = max(10.0, health - rng.uniform(0, 1.4))
        pixels[:44] = 15
        cv2.rectangle(pixels, (20, 12), (20 + int(2 * health), 32), (220, 40, 40), -1)
        _text(pixels, (420, 32), f"SCORE {score[i]:06d}", 0.7, (250, 220, 60))
        cv2.rectangle(pixels, (_WIDTH - 110, _HEIGHT - 90), (_WIDTH - 10, _HEIGHT - 10), 200, 2)
        made.append(pixels)
    return made


def takes(layout: int, rng: _Random) -> Film:
    """One person before one wall, with other gestures."""
    shape = np.random.default_rng(layout)
    wall = cv2.GaussianBlur(_texture(shape, _HEIGHT, _WIDTH), (0, 0), 3)
    wall[60:150, 60:170] = _texture(shape, 90, 110)
    person = _person(shape, rng, (_WIDTH / 2, 130), 70)
    made = []
    for draw in person:
        pixels = wall.copy()
        draw(pixels)
        made.append(pixels)
    return made


#: The kinds by name.
KINDS: dict[str, Callable[[int, _Random], Film]] = {
    "one interface, other content": screens,
    "one interface, another behaviour": behaviours,
    "lectures on one template": lectures,
    "broadcasts with one frame": broadcasts,
    "games with one display": games,
    "takes before one wall": takes,
}


def films(seed: int, kind: str, sets: int, members: int) -> list[Film]:
    """The films of a kind: sets that share a layout, one after another."""
    number = list(KINDS).index(kind)
    return [
        KINDS[kind](seed * 1000 + number * 100 + each, np.random.default_rng([seed, each, member]))
        for each in range(sets)
        for member in range(members)
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--sets", type=int, default=3, help="sets of each kind")
    parser.add_argument("--members", type=int, default=3, help="films of each set")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "lookalikes")
    chosen = parser.parse_args()
    folder = chosen.cache / str(chosen.seed)
    folder.mkdir(parents=True, exist_ok=True)
    catalogue = Catalogue()
    uploads: list[tuple[str, str, str, Path]] = []
    for number, kind in enumerate(KINDS):
        for index, film in enumerate(films(chosen.seed, kind, chosen.sets, chosen.members)):
            name = f"{number}_{index // chosen.members}_{index % chosen.members}"
            work = write_frames(folder / f"{name}.mp4", film, crf=20)
            found = work_print(work)
            assert found is not None
            catalogue.add(Work(id=name, title=kind, owner="-"), WorkPrint.of(found))
            # A copy is recorded at other moments: every frame but the first, an eighth faster.
            later = [each for at, each in enumerate(film[1:]) if at % 8]
            bent = keystone(film, [], np.random.default_rng(index))
            uploads += [
                (kind, name, how, write_frames(folder / f"{name}_{how}.mp4", made))
                for how, made in (("plain", film), ("faster", later), ("keystone", bent))
            ]
    catalogue.refresh()
    count: dict[str, list[bool]] = collections.defaultdict(list)
    false: dict[str, list[str]] = collections.defaultdict(list)
    for kind, name, how, path in uploads:
        found = printed(path)
        assert found is not None
        matches = find_matches(found, catalogue)
        count[kind].append(name in {each.work.id for each in matches})
        false[kind] += [
            f"{name} {how}: {each.work.id} {each.start:.1f}-{each.end:.1f} s {each.score:.2f}"
            for each in matches
            if each.work.id != name
        ]
    pairs = chosen.sets * chosen.members * (chosen.members - 1) * 3
    print("| kind | uploads | found itself | pairs that look alike | false matches |")
    print("|---|---|---|---|---|")
    for kind, own in count.items():
        print(f"| {kind} | {len(own)} | {np.mean(own):.2f} | {pairs} | {len(false[kind])} |")
    print("".join(f"  {line}\n" for lines in false.values() for line in lines), end="")


if __name__ == "__main__":
    main()
