"""Still and animated pictures (JPEG, PNG, GIF, WebP, AVIF, HEIF, BMP), by Pillow and libheif."""

from __future__ import annotations

import dataclasses
import threading
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, BinaryIO, Final

import numpy as np

from quorum.core.errors import MediaRefused
from quorum.models.media import loops
from quorum.models.media.aperture import Part, apertures_of_boxes
from quorum.models.media.between import Looks
from quorum.models.media.colours import on_screen
from quorum.models.media.limits import MAX_TRACKS, Limits, Work
from quorum.models.media.orientation import UPRIGHT, Orientation
from quorum.models.media.picture import Picture, Renderer
from quorum.models.media.picture_formats import webp_size
from quorum.models.media.tracks import Shown, Track, TrackKind

__all__ = ["StillReader", "load_formats"]

_EXIF_ORIENTATION: Final = 0x0112
#: Seconds of a picture of an animation that states none or too few, as browsers take it.
_TENTH: Final = 0.1
_LEAST: Final = 0.011
#: Pixels of a film that cost as much as one of an animation, which is composed in full.
_COST: Final = 5
#: Pillow's switch for damaged pictures is one for the process.
_damaged = threading.Lock()


@lru_cache(maxsize=1)
def load_formats() -> None:
    """Load the decoder of HEIF, once for the process."""
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)


class StillReader:
    """Reads the pictures of one file.

    Args:
        file: The file.
        form: Its format, by ``picture_format``.
        limits: How much of it is decoded.
        first: The number of its first track.
        chosen: Whether this is what a player would show of the file.

    Raises:
        MediaRefused: If it cannot be read or is too large.
    """

    def __init__(
        self, file: BinaryIO, form: str, limits: Limits, *, first: int = 0, chosen: bool = True
    ) -> None:
        self.problems: list[str] = []
        self._file = file
        self._limits = limits
        if form == "WEBP":
            # Its decoder takes memory for the canvas when it is opened.
            limits.check_size(*webp_size(file))
        if form == "HEIF":
            load_formats()
        formats = [form, "MPO"] if form == "JPEG" else [form]
        self._image = _opened(file, formats, limits)
        limits.check_size(*self._image.size)
        self._sixteen = form == "PNG" and "16B" in str(self._image.tile)
        self._animated = form in ("GIF", "PNG", "WEBP", "AVIF") and bool(
            getattr(self._image, "is_animated", False)
        )
        self._separate = not self._animated and form in ("HEIF", "JPEG")
        self._orientation = _orientation(self._image, form)
        default = self._animated and bool(getattr(self._image, "default_image", False))
        codec = form.lower()
        size = self._image.size
        kind = TrackKind.VIDEO if chosen or self._animated else TrackKind.ATTACHED
        self._main = Track(first, kind, codec, chosen, size, still=not self._animated)
        self._default = (
            Track(first + 1, TrackKind.ATTACHED, codec, False, size, still=True)
            if default
            else None
        )
        self.tracks = (self._main, *([self._default] if self._default else ()))
        #: The place of each track's picture in the file: what is shown first need not be the first.
        self._places = [self._image.tell()] if self._separate else []
        if self._separate:
            count = int(getattr(self._image, "n_frames", 1))
            others = [place for place in range(count) if place != self._places[0]]
            self._places += others[: MAX_TRACKS - 1]
            self.tracks += tuple(
                Track(first + index, TrackKind.ATTACHED, codec, False, size, still=True)
                for index in range(1, len(self._places))
            )
        self.parts: dict[Track, list[Part]] = {}
        if form == "AVIF":
            file.seek(0)
            found = dict.fromkeys(apertures_of_boxes(file.read(), *size))
            self.parts = {
                track: [Part(track, one, number) for number, one in enumerate(found, 1)]
                for track in self.tracks
            }
        self.length = 0.0

    def read(self, work: Work, looks: Looks | None = None) -> Iterator[Shown]:
        """The pictures with the seconds in which they are shown.

        Args:
            work: Counts what it costs.
            looks: When somebody looks; None for always.
        """
        yield from self._played(work, looks) if self._animated else self._stills(work)

    def _stills(self, work: Work) -> Iterator[Shown]:
        renderer = Renderer()
        for index, track in enumerate(self.tracks):
            place = self._places[index] if self._places else index
            picture = self._picture(place, renderer, work, 0.0)
            if picture is None:
                return
            yield Shown(track, picture, 0.0, 0.0)

    def _played(self, work: Work, looks: Looks | None) -> Iterator[Shown]:
        """The pictures of an animation; then what comes again too fast, or stays at its end."""
        renderer = Renderer()
        at = 0.0
        index = -1
        shown: Shown | None = None
        lumas: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        while at < self._limits.max_seconds:
            index += 1
            picture = self._picture(index, renderer, work, at)
            if picture is None:
                break
            if index == 0 and self._default is not None:
                yield Shown(self._default, picture, 0.0, 0.0)
                continue
            if shown is not None:
                yield shown
            told = float(self._image.info.get("duration") or 0.0) / 1000
            end = at + (told if told >= _LEAST else _TENTH)
            if at < loops.SHORT:
                lumas.append(picture.gray(*loops.LOOK))
            shown = Shown(self._main, picture, at, end)
            at = end
        else:
            self.problems.append(f"only the first {self._limits.max_seconds:.0f} s were read")
        if shown is None:
            return
        if loops.stays(self._image):
            at += loops.held_seconds(at)
        shown = dataclasses.replace(shown, end=min(at, self._limits.max_seconds))
        yield shown
        self.length = shown.end
        whole = len(lumas) == index - (self._default is not None)
        if looks is not None and whole and shown.start < loops.SHORT:
            yield from self._again(loops.missed(lumas), renderer, work, looks)

    def _again(
        self, chosen: list[int], renderer: Renderer, work: Work, looks: Looks
    ) -> Iterator[Shown]:
        """Some pictures of a short loop once more, at the times at which words are read."""
        for at, index in zip(looks.pages_from(self.length), chosen, strict=False):
            number = index + (self._default is not None)
            picture = self._picture(number, renderer, work, at)
            if picture is None:
                return
            yield Shown(self._main, picture, at, at + loops.GLANCE)
            self.length = at + loops.GLANCE

    def _picture(self, index: int, renderer: Renderer, work: Work, at: float) -> Picture | None:
        """A picture of the file; None if there is none, or it cannot be read."""
        try:
            if index != self._image.tell():
                self._image.seek(index)
            self._limits.check_size(*self._image.size)
            pixels = self._pixels()
        except EOFError:
            return None
        except MediaRefused as refused:
            self.problems.append(str(refused))
            return None
        except Exception as error:  # whatever a damaged file makes of a decoder
            self.problems.append(f"damaged at {at:.1f} s: {type(error).__name__}")
            return None
        work.spend(_COST * pixels.shape[0] * pixels.shape[1], at)
        return Picture.of_pixels(pixels, renderer, self._orientation)

    def close(self) -> None:
        """Release the decoder."""
        self._image.close()

    def _pixels(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if self._sixteen and not self._animated and "transparency" in self._image.info:
            return np.asarray(on_screen(_of_sixteen_bits(self._file, self._image)))
        try:
            self._image.load()
        except OSError as error:
            if "truncated" not in str(error).lower():
                raise
            from PIL import ImageFile

            with _damaged:
                ImageFile.LOAD_TRUNCATED_IMAGES = True
                try:
                    self._image.load()
                finally:
                    ImageFile.LOAD_TRUNCATED_IMAGES = False
            self.problems.append("damaged: the picture is cut off")
        image = on_screen(self._image)
        transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or (
            "transparency" in image.info
        )
        if image.mode.startswith(("I", "F")):
            levels = np.asarray(image, dtype=np.float64)
            levels = levels / 257 if levels.max(initial=0) > 255 else levels
            return np.repeat(np.clip(levels, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
        return np.asarray(image.convert("RGBA" if transparent else "RGB"))


def _of_sixteen_bits(file: BinaryIO, image: Any) -> Any:
    """A PNG of 16 bits of which one colour is transparent, RGBA of 8 bits.

    Pillow reduces it to 8 bits before it compares colours.
    """
    import av
    from PIL import Image

    file.seek(0)
    decoder: Any = av.CodecContext.create("png", "r")
    (frame,) = decoder.decode(av.Packet(file.read()))
    made = Image.fromarray(frame.to_ndarray(format="rgba"))
    made.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return made


def _opened(file: BinaryIO, formats: list[str], limits: Limits) -> Any:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(file, formats=formats)
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        msg = f"frames of more than {most:,} pixels; the limit is {limits.max_pixels:,} pixels"
        raise MediaRefused(msg) from None
    except Exception as error:  # whatever a damaged file makes of a decoder
        msg = f"media cannot be read: {type(error).__name__}"
        raise MediaRefused(msg) from error


def _orientation(image: Any, form: str) -> Orientation:
    if form in ("HEIF", "GIF", "BMP"):  # libheif turns the picture itself
        return UPRIGHT
    try:
        from PIL import Image

        if form == "PNG" and "exif" not in image.info:
            image.load()  # it may stand behind the pixels
        # Not Pillow's own reading, which takes XMP, too: browsers do not.
        exif = Image.Exif()
        exif.load(image.info.get("exif") or b"")
        return Orientation.of_exif(exif.get(_EXIF_ORIENTATION))
    except Exception:  # a damaged EXIF block: a browser ignores it
        return UPRIGHT
