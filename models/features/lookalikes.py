"""What characters look like, by their Unicode properties rather than by lists of tricks.

- Default_Ignorable_Code_Point, derived as in DerivedCoreProperties.txt of the Unicode standard:
  characters that nobody sees.
- Letters whose names tell the Latin letter that they show: ``LATIN LETTER SMALL CAPITAL F``,
  ``NEGATIVE SQUARED LATIN CAPITAL LETTER A``, ``LATIN SMALL LETTER TURNED E``.
- Currency signs, which show the first letter of their names.
- Combining marks, of any script: on a Latin letter they are decoration.
- Confusables of UTS 39, from the package ``confusable-homoglyphs``.

Some fonts in circulation are made of ideographs, syllables, and Thai, Hebrew and other letters, of
which no property tells what they look like. These are listed; what they spell counts only as a
known word.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

__all__ = ["confusables", "currency_letters", "fonts", "is_ignorable", "marks_on_latin", "shown"]

#: Other_Default_Ignorable_Code_Point, and the blank pattern of Braille.
_OTHER_IGNORABLE = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x2065, 0x2065), (0x2800, 0x2800),
    (0x3164, 0x3164), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip
#: Variation_Selector.
_VARIATION = ((0x180B, 0x180F), (0xFE00, 0xFE0F))

#: Letters of alphabets that people write: their own, and decomposed by NFKD where they have marks.
_FIRST_RARE = 0x0180
_NAME = re.compile(
    r"(?:.* )?LATIN (?:(?:CAPITAL|SMALL) )?LETTER (?:SMALL CAPITAL |TURNED |REVERSED |INVERTED "
    r"|SIDEWAYS |DOTLESS |BARRED |SCRIPT |LONG |STIRRUP |BLACKLETTER |HALF |INSULAR )*([A-Z])"
    r"(?: WITH .*)?"
)

#: Currency signs that look like another letter than the first of their names.
_CURRENCY = {"$": "s", "£": "l", "₤": "l", "₴": "s", "₽": "p", "₹": "r", "₠": "e", "฿": "b"}

_IDEOGRAPHS = "卂乃匚ᗪ乇千Ꮆ卄丨ﾌҜㄥ爪几ㄖ卩Ɋ尺丂ㄒㄩᐯ山乂ㄚ乙"
_MIXED = "ค๒ς๔єŦﻮђเןкɭ๓ภ๏קợгรՇยשฬאץչ"
_SYLLABICS = "ᗩᗷᑕᗪᕮᖴGᕼIᒍKᒪᗰᑎOᑭᑫᖇᔕTᑌᐯᗯ᙭Yᘔ"
_KATAKANA = "ﾑ乃cd乇ｷgんﾉﾌズﾚﾶ刀oｱq尺丂ｲuvwﾒﾘ乙"
_YI = "ꍏꌃꉓꀸꍟꎇꁅꃅꀤꀭꀘ꒒ꂵꈤꂦꉣꆰꋪꌗ꓄ꀎꃴꅏꊼꌩꁴ"


@lru_cache(maxsize=8192)
def is_ignorable(character: str) -> bool:
    """Whether nobody sees a character: Default_Ignorable_Code_Point, and other format controls."""
    code = ord(character)
    if unicodedata.category(character) == "Cf":
        return True
    return any(first <= code <= last for first, last in (*_OTHER_IGNORABLE, *_VARIATION))


@lru_cache(maxsize=8192)
def shown(character: str, first: int = _FIRST_RARE) -> str | None:
    """The Latin letter that a decorated, turned or small capital letter shows; None for others.

    Args:
        character: Any.
        first: Characters before this one are not meant: by default the letters that alphabets
            have, such as ``ø``.
    """
    if ord(character) < first or unicodedata.category(character)[0] not in "LS":
        return None
    found = _NAME.fullmatch(unicodedata.name(character, ""))
    return found.group(1).lower() if found else None


@lru_cache(maxsize=256)
def currency_letters(sign: str) -> str:
    """Letters that a currency sign may stand for, the likeliest first; none for others."""
    if unicodedata.category(sign) != "Sc":
        return ""
    name = unicodedata.name(sign, "").lower()
    initial = name[0] if name[:1].isalpha() else ""
    alike = _CURRENCY.get(sign, "")
    return alike + initial if alike != initial else initial


@lru_cache(maxsize=1)
def marks_on_latin() -> re.Pattern[str]:
    """Combining marks of any script behind a Latin letter."""
    ranges: list[list[int]] = []
    for code in range(0x300, sys.maxunicode + 1):
        if unicodedata.category(chr(code)) in ("Mn", "Me"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    inside = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    return re.compile(f"(?<=[A-Za-z])[{inside}]+")


@lru_cache(maxsize=1)
def confusables() -> dict[str, str]:
    """Map each confusable letter of another script to its Latin letter (UTS 39)."""
    from confusable_homoglyphs.confusables import confusables_data

    table: dict[str, str] = {}
    for character, likenesses in confusables_data.items():
        if len(character) != 1 or character.isascii() or not character.isalpha():
            continue
        for likeness in likenesses:
            plain = likeness["c"]
            if len(plain) == 1 and plain.isascii() and plain.isalpha():
                table[character] = plain.lower()
                break
    return table


@lru_cache(maxsize=1)
def fonts() -> dict[str, str]:
    """Map letters and ideographs of which fonts are made to Latin letters, UTS 39 included."""
    table = dict(confusables())
    for font in (_IDEOGRAPHS, _MIXED, _SYLLABICS, _KATAKANA, _YI):
        for letter, character in zip("abcdefghijklmnopqrstuvwxyz", font, strict=True):
            for form in (character, unicodedata.normalize("NFKC", character)):
                if not form.isascii():
                    table.setdefault(form.lower(), letter)
                    table.setdefault(form, letter)
    return table
