"""Phone numbers: in digits, and spelt out in the languages that the detectors cover."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from quorum.models.features.aligned import Aligned, Unaligned
from quorum.models.features.lookalikes import plain

__all__ = ["LONG_NUMBER", "spell_digits"]

_T = TypeVar("_T", Aligned, Unaligned)

#: A number as long as one of a phone: a regular expression, without what may stand before it.
LONG_NUMBER = r"\+?\d(?:[ \-().~·•]{0,2}\d){6,17}(?!\w)"

#: From nought to nine; then other words for some digits, each with its digit.
_COUNTED = """
    zero one two three four five six seven eight nine
    null eins zwei drei vier fünf sechs sieben acht neun
    cero uno dos tres cuatro cinco seis siete ocho nueve
    zéro un deux trois quatre cinq six sept huit neuf
    zero um dois três quatro cinco seis sete oito nove
    zero uno due tre quattro cinque sei sette otto nove
    nul een twee drie vier vijf zes zeven acht negen
    noll ett två tre fyra fem sex sju åtta nio
    zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć
    nula jedna dva tři čtyři pět šest sedm osm devět
    sıfır bir iki üç dört beş altı yedi sekiz dokuz
    không một hai ba bốn năm sáu bảy tám chín
    nol satu dua tiga empat lima enam tujuh delapan sembilan
    sero isa dalawa tatlo apat lima anim pito walo siyam
    ноль один два три четыре пять шесть семь восемь девять
    нуль один два три чотири п'ять шість сім вісім дев'ять
    μηδέν ένα δύο τρία τέσσερα πέντε έξι επτά οκτώ εννέα
    صفر واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة
    صفر یک دو سه چهار پنج شش هفت هشت نه
    אפס אחת שתיים שלוש ארבע חמש שש שבע שמונה תשע
    शून्य एक दो तीन चार पांच छह सात आठ नौ
    শূন্য এক দুই তিন চার পাঁচ ছয় সাত আট নয়
    ศูนย์ หนึ่ง สอง สาม สี่ ห้า หก เจ็ด แปด เก้า
    ゼロ いち に さん よん ご ろく なな はち きゅう
    공 일 이 삼 사 오 육 칠 팔 구
    〇 一 二 三 四 五 六 七 八 九
"""
_ALSO = """
    oh 0 zwo 2 meia 6 kosong 0 lapan 8 jeden 1 εφτά 7 οχτώ 8 εννιά 9 اثنين 2 पाँच 5 छः 6 영 0 零 0
    幺 1 れい 0
"""
#: The fewest digits of a number, and the fewest where they are not words of their own.
_FEWEST, _FEWEST_TOGETHER = 7, 9
_BETWEEN = r"[\s,.\-]"
_SEPARATORS = str.maketrans(",.-", "   ")
_HANGUL = "[공영일이삼사오육칠팔구]"
#: Written without spaces: ideographs, and Hangul, whose digits begin many words.
_TOGETHER = re.compile(
    rf"[〇零幺一二三四五六七八九]{{{_FEWEST_TOGETHER},}}"
    rf"|(?<![가-힣]){_HANGUL}(?:[ \-]?{_HANGUL}){{{_FEWEST_TOGETHER - 1},}}(?![가-힣])"
)


@lru_cache(maxsize=1)
def _words() -> dict[str, int]:
    """Digits by their words, in plain letters."""
    found = {word: digit for line in _COUNTED.strip().splitlines()
             for digit, word in enumerate(line.split())}  # fmt: skip
    also = iter(_ALSO.split())
    found |= {word: int(digit) for word, digit in zip(also, also, strict=True)}
    return {"".join(map(plain, word)): digit for word, digit in found.items()}


@lru_cache(maxsize=1)
def _spelt() -> re.Pattern[str]:
    one = f"(?:{'|'.join(sorted(map(re.escape, _words()), key=len, reverse=True))})"
    several = rf"(?:(?:double|triple) )?{one}"
    return re.compile(
        rf"(?<![^\s,.\-:+(]){several}(?:{_BETWEEN}{{1,3}}{several}){{{_FEWEST - 1},17}}"
        r"(?![^\s,.\-:;!?)])"
    )


def spell_digits(made: _T) -> _T:
    """Replace numbers in words by ``longnumber``, as numbers in digits are.

    Args:
        made: A text in plain letters and lower case.
    """
    words = _words()
    if sum(map(words.__contains__, made.text.translate(_SEPARATORS).split())) >= _FEWEST:
        made = made.replace(_spelt(), _spelt_number)
    return made if made.text.isascii() else made.replace(_TOGETHER, _number_together)


def _told(text: str, digits: list[int]) -> str:
    """What stands for a number; counting up, again and again, or down stays as it is."""
    steps = {after - before for before, after in pairwise(digits)}
    restarts = all(after in (1, before + 1) for before, after in pairwise(digits))
    return text if restarts or steps == {-1} else " longnumber "


def _spelt_number(match: re.Match[str]) -> str:
    words = _words()
    told = match.group().translate(_SEPARATORS).split()
    return _told(match.group(), [words[word] for word in told if word in words])


def _number_together(match: re.Match[str]) -> str:
    words = _words()
    return _told(match.group(), [words[one] for one in match.group() if one in words])
