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
from collections.abc import Container
from functools import lru_cache

__all__ = [
    "confusables",
    "currency_letters",
    "fonts",
    "in_own_script",
    "is_ignorable",
    "marks_on_latin",
    "plain",
    "shown",
    "signs",
]

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

#: What stretches Arabic letters.
_TATWEEL = "\u0640"
#: The letters of six-dot Braille, which are the same in all languages with Latin letters.
_BRAILLE = dict(zip("⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵", "abcdefghijklmnopqrstuvwxyz", strict=True))
#: Letters of other scripts that look like Latin ones.
_TWINS = (
    dict(zip("acehijkmoptxyABCEHIJKMOPTXY", "асенијкмортхуавсенијкмортху", strict=True)),
    dict(zip("abeihkmnoptuvxyzABEHIKMNOPTXYZ", "αβειηκμηορτυνχυζαβεηικμνορτχυζ", strict=True)),
)
_CYRILLIC, _GREEK = range(0x400, 0x530), range(0x370, 0x400)

#: Currency signs that look like another letter than the first of their names.
_CURRENCY = {"$": "s", "£": "l", "₤": "l", "₴": "s", "₽": "p", "₹": "r", "₠": "e", "฿": "b"}

_IDEOGRAPHS = "卂乃匚ᗪ乇千Ꮆ卄丨ﾌҜㄥ爪几ㄖ卩Ɋ尺丂ㄒㄩᐯ山乂ㄚ乙"
_MIXED = "ค๒ς๔єŦﻮђเןкɭ๓ภ๏קợгรՇยשฬאץչ"
_SYLLABICS = "ᗩᗷᑕᗪᕮᖴGᕼIᒍKᒪᗰᑎOᑭᑫᖇᔕTᑌᐯᗯ᙭Yᘔ"
_KATAKANA = "ﾑ乃cd乇ｷgんﾉﾌズﾚﾶ刀oｱq尺丂ｲuvwﾒﾘ乙"
_CHINESE = "卂乃匚刀乇下厶卄工丁长乚从几口尸㔿尺丂丅凵リ山乂丫乙"
_ETHIOPIC = "ልጌርዕቿቻኗዘጎጋጕረጠክዐየዒዪነፕሁሀሠሸሃጊ"
_COPTIC = "ⲁⲃⲥⲇⲉϝⳓⲏⲓϳⲕⳑⲙⲛⲟⲣϥⲅⳝⲧⳙⳛⲱⲭⲩⲍ"
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


def _characters(kinds: Container[str], first: int, last: int) -> str:
    """The inside of a regular expression's class: all characters of some general categories."""
    ranges: list[list[int]] = []
    for code in range(first, last + 1):
        if unicodedata.category(chr(code)) in kinds:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{re.escape(chr(start))}-{re.escape(chr(end))}" for start, end in ranges)


@lru_cache(maxsize=1)
def marks_on_latin() -> re.Pattern[str]:
    """Combining marks of any script behind a Latin letter."""
    return re.compile(f"(?<=[A-Za-z])[{_characters(('Mn', 'Me'), 0x300, sys.maxunicode)}]+")


@lru_cache(maxsize=1)
def signs() -> str:
    """The inside of a class of all punctuation and symbols but ``@``, ``$``, ``!`` and commas."""
    kinds = ("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So")
    lower, upper = ord("$"), ord("@")
    kept = [_characters(kinds, first, last) for first, last in (
        (ord('"'), lower - 1), (lower + 1, ord("+")), (ord("-"), upper - 1), (upper + 1, 0x3000),
        (0x3002, 0xFFFF),
    )]  # fmt: skip
    return "".join(kept)


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
    for font in (
        _IDEOGRAPHS,
        _MIXED,
        _SYLLABICS,
        _KATAKANA,
        _YI,
        _CHINESE,
        _ETHIOPIC,
        _COPTIC,
    ):
        for letter, character in zip("abcdefghijklmnopqrstuvwxyz", font, strict=True):
            for form in (character, unicodedata.normalize("NFKC", character)):
                if not form.isascii():
                    table.setdefault(form.lower(), letter)
                    table.setdefault(form, letter)
    return table


def in_own_script(word: str) -> str:
    """A Cyrillic or Greek word with Latin look-alikes in it, in its own letters.

    Empty if it has Latin letters that look like none of these.
    """
    foreign = [ord(one) for one in word if not one.isascii()]
    for script, twins in zip((_CYRILLIC, _GREEK), _TWINS, strict=True):
        if all(code in script for code in foreign):
            latin = [one for one in word if one.isascii()]
            if all(one in twins for one in latin):
                return "".join(twins.get(one, one) for one in word)
    return ""


@lru_cache(maxsize=8192)
def plain(character: str) -> str:
    """Strip decoration from a character: 𝐟, ⓕ and 🅵 give f, é gives e, joiners give nothing."""
    code = ord(character)
    if character in _BRAILLE:
        return _BRAILLE[character]
    if character == _TATWEEL:
        return ""
    if 0x1F150 <= code <= 0x1F169 or 0x1F170 <= code <= 0x1F189:
        return chr(ord("a") + (code - 0x1F150) % 32)
    if is_ignorable(character):
        return ""
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    letter = shown(character)
    if letter is not None:
        return letter
    made = unicodedata.normalize("NFKD", character)
    marks = unicodedata.combining(made[0]) or unicodedata.category(made[0]) == "Me"
    if not made[0].isascii() and not marks:
        return unicodedata.normalize("NFC", made)
    kept = "".join(
        part
        for part in made
        if not (0x0300 <= ord(part) <= 0x036F or 0x20D0 <= ord(part) <= 0x20FF)
    )
    return unicodedata.normalize("NFC", kept)
