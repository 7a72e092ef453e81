"""Still and animated pictures (JPEG, PNG, GIF, WebP, AVIF, HEIF, BMP), by Pillow and libheif."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, BinaryIO, Final

import numpy as np

from quorum.core.errors import MediaRefused
from quorum.models.media.limits import Limits, Work
from quorum.models.media.orientation import UPRIGHT, Orientation
from quorum.models.media.picture import Picture, Renderer
from quorum.models.media.tracks import Shown, Track, TrackKind

__all__ = ["StillReader", "is_jpeg_xl", "jpeg", "load_formats", "picture_format"]

_EXIF_ORIENTATION: Final = 0x0112
#: Seconds of a picture of an animation that states none or too few, as browsers take it.
_TENTH: Final = 0.1
_LEAST: Final = 0.011
#: Pixels of a film that cost as much as one of an animation, which is composed in full.
_COST: Final = 5
#: Brands of HEIF; those of AVIF begin with ``avi``.
_HEIF: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})

#: Sizes of the header of a BMP file.
_BMP_HEADERS: Final = frozenset({12, 40, 52, 56, 64, 108, 124})

#: Pillow's switch for damaged pictures is one for the process.
_damaged = threading.Lock()


def picture_format(head: bytes) -> str | None:
    """Pillow's name of a picture format by the first bytes of a file; None if it is none."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (
        12,
        40,
        52,
        56,
        64,
        108,
        124,
    ):
        return "BMP"
    if head[4:8] == b"ftyp":
        length = int.from_bytes(head[:4], "big")
        brands = {
            head[8:12],
            *(head[at : at + 4] for at in range(16, min(length, len(head)) - 3, 4)),
        }
        if head[8:12] in (b"avif", b"avis") or (head[8:12] in _HEIF and b"avif" in brands):
            return "AVIF"
        if head[8:12] in _HEIF:
            return "HEIF"
    return None


def is_jpeg_xl(head: bytes) -> bool:
    """Whether the first bytes of a file are those of JPEG XL, bare or in its container."""
    return head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"))


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

    Raises:
        MediaRefused: If it cannot be read or is too large.
    """

    def __init__(self, file: BinaryIO, form: str, limits: Limits) -> None:
        self.problems: list[str] = []
        self._limits = limits
        if form == "WEBP":
            # Its decoder takes memory for the canvas when it is opened.
            limits.check_size(*_webp_size(file))
        if form == "HEIF":
            load_formats()
        formats = [form, "MPO"] if form == "JPEG" else [form]
        self._image = _opened(file, formats, limits)
        limits.check_size(*self._image.size)
        self._animated = form in ("GIF", "PNG", "WEBP", "AVIF") and bool(
            getattr(self._image, "is_animated", False)
        )
        self._separate = not self._animated and form in ("HEIF", "JPEG")
        self._orientation = _orientation(self._image, form)
        default = self._animated and bool(getattr(self._image, "default_image", False))
        codec = form.lower()
        size = self._image.size
        self._main = Track(0, TrackKind.VIDEO, codec, True, size, still=not self._animated)
        self._default = (
            Track(1, TrackKind.ATTACHED, codec, False, size, still=True) if default else None
        )
        self.tracks = (self._main, *([self._default] if self._default else ()))
        if self._separate:
            count = min(int(getattr(self._image, "n_frames", 1)), 8)
            self.tracks += tuple(
                Track(index, TrackKind.ATTACHED, codec, False, size, still=True)
                for index in range(1, count)
            )
        self.length = 0.0

    def read(self, work: Work) -> Iterator[Shown]:
        """The pictures with the seconds in which they are shown."""
        renderer = Renderer()
        at = 0.0
        index = -1
        while True:
            index += 1
            try:
                if index:
                    self._image.seek(index)
                if self._separate and index >= len(self.tracks):
                    return
                self._limits.check_size(*self._image.size)
                pixels = self._pixels()
            except EOFError:
                return
            except MediaRefused as refused:
                self.problems.append(str(refused))
                return
            except Exception as error:  # whatever a damaged file makes of a decoder
                self.problems.append(f"damaged at {at:.1f} s: {type(error).__name__}")
                return
            picture = Picture(_frame(pixels), renderer, self._orientation)
            work.spend(_COST * pixels.shape[0] * pixels.shape[1], at)
            if self._separate:
                yield Shown(self.tracks[index], picture, 0.0, 0.0)
                continue
            if index == 0 and self._default is not None:
                yield Shown(self._default, picture, 0.0, 0.0)
                continue
            if not self._animated:
                yield Shown(self._main, picture, 0.0, 0.0)
                return
            told = float(self._image.info.get("duration") or 0.0) / 1000
            end = at + (told if told >= _LEAST else _TENTH)
            yield Shown(self._main, picture, at, min(end, self._limits.max_seconds))
            at = end
            self.length = at
            if at >= self._limits.max_seconds:
                self.problems.append(f"only the first {self._limits.max_seconds:.0f} s were read")
                return

    def close(self) -> None:
        """Release the decoder."""
        self._image.close()

    def _pixels(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
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
        image = self._image
        transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or (
            "transparency" in image.info
        )
        if image.mode.startswith(("I", "F")):
            levels = np.asarray(image, dtype=np.float64)
            levels = levels / 257 if levels.max(initial=0) > 255 else levels
            return np.repeat(np.clip(levels, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
        return np.asarray(image.convert("RGBA" if transparent else "RGB"))


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
        return Orientation.of_exif(image.getexif().get(_EXIF_ORIENTATION))
    except Exception:  # a damaged EXIF block: a browser ignores it
        return UPRIGHT


def _webp_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height of a WebP file's canvas."""
    head = file.read(64)
    file.seek(0)
    kind, data = head[12:16], head[20:]
    if kind == b"VP8X" and len(data) >= 10:
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if kind == b"VP8L" and len(data) >= 5:
        bits = int.from_bytes(data[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(data) >= 10:
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return width, height
    return 0, 0


def _frame(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:
    import av

    form = "rgba" if pixels.shape[2] == 4 else "rgb24"
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)


def jpeg(
    pixels: np.ndarray[Any, np.dtype[np.uint8]], width: int, height: int, quality: int = 80
) -> bytes:
    """A picture as a JPEG file of at most a size, in its proportions.

    Args:
        pixels: RGB, shape (height, width, 3).
        width: The most columns.
        height: The most rows.
        quality: Of JPEG, to 95.
    """
    from PIL import Image

    high, wide = pixels.shape[:2]
    scale = min(1.0, width / wide, height / high)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    out = io.BytesIO()
    made = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    made.save(out, "JPEG", quality=quality)
    return out.getvalue()
