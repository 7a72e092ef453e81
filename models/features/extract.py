"""Compute the features of a batch of uploads, each once for all detectors."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import InputError, MediaRefused
from quorum.core.messages import Upload
from quorum.core.settings import MediaAccess
from quorum.models.detectors import OF_MEDIA, Audio, Feature, Features, Frames, Motion, Speech, Text
from quorum.models.features.decode import Decoded
from quorum.models.features.speech.listener import Transcript, shared_listener, speech_is_on
from quorum.models.features.text import MAX_CHARACTERS, text_of, text_of_speech
from quorum.models.media.fetch import fetched
from quorum.models.media.limits import Limits
from quorum.models.media.lines import MediaLine

__all__ = ["MEDIA_FEATURES", "Costs", "Extractor", "Fetch", "take_fetches"]

#: The features that are made of an upload's media.
MEDIA_FEATURES = (
    *OF_MEDIA,
    Feature.OCR,
    Feature.SPEECH,
)
_NO_MEDIA = "no media"
_NO_TEXT = "no text"
_NO_VIDEO = "no video in the media"
#: Times of fetches that are kept for who asks.
_MOST_FETCHES = 1_024
#: Reasons for absent OCR that mean that there was nothing to read.
_NOTHING_TO_READ = (_NO_MEDIA, _NO_VIDEO)


@dataclass(slots=True)
class Costs:
    """Counters of an extractor's work, in uploads."""

    fetches: int = 0
    decodes: int = 0
    fingerprints: int = 0
    embeddings: int = 0
    embedding_batches: int = 0
    readings: int = 0
    transcripts: int = 0


@dataclass(slots=True)
class _Draft:
    """Features under construction."""

    upload: Upload
    ocr_lines: list[MediaLine] = field(default_factory=list)
    text: Text | None = None
    embedding: NDArray[np.float32] | None = None
    frames: Frames | None = None
    motion: Motion | None = None
    audio: Audio | None = None
    fingerprint: Any = None
    digests: Any = None
    speech: Speech | None = None
    absent: dict[Feature, str] = field(default_factory=dict)
    partial: dict[Feature, str] = field(default_factory=dict)

    def mark_absent(self, features: Iterable[Feature], reason: str) -> None:
        for feature in features:
            self.absent.setdefault(feature, reason)

    def finished(self) -> Features:
        return Features(
            upload=self.upload,
            text=self.text,
            embedding=self.embedding,
            frames=self.frames,
            motion=self.motion,
            audio=self.audio,
            fingerprint=self.fingerprint,
            digests=self.digests,
            speech=self.speech,
            absent=self.absent,
            partial=self.partial,
        )


class Fetch(NamedTuple):
    """When the media of an upload was fetched, in nanoseconds since 1970."""

    upload_id: str
    begin: int
    end: int


_noted = threading.local()


@contextmanager
def _timed(upload_id: str) -> Iterator[None]:
    """Note the time of a fetch, for who runs this thread."""
    begin = time.time_ns()
    try:
        yield
    finally:
        _noted.__dict__.setdefault("fetches", deque(maxlen=_MOST_FETCHES)).append(
            Fetch(upload_id, begin, time.time_ns())
        )


def take_fetches() -> list[Fetch]:
    """The fetches of this thread since the last call."""
    found: deque[Fetch] | None = _noted.__dict__.pop("fetches", None)
    return list(found or ())


class Extractor:
    """Computes the features that a set of detectors needs; shared by the threads of a process.

    Args:
        needs: Features needed by any detector; no others are computed.
        media: Allowed sources and limits of media.
        fingerprinter: Computes the fingerprint of a media file; defaults to
            ``quorum.models.fingerprint.fingerprint.fingerprint``.
        embeds_speech: Whether the words that are heard are embedded, too; by default where the
            text is.

    Attributes:
        costs: Counters of the work so far.
    """

    def __init__(
        self,
        needs: frozenset[Feature],
        media: MediaAccess,
        fingerprinter: Callable[[Path], Any] | None = None,
        *,
        embeds_speech: bool | None = None,
    ) -> None:
        self._needs = needs
        self._media = media
        self._fingerprinter = fingerprinter
        self._pages = media.read_frames if Feature.OCR in needs else 0
        self._hears = Feature.SPEECH in needs and speech_is_on(media.speech)
        self._embeds_speech = Feature.EMBEDDING in needs if embeds_speech is None else embeds_speech
        off = frozenset() if self._pages else frozenset({Feature.OCR})
        off |= frozenset() if self._hears else {Feature.SPEECH}
        self._wanted = tuple(feature for feature in MEDIA_FEATURES if feature in needs - off)
        self._lock = threading.Lock()
        self.costs = Costs()

    def extract(self, uploads: Sequence[Upload], unreadable: Sequence[str] = ()) -> list[Features]:
        """Compute the features of a batch, in order.

        Never raises for an upload: a feature that fails is None, with its reason in
        ``Features.absent``.

        Args:
            uploads: The uploads.
            unreadable: For each upload why its media must not be read, empty if it may be read;
                by default all may.
        """
        drafts = [_Draft(upload) for upload in uploads]
        for draft, reason in zip(drafts, unreadable or [""] * len(drafts), strict=True):
            if reason and draft.upload.media:
                draft.mark_absent(self._wanted, reason)
            else:
                self._load_media(draft)
            self._make_text(draft)
        self._embed(drafts)
        return [draft.finished() for draft in drafts]

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, count in more.items():
                setattr(self.costs, name, getattr(self.costs, name) + count)

    def _make_text(self, draft: _Draft) -> None:
        asked = self._needs & {Feature.TEXT, Feature.EMBEDDING}
        if not asked:
            return
        try:
            text, whole = text_of(draft.upload, draft.ocr_lines)
        except Exception as error:  # a failure must not affect the other uploads of the batch
            draft.mark_absent(asked, f"text cannot be read: {type(error).__name__}")
            return
        unread = draft.absent.get(Feature.OCR, _NO_MEDIA)
        if unread in _NOTHING_TO_READ:
            unread, how = draft.partial.get(Feature.OCR, ""), "read in part"
        else:
            how = "not read"
        if not text.joined:
            draft.mark_absent(asked, f"no text, and {unread}" if unread else _NO_TEXT)
            return
        draft.text = text
        if unread:
            draft.partial[Feature.TEXT] = f"words in frames were {how}: {unread}"
        if not whole:
            for feature in asked:
                draft.partial[feature] = f"only the first {MAX_CHARACTERS:,} characters were read"

    def _embed(self, drafts: Sequence[_Draft]) -> None:
        if Feature.EMBEDDING not in self._needs:
            return
        with_text = []
        for draft in drafts:
            if draft.text is not None and (draft.text.own or draft.text.in_frames):
                with_text.append(draft)
            else:
                draft.mark_absent([Feature.EMBEDDING], _NO_TEXT)
        if not with_text:
            return
        from quorum.models.features.embedding import shared_embedder

        texts = [one.text.own or one.text.in_frames for one in with_text if one.text is not None]
        try:
            vectors = shared_embedder().embed(texts)
        except Exception as error:  # detectors may still use the other features
            for draft in with_text:
                draft.mark_absent([Feature.EMBEDDING], f"embedding failed: {type(error).__name__}")
            return
        self._count(embeddings=len(texts), embedding_batches=1)
        for draft, vector in zip(with_text, vectors, strict=True):
            draft.embedding = vector

    def _load_media(self, draft: _Draft) -> None:
        if not self._wanted:
            return
        if not draft.upload.media:
            draft.mark_absent(self._wanted, _NO_MEDIA)
            return
        with ExitStack() as held:
            try:
                with _timed(draft.upload.id):
                    path = held.enter_context(fetched(draft.upload.media, self._media))
                self._count(fetches=1)
                self._read(draft, path)
            except MediaRefused as refused:
                draft.mark_absent(self._wanted, str(refused))
            except Exception as error:  # a failure must not affect the other uploads of the batch
                draft.mark_absent(self._wanted, f"media cannot be read: {type(error).__name__}")

    def _read(self, draft: _Draft, path: Path) -> None:
        from quorum.models.features.decoders import read_media
        from quorum.models.features.reading import Wanted

        wanted = Wanted(
            Feature.FRAMES in self._needs,
            Feature.AUDIO in self._needs or self._hears,
            self._pages,
            Feature.FINGERPRINT in self._needs,
            Limits.of(self._media),
            Feature.MOTION in self._needs,
        )
        self._count(decodes=int(wanted.decodes), fingerprints=int(wanted.fingerprint))
        read = read_media(path, wanted, self._fingerprinter)
        draft.fingerprint = read.fingerprint
        if read.no_fingerprint:
            draft.mark_absent([Feature.FINGERPRINT], read.no_fingerprint)
        if read.refused:
            decoded = {*self._wanted} - {Feature.FINGERPRINT, Feature.DIGESTS}
            draft.mark_absent(decoded, read.refused)
        if read.decoded is not None:
            self._take(draft, read.decoded, frames=wanted.frames)
        if Feature.DIGESTS in self._needs:
            self._digest(draft, path)

    def _digest(self, draft: _Draft, path: Path) -> None:
        """Digest the file, unless its fingerprint did."""
        from quorum.models.fingerprint.fingerprint import Fingerprint, digests_of

        made = draft.fingerprint
        try:
            draft.digests = made.file if isinstance(made, Fingerprint) else digests_of(path)
        except (InputError, OSError) as error:
            draft.mark_absent([Feature.DIGESTS], str(error).replace(path.name, "the media"))

    def _take(self, draft: _Draft, made: Decoded, *, frames: bool) -> None:
        audio = Feature.AUDIO in self._needs
        draft.frames = made.frames
        draft.audio = made.audio if audio else None
        if frames and made.frames is None:
            draft.absent[Feature.FRAMES] = made.no_frames
        draft.motion = made.motion
        if Feature.MOTION in self._needs and made.motion is None:
            draft.absent[Feature.MOTION] = made.no_motion
        if audio and made.audio is None:
            draft.absent[Feature.AUDIO] = made.no_audio
        if made.problems:
            problems = "; ".join(made.problems)
            if made.frames is not None:
                draft.partial[Feature.FRAMES] = problems
            if draft.audio is not None:
                draft.partial[Feature.AUDIO] = problems
        if self._hears:
            self._listen(draft, made.audio, made.no_audio)
        if self._pages:
            if made.problems:
                draft.partial[Feature.OCR] = "; ".join(made.problems)
            draft.ocr_lines = [
                MediaLine(line.text, line.start, max(line.start, line.end)) for line in made.lines
            ]
            self._run_ocr(draft, made.pages, made.no_frames)

    def _listen(self, draft: _Draft, audio: Audio | None, why: str) -> None:
        """Recognise what is said in the sound."""
        if audio is None:
            draft.mark_absent([Feature.SPEECH], why)
            return
        try:
            heard = shared_listener(self._media.speech).listen(audio, self._media.max_speech)
            speech = self._speech_of(heard)
        except Exception as error:  # the upload's own text is still usable
            draft.mark_absent(
                [Feature.SPEECH], f"speech cannot be recognised: {type(error).__name__}"
            )
            return
        self._count(transcripts=1)
        draft.speech = speech
        if speech is None:
            draft.mark_absent([Feature.SPEECH], heard.nothing)
        elif heard.partial:
            draft.partial[Feature.SPEECH] = heard.partial

    def _speech_of(self, heard: Transcript) -> Speech | None:
        if not heard.lines:
            return None
        text = text_of_speech(heard.lines, heard.language)
        if not self._embeds_speech:
            return Speech(text)
        from quorum.models.features.embedding import shared_embedder

        return Speech(text, shared_embedder().embed([text.normalised])[0])

    def _run_ocr(self, draft: _Draft, pages: Frames | None, why: str) -> None:
        """Run OCR on frames."""
        if pages is None:
            draft.mark_absent([Feature.OCR], why)
            return
        from quorum.models.features.ocr import shared_reader

        try:
            draft.ocr_lines += shared_reader().read(pages)
        except Exception as error:  # the upload's own text is still usable
            draft.mark_absent(
                [Feature.OCR], f"words in frames cannot be read: {type(error).__name__}"
            )
            return
        self._count(readings=1)
