"""A decoded picture as a viewer sees it: upright, in its proportions, on a ground."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quorum.models.media.orientation import UPRIGHT, Orientation

__all__ = ["GROUNDS", "SMALL", "Picture", "Renderer", "fitted", "luma_plane"]

#: The shorter side of the luma by which movement is measured, and the most of the longer one.
SMALL = (96, 256)
#: Columns and rows of that by which pictures are compared.
_LOOK = (32, 18)

#: What is behind a picture that is transparent in parts; the first is what most players show.
GROUNDS = ("white", "black")
_LEVEL = {"white": 255, "black": 0}
#: Rows that are composed at once: what fits a cache is several times faster than a whole picture.
_STRIP = 64

#: Transfer functions of high dynamic range: SMPTE 2084 (PQ) and HLG.
_PQ, _HLG = 16, 18
#: The brightness, in candela per square metre, that becomes the white of a screen.
_WHITE = 203.0
#: Rec. 2020 to Rec. 709, linear light.
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
#: A stored pixel is at most this many times as wide as high, or the other way round.
_MOST_ASPECT = 8.0


class Renderer:
    """Scales frames; keeps a scaler for each size, whose set-up costs more than its use."""

    def __init__(self) -> None:
        self._scalers: dict[tuple[int, int, str], Any] = {}
        self._rgba: tuple[Any, NDArray[np.uint8]] | None = None
        self._opaque: dict[str, tuple[Any, Any]] = {}
        self._lumas: tuple[Any, dict[tuple[int, int, str], NDArray[Any]]] | None = None

    def lumas(self, frame: Any) -> dict[tuple[int, int, str], NDArray[Any]]:
        """What was made of the luma of a frame, by width, height and ground; until the next."""
        if self._lumas is None or self._lumas[0] is not frame:
            self._lumas = (frame, {})
        return self._lumas[1]

    def rgba(self, frame: Any) -> NDArray[np.uint8]:
        """A frame with its alpha at its full size, shape (height, width, 4); kept for the next."""
        if self._rgba is None or self._rgba[0] is not frame:
            self._rgba = (frame, self.scale(frame, frame.width, frame.height, "rgba"))
        return self._rgba[1]

    def opaque(self, frame: Any, ground: str) -> Any:
        """A frame composed on a ground, as a frame; kept for the next."""
        kept = self._opaque.get(ground)
        if kept is None or kept[0] is not frame:
            import av

            made = av.VideoFrame.from_ndarray(_composed(self.rgba(frame), ground), format="rgb24")
            kept = self._opaque[ground] = (frame, made)
        return kept[1]

    def scale(
        self, frame: Any, width: int, height: int, form: str, interpolation: str | None = None
    ) -> NDArray[Any]:
        """The frame as an array, shape (height, width) or (height, width, channels)."""
        from av.video.reformatter import VideoReformatter

        key = (width, height, form)
        if key not in self._scalers:
            if len(self._scalers) >= 16:
                self._scalers.clear()
            self._scalers[key] = VideoReformatter()
        # One thread: others cost more than a small picture takes, and wait for each scaler.
        made = self._scalers[key].reformat(
            frame, width, height, form, interpolation=interpolation, threads=1
        )
        return np.asarray(made.to_ndarray())


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture.

    Attributes:
        frame: The stored picture, an ``av.VideoFrame``.
        renderer: Scales it.
        orientation: How it is turned before it is shown.
        aspect: Width of a stored pixel by its height.
    """

    frame: Any
    renderer: Renderer
    orientation: Orientation = UPRIGHT
    aspect: float = 1.0

    @classmethod
    def of_pixels(
        cls, pixels: NDArray[np.uint8], renderer: Renderer, orientation: Orientation = UPRIGHT
    ) -> Self:
        """A picture of RGB or RGBA, shape (height, width, 3) or (height, width, 4)."""
        import av

        form = "rgba" if pixels.shape[2] == 4 else "rgb24"
        made = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
        return cls(made, renderer, orientation)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as shown."""
        aspect = min(_MOST_ASPECT, max(1 / _MOST_ASPECT, self.aspect or 1.0))
        width, height = self.frame.width, self.frame.height
        if aspect > 1:
            width = max(1, round(width * aspect))
        else:
            height = max(1, round(height / aspect))
        return (height, width) if self.orientation.sideways else (width, height)

    @property
    def transparent(self) -> bool:
        """Whether some pixel of it is not opaque."""
        if not _may_be_transparent(self.frame):
            return False
        return bool((self.renderer.rgba(self.frame)[..., 3] < 255).any())

    def rgb(self, width: int, height: int, ground: str = "white") -> NDArray[np.uint8]:
        """The picture at a size as shown, RGB, shape (height, width, 3).

        Args:
            width: Width as shown.
            height: Height as shown.
            ground: What is behind transparent parts; one of ``GROUNDS``.
        """
        stored = (height, width) if self.orientation.sideways else (width, height)
        return self.orientation.apply(self._stored(*stored, ground, None))

    def gray(self, width: int, height: int, ground: str = "white") -> NDArray[np.uint8]:
        """The luma of the picture, by area, shape (height, width)."""
        known = self.renderer.lumas(self.frame)
        if (width, height, ground) not in known:
            stored = (height, width) if self.orientation.sideways else (width, height)
            made = self.orientation.apply(self._luma(*stored, ground, "AREA"))
            known[width, height, ground] = made
        return known[width, height, ground]

    def look(self, ground: str = "white") -> NDArray[np.float32]:
        """Its luma in few places, shape (18, 32): of that by which movement is measured."""
        known = self.renderer.lumas(self.frame)
        key = (*_LOOK, ground)
        if key not in known:
            size = fitted(self.size, *SMALL)
            columns, rows = map(_means, size, _LOOK)
            known[key] = rows @ (self.gray(*size, ground).astype(np.float32) @ columns.T)
        return known[key]

    def luma(self, ground: str = "white") -> NDArray[np.uint8]:
        """The luma of the picture at its stored size, upright; of high dynamic range as coded."""
        plane = luma_plane(self.frame)
        if plane is None:
            plane = self._luma(self.frame.width, self.frame.height, ground, None)
        return self.orientation.apply(plane)

    def _luma(
        self, width: int, height: int, ground: str, interpolation: str | None
    ) -> NDArray[np.uint8]:
        frame = self.frame
        if _may_be_transparent(frame):
            frame = self.renderer.opaque(frame, ground)
        made = self.renderer.scale(frame, width, height, "gray", interpolation)
        return made.astype(np.uint8, copy=False)

    def _stored(
        self, width: int, height: int, ground: str, interpolation: str | None
    ) -> NDArray[np.uint8]:
        """RGB at a size, turned as stored."""
        scale = self.renderer.scale
        if _is_hdr(self.frame):
            wide = scale(self.frame, width, height, "rgb48le", interpolation)
            return _tone_mapped(wide.astype(np.float32) / 65535, int(self.frame.color_trc))
        if not _may_be_transparent(self.frame):
            return np.ascontiguousarray(scale(self.frame, width, height, "rgb24", interpolation))
        # Composed before it is reduced, so that no hidden colour bleeds into a visible one.
        opaque = self.renderer.opaque(self.frame, ground)
        return np.ascontiguousarray(scale(opaque, width, height, "rgb24", interpolation))


def fitted(size: tuple[int, int], shorter: int, longer: int) -> tuple[int, int]:
    """A width and height, reduced until neither side is longer than it may be; at least 2."""
    width, height = size
    scale = min(1.0, shorter / min(width, height), longer / max(width, height))
    return max(2, round(width * scale)), max(2, round(height * scale))


@lru_cache(maxsize=32)
def _means(pixels: int, places: int) -> NDArray[np.float32]:
    """Weights that average one axis of a picture into some places, shape (places, pixels)."""
    reached = np.linspace(0, pixels, places + 1)[:, None] - np.arange(pixels)
    return (np.diff(np.clip(reached, 0, 1), axis=0) * (places / pixels)).astype(np.float32)


def _composed(rgba: NDArray[np.uint8], ground: str) -> NDArray[np.uint8]:
    """A picture with alpha on a ground, shape (height, width, 3)."""
    made = np.empty((*rgba.shape[:2], 3), np.uint8)
    for top in range(0, len(rgba), _STRIP):
        strip = rgba[top : top + _STRIP].astype(np.uint16)
        alpha = strip[..., 3:]
        made[top : top + _STRIP] = (
            strip[..., :3] * alpha + _LEVEL[ground] * (255 - alpha) + 127
        ) // 255
    return made


def luma_plane(frame: Any) -> NDArray[np.uint8] | None:
    """The plane of luma of a frame of eight bits, shape (height, width); None if it has none."""
    simple = frame.format.name.startswith(("yuv4", "yuvj4", "nv12", "nv21", "gray"))
    if not simple or frame.format.components[0].bits != 8:
        return None
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]


def _may_be_transparent(frame: Any) -> bool:
    return _has_alpha(frame.format.name)


@lru_cache(maxsize=256)
def _has_alpha(form: str) -> bool:
    from av.video.format import VideoFormat

    return form == "pal8" or any(one.is_alpha for one in VideoFormat(form).components)


def _is_hdr(frame: Any) -> bool:
    return int(frame.color_trc or 0) in (_PQ, _HLG)


def _tone_mapped(signal: NDArray[Any], transfer: int) -> NDArray[np.uint8]:
    """Colours of a screen for a picture of high dynamic range.

    Args:
        signal: Coded RGB from 0 to 1, Rec. 2020.
        transfer: ``_PQ`` or ``_HLG``.
    """
    if transfer == _PQ:
        root = np.power(signal, 1 / 78.84375)
        light = np.power(
            np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root), 1 / 0.1593017578125
        ) * (10000 / _WHITE)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        luminance = scene @ np.array([0.2627, 0.678, 0.0593], np.float32)
        light = scene * np.power(np.maximum(luminance, 1e-6), 0.2)[..., None] * (1000 / _WHITE)
    linear = np.maximum(light @ _TO_709.T, 0)
    # White and below stay as they are; what is brighter is bent towards 1 (Reinhard, extended).
    peak = np.max(linear, axis=-1, keepdims=True)
    bright = np.where(peak > 0.8, 0.8 + 0.2 * (peak - 0.8) / (peak - 0.6), peak)
    mapped = linear * np.where(peak > 0, bright / np.maximum(peak, 1e-6), 0)
    coded = np.where(
        mapped <= 0.0031308,
        12.92 * mapped,
        1.055 * np.power(np.maximum(mapped, 1e-9), 1 / 2.4) - 0.055,
    )
    return np.asarray(np.clip(coded * 255, 0, 255).round(), np.uint8)
