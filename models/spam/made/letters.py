"""Words in decorated letters, as advertisements write names: fonts, marks and look-alikes.

Sources: Mathematical Alphanumeric Symbols, Enclosed Alphanumerics, Halfwidth and Fullwidth Forms
and Phonetic Extensions of the Unicode standard; look-alikes of UTS 39.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["decorated"]

_LOW = "abcdefghijklmnopqrstuvwxyz"
_SMALL = dict(zip(_LOW, "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀsᴛᴜᴠᴡxʏᴢ", strict=True))
_RAISED = dict(zip(_LOW, "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖqʳˢᵗᵘᵛʷˣʸᶻ", strict=True))
_ALIKE = dict(zip("aceopxyijsABCEHKMOPTXI", "асеорхуіјѕАВСЕНКМОРТХІ", strict=True))
#: First capital, small letter and digit of fonts; 0 for a font without digits.
_FONTS = (
    (0x1D400, 0x1D41A, 0x1D7CE), (0x1D468, 0x1D482, 0), (0x1D4D0, 0x1D4EA, 0),
    (0x1D56C, 0x1D586, 0), (0x1D5A0, 0x1D5BA, 0x1D7E2), (0x1D5D4, 0x1D5EE, 0x1D7EC),
    (0x1D63C, 0x1D656, 0), (0x1D670, 0x1D68A, 0x1D7F6), (0xFF21, 0xFF41, 0xFF10),
    (0x24B6, 0x24D0, 0), (0x1F170, 0x1F170, 0), (0x1F130, 0x1F130, 0),
)  # fmt: skip
_MARKS = "\u0335\u0336\u0337\u0338\u0332\u0305\u20e3\u0489\u035f\u0361"


def _in_font(font: tuple[int, int, int]) -> Callable[[str], str]:
    capital, small, digit = font

    def letter(one: str) -> str:
        if "A" <= one <= "Z":
            return chr(capital + ord(one) - ord("A"))
        if "a" <= one <= "z":
            return chr(small + ord(one) - ord("a"))
        return chr(digit + ord(one) - ord("0")) if digit and one in "0123456789" else one

    return letter


def decorated(word: str, rng: np.random.Generator) -> str:
    """A word with its Latin letters in a font, with marks, or as look-alikes, drawn at random.

    Args:
        word: Any text; what is no Latin letter or digit stays.
        rng: Draws the decoration.
    """
    way = int(rng.integers(len(_FONTS) + 4))
    if way < len(_FONTS):
        return "".join(map(_in_font(_FONTS[way]), word))
    if way == len(_FONTS):
        mark = _MARKS[int(rng.integers(len(_MARKS)))]
        return "".join(one + mark if one.isalnum() else one for one in word)
    table = (_SMALL, _RAISED, _ALIKE)[way - len(_FONTS) - 1]
    return "".join(table.get(one, table.get(one.lower(), one)) for one in word)
