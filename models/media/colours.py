"""The colours of a still picture on a viewer's screen: by its colour profile or its gamma."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any, Final

__all__ = ["on_screen"]

#: A greater profile than those of printers is ignored.
_MOST_BYTES: Final = 8 * 1024 * 1024
#: Modes of pictures that a profile of a colour space is for.
_SPACES: Final = {"RGB": ("RGB", "RGBA"), "GRAY": ("L",), "CMYK": ("CMYK",)}
#: The gamma of a screen, and the difference in it that nobody sees.
_SCREEN, _SAME = 2.2, 0.05
#: Gammas that a file may state; libpng's limits.
_LEAST_GAMMA, _MOST_GAMMA = 0.00016, 6250.0


def on_screen(image: Any) -> Any:
    """A loaded picture in the colours that a browser shows, as it was if its file states none.

    A profile that is damaged, or is for other colours, is ignored, as browsers do.

    Args:
        image: A Pillow image.
    """
    profile = image.info.get("icc_profile")
    if profile and len(profile) <= _MOST_BYTES:
        return _by_profile(image, bytes(profile))
    gamma = image.info.get("gamma")
    if gamma and "srgb" not in image.info and _LEAST_GAMMA <= gamma <= _MOST_GAMMA:
        return _by_gamma(image, 1 / (float(gamma) * _SCREEN))
    return image


def _by_profile(image: Any, profile: bytes) -> Any:
    from PIL import ImageCms

    transparent = "transparency" in image.info or image.mode in ("LA", "PA")
    if image.mode not in ("L", "RGB", "RGBA", "CMYK") or transparent:
        image = image.convert("RGBA" if transparent else "RGB")
    try:
        stated = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = str(stated.profile.xcolor_space).strip()
        if image.mode not in _SPACES.get(space, ()):
            return image
        return ImageCms.profileToProfile(
            image,
            stated,
            _screen(),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGBA" if image.mode == "RGBA" else "RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


@lru_cache(maxsize=1)
def _screen() -> Any:
    from PIL import ImageCms

    return ImageCms.createProfile("sRGB")


def _by_gamma(image: Any, exponent: float) -> Any:
    if abs(exponent - 1) < _SAME or image.mode.startswith(("I", "F")):
        return image
    transparent = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA")
    image = image.convert("RGBA" if transparent else "RGB")
    curve = [round(255 * (level / 255) ** exponent) for level in range(256)]
    return image.point(curve * 3 + list(range(256)) * transparent)
